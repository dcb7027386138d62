#include "gateway/http/query.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "shared/base/percent.h"

#define NAME_SHOWN 60 /* bytes of a name in an error */
#define KNOWN_MAX 32

struct pair {
    struct span name, value; /* undecoded */
};

/* The next pair that is not empty; *rest moves behind it. */
static bool next_pair(const char **rest, struct pair *p)
{
    const char *at = *rest + strspn(*rest, "&");
    size_t len = strcspn(at, "&"), name_len = strcspn(at, "=&");

    *rest = at + len;
    p->name = (struct span){at, name_len};
    p->value = name_len < len ? (struct span){at + name_len + 1, len - name_len - 1}
                              : (struct span){at + name_len, 0};
    return len > 0;
}

/* Take one decoded byte from the front of *text.  False: a broken escape, or NUL. */
static bool take_byte(struct span *text, enum query_plus plus, char *out)
{
    bool is_space = text->at[0] == '+' && plus == QUERY_PLUS_IS_SPACE;
    bool is_whole = percent_take(text, out);

    if (is_space)
        *out = ' ';
    return is_whole && *out != '\0';
}

static bool is_encoded(struct span text)
{
    char c;

    while (text.len)
        if (!take_byte(&text, QUERY_PLUS_IS_SPACE, &c))
            return false;
    return true;
}

/* Is the undecoded name `wanted`? */
static bool is_named(struct span name, struct span wanted)
{
    size_t i = 0;
    char c;

    while (name.len) {
        if (i == wanted.len || !take_byte(&name, QUERY_PLUS_IS_SPACE, &c) || c != wanted.at[i++])
            return false;
    }
    return i == wanted.len;
}

/* The index of the name in the comma-separated list; -1: it is not there. */
static int find_known(const char *known, struct span name)
{
    for (int i = 0; *known && i < KNOWN_MAX; i++) {
        size_t len = strcspn(known, ",");

        if (is_named(name, (struct span){known, len}))
            return i;
        known += len + (known[len] == ',');
    }
    return -1;
}

static void put_list(const char *known, char *out, size_t size)
{
    size_t len = strlen(out);

    for (; *known && len + 3 < size; known++) {
        out[len++] = *known;
        if (*known == ',')
            out[len++] = ' ';
    }
    out[len] = '\0';
}

static bool fail(struct query_fault *fault, struct span name, const char *what, const char *known)
{
    struct buf shown = {0};
    char c;

    while (name.len && shown.len < NAME_SHOWN) {
        struct span rest = name;

        if (!take_byte(&rest, QUERY_PLUS_IS_SPACE, &c)) {
            buf_add(&shown, name.at, name.len < 8 ? name.len : 8);
            break;
        }
        buf_addc(&shown, c);
        name = rest;
    }
    snprintf(fault->message, sizeof fault->message, "The parameter '%s' %s.", buf_text(&shown),
             what);
    buf_free(&shown);
    snprintf(fault->hint, sizeof fault->hint, "%s",
             *known ? "The parameters of this path are: " : "This path has no parameters");
    put_list(known, fault->hint, sizeof fault->hint - 1);
    strcat(fault->hint, ".");
    return false;
}

bool query_check(const char *query, const char *known, struct query_fault *fault)
{
    uint32_t seen = 0;
    struct pair p;

    while (next_pair(&query, &p)) {
        int i = find_known(known, p.name);
        uint32_t bit = i < 0 ? 0 : UINT32_C(1) << i;

        if (!is_encoded(p.name) || !is_encoded(p.value))
            return fail(fault, p.name,
                        "is malformed: after a % come two hexadecimal digits, not 00", known);
        if (i < 0)
            return fail(fault, p.name, "does not exist here", known);
        if (seen & bit && !is_named(p.name, SPAN(QUERY_LIST)))
            return fail(fault, p.name, "is given more than once", known);
        seen |= bit;
    }
    return true;
}

enum query_value query_get(const char *query, const char *name, enum query_plus plus,
                           struct buf *out)
{
    bool is_list = strcmp(name, QUERY_LIST) == 0;
    enum query_value found = QUERY_ABSENT;
    size_t start = out->len;
    struct pair p;
    char c;

    while (next_pair(&query, &p)) {
        if ((found && !is_list) || !is_named(p.name, span_of(name)))
            continue;
        if (found)
            buf_addc(out, ',');
        found = QUERY_GIVEN;
        while (p.value.len) {
            if (!take_byte(&p.value, plus, &c)) {
                out->len = start;
                return QUERY_MALFORMED;
            }
            buf_addc(out, c);
        }
    }
    return found;
}
