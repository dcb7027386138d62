#include "shared/wire/patterns.h"

#include <stdlib.h>
#include <string.h>

bool patterns_is_one(struct span text)
{
    if (text.len && text.at[text.len - 1] == '*') {
        text.len--;
        if (!text.len)
            return true;
    }
    return quote_is_symbol(text);
}

/* Sorts by text; of the same text the prefix comes first, because it covers the symbol. */
static int by_text(const void *a, const void *b)
{
    const struct pattern *x = a, *y = b;
    int order = memcmp(x->text, y->text, x->len < y->len ? x->len : y->len);

    if (!order)
        order = x->len - y->len;
    return order ? order : y->is_prefix - x->is_prefix;
}

static bool covers(const struct pattern *p, const char *text, size_t len)
{
    return (p->is_prefix ? len >= p->len : len == p->len) && memcmp(p->text, text, p->len) == 0;
}

/*
 * In this order everything that a pattern covers follows the pattern at once, so comparing with the
 * last one kept is enough.
 */
static void drop_covered(struct patterns *p)
{
    size_t kept = 0;

    for (size_t i = 0; i < p->count; i++) {
        if (!kept || !covers(&p->list[kept - 1], p->list[i].text, p->list[i].len))
            p->list[kept++] = p->list[i];
    }
    p->count = kept;
}

static enum err take(struct patterns *p, struct span text)
{
    struct pattern *one = &p->list[p->count];

    if (!text.len)
        return OK;
    if (p->count == PATTERNS_MAX)
        return ERR_TOO_MANY_PATTERNS;
    if (!patterns_is_one(text))
        return ERR_BAD_PATTERN;
    one->is_prefix = text.at[text.len - 1] == '*';
    one->len = (uint8_t)(text.len - one->is_prefix);
    memcpy(one->text, text.at, one->len);
    p->count++;
    return OK;
}

enum err patterns_parse(struct span text, struct patterns *out)
{
    struct patterns p;

    p.count = 0;
    if (text.len > PATTERNS_TEXT_MAX)
        return memchr(text.at, ',', PATTERN_MAX + 1) ? ERR_TOO_MANY_PATTERNS : ERR_BAD_PATTERN;
    while (text.len) {
        const char *comma = memchr(text.at, ',', text.len);
        size_t len = comma ? (size_t)(comma - text.at) : text.len;
        enum err e = take(&p, (struct span){text.at, len});

        if (e)
            return e;
        len += comma != NULL;
        text.at += len;
        text.len -= len;
    }
    qsort(p.list, p.count, sizeof p.list[0], by_text);
    drop_covered(&p);
    out->count = p.count;
    memcpy(out->list, p.list, p.count * sizeof p.list[0]);
    return OK;
}

const char *patterns_error_text(enum err e)
{
    return e == ERR_TOO_MANY_PATTERNS ? PATTERNS_TOO_MANY_TEXT : PATTERNS_BAD_TEXT;
}

/* Only the last pattern that does not lie after the symbol can match it. */
bool patterns_match(const struct patterns *p, struct span symbol)
{
    size_t low = 0, high = p->count;

    while (low < high) {
        size_t middle = (low + high) / 2;
        const struct pattern *one = &p->list[middle];
        int order = memcmp(one->text, symbol.at, one->len < symbol.len ? one->len : symbol.len);

        if (order > 0 || (!order && one->len > symbol.len))
            high = middle;
        else
            low = middle + 1;
    }
    return low && covers(&p->list[low - 1], symbol.at, symbol.len);
}

bool patterns_match_all(const struct patterns *p)
{
    return p->count && p->list[0].is_prefix && !p->list[0].len;
}
