/* Lists of patterns, subscriptions of the publish socket, and names of locks. */
#include "broker/net/topics.h"
#include "shared/wire/lock_name.h"
#include "shared/wire/patterns.h"
#include "shared/wire/quote.h"
#include "shared/wire/wire.h"
#include "tests/fuzz/fuzz.h"

/* The sorted list answers as the plain text does. */
static void check_patterns(struct span text)
{
    static const char *const symbols[] = {"EUR/USD", "BTC", "BTC/USD", "A", "Z9", "EUR/CHF"};
    struct patterns p = {.count = 99};
    enum err e = patterns_parse(text, &p);

    if (e) {
        MUST(p.count == 99 && patterns_error_text(e)[0]);
        return;
    }
    MUST(p.count <= PATTERNS_MAX);
    for (size_t i = 0; i < sizeof symbols / sizeof *symbols; i++)
        MUST(patterns_match(&p, span_of(symbols[i])) ==
             quote_patterns_match(text, span_of(symbols[i])));
}

/* Each line is a message of the publish socket. */
static void check_topics(struct span rest)
{
    struct topics t = {.seed = 7};

    while (rest.len) {
        struct span message = fuzz_part(&rest, "\n");

        topics_take(&t, message);
        MUST(t.bytes < (1u << 30));
    }
    topics_free(&t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span text = fuzz_span(data, size);

    check_patterns(text);
    check_topics(text);
    if (lock_is_name(text))
        MUST(size >= 1 && size <= LOCK_NAME_MAX);
    if (lock_is_owner(text))
        MUST(size >= 1 && size <= LOCK_OWNER_MAX);
    return 0;
}
