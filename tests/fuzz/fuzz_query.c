/* The query of a request's target. */
#include "gateway/http/query.h"
#include "shared/base/redact.h"
#include "tests/fuzz/fuzz.h"

#define KNOWN "symbols,limit,token,since,mode,encoding"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {"symbols", "limit", "token", "since", "mode", "encoding"};
    char *query = fuzz_text(fuzz_span(data, size));
    struct query_fault fault = {.message = "untouched"};
    bool is_good = query_check(query, KNOWN, &fault);
    struct buf value = {0}, shown = {0};

    MUST(is_good == (strcmp(fault.message, "untouched") == 0));
    MUST(is_good || fault.hint[0]);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        for (int plus = 0; plus < 2; plus++) {
            enum query_value found;

            buf_clear(&value);
            found = query_get(query, names[i], (enum query_plus)plus, &value);
            MUST(found != QUERY_MALFORMED || !is_good);
            MUST(found == QUERY_GIVEN || value.len == 0);
            MUST(value.len <= size);
        }
    redact_address(span_of(query), &shown);
    buf_free(&value);
    buf_free(&shown);
    free(query);
    return 0;
}
