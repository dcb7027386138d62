/* A quote's body from a feeder's socket, and its JSON. */
#include "shared/base/json.h"
#include "shared/wire/pack.h"
#include "shared/wire/quote.h"
#include "tests/fuzz/fuzz.h"

static const struct quote_rules rules = {.now_us = 1640995200000000, .max_future_us = 60000000};

static void check_json(struct span body)
{
    const struct json_value *root;
    struct json *j = json_new();
    struct buf text = {0};
    enum err e;

    json_set_depth(j, JSON_DEPTH_LIMIT);
    buf_adds(&text, "{\"symbol\":\"X\"");
    quote_to_json(body, &text);
    buf_addc(&text, '}');
    e = json_parse(j, buf_span(&text), &root);
    /* Bytes that are not UTF-8 become U+FFFD, so that two names may become one. */
    MUST(e == OK || e == ERR_DUPLICATE_KEY);
    buf_free(&text);
    json_free(j);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span body = fuzz_span(data, size);
    enum quote_refusal why = quote_check(body, &rules);

    MUST(why < QUOTE_REFUSAL_COUNT && quote_refusal_name(why)[0]);
    if (why == QUOTE_ACCEPTED) {
        MUST(pack_check(body) == OK && size <= QUOTE_BYTES_MAX);
        check_json(body);
    }
    return 0;
}
