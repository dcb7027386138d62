/*
 * source_csv_fixture: a recorded table and its description in files, for tests.  Include it after
 * <cmocka.h>.
 */
#ifndef TESTS_UNIT_FEEDER_SOURCE_CSV_FIXTURE_H
#define TESTS_UNIT_FEEDER_SOURCE_CSV_FIXTURE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "feeder/source.h"

#define NOW_US ((int64_t)1640995200 * 1000000)

static char folder[] = "/tmp/test_source_csv.XXXXXX";
static char path[64], map_path[72];

static inline void write_file(const char *name, const char *text)
{
    FILE *f = fopen(name, "w");

    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

/* A table, and its description or NULL, as a source; NULL if it is refused. */
static inline struct source *open_table(const char *table, const char *map, const char *options)
{
    struct source_settings set = {.speed = 1, .max_gap_ms = 2000};
    struct source *s = NULL;
    char spec[200];

    write_file(path, table);
    unlink(map_path);
    if (map)
        write_file(map_path, map);
    snprintf(spec, sizeof spec, "csv:%s%s", path, options);
    return source_open(spec, &set, "test", &s) ? NULL : s;
}

/* The next quote at `ms` as text, "SYMBOL{…}"; "later" or "ended". */
static inline const char *next_at(struct source *s, int64_t ms)
{
    static struct buf text;
    struct source_now now = {.ms = ms, .wall_us = NOW_US};
    char symbol[QUOTE_SYMBOL_MAX + 1];
    struct buf body = {0};
    enum source_outcome got;

    do
        got = source_next(s, &now, symbol, &body);
    while (got == SOURCE_LATER && s->due_ms <= ms);
    buf_clear(&text);
    if (got == SOURCE_QUOTE) {
        buf_adds(&text, symbol);
        quote_to_json(buf_span(&body), &text);
    } else {
        buf_adds(&text, got == SOURCE_LATER ? "later" : "ended");
    }
    buf_free(&body);
    return buf_text(&text);
}

static inline void check_has(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("%s is not in %s", part, text);
}

#define TWO_ROWS                                \
    "symbol,time,bid,ask\n"                     \
    "EUR/USD,2020-01-01 00:00:00,1.0840,1.08\n" \
    "EUR/USD,2020-01-01 00:00:01,1.0841,1.09\n"

static inline int set_up(void **state)
{
    (void)state;
    log_init("test", "critical", "text");
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof path, "%s/t.csv", folder);
    snprintf(map_path, sizeof map_path, "%s.map", path);
    return 0;
}

static inline int tear_down(void **state)
{
    (void)state;
    unlink(path);
    unlink(map_path);
    return rmdir(folder);
}

#endif
