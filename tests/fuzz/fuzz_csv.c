/* A recorded table and its map: FILE.map, a line "---", and the table. */
#include <fcntl.h>
#include <unistd.h>

#include "feeder/csv.h"
#include "feeder/source.h"
#include "tests/fuzz/fuzz.h"

#define QUOTES_MAX 300

static char table[64], map[80];

static void remove_files(void)
{
    unlink(table);
    unlink(map);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    snprintf(table, sizeof table, "/dev/shm/pregon-fuzz-%d.csv", (int)getpid());
    snprintf(map, sizeof map, "%s.map", table);
    atexit(remove_files);
    return 0;
}

static void write_file(const char *path, struct span bytes)
{
    int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);

    MUST(fd >= 0 && write(fd, bytes.at, bytes.len) == (ssize_t)bytes.len);
    close(fd);
}

static void check_cells(struct span line)
{
    char *copy = fuzz_text(line);
    struct csv_row row;

    if (csv_split(copy, line.len, &row)) {
        MUST(row.count >= 1 && row.count <= CSV_COLUMNS_MAX);
        for (int i = 0; i < row.count; i++)
            MUST(row.cells[i].at >= copy && row.cells[i].at + row.cells[i].len <= copy + line.len);
    }
    free(copy);
}

static void read_table(void)
{
    struct source_settings set = {.label = "fuzz", .speed = 1000000, .max_future_ms = 60000};
    struct source_now now = {.ms = 1000, .wall_us = 1640995200000000};
    char spec[80], symbol[QUOTE_SYMBOL_MAX + 1];
    enum source_outcome outcome = SOURCE_LATER;
    struct buf body = {0};
    struct source *s;

    snprintf(spec, sizeof spec, "csv:%s", table);
    if (source_open(spec, &set, "feed", &s))
        return;
    for (int i = 0; i < QUOTES_MAX && outcome != SOURCE_ENDED; i++) {
        struct quote_rules rules = source_rules(s, &now);

        buf_clear(&body);
        outcome = source_next(s, &now, symbol, &body);
        if (outcome == SOURCE_QUOTE)
            MUST(quote_is_symbol(span_of(symbol)) &&
                 quote_check(buf_span(&body), &rules) == QUOTE_ACCEPTED);
        now.ms += 1000000;
    }
    buf_free(&body);
    source_free(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span rest = fuzz_span(data, size), description;

    fuzz_quiet();
    check_cells(rest);
    description = fuzz_part(&rest, "---\n");
    if (description.len)
        write_file(map, description);
    else
        unlink(map);
    write_file(table, rest);
    read_table();
    return 0;
}
