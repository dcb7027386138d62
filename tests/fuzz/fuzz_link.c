/*
 * The feeder's link: whatever the broker answers, between lines of the source.
 *
 * {"op":"!time","ms":…}: time passes; {"op":"!lines","count":…}: the source has quotes; {"op":
 * "!stop"}: the feeder ends; {"op":"!reopened"}: new sockets.  See messages.h.
 */
#include "tests/fuzz/messages.h"
#include "tests/unit/shared/feed/link_fixture.h"

#define MESSAGES_MAX 300
#define RING 16

static void take_object(struct talk *t, const struct json_value *v)
{
    struct span op = message_text(v, "op", "");
    struct buf bytes = {0};

    if (span_eq(op, "!time")) {
        t->now += (int64_t)(message_number(v, "ms") % 100000);
        t->mono += (int64_t)(message_number(v, "paused") % 100000);
    } else if (span_eq(op, "!lines")) {
        add(t, (int)(message_number(v, "count") % 32));
    } else if (span_eq(op, "!stop")) {
        link_leave(t->link, t->now);
    } else if (span_eq(op, "!reopened")) {
        link_reopened(t->link, true);
    } else {
        message_pack(v, &bytes);
        link_take(t->link, buf_span(&bytes));
    }
    buf_free(&bytes);
}

static void take_message(struct talk *t, struct json *j, struct span message)
{
    const struct json_value *root;

    link_begin_turn(t->link, t->now, t->mono, 1700000000000000 + t->now * 1000);
    if (message_read(j, message, &root))
        take_object(t, root);
    else
        link_take(t->link, message);
    link_tick(t->link);
    link_send(t->link, 1000);
    buf_clear(&t->sent);
    MUST(outbox_received(t->outbox) <= outbox_last(t->outbox));
    MUST(outbox_sent(t->outbox) <= outbox_last(t->outbox));
    MUST(outbox_kept(t->outbox) <= RING);
    MUST(link_state(t->link) != LINK_OPEN || link_is_granted(t->link));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span rest = fuzz_span(data, size);
    struct json *j = json_new();
    struct talk t;

    fuzz_quiet();
    open_talk(&t, RING);
    for (int i = 0; i < MESSAGES_MAX && rest.len; i++)
        take_message(&t, j, fuzz_part(&rest, "\n"));
    close_talk(&t);
    json_free(j);
    return 0;
}
