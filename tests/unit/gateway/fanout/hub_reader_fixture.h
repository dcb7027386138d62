/*
 * hub_reader_fixture: a subscriber of a hub that reads what it is sent, for tests.
 */
#ifndef TESTS_UNIT_GATEWAY_FANOUT_HUB_READER_FIXTURE_H
#define TESTS_UNIT_GATEWAY_FANOUT_HUB_READER_FIXTURE_H

#include <string.h>

#include "tests/unit/gateway/fanout/hub_fixture.h"

static inline size_t join(struct hub_subscriber *s, const char *pattern, size_t limit)
{
    struct hub_topic *t = hub_topic_retain(hub, span_of(pattern));
    size_t count = hub_join(hub, s, &t, 1, limit, 0, NULL);

    hub_topic_release(hub, t);
    return count;
}

/* Take all pending messages, as "quote A 1<0 live v | …". */
static inline const char *take_all(struct hub_subscriber *s)
{
    static struct buf out;
    uint32_t count = 0;
    struct frame *f;

    buf_clear(&out);
    hub_verify_backlog(hub, s, UINT32_MAX);
    while ((f = backlog_peek(&s->backlog, s->encoding, count))) {
        buf_adds(&out, count ? " | " : "");
        buf_adds(&out, text_of(f));
        count++;
    }
    backlog_took(&s->backlog, count);
    assert_true(backlog_is_empty(&s->backlog));
    return buf_text(&out);
}

static inline const char *turn(struct hub_subscriber *s)
{
    hub_fan_out(hub);
    while (hub_take_due(hub))
        ;
    return take_all(s);
}

#endif
