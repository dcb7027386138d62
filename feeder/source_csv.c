/*
 * A recorded table, played at the pace of its own times.
 *
 * The tape's clock is the latest time seen: a row that lies before it is played at once
 * and does not set the clock back, so one row out of order costs no waiting.
 */
#include "feeder/source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "feeder/csv_map.h"
#include "feeder/reader.h"
#include "shared/text_time.h"
#include "shared/json.h"
#include "shared/mem.h"

#define LINE_MAX_BYTES 65536
#define ROWS_PER_ASK \
    64                  /* rows looked at for one quote, before others get their turn \
                         */
#define BEHIND_MAX 32   /* rows in a row before the tape's clock, then it is set back */
#define LATE_US 1000000 /* later than this, the tape's pace begins anew */
/* The object, its symbol and time, and a wide column's own field. */
#define VALUES_MAX (1 + 2 * (CSV_MAP_FIELDS_MAX + 3))
#define NO_COLUMN SIZE_MAX

struct source_csv {
    struct source base;
    struct reader reader;
    struct csv_map map;
    char *header; /* its bytes: columns are named when a cell is refused */
    struct csv_row columns, row;
    bool has_row, has_clock;
    int behind;               /* rows in a row before the clock */
    int wide_at;              /* next wide column of the row */
    int64_t row_us, clock_us; /* of the tape, since 1970 */
    int64_t due_us;           /* of the row, monotonic */
    uint64_t quotes_before;   /* this pass */
};

/* A price from a table may be missing; R writes NA. */
static bool is_empty(struct span cell)
{
    return !cell.len || span_eq(cell, "NA");
}

static struct json_value *put(struct json_value *at, const char *key,
                              enum json_type type, struct span text, size_t column)
{
    *at++ = (struct json_value){
        .type = JSON_STRING, .skip = 1, .offset = column, .text = span_of(key)};
    *at++ =
        (struct json_value){.type = type, .skip = 1, .offset = column, .text = text};
    return at;
}

static size_t digits(struct span s, size_t from)
{
    size_t i = from;

    while (i < s.len && s.at[i] >= '0' && s.at[i] <= '9')
        i++;
    return i - from;
}

/* 1e+05, as R writes large numbers. */
static bool has_exponent(struct span s)
{
    size_t i = digits(s, 0);

    if (!i)
        return false;
    if (i < s.len && s.at[i] == '.')
        i += 1 + digits(s, i + 1);
    if (i >= s.len || (s.at[i] != 'e' && s.at[i] != 'E'))
        return false;
    i++;
    if (i < s.len && (s.at[i] == '+' || s.at[i] == '-'))
        i++;
    return i < s.len && i + digits(s, i) == s.len;
}

/* As a JSON number an exponent is written out; all else stays the file's text. */
static struct json_value *put_cell(struct json_value *at, const char *key,
                                   struct span cell, size_t column)
{
    return put(at, key, has_exponent(cell) ? JSON_NUMBER : JSON_STRING, cell, column);
}

/*
 * The row (of a wide table: one column of it) as if it had come as JSON, so that one
 * function makes all quotes.  A value's offset is its column.
 */
static enum quote_refusal make_quote(struct source_csv *c, const struct source_now *now,
                                     const struct csv_map_item *wide,
                                     char symbol[QUOTE_SYMBOL_MAX + 1],
                                     struct buf *body, size_t *column)
{
    struct json_value values[VALUES_MAX], *at = values + 1;
    struct quote_rules rules = source_rules(&c->base, now);
    const struct csv_map *m = &c->map;
    struct span name = wide        ? span_of(wide->name)
                       : m->symbol ? span_of(m->symbol)
                                   : c->row.cells[m->symbol_column];
    char time[32];

    snprintf(time, sizeof time, "%lld.%06lld", (long long)(c->row_us / 1000000),
             (long long)(c->row_us % 1000000));
    at = put(at, "symbol", JSON_STRING, name,
             m->symbol_column < 0 ? NO_COLUMN : (size_t)m->symbol_column);
    at = put(at, c->base.set.tape_time ? "timestamp" : "recorded_at", JSON_NUMBER,
             span_of(time), (size_t)m->time_column);
    if (wide)
        at = put_cell(at, m->wide_field, c->row.cells[wide->column],
                      (size_t)wide->column);
    for (int i = 0; i < m->field_count; i++) {
        const struct csv_map_item *f = &m->fields[i];

        if (f->constant)
            at = put(at, f->name, JSON_STRING, span_of(f->constant), NO_COLUMN);
        else if (!is_empty(c->row.cells[f->column]))
            at = put_cell(at, f->name, c->row.cells[f->column], (size_t)f->column);
    }
    values[0] = (struct json_value){.type = JSON_OBJECT,
                                    .size = (uint32_t)(at - values) / 2,
                                    .skip = (uint32_t)(at - values),
                                    .offset = NO_COLUMN};
    return quote_from_json(values, c->base.set.label, &rules, symbol, body, column);
}

static void refuse(struct source_csv *c, enum quote_refusal why, size_t column,
                   const struct source_now *now)
{
    char detail[80] = "";

    if (column < (size_t)c->columns.count)
        snprintf(detail, sizeof detail, "column %.*s",
                 (int)(c->columns.cells[column].len < 60 ? c->columns.cells[column].len
                                                         : 60),
                 c->columns.cells[column].at);
    source_refuse(&c->base, why, c->reader.number, detail, now);
}

/* When the row is due, by the tape's clock. */
static void schedule(struct source_csv *c, const struct source_now *now)
{
    const struct source_settings *set = &c->base.set;
    int64_t gap = 0, now_us = now->ms * 1000;
    bool is_behind = c->has_clock && c->row_us < c->clock_us;

    if (c->has_clock && !is_behind && set->speed)
        gap = (c->row_us - c->clock_us) / set->speed;
    if (gap > set->max_gap_ms * 1000)
        gap = set->max_gap_ms * 1000;
    c->behind = is_behind ? c->behind + 1 : 0;
    if (!is_behind || c->behind == BEHIND_MAX)
        c->clock_us = c->row_us;
    c->has_clock = true;
    if (now_us - c->due_us > LATE_US)
        c->due_us = now_us;
    c->due_us += gap;
}

/* Begin again after the longest silence.  false: there is nothing to play. */
static bool rewind_tape(struct source_csv *c)
{
    char *line;
    size_t len;

    if (c->base.quotes == c->quotes_before) {
        log_error("%s: not one row is a quote: not played again", c->base.name);
        return false;
    }
    if (!reader_rewind(&c->reader) ||
        reader_next(&c->reader, &line, &len) != READER_LINE) {
        log_error("%s: cannot be played again: %s", c->base.name, strerror(errno));
        return false;
    }
    c->quotes_before = c->base.quotes;
    c->has_clock = false;
    if (c->base.set.speed)
        c->due_us += c->base.set.max_gap_ms * 1000;
    return true;
}

/* Read a row and say when it is due.  SOURCE_LATER: that line was none. */
static enum source_outcome read_row(struct source_csv *c, const struct source_now *now)
{
    char *line;
    size_t len;

    switch (reader_next(&c->reader, &line, &len)) {
    case READER_LINE:
        break;
    case READER_TOO_LONG:
        refuse(c, QUOTE_OVERSIZED, NO_COLUMN, now);
        return SOURCE_LATER;
    case READER_AGAIN:
        return SOURCE_LATER;
    case READER_FAILED:
        log_error("%s: %s", c->base.name, strerror(errno));
        return SOURCE_ENDED;
    case READER_END:
        if (c->base.set.loop)
            return rewind_tape(c) ? SOURCE_LATER : SOURCE_ENDED;
        return SOURCE_ENDED;
    }
    if (!len)
        return SOURCE_LATER;
    if (!csv_split(line, len, &c->row) || c->row.count != c->map.column_count) {
        refuse(c, QUOTE_MALFORMED, NO_COLUMN, now);
        return SOURCE_LATER;
    }
    if (!text_time_parse(c->map.time_format, c->row.cells[c->map.time_column],
                         &c->row_us)) {
        refuse(c, QUOTE_BAD_TIME, (size_t)c->map.time_column, now);
        return SOURCE_LATER;
    }
    schedule(c, now);
    c->has_row = true;
    c->wide_at = 0;
    return SOURCE_QUOTE;
}

/* A quote of the row at hand.  SOURCE_LATER: there is none (left) in it. */
static enum source_outcome take_quote(struct source_csv *c,
                                      const struct source_now *now,
                                      char symbol[QUOTE_SYMBOL_MAX + 1],
                                      struct buf *body)
{
    const struct csv_map_item *wide = NULL;
    enum quote_refusal why;
    size_t column;

    if (c->map.wide_count) {
        wide = &c->map.wide[c->wide_at++];
        c->has_row = c->wide_at < c->map.wide_count;
        if (is_empty(c->row.cells[wide->column]))
            return SOURCE_LATER;
    } else {
        c->has_row = false;
    }
    why = make_quote(c, now, wide, symbol, body, &column);
    if (why == QUOTE_ACCEPTED)
        return SOURCE_QUOTE;
    refuse(c, why, column, now);
    return SOURCE_LATER;
}

static enum source_outcome csv_next(struct source *s, const struct source_now *now,
                                    char symbol[QUOTE_SYMBOL_MAX + 1], struct buf *body)
{
    struct source_csv *c = (struct source_csv *)s;

    for (int i = 0; i < ROWS_PER_ASK; i++) {
        if (!c->has_row && read_row(c, now) == SOURCE_ENDED)
            return SOURCE_ENDED;
        if (!c->has_row)
            continue;
        s->due_ms = (c->due_us + 999) / 1000;
        if (s->due_ms > now->ms)
            return SOURCE_LATER;
        if (take_quote(c, now, symbol, body) == SOURCE_QUOTE)
            return SOURCE_QUOTE;
    }
    s->due_ms = now->ms;
    return SOURCE_LATER;
}

static void csv_free(struct source *s)
{
    struct source_csv *c = (struct source_csv *)s;

    reader_fini(&c->reader);
    csv_map_free(&c->map);
    free(c->header);
    free(c);
}

/* The first line, without the mark some programs put before UTF-8. */
static enum err read_header(struct source_csv *c, const char *path)
{
    char *line;
    size_t len;

    if (reader_next(&c->reader, &line, &len) != READER_LINE) {
        log_error("%s: no header line in it", path);
        return ERR_INVALID;
    }
    if (len >= 3 && memcmp(line, "\xEF\xBB\xBF", 3) == 0) {
        line += 3;
        len -= 3;
    }
    c->header = mem_strndup(line, len);
    if (!csv_split(c->header, len, &c->columns)) {
        log_error("%s: the header has an open quote or over %d columns", path,
                  CSV_COLUMNS_MAX);
        return ERR_INVALID;
    }
    return csv_map_load(path, &c->columns, &c->map);
}

struct source *source_csv_open(const char *path)
{
    struct source_csv *c;
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0 || fstat(fd, &st)) {
        log_error("cannot open %s: %s", path, strerror(errno));
        return NULL;
    }
    c = mem_zalloc(sizeof *c);
    reader_init(&c->reader, fd, LINE_MAX_BYTES);
    c->base.fd = -1;
    c->base.next = csv_next;
    c->base.free = csv_free;
    if (!S_ISREG(st.st_mode))
        log_error("%s is not a regular file", path);
    else if (read_header(c, path) == OK)
        return &c->base;
    csv_free(&c->base);
    return NULL;
}
