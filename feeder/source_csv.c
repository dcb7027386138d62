/*
 * source_csv: plays a recorded table at the pace of its own times.
 *
 * A table whose newest row comes first is refused: among its first ORDER_ROWS rows, more go back in
 * time than forward. A table that Pregón wrote (shared/wire/quote_csv.h) becomes the same quotes
 * again.
 */
#include "feeder/source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <uthash.h>

#include "feeder/csv_map.h"
#include "feeder/reader.h"
#include "feeder/tape.h"
#include "shared/base/text_time.h"
#include "shared/base/json.h"
#include "shared/base/mem.h"
#include "shared/wire/quote_csv.h"

#define LINE_MAX_BYTES 65536
#define ROWS_PER_CALL 64 /* rows read for one quote before other sources get their turn */
/* The object, its symbol and time, and the field of a wide column. */
#define VALUES_MAX (1 + 2 * (CSV_MAP_FIELDS_MAX + 3))
/* Of a row that Pregón wrote: each value of a quote takes a byte of its body, at least. */
#define EXPORT_VALUES_MAX (QUOTE_BYTES_MAX + 64)
#define NO_COLUMN SIZE_MAX
#define TIME_TEXT_MAX 100 /* of a date and a time of day */
#define ORDER_ROWS 10000  /* rows examined before the first is played */

struct source_csv {
    struct source base;
    struct reader reader;
    struct csv_map map;
    /* the header's bytes: column names for messages about a refused cell */
    char *header;
    struct csv_row columns, row;
    struct tape tape;
    struct json *json;         /* reads the cell `other` of a table of ours */
    struct json_value *values; /* of such a row: EXPORT_VALUES_MAX; NULL: another table */
    bool has_row;
    int wide_at;            /* next wide column of the row */
    int64_t row_us, due_ms; /* of the row: its time, µs since 1970, and when it is due */
    uint64_t quotes_before; /* `quotes` at the start of this pass over the file */
};

/* A cell may be missing; R writes NA.  quote_from_json knows the other words for "no number". */
static bool is_empty(struct span cell)
{
    return !cell.len || span_eq(cell, "NA");
}

/* Reads the row's time from one column or from two. */
static bool read_time(const struct source_csv *c, int64_t *us)
{
    const struct csv_map *m = &c->map;
    struct span time = c->row.cells[m->time_column];
    struct span date = m->date_column < 0 ? SPAN("") : c->row.cells[m->date_column];
    char both[TIME_TEXT_MAX];

    if (m->date_column >= 0) {
        if (date.len + time.len + 2 > sizeof both)
            return false;
        snprintf(both, sizeof both, "%.*s %.*s", (int)date.len, date.at, (int)time.len, time.at);
        time = span_of(both);
    }
    return text_time_parse(m->time_format, time, us);
}

static struct json_value *put(struct json_value *at, const char *key, enum json_type type,
                              struct span text, size_t column)
{
    *at++ =
        (struct json_value){.type = JSON_STRING, .skip = 1, .offset = column, .text = span_of(key)};
    *at++ = (struct json_value){.type = type, .skip = 1, .offset = column, .text = text};
    return at;
}

/*
 * A number that is not a plain decimal, like R's 1e+05 or SAS's .5, becomes a JSON number, which is
 * written out; everything else keeps the file's text.
 */
static struct json_value *put_cell(struct json_value *at, const char *key, struct span cell,
                                   size_t column)
{
    enum quote_field kind = quote_field_kind(span_of(key));
    bool is_number =
        (kind == QUOTE_FIELD_PRICE || kind == QUOTE_FIELD_SIZE) && !quote_is_empty_word(cell);

    return put(at, key, is_number ? JSON_NUMBER : JSON_STRING, cell, column);
}

/*
 * Adds the members of the cell `other`. Returns NULL if it is not an object, or too large.
 */
static struct json_value *put_other(struct source_csv *c, struct json_value *at,
                                    const struct json_value *end, struct span cell, size_t column,
                                    uint32_t *members)
{
    const struct json_value *root;

    if (json_parse(c->json, cell, &root) || root->type != JSON_OBJECT ||
        (size_t)(end - at) < root->skip)
        return NULL;
    for (const struct json_value *v = root + 1; v < root + root->skip; v++) {
        *at = *v;
        at++->offset = column;
    }
    *members += root->size;
    return at;
}

/*
 * Makes a JSON object of a row that Pregón wrote. Its time is not a field: `timestamp` is. Without
 * tape_time that becomes `recorded_at`, as of every table.
 */
static enum quote_refusal make_exported(struct source_csv *c, const struct source_now *now,
                                        char symbol[QUOTE_SYMBOL_MAX + 1], struct buf *body,
                                        size_t *column)
{
    struct json_value *values = c->values, *at = values + 1;
    struct quote_rules rules = source_rules(&c->base, now);
    const struct csv_map *m = &c->map;
    bool is_tape = c->base.set.tape_time;
    uint32_t members = 1;

    at = put(at, "symbol", JSON_STRING, c->row.cells[m->symbol_column], (size_t)m->symbol_column);
    for (int i = 0; i < m->field_count; i++) {
        const struct csv_map_item *f = &m->fields[i];
        struct span cell = c->row.cells[f->column];
        bool is_time = quote_field_kind(span_of(f->name)) == QUOTE_FIELD_TIME;
        bool is_timestamp = is_time && strcmp(f->name, "timestamp") == 0;

        *column = (size_t)f->column;
        if (!cell.len || (is_time && !is_timestamp && !is_tape))
            continue;
        if (strcmp(f->name, QUOTE_CSV_OTHER) == 0) {
            at = put_other(c, at, values + EXPORT_VALUES_MAX, cell, *column, &members);
            if (!at)
                return QUOTE_MALFORMED;
            continue;
        }
        at = put(at, is_timestamp && !is_tape ? "recorded_at" : f->name,
                 is_time ? JSON_NUMBER : JSON_STRING, cell, *column);
        members++;
    }
    values[0] = (struct json_value){
        .type = JSON_OBJECT, .size = members, .skip = (uint32_t)(at - values), .offset = NO_COLUMN};
    return quote_from_json(values, c->base.set.label, &rules, symbol, body, column);
}

/*
 * Makes a JSON object of the row (of a wide table: of one of its columns), so that one function
 * checks all quotes. A value's offset is its column.
 */
static enum quote_refusal make_quote(struct source_csv *c, const struct source_now *now,
                                     const struct csv_map_item *wide,
                                     char symbol[QUOTE_SYMBOL_MAX + 1], struct buf *body,
                                     size_t *column)
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
    at = put(at, c->base.set.tape_time ? "timestamp" : "recorded_at", JSON_NUMBER, span_of(time),
             (size_t)m->time_column);
    if (wide)
        at = put_cell(at, m->wide_field, c->row.cells[wide->column], (size_t)wide->column);
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
                 (int)(c->columns.cells[column].len < 60 ? c->columns.cells[column].len : 60),
                 c->columns.cells[column].at);
    source_refuse(&c->base, why, c->reader.number, detail, now);
}

/* Starts again after the longest silence.  Returns false if the file has no rows. */
static bool rewind_tape(struct source_csv *c)
{
    char *line;
    size_t len;

    if (c->base.quotes == c->quotes_before) {
        log_error("%s: not one row is a quote: not played again", c->base.name);
        return false;
    }
    if (!reader_rewind(&c->reader) || reader_next(&c->reader, &line, &len) != READER_LINE) {
        log_error("%s: cannot be played again: %s", c->base.name, strerror(errno));
        return false;
    }
    c->quotes_before = c->base.quotes;
    tape_rewind(&c->tape, &c->base);
    return true;
}

/* Reads a row and schedules it.  SOURCE_LATER: the line was not a row. */
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
    case READER_SKIPPING:
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
    if (!read_time(c, &c->row_us)) {
        refuse(c, QUOTE_BAD_TIME, (size_t)c->map.time_column, now);
        return SOURCE_LATER;
    }
    c->due_ms = tape_schedule(&c->tape, &c->base, c->row_us, c->reader.number, now);
    c->has_row = true;
    c->wide_at = 0;
    return SOURCE_QUOTE;
}

/* Takes a quote from the current row.  SOURCE_LATER: the row has none (left). */
static enum source_outcome take_quote(struct source_csv *c, const struct source_now *now,
                                      char symbol[QUOTE_SYMBOL_MAX + 1], struct buf *body)
{
    const struct csv_map_item *wide = NULL;
    enum quote_refusal why;
    size_t column;

    if (c->map.wide_count) {
        wide = &c->map.wide[c->wide_at++];
        c->has_row = c->wide_at < c->map.wide_count;
        if (quote_is_empty_word(c->row.cells[wide->column]))
            return SOURCE_LATER;
    } else {
        c->has_row = false;
    }
    why = c->map.is_export ? make_exported(c, now, symbol, body, &column)
                           : make_quote(c, now, wide, symbol, body, &column);
    if (why == QUOTE_ACCEPTED)
        return SOURCE_QUOTE;
    refuse(c, why, column, now);
    return SOURCE_LATER;
}

static enum source_outcome csv_next(struct source *s, const struct source_now *now,
                                    char symbol[QUOTE_SYMBOL_MAX + 1], struct buf *body)
{
    struct source_csv *c = (struct source_csv *)s;

    for (int i = 0; i < ROWS_PER_CALL; i++) {
        if (!c->has_row && read_row(c, now) == SOURCE_ENDED)
            return SOURCE_ENDED;
        if (!c->has_row)
            continue;
        s->due_ms = c->due_ms;
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
    json_free(c->json);
    free(c->values);
    free(c->header);
    free(c);
}

/* --- opening ------------------------------------------------------------------------------ */

/* The latest row of a symbol, and how often the next one was later or earlier. */
struct seen {
    UT_hash_handle hh; /* by symbol */
    char symbol[QUOTE_SYMBOL_MAX + 1];
    int64_t us;
};

struct order {
    struct seen *symbols;
    unsigned rows, later, earlier;
};

static void look_at_row(const struct source_csv *c, struct order *o)
{
    const struct csv_map *m = &c->map;
    struct seen *s;
    char symbol[QUOTE_SYMBOL_MAX + 1] = "";
    int64_t us;

    /* Positions of a table of ours always differ; its times may be equal. */
    if (m->is_export ? !text_time_parse("unix", c->row.cells[0], &us) : !read_time(c, &us))
        return;
    if (m->symbol_column >= 0)
        span_copy(symbol, sizeof symbol, c->row.cells[m->symbol_column]);
    o->rows++;
    HASH_FIND_STR(o->symbols, symbol, s);
    if (s) {
        o->later += us > s->us;
        o->earlier += us < s->us;
    } else {
        s = mem_zalloc(sizeof *s);
        memcpy(s->symbol, symbol, sizeof symbol);
        HASH_ADD_STR(o->symbols, symbol, s);
    }
    s->us = us;
}

/*
 * A table whose newest row comes first would, if played as it is, leave the oldest value of each
 * symbol as the last one. Times are compared per symbol, because a table may list one symbol after
 * the other.
 */
static enum err check_order(struct source_csv *c, const char *path)
{
    struct order o = {0};
    struct seen *s, *next;
    char *line;
    size_t len;

    for (int i = 0; i < ORDER_ROWS; i++) {
        enum reader_outcome got = reader_next(&c->reader, &line, &len);

        if (got == READER_AGAIN || got == READER_FAILED || got == READER_END)
            break;
        if (got == READER_LINE && csv_split(line, len, &c->row) &&
            c->row.count == c->map.column_count)
            look_at_row(c, &o);
    }
    HASH_ITER(hh, o.symbols, s, next)
    {
        HASH_DEL(o.symbols, s);
        free(s);
    }
    if (o.earlier > o.later) {
        log_error("%s: its newest row comes first: put it in order of time, for instance "
                  "with  (head -n 1 FILE; tail -n +2 FILE | tac) > SORTED",
                  path);
        return ERR_INVALID;
    }
    if (o.earlier)
        log_warning("%s: of its first %u rows %u lie before the row before them: these "
                    "are played at once",
                    path, o.rows, o.earlier);
    if (!reader_rewind(&c->reader) || reader_next(&c->reader, &line, &len) != READER_LINE) {
        log_error("%s: cannot be read again: %s", path, strerror(errno));
        return ERR_INVALID;
    }
    return OK;
}

/* Names a file format that this feeder cannot read or would take for one long line; NULL: none. */
static const char *foreign_text(const char *line, size_t len)
{
    if (len >= 2 && (memcmp(line, "\xFF\xFE", 2) == 0 || memcmp(line, "\xFE\xFF", 2) == 0))
        return "it is UTF-16: make it UTF-8, for instance with iconv -f UTF-16 -t "
               "UTF-8";
    if (memchr(line, '\0', len))
        return "there are zero bytes in its header: is it UTF-16, or no text at all?";
    if (memchr(line, '\r', len))
        return "its lines end in CR alone: make that LF, for instance with tr '\\r' "
               "'\\n'";
    return NULL;
}

/* Reads the first line, without the byte-order mark that some programs write before UTF-8. */
static enum err read_header(struct source_csv *c, const char *path)
{
    const char *wrong;
    char *line;
    size_t len;
    enum reader_outcome got = reader_next(&c->reader, &line, &len);

    if (got == READER_TOO_LONG) {
        log_error("%s: its first line has over %d bytes: it should be the header, and "
                  "lines end in LF or CR LF",
                  path, LINE_MAX_BYTES);
        return ERR_INVALID;
    }
    if (got != READER_LINE) {
        log_error("%s: no header line in it", path);
        return ERR_INVALID;
    }
    wrong = foreign_text(line, len);
    if (wrong) {
        log_error("%s: %s", path, wrong);
        return ERR_INVALID;
    }
    if (len >= 3 && memcmp(line, "\xEF\xBB\xBF", 3) == 0) {
        line += 3;
        len -= 3;
    }
    c->header = mem_strndup(line, len);
    if (!csv_split(c->header, len, &c->columns)) {
        log_error("%s: the header has an open quote or over %d columns", path, CSV_COLUMNS_MAX);
        return ERR_INVALID;
    }
    if (csv_map_load(path, &c->columns, &c->map))
        return ERR_INVALID;
    if (c->map.is_export)
        c->values = mem_zalloc(EXPORT_VALUES_MAX * sizeof *c->values);
    return check_order(c, path);
}

struct source *source_csv_open(const char *path)
{
    struct source_csv *c;
    struct stat st;
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC); /* a pipe must not wait */

    if (fd < 0 || fstat(fd, &st)) {
        log_error("cannot open %s: %s", path, strerror(errno));
        return NULL;
    }
    c = mem_zalloc(sizeof *c);
    reader_init(&c->reader, fd, LINE_MAX_BYTES);
    c->json = json_new();
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
