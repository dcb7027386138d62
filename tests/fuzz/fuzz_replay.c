/* The broker's answer to "replay": every position once and ascending. */
#include "shared/wire/pack.h"
#include "shared/wire/replay.h"
#include "tests/fuzz/fuzz.h"

static void on_record(void *ctx, struct span topic, const struct wire_record *r)
{
    uint64_t *last = ctx;

    (void)topic;
    MUST(r->seq > *last);
    *last = r->seq;
    MUST(r->body.len == 0 || pack_check(r->body) == OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span answer = fuzz_span(data, size);
    uint64_t last = 5;

    if (pack_check(answer) == OK)
        replay_each(answer, 5, on_record, &last);
    return 0;
}
