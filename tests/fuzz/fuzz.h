/*
 * fuzz: what the targets share.
 *
 * Each tests/fuzz/fuzz_NAME.c is one libFuzzer program: libFuzzer calls LLVMFuzzerTestOneInput with
 * bytes that it makes up, beginning with those in tests/fuzz/seeds/NAME/.  The sanitizers judge
 * memory and arithmetic; MUST judges what the parser promises.  `make fuzz` runs them all.
 */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/buf.h"
#include "shared/base/log.h"

/* libFuzzer calls these. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

/* A promise of the code under test. */
#define MUST(condition)                                                                         \
    do {                                                                                        \
        if (!(condition)) {                                                                     \
            fprintf(stderr, "%s:%d: this does not hold: %s\n", __FILE__, __LINE__, #condition); \
            abort();                                                                            \
        }                                                                                       \
    } while (0)

static inline struct span fuzz_span(const uint8_t *data, size_t size)
{
    return (struct span){(const char *)data, size};
}

static inline bool fuzz_same(struct span a, struct span b)
{
    return a.len == b.len && (!a.len || memcmp(a.at, b.at, a.len) == 0);
}

/* A copy on the heap that ends with a NUL, so that a byte read beyond it is noticed. */
static inline char *fuzz_text(struct span s)
{
    char *copy = malloc(s.len + 1);

    MUST(copy);
    if (s.len)
        memcpy(copy, s.at, s.len);
    copy[s.len] = '\0';
    return copy;
}

/* The text up to the next newline, as fuzz_text makes it; *rest begins behind it. */
static inline char *fuzz_line(struct span *rest)
{
    const char *end = rest->len ? memchr(rest->at, '\n', rest->len) : NULL;
    size_t len = end ? (size_t)(end - rest->at) : rest->len;
    char *line = fuzz_text((struct span){rest->at, len});

    len += end != NULL;
    rest->at += len;
    rest->len -= len;
    return line;
}

/* What stands before `mark`; *rest begins behind it. */
static inline struct span fuzz_part(struct span *rest, const char *mark)
{
    const char *at = rest->len ? memmem(rest->at, rest->len, mark, strlen(mark)) : NULL;
    struct span part = {rest->at, at ? (size_t)(at - rest->at) : rest->len};
    size_t skipped = part.len + (at ? strlen(mark) : 0);

    rest->at += skipped;
    rest->len -= skipped;
    return part;
}

/* Log lines of the code under test would hide the findings. */
static inline void fuzz_quiet(void)
{
    static bool is_quiet;

    if (!is_quiet)
        log_init("fuzz", "critical", "text");
    is_quiet = true;
}

#endif
