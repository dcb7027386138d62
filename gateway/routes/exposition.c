#include "gateway/routes/exposition.h"

#include <string.h>

#include "shared/base/utf8.h"

static void begin(struct exposition *e, const char *name, const char *help, const char *type)
{
    e->name = name;
    buf_printf(e->out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static bool ends_with(const char *text, const char *tail)
{
    size_t len = strlen(text), tail_len = strlen(tail);

    return len > tail_len && strcmp(text + len - tail_len, tail) == 0;
}

void exposition_begin(struct exposition *e, const char *name, const char *help)
{
    begin(e, name, help, ends_with(name, "_total") ? "counter" : "gauge");
}

void exposition_begin_histogram(struct exposition *e, const char *name, const char *help)
{
    begin(e, name, help, "histogram");
}

static void add_escaped(struct buf *b, struct span value)
{
    while (value.len) {
        size_t len = utf8_len(value.at, value.len);

        if (!len) {
            buf_addc(b, '?');
            len = 1;
        } else if (*value.at == '\n') {
            buf_adds(b, "\\n");
        } else {
            if (*value.at == '"' || *value.at == '\\')
                buf_addc(b, '\\');
            buf_add(b, value.at, len);
        }
        value.at += len;
        value.len -= len;
    }
}

void exposition_label(struct exposition *e, const char *key, struct span value)
{
    if (e->labels.len)
        buf_addc(&e->labels, ',');
    buf_adds(&e->labels, key);
    buf_adds(&e->labels, "=\"");
    add_escaped(&e->labels, value);
    buf_addc(&e->labels, '"');
}

static void put_value(struct buf *b, enum exposition_unit unit, uint64_t value)
{
    if (unit == EXPOSITION_MICROSECONDS)
        buf_json_time(b, (int64_t)value);
    else
        buf_addu(b, value);
}

/* Write one line; `bound`, if not empty, is the bound of a bucket. */
static void put_line(struct exposition *e, const char *suffix, struct span bound,
                     enum exposition_unit unit, uint64_t value)
{
    buf_adds(e->out, e->name);
    buf_adds(e->out, suffix);
    if (e->labels.len || bound.len) {
        buf_addc(e->out, '{');
        buf_add(e->out, e->labels.data, e->labels.len);
        if (e->labels.len && bound.len)
            buf_addc(e->out, ',');
        if (bound.len) {
            buf_adds(e->out, "le=\"");
            buf_add(e->out, bound.at, bound.len);
            buf_addc(e->out, '"');
        }
        buf_addc(e->out, '}');
    }
    buf_addc(e->out, ' ');
    put_value(e->out, unit, value);
    buf_addc(e->out, '\n');
}

void exposition_sample(struct exposition *e, enum exposition_unit unit, uint64_t value)
{
    put_line(e, "", SPAN(""), unit, value);
    buf_clear(&e->labels);
}

void exposition_histogram(struct exposition *e, enum exposition_unit unit,
                          const struct histogram *h)
{
    uint64_t total = histogram_upto(h, h->scale->count);
    struct buf bound = {0};

    for (uint32_t i = 0; i < h->scale->count; i++) {
        buf_clear(&bound);
        put_value(&bound, unit, h->scale->bounds[i]);
        put_line(e, "_bucket", buf_span(&bound), EXPOSITION_PLAIN, histogram_upto(h, i));
    }
    put_line(e, "_bucket", SPAN("+Inf"), EXPOSITION_PLAIN, total);
    put_line(e, "_sum", SPAN(""), unit, h->sum);
    put_line(e, "_count", SPAN(""), EXPOSITION_PLAIN, total);
    buf_free(&bound);
    buf_clear(&e->labels);
}

void exposition_one(struct exposition *e, const char *name, const char *help,
                    enum exposition_unit unit, uint64_t value)
{
    exposition_begin(e, name, help);
    exposition_sample(e, unit, value);
}

void exposition_end(struct exposition *e)
{
    buf_free(&e->labels);
}
