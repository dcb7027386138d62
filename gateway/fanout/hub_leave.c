/* hub_leave: a subscriber leaves one topic or all topics. */
#include <stdlib.h>

#include "gateway/fanout/hub_state.h"

bool hub_leave(struct hub *h, struct hub_subscriber *s, struct span pattern)
{
    const struct hub_topic *t = pattern.len <= HUB_PATTERN_MAX ? hub_topic_find(h, pattern) : NULL;
    uint32_t place = t ? hub_member_place(s, t) : HUB_NO_PLACE;

    if (place == HUB_NO_PLACE)
        return false;
    hub_remove_member(h, s, place);
    backlog_suspect(&s->backlog);
    hub_note_dirty(h, s);
    return true;
}

void hub_leave_all(struct hub *h, struct hub_subscriber *s)
{
    hub_join_end(h, s);
    hub_drop_slots(s);
    while (s->topic_count)
        hub_remove_member(h, s, s->topic_count - 1);
    if (s->is_due)
        h->due[s->due_at] = NULL;
    backlog_fini(&s->backlog);
    hub_note_dirty(h, s);
    free(s->topics);
    s->topics = NULL;
    s->topic_cap = 0;
    s->is_due = false;
}
