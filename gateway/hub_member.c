/* hub_member: subscribers: which topics each is in, what it is owed, and who is to be flushed. */
#include <stdlib.h>
#include <string.h>

#include "gateway/hub_private.h"
#include "shared/mem.h"

/* --- due lists ---------------------------------------------------------------------- */

void hub_set_due(struct hub *h, struct hub_subscriber *s)
{
    if (s->is_due)
        return;
    s->is_due = true;
    h->due = hub_grown(h->due, h->due_count, &h->due_cap, sizeof(void *));
    h->due[h->due_count++] = s;
}

bool hub_has_due(const struct hub *h)
{
    return h->due_first < h->due_count;
}

struct hub_subscriber *hub_take_due(struct hub *h)
{
    while (h->due_first < h->due_count) {
        struct hub_subscriber *s = h->due[h->due_first++];

        if (!s)
            continue; /* it left meanwhile */
        s->is_due = false;
        return s;
    }
    h->due_first = h->due_count = 0;
    return NULL;
}

/* Owe this subscriber the symbol, `updates` of which happened. */
void hub_mark(struct hub *h, struct hub_subscriber *s, struct hub_symbol *symbol,
              enum symbol_message kind, uint32_t updates)
{
    backlog_mark(&s->backlog, symbol, kind, updates, h->round);
    hub_set_due(h, s);
}

void hub_queue_frame(struct hub *h, struct hub_subscriber *s, struct frame *f)
{
    backlog_queue(&s->backlog, f, h->queue_limit);
    hub_set_due(h, s);
}

void hub_begin_round(struct hub *h)
{
    if (++h->round == 0)
        h->round = 1;
}

/* --- subscribers ------------------------------------------------------------------------ */

bool hub_is_member(const struct hub_subscriber *s, const struct hub_topic *t)
{
    for (uint32_t i = 0; i < s->topic_count; i++)
        if (s->topics[i].topic == t)
            return true;
    return false;
}

static void add_member(struct hub_subscriber *s, struct hub_topic *t)
{
    if (t->member_count == t->member_cap) {
        t->member_cap = t->member_cap ? t->member_cap * 2 : 4;
        t->members = mem_resize(t->members, t->member_cap * sizeof *t->members);
    }
    if (s->topic_count == s->topic_cap) {
        s->topic_cap = s->topic_cap ? s->topic_cap * 2 : 1;
        s->topics = mem_resize(s->topics, s->topic_cap * sizeof *s->topics);
    }
    t->members[t->member_count] = (struct hub_member){s, s->topic_count};
    s->topics[s->topic_count++] = (struct hub_place){t, t->member_count++};
    t->all_count += s->wants_all;
    t->references++;
}

static void remove_member(struct hub *h, struct hub_subscriber *s, uint32_t i)
{
    struct hub_place p = s->topics[i];
    struct hub_topic *t = p.topic;

    t->all_count -= s->wants_all;
    t->members[p.place] = t->members[--t->member_count];
    if (p.place < t->member_count)
        t->members[p.place].who->topics[t->members[p.place].place].place = p.place;
    s->topics[i] = s->topics[--s->topic_count];
    if (i < s->topic_count)
        s->topics[i].topic->members[s->topics[i].place].place = i;
    hub_topic_release(h, t);
}

void hub_set_mode(struct hub_subscriber *s, bool wants_all)
{
    for (uint32_t i = 0; i < s->topic_count; i++) {
        s->topics[i].topic->all_count -= s->wants_all;
        s->topics[i].topic->all_count += wants_all;
    }
    s->wants_all = wants_all;
}

static void owe(struct hub *h, struct hub_subscriber *s, struct hub_symbol *symbol,
                enum symbol_message kind)
{
    if (s->wants_all)
        hub_queue_frame(h, s, hub_symbol_frame(symbol, kind, s->encoding));
    else
        hub_mark(h, s, symbol, kind, 0);
}

static int by_position(const void *a, const void *b)
{
    const struct hub_symbol *x = *(struct hub_symbol *const *)a,
                            *y = *(struct hub_symbol *const *)b;

    if (x->seq == y->seq) /* both of an old log */
        return (x->index > y->index) - (x->index < y->index);
    return x->seq > y->seq ? 1 : -1;
}

/* In ascending order of their bytes, so that a prefix comes right before what begins with it. */
static int by_pattern(const void *a, const void *b)
{
    const struct hub_topic *x = *(struct hub_topic *const *)a,
                           *y = *(struct hub_topic *const *)b;
    size_t x_len = (size_t)x->pattern_len - x->is_prefix,
           y_len = (size_t)y->pattern_len - y->is_prefix;
    int order = memcmp(x->pattern, y->pattern, x_len < y_len ? x_len : y_len);

    return order            ? order
           : x_len != y_len ? (x_len > y_len) - (x_len < y_len)
                            : y->is_prefix - x->is_prefix;
}

static void add_found(struct hub_symbol ***found, size_t *count, size_t *cap,
                      struct hub_symbol *s, uint64_t first, uint64_t last)
{
    if (!s->body.len || s->seq < first || s->seq > last)
        return;
    *found = hub_grown(*found, *count, cap, sizeof(void *));
    (*found)[(*count)++] = s;
}

struct hub_symbol **hub_matching(struct hub *h, struct hub_topic *const *topics,
                                 size_t topic_count, uint64_t first, uint64_t last,
                                 size_t *count)
{
    struct hub_topic **sorted = mem_alloc((topic_count + 1) * sizeof *sorted);
    const struct hub_topic *cover = NULL; /* the last prefix that was looked up */
    struct hub_symbol **found = NULL, *s;
    size_t cap = 0;

    if (topic_count)
        memcpy(sorted, topics, topic_count * sizeof *sorted);
    qsort(sorted, topic_count, sizeof *sorted, by_pattern);
    *count = 0;
    for (size_t i = 0; i < topic_count; i++) {
        struct span pattern = hub_topic_pattern(sorted[i]);

        if (i && sorted[i] == sorted[i - 1])
            continue;
        if (cover && quote_pattern_matches(hub_topic_pattern(cover), pattern))
            continue;
        if (sorted[i]->is_prefix) {
            struct prefix_walk w;

            cover = sorted[i];
            pattern.len--;
            w = prefix_index_walk(h->index, pattern);
            while ((s = prefix_walk_next(&w)))
                add_found(&found, count, &cap, s, first, last);
        } else if ((s = hub_find(h, pattern))) {
            add_found(&found, count, &cap, s, first, last);
        }
    }
    free(sorted);
    if (*count)
        qsort(found, *count, sizeof *found, by_position);
    return found;
}

size_t hub_join(struct hub *h, struct hub_subscriber *s,
                struct hub_topic *const *topics, size_t topic_count, size_t limit,
                uint64_t since, uint64_t *before)
{
    struct hub_topic **fresh = mem_alloc((topic_count + 1) * sizeof *fresh);
    struct hub_symbol **symbols;
    size_t fresh_count = 0, all, known = 0;

    for (size_t i = 0; i < topic_count; i++)
        if (!hub_is_member(s, topics[i])) {
            add_member(s, topics[i]);
            fresh[fresh_count++] = topics[i];
        }
    hub_begin_round(h);
    backlog_fall_behind(
        &s->backlog); /* what is owed already may change again before it is sent */
    symbols = hub_matching(h, fresh, since == HUB_SINCE_NOW ? 0 : fresh_count,
                           since ? 1 : 0, UINT64_MAX, &all);
    for (; known < all && symbols[known]->seq <= since && since; known++)
        owe(h, s, symbols[known], MESSAGE_STATE);
    if (known < all && before && *before && symbols[known]->seq <= *before)
        *before = symbols[known]->seq ? symbols[known]->seq - 1 : 0;
    for (size_t i = known; i < all && i - known < limit; i++)
        owe(h, s, symbols[i], MESSAGE_SNAPSHOT);
    backlog_fall_behind(&s->backlog);
    free(symbols);
    free(fresh);
    return all - known;
}

static bool is_covered(void *ctx, const struct hub_symbol *symbol)
{
    const struct hub_subscriber *s = ctx;

    for (uint32_t i = 0; i < s->topic_count; i++)
        if (quote_pattern_matches(hub_topic_pattern(s->topics[i].topic),
                                  hub_name_of(symbol)))
            return true;
    return false;
}

bool hub_leave(struct hub *h, struct hub_subscriber *s, struct span pattern)
{
    for (uint32_t i = 0; i < s->topic_count; i++) {
        struct span held = hub_topic_pattern(s->topics[i].topic);

        if (held.len != pattern.len || memcmp(held.at, pattern.at, held.len) != 0)
            continue;
        remove_member(h, s, i);
        backlog_retain(&s->backlog, is_covered, s);
        return true;
    }
    return false;
}

void hub_leave_all(struct hub *h, struct hub_subscriber *s)
{
    while (s->topic_count)
        remove_member(h, s, s->topic_count - 1);
    for (size_t i = h->due_first; s->is_due && i < h->due_count; i++)
        if (h->due[i] == s) {
            h->due[i] = NULL;
            break;
        }
    backlog_fini(&s->backlog);
    free(s->topics);
    s->topics = NULL;
    s->topic_cap = 0;
    s->is_due = false;
}
