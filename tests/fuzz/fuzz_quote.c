/* A quote from JSON, to the wire, and to JSON again: no decimal changes on the way. */
#include "shared/base/json.h"
#include "shared/wire/pack.h"
#include "shared/wire/quote.h"
#include "tests/fuzz/fuzz.h"

static const struct quote_rules rules = {.now_us = 1640995200000000, .max_future_us = 60000000};

/* A price that was plain decimal text is still that text. */
static void check_prices(const struct json_value *object, struct span body)
{
    static const char *const prices[] = {"bid", "ask",      "last",     "open",  "high",
                                         "low", "bid_size", "ask_size", "volume"};

    for (size_t i = 0; i < sizeof prices / sizeof *prices; i++) {
        const struct json_value *v = json_member(object, prices[i]);

        if (v && (v->type == JSON_STRING || v->type == JSON_NUMBER) && quote_is_decimal(v->text))
            MUST(fuzz_same(pack_find_text(body, prices[i]), v->text));
    }
}

/* The JSON of the body is a quote of the same body. */
static void check_round(struct json *j, const char *symbol, struct span body)
{
    char again_symbol[QUOTE_SYMBOL_MAX + 1];
    struct buf text = {0}, again = {0};
    const struct json_value *root;
    size_t where;

    buf_printf(&text, "{\"symbol\":\"%s\"", symbol);
    quote_to_json(body, &text);
    buf_addc(&text, '}');
    MUST(json_parse(j, buf_span(&text), &root) == OK);
    MUST(quote_from_json(root, NULL, &rules, again_symbol, &again, &where) == QUOTE_ACCEPTED);
    MUST(strcmp(symbol, again_symbol) == 0);
    check_prices(root, buf_span(&again));
    buf_free(&text);
    buf_free(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char symbol[QUOTE_SYMBOL_MAX + 1] = "untouched";
    struct json *j = json_new(), *other = json_new();
    const struct json_value *root;
    struct buf body = {0};
    size_t where = 0;

    if (json_parse(j, fuzz_span(data, size), &root) == OK) {
        if (quote_from_json(root, "fuzz", &rules, symbol, &body, &where)) {
            MUST(strcmp(symbol, "untouched") == 0 && body.len == 0 && where < size);
        } else {
            MUST(body.len <= QUOTE_BYTES_MAX && quote_is_symbol(span_of(symbol)));
            MUST(quote_check(buf_span(&body), &rules) == QUOTE_ACCEPTED);
            check_prices(root, buf_span(&body));
            check_round(other, symbol, buf_span(&body));
        }
    }
    buf_free(&body);
    json_free(j);
    json_free(other);
    return 0;
}
