#include "gateway/routes/quotes_export.h"

#include <string.h>

#include "gateway/routes/quotes_json.h"
#include "shared/wire/pack.h"
#include "shared/wire/quote_csv.h"

static const char *const words[] = {
    [QUOTES_EXPORT_JSON] = "json",
    [QUOTES_EXPORT_CSV] = "csv",
    [QUOTES_EXPORT_NDJSON] = "ndjson",
};

bool quotes_export_parse(const char *word, enum quotes_export *out)
{
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strcmp(word, words[i]) == 0) {
            *out = (enum quotes_export)i;
            return true;
        }
    return false;
}

/* --- a table ------------------------------------------------------------------------- */

static bool has_control(struct span text)
{
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.at[i] < ' ')
            return true;
    return false;
}

/* Programs that read tables drop spaces around a cell that is not quoted. */
static bool has_edge_space(struct span text)
{
    return text.len && (memchr(" \t", text.at[0], 2) || memchr(" \t", text.at[text.len - 1], 2));
}

static void put_cell(struct buf *b, struct span text)
{
    bool is_quoted =
        memchr(text.at, ',', text.len) || memchr(text.at, '"', text.len) || has_edge_space(text);

    if (!is_quoted) {
        buf_add(b, text.at, text.len);
        return;
    }
    buf_addc(b, '"');
    for (size_t i = 0; i < text.len; i++) {
        if (text.at[i] == '"')
            buf_addc(b, '"');
        buf_addc(b, text.at[i]);
    }
    buf_addc(b, '"');
}

/* Has the field a column, and is its value a cell? Values with a line break are not. */
static bool has_column(struct span name, const struct pack_value *v)
{
    return quote_field_kind(name) != QUOTE_FIELD_OTHER &&
           !(v->type == PACK_STR && has_control(v->text));
}

static void put_field(struct buf *row, struct span body, const char *name)
{
    struct pack_value v;
    struct span raw;

    buf_addc(row, ',');
    if (!pack_find(body, name, &v, &raw) || !has_column(span_of(name), &v))
        return;
    if (v.type == PACK_STR)
        put_cell(row, v.text);
    else
        pack_to_json(&raw, row); /* a time */
}

/* The fields without a column. */
static void put_other(struct buf *row, struct span body)
{
    struct buf object = {0};
    struct pack_value head, name, v;
    struct span c = body, at;

    if (!pack_next(&c, &head) || head.type != PACK_MAP)
        return;
    for (uint32_t i = 0; i < head.count; i++) {
        struct span key = c;

        if (!pack_next(&c, &name) || name.type != PACK_STR)
            break;
        at = c;
        if (!pack_next(&at, &v))
            break;
        if (has_column(name.text, &v)) {
            (void)pack_skip(&c);
            continue;
        }
        buf_addc(&object, object.len ? ',' : '{');
        pack_to_json(&key, &object);
        buf_addc(&object, ':');
        pack_to_json(&c, &object);
    }
    if (object.len)
        buf_addc(&object, '}');
    put_cell(row, buf_span(&object));
    buf_free(&object);
}

static void put_row(struct buf *b, struct span symbol, const struct wire_record *r)
{
    buf_addu(b, r->seq);
    buf_addc(b, ',');
    buf_addu(b, r->prev);
    buf_addc(b, ',');
    buf_json_time(b, (int64_t)r->accepted_us);
    buf_addc(b, ',');
    put_cell(b, symbol);
#define X(name, kind) put_field(b, r->body, #name);
    QUOTE_FIELDS(X)
#undef X
    buf_addc(b, ',');
    put_other(b, r->body);
    buf_adds(b, "\r\n");
}

/* --- both --------------------------------------------------------------------------------- */

static void put_lines(const struct loop_request *q, struct span answer, enum quotes_export format,
                      struct buf *b)
{
    struct quotes_json_records list = quotes_json_records(answer);
    struct wire_record r;

    if (format == QUOTES_EXPORT_CSV)
        buf_adds(b, QUOTE_CSV_HEADER "\r\n");
    while (quotes_json_next(&list, &r)) {
        if (format == QUOTES_EXPORT_NDJSON) {
            quotes_json_put(b, span_of(q->text), &r, list.epoch);
            buf_addc(b, '\n');
        } else if (r.kind == WIRE_QUOTE) {
            put_row(b, span_of(q->text), &r);
        }
    }
}

static void put_gaps(struct span answer, struct buf *b)
{
    struct buf members = {0};
    struct span c;
    uint32_t count = pack_find_list(answer, "gaps", &c);

    while (count-- && quotes_json_take_gap(&c, &members)) {
        buf_printf(b, "{\"type\":\"lost\",\"feed\":\"\",%s}\n", buf_text(&members));
        buf_clear(&members);
    }
    buf_free(&members);
}

static void put_headers(const struct loop_request *q, struct span answer, struct buf *headers)
{
    uint64_t epoch = pack_find_u(answer, "epoch", 0), next = pack_find_u(answer, "next", 0);
    struct span c;
    bool is_complete =
        quotes_json_is_kept(&q->timeline, answer) && !pack_find_list(answer, "gaps", &c);

    buf_printf(headers, "X-Complete: %s\r\nX-Epoch: %016llx\r\n", is_complete ? "true" : "false",
               (unsigned long long)epoch);
    if (!next)
        return;
    buf_adds(headers, "X-Next: ");
    timeline_put_next(headers, epoch, next);
    buf_adds(headers, "\r\n");
}

void quotes_export_history(const struct loop_request *q, struct span answer,
                           enum quotes_export format, struct reply *p)
{
    put_headers(q, answer, &p->headers);
    if (format == QUOTES_EXPORT_JSON) {
        quotes_json_history(q, answer, &p->body);
        return;
    }
    p->status = 200;
    p->is_exact = true;
    p->type = format == QUOTES_EXPORT_CSV ? "text/csv; charset=utf-8; header=present"
                                          : "application/x-ndjson; charset=utf-8";
    put_lines(q, answer, format, &p->body);
    if (format == QUOTES_EXPORT_NDJSON)
        put_gaps(answer, &p->body);
}
