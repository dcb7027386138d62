/*
 * source_ndjson: reads one JSON object per line, from standard input or from a recording.
 *
 * A recording is what pregon-tail and history?format=ndjson write (a line has `type`), or plain
 * quotes; it is played at the pace of `accepted`, or else of `timestamp`. The record's own members
 * (seq, prev, …) are dropped, and lines that are no quotes are skipped.
 */
#include "feeder/source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "feeder/reader.h"
#include "feeder/tape.h"
#include "shared/base/json.h"
#include "shared/base/mem.h"
#include "shared/base/text_time.h"

/* JSON's escapes and spaces make a quote longer than its body. */
#define LINE_MAX_BYTES (2 * QUOTE_BYTES_MAX)
#define FIELD_SHOWN 64    /* bytes of a field's name shown in a log line */
#define LINES_PER_CALL 64 /* lines read for one quote before other sources get their turn */

#define ORDER_LINES 1000 /* lines examined before the first is played */

struct source_ndjson {
    struct source base;
    struct reader reader;
    struct json *json;
    /* of a recording: */
    struct tape tape;
    struct json_value *values; /* the line's quote, without the record's own members */
    size_t capacity;
    bool has_row, has_warned_of_gap;
    int64_t due_ms;
    uint64_t quotes_before; /* `quotes` at the start of this pass over the file */
};

static bool is_blank(struct span line)
{
    for (size_t i = 0; i < line.len; i++)
        if (line.at[i] != ' ' && line.at[i] != '\t')
            return false;
    return true;
}

static void refuse(struct source_ndjson *n, enum quote_refusal why, const char *what, size_t at,
                   const struct source_now *now)
{
    char detail[160];
    size_t len = strlen(what);

    if (len && what[len - 1] == '.')
        len--;
    snprintf(detail, sizeof detail, "%.*s%sat byte %zu", (int)len, what, len ? " " : "", at + 1);
    source_refuse(&n->base, why, n->reader.number, detail, now);
}

static void refuse_field(struct source_ndjson *n, enum quote_refusal why, struct span name,
                         size_t at, const struct source_now *now)
{
    char what[FIELD_SHOWN + 16] = "";

    if (name.len)
        snprintf(what, sizeof what, "field %.*s",
                 (int)(name.len < FIELD_SHOWN ? name.len : FIELD_SHOWN), name.at);
    refuse(n, why, what, at, now);
}

/* The name of the member whose value begins at `where`; "" if there is none. */
static struct span member_at(const struct json_value *object, size_t where)
{
    const struct json_value *k = object + 1, *end = object + object->skip;

    for (; object->type == JSON_OBJECT && k < end; k += 1 + k[1].skip)
        if (k[1].offset == where)
            return k->text;
    return SPAN("");
}

/*
 * Without the byte-order mark that some programs write before a text, or before each of several
 * files.
 */
static struct span without_mark(struct span line)
{
    if (line.len < 3 || memcmp(line.at, "\xEF\xBB\xBF", 3) != 0)
        return line;
    return (struct span){line.at + 3, line.len - 3};
}

static bool is_utf16(struct span line)
{
    return (line.len >= 2 &&
            (memcmp(line.at, "\xFF\xFE", 2) == 0 || memcmp(line.at, "\xFE\xFF", 2) == 0)) ||
           (line.len && memchr(line.at, '\0', line.len));
}

/* The line's object; NULL: it is blank, or refused. */
static const struct json_value *read_line(struct source_ndjson *n, struct span line,
                                          const struct source_now *now)
{
    const struct json_value *root;

    line = without_mark(line);
    if (is_blank(line))
        return NULL;
    if (is_utf16(line)) {
        source_refuse(&n->base, QUOTE_MALFORMED, n->reader.number,
                      "it is UTF-16, or has zero bytes: send UTF-8", now);
        return NULL;
    }
    if (json_parse(n->json, line, &root)) {
        refuse(n, QUOTE_MALFORMED, json_error(n->json), json_error_offset(n->json), now);
        return NULL;
    }
    return root;
}

static bool take_quote(struct source_ndjson *n, const struct json_value *root,
                       const struct source_now *now, char symbol[QUOTE_SYMBOL_MAX + 1],
                       struct buf *body)
{
    struct quote_rules rules = source_rules(&n->base, now);
    size_t where;
    enum quote_refusal why = quote_from_json(root, n->base.set.label, &rules, symbol, body, &where);

    if (why && where == root->offset) /* the refusal concerns the quote as a whole */
        source_refuse(&n->base, why, n->reader.number, "", now);
    else if (why)
        refuse_field(n, why, member_at(root, where), where, now);
    return why == QUOTE_ACCEPTED;
}

static bool take_line(struct source_ndjson *n, struct span line, const struct source_now *now,
                      char symbol[QUOTE_SYMBOL_MAX + 1], struct buf *body)
{
    const struct json_value *root = read_line(n, line, now);

    return root && take_quote(n, root, now, symbol, body);
}

static enum source_outcome ndjson_next(struct source *s, const struct source_now *now,
                                       char symbol[QUOTE_SYMBOL_MAX + 1], struct buf *body)
{
    struct source_ndjson *n = (struct source_ndjson *)s;
    char *line;
    size_t len;

    s->due_ms = now->ms;
    for (int i = 0; i < LINES_PER_CALL; i++)
        switch (reader_next(&n->reader, &line, &len)) {
        case READER_LINE:
            if (take_line(n, (struct span){line, len}, now, symbol, body))
                return SOURCE_QUOTE;
            break;
        case READER_TOO_LONG:
            source_refuse(s, QUOTE_OVERSIZED, n->reader.number, "line skipped", now);
            break;
        case READER_SKIPPING:
            return SOURCE_LATER;
        case READER_AGAIN:
            s->due_ms = SOURCE_NEVER;
            return SOURCE_LATER;
        case READER_FAILED:
            log_error("standard input: %s", strerror(errno));
            return SOURCE_ENDED;
        case READER_END:
            return SOURCE_ENDED;
        }
    return SOURCE_LATER;
}

static void ndjson_free(struct source *s)
{
    struct source_ndjson *n = (struct source_ndjson *)s;

    reader_fini(&n->reader);
    json_free(n->json);
    free(n->values);
    free(n);
}

struct source *source_ndjson_open(int fd)
{
    struct source_ndjson *n = mem_zalloc(sizeof *n);

    reader_init(&n->reader, fd, LINE_MAX_BYTES);
    n->json = json_new();
    n->base.fd = fd;
    n->base.next = ndjson_next;
    n->base.free = ndjson_free;
    return &n->base;
}

/* --- recordings --------------------------------------------------------------------------- */

static bool is_text(const struct json_value *v, const char *text)
{
    return v && v->type == JSON_STRING && span_eq(v->text, text);
}

/* Does a line of this type hold a quote?  NULL: a line without a type. */
static bool is_quote(const struct json_value *type)
{
    return !type || is_text(type, "quote") || is_text(type, "snapshot");
}

static bool is_hex(struct span text)
{
    for (size_t i = 0; i < text.len; i++)
        if (!strchr("0123456789abcdef", text.at[i]) || !text.at[i])
            return false;
    return true;
}

/*
 * Is this a member of the record, and not a field of the quote?  A field `accepted` is never a
 * number with a fraction, because such a number became text when the quote was published.
 */
static bool is_of_record(const struct json_value *name, const struct json_value *v)
{
    static const char *const names[] = {"type", "seq", "prev", "state"};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (is_text(name, names[i]))
            return true;
    if (is_text(name, "epoch"))
        return v->type == JSON_STRING && v->text.len == 16 && is_hex(v->text);
    return is_text(name, "accepted") && v->type == JSON_NUMBER &&
           memchr(v->text.at, '.', v->text.len);
}

/* Copies the quote's fields to n->values, with the times as `tape_time` wants them. */
static void copy_fields(struct source_ndjson *n, const struct json_value *root)
{
    const struct json_value *k = root + 1, *end = root + root->skip;
    bool has_type = json_member(root, "type") != NULL;
    struct json_value *at;

    if (n->capacity < root->skip) {
        n->capacity = root->skip;
        n->values = mem_resize(n->values, n->capacity * sizeof *n->values);
    }
    at = n->values + 1;
    n->values[0] = *root;
    for (; k < end; k += 1 + k[1].skip) {
        bool is_dropped = (has_type && is_of_record(k, k + 1)) ||
                          (!n->base.set.tape_time && is_text(k, "recorded_at"));

        if (is_dropped) {
            n->values[0].size--;
            continue;
        }
        memcpy(at, k, (1 + k[1].skip) * sizeof *at);
        if (!n->base.set.tape_time && is_text(k, "timestamp"))
            at->text = SPAN("recorded_at");
        at += 1 + k[1].skip;
    }
    n->values[0].skip = (uint32_t)(at - n->values);
}

/* When the record was accepted, or else the time of the quote. */
static bool time_of(const struct json_value *root, int64_t *us)
{
    const struct json_value *v = json_member(root, "accepted");

    if (!v || v->type != JSON_NUMBER)
        v = json_member(root, "timestamp");
    return v && v->type == JSON_NUMBER && text_time_parse("unix", v->text, us);
}

static void warn_of_gap(struct source_ndjson *n, const struct json_value *type)
{
    if (n->has_warned_of_gap || !(is_text(type, "lost") || is_text(type, "reset")))
        return;
    n->has_warned_of_gap = true;
    log_warning("%s: line %llu says that records are missing there", n->base.name,
                (unsigned long long)n->reader.number);
}

/* Prepares the line's quote and sets when it is due.  Returns false if the line has none. */
static bool prepare(struct source_ndjson *n, struct span line, const struct source_now *now)
{
    const struct json_value *root = read_line(n, line, now), *type;
    int64_t us = n->tape.clock_us;

    if (!root)
        return false;
    if (root->type != JSON_OBJECT) {
        source_refuse(&n->base, QUOTE_MALFORMED, n->reader.number, "", now);
        return false;
    }
    type = json_member(root, "type");
    if (!is_quote(type)) {
        warn_of_gap(n, type);
        return false;
    }
    (void)time_of(root, &us); /* a quote without a time is due with the one before it */
    copy_fields(n, root);
    n->due_ms = tape_schedule(&n->tape, &n->base, us, n->reader.number, now);
    return true;
}

static enum source_outcome play_again(struct source_ndjson *n)
{
    if (!n->base.set.loop)
        return SOURCE_ENDED;
    if (n->base.quotes == n->quotes_before) {
        log_error("%s: not one line is a quote: not played again", n->base.name);
        return SOURCE_ENDED;
    }
    if (!reader_rewind(&n->reader)) {
        log_error("%s: cannot be played again: %s", n->base.name, strerror(errno));
        return SOURCE_ENDED;
    }
    n->quotes_before = n->base.quotes;
    tape_rewind(&n->tape, &n->base);
    return SOURCE_LATER;
}

/* Reads until a quote is prepared.  SOURCE_LATER: this line has none. */
static enum source_outcome read_row(struct source_ndjson *n, const struct source_now *now)
{
    char *line;
    size_t len;

    switch (reader_next(&n->reader, &line, &len)) {
    case READER_LINE:
        n->has_row = prepare(n, (struct span){line, len}, now);
        return SOURCE_LATER;
    case READER_TOO_LONG:
        source_refuse(&n->base, QUOTE_OVERSIZED, n->reader.number, "line skipped", now);
        return SOURCE_LATER;
    case READER_SKIPPING:
    case READER_AGAIN:
        return SOURCE_LATER;
    case READER_FAILED:
        log_error("%s: %s", n->base.name, strerror(errno));
        return SOURCE_ENDED;
    case READER_END:
        break;
    }
    return play_again(n);
}

static enum source_outcome tape_next(struct source *s, const struct source_now *now,
                                     char symbol[QUOTE_SYMBOL_MAX + 1], struct buf *body)
{
    struct source_ndjson *n = (struct source_ndjson *)s;

    for (int i = 0; i < LINES_PER_CALL; i++) {
        if (!n->has_row && read_row(n, now) == SOURCE_ENDED)
            return SOURCE_ENDED;
        if (!n->has_row)
            continue;
        s->due_ms = n->due_ms;
        if (s->due_ms > now->ms)
            return SOURCE_LATER;
        n->has_row = false;
        if (take_quote(n, n->values, now, symbol, body))
            return SOURCE_QUOTE;
    }
    s->due_ms = now->ms;
    return SOURCE_LATER;
}

static bool read_seq(const struct json_value *root, uint64_t *seq)
{
    const struct json_value *v = json_member(root, "seq");
    char text[24], *end;

    if (!v || v->type != JSON_NUMBER || v->text.len >= sizeof text)
        return false;
    span_copy(text, sizeof text, v->text);
    *seq = strtoull(text, &end, 10);
    return !*end;
}

/*
 * A page of history has the newest record first unless it is requested otherwise; played as it is,
 * the oldest value of a symbol would be its last one.  Compares the first two quotes of the symbol
 * that comes first, if they are of one log.
 */
static bool has_newest_first(struct source_ndjson *n)
{
    char *line, symbol[QUOTE_SYMBOL_MAX + 1] = "";
    const struct json_value *root, *name;
    uint64_t first = 0, seq;
    size_t len;

    for (int i = 0; i < ORDER_LINES; i++) {
        enum reader_outcome got = reader_next(&n->reader, &line, &len);

        if (got == READER_AGAIN || got == READER_FAILED || got == READER_END)
            break;
        if (got != READER_LINE || json_parse(n->json, (struct span){line, len}, &root))
            continue;
        if (is_text(json_member(root, "type"), "reset"))
            break;
        name = json_member(root, "symbol");
        if (!name || !is_quote(json_member(root, "type")) || !quote_is_symbol(name->text) ||
            !read_seq(root, &seq))
            continue;
        if (first && span_eq(name->text, symbol))
            return seq < first;
        if (first)
            continue;
        first = seq;
        span_copy(symbol, sizeof symbol, name->text);
    }
    return false;
}

struct source *source_ndjson_open_file(const char *path)
{
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC); /* a pipe must not wait */
    struct source_ndjson *n;
    struct stat st;

    if (fd < 0 || fstat(fd, &st)) {
        log_error("cannot open %s: %s", path, strerror(errno));
        return NULL;
    }
    n = (struct source_ndjson *)source_ndjson_open(fd);
    n->base.fd = -1;
    n->base.next = tape_next;
    if (!S_ISREG(st.st_mode))
        log_error("%s is not a regular file", path);
    else if (has_newest_first(n))
        log_error("%s: its newest record comes first: export it with order=oldest", path);
    else if (!reader_rewind(&n->reader))
        log_error("%s: cannot be read again: %s", path, strerror(errno));
    else
        return &n->base;
    ndjson_free(&n->base);
    return NULL;
}
