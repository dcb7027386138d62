/* The body of PUT …/locks/NAME. */
#include "gateway/routes/lock_body.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct lock_body body = {.owner = "untouched"};
    struct lock_body_error error = {0};
    struct json *j = json_new();
    uint64_t token = 0;

    if (lock_body_read(j, fuzz_span(data, size), &body, &error)) {
        MUST(lock_is_owner(span_of(body.owner)));
        MUST(body.ttl_ms >= 0 && body.delay_ms >= 0);
        MUST(body.ttl_ms || body.token);
    } else {
        MUST(strcmp(body.owner, "untouched") == 0 && error.message[0] && error.at <= size);
    }
    if (lock_body_token(fuzz_span(data, size), &token))
        MUST(token > 0);
    json_free(j);
    return 0;
}
