/* The broker's answers, as the gateway writes them for HTTP: locks, last values, history. */
#include "gateway/routes/lock_json.h"
#include "gateway/routes/quotes_json.h"
#include "shared/base/json.h"
#include "shared/wire/pack.h"
#include "tests/fuzz/fuzz.h"

static void must_be_json(struct json *j, struct buf *text)
{
    const struct json_value *root;
    enum err e = json_parse(j, buf_span(text), &root);

    /* Bytes that are not UTF-8 become U+FFFD, so that two keys may become one. */
    MUST(e == OK || e == ERR_TOO_LARGE || e == ERR_DUPLICATE_KEY);
    buf_clear(text);
}

static void write_locks(struct json *j, struct span answer, struct buf *text)
{
    struct span entry;

    lock_json_grant(text, answer);
    must_be_json(j, text);
    lock_json_renewal(text, answer, SPAN("owner"));
    must_be_json(j, text);
    buf_adds(text, "{\"a\":1");
    lock_json_held(text, answer);
    buf_addc(text, '}');
    must_be_json(j, text);
    buf_adds(text, "{\"a\":1");
    lock_json_stale(text, answer);
    buf_addc(text, '}');
    must_be_json(j, text);
    for (int shows = 0; shows < 2; shows++) {
        if (lock_json_list(text, answer, shows) >= 0)
            must_be_json(j, text);
        buf_clear(text);
    }
    if (lock_json_find(answer, SPAN("job"), &entry)) {
        lock_json_entry(text, entry, true);
        must_be_json(j, text);
    }
}

static void write_quotes(struct json *j, struct span answer, struct buf *text)
{
    struct loop_request q = {.text = "EUR/USD", .limit = 100, .epoch = 7};

    quotes_json_list(&q, answer, text);
    must_be_json(j, text);
    if (quotes_json_one(answer, text))
        must_be_json(j, text);
    buf_clear(text);
    quotes_json_history(&q, answer, text);
    must_be_json(j, text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span answer = fuzz_span(data, size);
    struct json *j;
    struct buf text = {0};

    if (pack_check(answer))
        return 0;
    j = json_new();
    json_set_depth(j, JSON_DEPTH_LIMIT);
    write_locks(j, answer, &text);
    write_quotes(j, answer, &text);
    buf_free(&text);
    json_free(j);
    return 0;
}
