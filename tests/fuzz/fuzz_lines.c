/* A program's standard output, one JSON object a line. */
#include <sys/mman.h>
#include <unistd.h>

#include "feeder/source.h"
#include "tests/fuzz/fuzz.h"

static const struct source_now now = {.ms = 1000, .wall_us = 1640995200000000};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int fd = memfd_create("lines", MFD_CLOEXEC);
    char symbol[QUOTE_SYMBOL_MAX + 1];
    enum source_outcome outcome = SOURCE_LATER;
    struct buf body = {0};
    struct source *s;

    fuzz_quiet();
    MUST(fd >= 0 && write(fd, data, size) == (ssize_t)size && lseek(fd, 0, SEEK_SET) == 0);
    s = source_ndjson_open(fd);
    s->name = strdup("lines");
    s->set.label = "fuzz";
    s->set.max_future_ms = 60000;
    for (size_t i = 0; i <= size && outcome != SOURCE_ENDED; i++) {
        struct quote_rules rules = source_rules(s, &now);

        buf_clear(&body);
        outcome = source_next(s, &now, symbol, &body);
        if (outcome == SOURCE_QUOTE)
            MUST(quote_check(buf_span(&body), &rules) == QUOTE_ACCEPTED);
    }
    MUST(outcome == SOURCE_ENDED);
    buf_free(&body);
    source_free(s);
    return 0;
}
