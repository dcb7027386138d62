/* source_ndjson: reads one JSON object per line from standard input. */
#include "feeder/source.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "feeder/reader.h"
#include "shared/base/json.h"
#include "shared/base/mem.h"

/* JSON's escapes and spaces make a quote longer than its body. */
#define LINE_MAX_BYTES (2 * QUOTE_BYTES_MAX)
#define FIELD_SHOWN 64    /* bytes of a field's name shown in a log line */
#define LINES_PER_CALL 64 /* lines read for one quote before other sources get their turn */

struct source_ndjson {
    struct source base;
    struct reader reader;
    struct json *json;
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

static bool take_line(struct source_ndjson *n, struct span line, const struct source_now *now,
                      char symbol[QUOTE_SYMBOL_MAX + 1], struct buf *body)
{
    struct quote_rules rules = source_rules(&n->base, now);
    const struct json_value *root;
    enum quote_refusal why;
    size_t where;

    line = without_mark(line);
    if (is_blank(line))
        return false;
    if (is_utf16(line)) {
        source_refuse(&n->base, QUOTE_MALFORMED, n->reader.number,
                      "it is UTF-16, or has zero bytes: send UTF-8", now);
        return false;
    }
    if (json_parse(n->json, line, &root)) {
        refuse(n, QUOTE_MALFORMED, json_error(n->json), json_error_offset(n->json), now);
        return false;
    }
    why = quote_from_json(root, n->base.set.label, &rules, symbol, body, &where);
    if (why && where == root->offset) /* the refusal concerns the quote as a whole */
        source_refuse(&n->base, why, n->reader.number, "", now);
    else if (why)
        refuse_field(n, why, member_at(root, where), where, now);
    return why == QUOTE_ACCEPTED;
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
