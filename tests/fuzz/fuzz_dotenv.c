/* The lines of a .env file. */
#include "shared/config/dotenv.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = fuzz_text(fuzz_span(data, size));
    struct dotenv d = {.at = text, .line = 1};
    struct dotenv_entry entry = {0};
    struct buf value = {0};
    unsigned line = 0;

    for (;;) {
        const char *before = d.at;
        enum err e = dotenv_next(&d, &entry, &value);

        if (e) {
            MUST(e == ERR_MALFORMED && entry.wrong && entry.wrong[0]);
            break;
        }
        if (!entry.name.len)
            break;
        MUST(d.at > before && d.at <= text + strlen(text));
        MUST(entry.line >= line && entry.name.at >= text);
        MUST(value.len <= size);
        line = entry.line;
    }
    buf_free(&value);
    free(text);
    return 0;
}
