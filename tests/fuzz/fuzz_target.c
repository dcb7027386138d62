/* The path of a request's target: decoded, ROOT_PATH taken off, and shown without secrets. */
#include "gateway/http/request.h"
#include "shared/base/redact.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[REQUEST_PATH_MAX], small[8];
    struct span text = fuzz_span(data, size);
    struct buf shown = {0};

    if (request_decode(text, path, sizeof path)) {
        size_t before = strlen(path);

        MUST(before < sizeof path && before <= size);
        request_strip_root(path, "/root");
        MUST(strlen(path) <= (before ? before : 1));
    }
    if (request_decode(text, small, sizeof small))
        MUST(strlen(small) < sizeof small);
    redact_address(text, &shown);
    /* Not idempotent: a value that is hidden may have ended what now reads as a userinfo. */
    MUST(shown.len <= 4 * size);
    buf_free(&shown);
    return 0;
}
