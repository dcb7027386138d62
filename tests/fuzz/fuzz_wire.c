/* Records, and the entries of a snapshot: what crosses the sockets between our processes. */
#include "shared/wire/pack.h"
#include "shared/wire/wire.h"
#include "tests/fuzz/fuzz.h"

static void check_record(struct span message)
{
    struct wire_record r, again;
    bool is_stampable = false;
    struct buf out = {0};

    if (wire_read(message, &r, &is_stampable))
        return;
    MUST(wire_open(message, &again, NULL) == OK && again.seq == r.seq);
    MUST(wire_read_header(message, &again) == OK && again.prev == r.prev);
    wire_put(&out, &r);
    MUST(!is_stampable || out.len == message.len);
    /* Our header may be longer than the one that was read, and the record then be too large. */
    if (out.len > WIRE_RECORD_MAX && r.kind != WIRE_HEARTBEAT) {
        buf_free(&out);
        return;
    }
    MUST(wire_read(buf_span(&out), &again, NULL) == OK);
    MUST(again.kind == r.kind && again.epoch == r.epoch && again.seq == r.seq &&
         again.prev == r.prev && again.sent_us == r.sent_us && again.accepted_us == r.accepted_us &&
         fuzz_same(again.body, r.body));
    buf_free(&out);
}

static void check_topic(struct span topic)
{
    struct span symbol = wire_topic_symbol(topic);
    char out[WIRE_TOPIC_MAX];

    if (!symbol.len)
        return;
    MUST(quote_is_symbol(symbol));
    MUST(wire_topic(out, symbol) == topic.len && memcmp(out, topic.at, topic.len) == 0);
}

static void check_entries(struct span list)
{
    struct wire_entry e;

    if (pack_check(list))
        return;
    while (list.len && wire_take_entry(&list, &e))
        MUST(pack_check(e.quote.body) == OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check_record(fuzz_span(data, size));
    check_topic(fuzz_span(data, size));
    check_entries(fuzz_span(data, size));
    return 0;
}
