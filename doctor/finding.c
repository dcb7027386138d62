#include "doctor/finding.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "doctor/doctor_text.h"
#include "shared/base/mem.h"

static const struct {
    const char *text;
    enum finding_severity severity;
    const char *meaning;
} names[] = {
#define X(name, severity, meaning) [FINDING_##name] = {#name, FINDING_##severity, meaning},
    FINDING_LIST(X)
#undef X
#define X(code, status, close, setting, text) \
    [FINDING_##code] = {#code, FINDING_ERROR, "handshakes are refused: " text},
        ADMISSION_RULES(X)
#undef X
};

static const char *const words[] = {
    [FINDING_ERROR] = "error",
    [FINDING_WARNING] = "warning",
    [FINDING_NOTE] = "note",
};

const char *finding_text(enum finding_name name)
{
    return names[name].text;
}

enum finding_severity finding_severity(enum finding_name name)
{
    return names[name].severity;
}

const char *finding_meaning(enum finding_name name)
{
    return names[name].meaning;
}

void finding_add(struct finding_list *l, enum finding_name name, const char *where,
                 const char *todo, const char *change, const char *seen, ...)
{
    char text[1024];
    va_list args;

    va_start(args, seen);
    vsnprintf(text, sizeof text, seen, args);
    va_end(args);
    l->items = mem_resize(l->items, (l->count + 1) * sizeof *l->items);
    l->items[l->count++] = (struct finding){name, mem_strdup(text), mem_strdup(where),
                                            mem_strdup(todo), mem_strdup(change ? change : "")};
}

bool finding_has(const struct finding_list *l, enum finding_name name)
{
    for (size_t i = 0; i < l->count; i++)
        if (l->items[i].name == name)
            return true;
    return false;
}

size_t finding_count(const struct finding_list *l, enum finding_severity severity)
{
    size_t count = 0;

    for (size_t i = 0; i < l->count; i++)
        count += names[l->items[i].name].severity == severity;
    return count;
}

void finding_free(struct finding_list *l)
{
    for (size_t i = 0; i < l->count; i++) {
        free(l->items[i].seen);
        free(l->items[i].where);
        free(l->items[i].todo);
        free(l->items[i].change);
    }
    free(l->items);
    *l = (struct finding_list){0};
}

void finding_put_clean(struct buf *out, const char *text)
{
    for (; *text; text++)
        buf_addc(out, (unsigned char)*text < ' ' || *text == 0x7f ? '?' : *text);
}

static void put_line(struct buf *out, const char *label, const char *text)
{
    if (!text[0])
        return;
    buf_adds(out, label);
    finding_put_clean(out, text);
    buf_addc(out, '\n');
}

static void put_translated(struct buf *out, enum language l, const char *label, const char *text)
{
    struct buf shown = {0};

    doctor_text_add(&shown, l, text);
    put_line(out, label, buf_text(&shown));
    buf_free(&shown);
}

void finding_put_text(const struct finding *f, enum language l, struct buf *out)
{
    size_t start = out->len;

    doctor_text_add(out, l, words[names[f->name].severity]);
    buf_printf(out, "%*s  %s", out->len - start < 7 ? (int)(7 - (out->len - start)) : 0, "",
               names[f->name].text);
    if (f->where[0])
        put_translated(out, l, l == LANGUAGE_ES ? "  en " : "  at ", f->where);
    else
        buf_addc(out, '\n');
    put_translated(out, l, "         ", f->seen);
    put_translated(out, l, l == LANGUAGE_ES ? "         hacer:  " : "         do:     ", f->todo);
    put_line(out, "         .env:   ", f->change);
}

static void put_json_text(struct buf *out, enum language l, const char *text)
{
    struct buf shown = {0};

    doctor_text_add(&shown, l, text);
    buf_jsons(out, buf_text(&shown));
    buf_free(&shown);
}

void finding_put_json(const struct finding *f, enum language l, struct buf *out)
{
    buf_printf(out, "{\"name\":\"%s\",\"severity\":\"%s\",\"seen\":", names[f->name].text,
               words[names[f->name].severity]);
    put_json_text(out, l, f->seen);
    buf_adds(out, ",\"where\":");
    put_json_text(out, l, f->where);
    buf_adds(out, ",\"do\":");
    put_json_text(out, l, f->todo);
    buf_adds(out, ",\"change\":");
    buf_jsons(out, f->change);
    buf_addc(out, '}');
}
