/* pregon_quote: the fields of a quote, and the quote as JSON. */
#include <stdio.h>
#include <string.h>

#include "consumer/lib/pregon_private.h"
#include "shared/wire/pack.h"

static struct pregon_span span_out(struct span s)
{
    return (struct pregon_span){s.at, s.len};
}

/* In JSON notation; a number always fits into the field. */
static void put_number(struct pregon_field *f)
{
    struct span raw = {f->raw.at, f->raw.len};
    struct buf text = {0};

    pack_to_json(&raw, &text);
    span_copy(f->number, sizeof f->number, buf_span(&text));
    buf_free(&text);
    f->text = (struct pregon_span){f->number, strlen(f->number)};
}

static void set_value(struct pregon_field *f, const struct pack_value *v)
{
    static const enum pregon_type types[] = {
        [PACK_NIL] = PREGON_NIL,    [PACK_BOOL] = PREGON_BOOL,    [PACK_UINT] = PREGON_NUMBER,
        [PACK_INT] = PREGON_NUMBER, [PACK_FLOAT] = PREGON_NUMBER, [PACK_STR] = PREGON_TEXT,
        [PACK_BIN] = PREGON_NESTED, [PACK_ARRAY] = PREGON_NESTED, [PACK_MAP] = PREGON_NESTED,
    };

    f->type = types[v->type];
    f->text = (struct pregon_span){0};
    if (f->type == PREGON_TEXT)
        f->text = span_out(v->text);
    else if (f->type != PREGON_NESTED)
        put_number(f);
}

bool pregon_quote_next(const struct pregon_quote *q, struct pregon_field *f)
{
    struct span c = {f->rest.at, f->rest.len}, value;
    struct pack_value head;

    if (!f->has_begun) {
        c = (struct span){q->body.at, q->body.len};
        if (!pack_next(&c, &head) || head.type != PACK_MAP)
            return false;
        f->left = head.count;
        f->has_begun = true;
    }
    if (!f->left || !pack_next(&c, &head) || head.type != PACK_STR)
        return false;
    f->left--;
    f->name = span_out(head.text);
    value = c;
    if (!pack_skip(&c))
        return false;
    f->raw = (struct pregon_span){value.at, value.len - c.len};
    f->rest = span_out(c);
    if (!pack_next(&value, &head))
        return false;
    set_value(f, &head);
    return true;
}

bool pregon_quote_field(const struct pregon_quote *q, const char *name, struct pregon_field *out)
{
    struct span body = {q->body.at, q->body.len}, raw;
    struct pack_value v;

    if (!pack_find(body, name, &v, &raw))
        return false;
    memset(out, 0, sizeof *out);
    out->name = (struct pregon_span){name, strlen(name)};
    out->raw = span_out(raw);
    set_value(out, &v);
    return true;
}

const char *pregon_quote_text(const struct pregon_quote *q, const char *name, char *out,
                              size_t size)
{
    struct pregon_field f;
    struct span text = SPAN("");

    if (pregon_quote_field(q, name, &f) && f.text.at)
        text = (struct span){f.text.at, f.text.len};
    if (size)
        span_copy(out, size, text);
    return out;
}

const char *pregon_quote_json(struct pregon *p, const struct pregon_quote *q)
{
    struct buf *b = &p->json;

    buf_clear(b);
    buf_adds(b, q->is_snapshot ? "{\"type\":\"snapshot\",\"symbol\":"
                               : "{\"type\":\"quote\",\"symbol\":");
    buf_jsons(b, q->symbol);
    buf_adds(b, ",\"seq\":");
    buf_addu(b, q->seq);
    if (q->is_snapshot) {
        buf_adds(b, q->state == PREGON_STALE ? ",\"state\":\"stale\"" : ",\"state\":\"live\"");
    } else {
        buf_adds(b, ",\"prev\":");
        buf_addu(b, q->prev);
    }
    quote_to_json((struct span){q->body.at, q->body.len}, b);
    buf_addc(b, '}');
    return buf_text(b);
}
