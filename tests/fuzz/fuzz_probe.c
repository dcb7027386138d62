/* What a server answers to the doctor. */
#include "doctor/probe.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = fuzz_text(fuzz_span(data, size)), value[64], origin[300];
    struct probe_answer a = {.status = 200};

    buf_add(&a.head, data, size);
    buf_add(&a.body, data, size);
    MUST(probe_header(&a, "Server", value, sizeof value) >= 0);
    MUST(strlen(value) < sizeof value);
    (void)probe_is_pregon(&a);
    if (probe_origin(text, origin))
        MUST(strlen(origin) < sizeof origin);
    probe_free(&a);
    free(text);
    return 0;
}
