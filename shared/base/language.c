#include "shared/base/language.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define DEPTH_MAX 3 /* a value in a sentence in a text */

static const char *const codes[] = {[LANGUAGE_EN] = "en", [LANGUAGE_ES] = "es"};

const char *language_code(enum language l)
{
    return codes[l];
}

bool language_read(struct span name, enum language *out)
{
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        if (name.len >= 2 && strncasecmp(name.at, codes[i], 2) == 0 &&
            (name.len == 2 || memchr("-_.@", name.at[2], 4))) {
            *out = (enum language)i;
            return true;
        }
    return false;
}

/* The weight of one entry of Accept-Language, in thousandths; 1000 without q. */
static int weight_of(struct span parameters)
{
    int weight = 0, unit = 1000;
    size_t i = 0;

    while (i < parameters.len && (parameters.at[i] | ' ') != 'q')
        i++;
    if (parameters.len - i < 3 || parameters.at[i + 1] != '=')
        return 1000;
    for (i += 2; i < parameters.len && unit; i++) {
        char c = parameters.at[i];

        if (c >= '0' && c <= '9') {
            weight += (c - '0') * unit;
            unit /= 10;
        } else if (c != '.') {
            break;
        }
    }
    return weight > 1000 ? 1000 : weight;
}

enum language language_of_accept(const char *accept)
{
    enum language best = LANGUAGE_EN, l;
    int most = 0;

    while (accept && *accept) {
        struct span entry, name;

        accept += strspn(accept, " \t,");
        entry = (struct span){accept, strcspn(accept, ",")};
        name = (struct span){accept, strcspn(accept, ",; \t")};
        accept += entry.len;
        if (language_read(name, &l)) {
            int weight = weight_of((struct span){name.at + name.len, entry.len - name.len});

            if (weight > most) {
                most = weight;
                best = l;
            }
        }
    }
    return best;
}

/* --- matching --------------------------------------------------------------------------------- */

/* The length of a conversion like %.120s at p, 0 if there is none; its letter in *kind. */
static size_t conversion(const char *p, char *kind)
{
    size_t len = 1;

    if (*p != '%' || p[1] == '%')
        return 0;
    len += strspn(p + len, "-+#0123456789.*");
    len += strspn(p + len, "lzhjt");
    *kind = p[len];
    return *kind && strchr("sduifgxXc", *kind) ? len + 1 : 0;
}

/* The length of the text that comes before the next conversion, unescaped in *out. */
static size_t take_literal(const char *p, struct buf *out)
{
    const char *start = p;
    char kind;

    while (*p && !conversion(p, &kind)) {
        buf_addc(out, *p);
        p += *p == '%' && p[1] == '%' ? 2 : 1;
    }
    return (size_t)(p - start);
}

static bool is_number(struct span s)
{
    for (size_t i = 0; i < s.len; i++)
        if (!strchr("0123456789.-+einfa", s.at[i]))
            return false;
    return s.len > 0;
}

/* Where `wanted` begins in the text; at its end if `is_last`.  SIZE_MAX: nowhere. */
static size_t find(struct span text, struct span wanted, bool is_last)
{
    const char *at;

    if (text.len < wanted.len)
        return SIZE_MAX;
    if (!wanted.len)
        return is_last ? text.len : 0;
    if (is_last) {
        size_t end = text.len - wanted.len;

        return memcmp(text.at + end, wanted.at, wanted.len) == 0 ? end : SIZE_MAX;
    }
    at = memmem(text.at, text.len, wanted.at, wanted.len);
    return at ? (size_t)(at - text.at) : SIZE_MAX;
}

/* Is the text made from that format?  Then its values. */
static bool match(const char *format, struct span text, struct span values[LANGUAGE_HOLES],
                  size_t *count)
{
    struct buf literal = {0};
    char kind = 0;
    bool ok;

    *count = 0;
    if (*format != '%' && (!text.len || *format != *text.at)) /* most of the table */
        return false;
    format += take_literal(format, &literal);
    ok = text.len >= literal.len &&
         (!literal.len || memcmp(text.at, literal.data, literal.len) == 0);
    if (ok)
        text = (struct span){text.at + literal.len, text.len - literal.len};
    while (ok && *format && *count < LANGUAGE_HOLES) {
        size_t at;

        format += conversion(format, &kind);
        buf_clear(&literal);
        format += take_literal(format, &literal);
        at = find(text, buf_span(&literal), !*format);
        ok = at != SIZE_MAX;
        if (!ok)
            break;
        values[*count] = (struct span){text.at, at};
        ok = kind == 's' || kind == 'c' || is_number(values[*count]);
        ++*count;
        text = (struct span){text.at + at + literal.len, text.len - at - literal.len};
    }
    buf_free(&literal);
    return ok && !*format && !text.len;
}

/* --- replacing -------------------------------------------------------------------------------- */

static void put(struct buf *out, struct language_table table, struct span text, int depth);

static void fill(struct buf *out, struct language_table table, const char *format,
                 const struct span *values, size_t count, int depth)
{
    size_t used = 0;
    char kind;

    for (;;) {
        format += take_literal(format, out);
        if (!*format)
            return;
        format += conversion(format, &kind);
        if (used < count)
            put(out, table, values[used++], depth - 1);
    }
}

static bool put_whole(struct buf *out, struct language_table table, struct span text, int depth)
{
    struct span values[LANGUAGE_HOLES];
    size_t count;

    for (size_t i = 0; i < table.count; i++)
        if (match(table.texts[i].en, text, values, &count)) {
            fill(out, table, table.texts[i].es, values, count, depth);
            return true;
        }
    return false;
}

static void put(struct buf *out, struct language_table table, struct span text, int depth)
{
    const char *gap;

    if (depth > 0 && text.len && put_whole(out, table, text, depth))
        return;
    gap = depth > 0 && text.len > 2 ? memmem(text.at + 1, text.len - 1, "  ", 2) : NULL;
    if (!gap) {
        buf_add(out, text.at, text.len);
        return;
    }
    put(out, table, (struct span){text.at, (size_t)(gap - text.at)}, depth - 1);
    buf_addc(out, ' ');
    put(out, table, (struct span){gap + 2, text.len - (size_t)(gap - text.at) - 2}, depth - 1);
}

void language_add(struct buf *out, enum language l, struct language_table table, const char *text)
{
    if (l == LANGUAGE_EN)
        buf_adds(out, text);
    else
        put(out, table, span_of(text), DEPTH_MAX);
}
