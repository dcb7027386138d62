#include "shared/config/dotenv.h"

#include <ctype.h>
#include <string.h>

static void skip_blanks(struct dotenv *d)
{
    d->at += strspn(d->at, " \t\r");
}

static const char *take_quoted(struct dotenv *d, struct buf *value)
{
    static const char escapes[] = "n\nr\rt\t\"\"\\\\";
    char quote = *d->at++;

    for (; *d->at != quote; d->at++) {
        const char *e = escapes;

        if (!*d->at)
            return "the closing quote is missing";
        if (*d->at == '\n')
            d->line++;
        if (*d->at == '\\' && quote == '"') {
            while (*e && *e != d->at[1])
                e += 2;
            if (*e)
                d->at++;
            buf_addc(value, *e ? e[1] : '\\');
        } else {
            buf_addc(value, *d->at);
        }
    }
    d->at++;
    skip_blanks(d);
    return *d->at && !strchr("\n#", *d->at) ? "there is something after the closing quote" : NULL;
}

/* Read up to the end of the line or up to a comment, which begins after a blank. */
static void take_plain(struct dotenv *d, struct buf *value)
{
    const char *start = d->at, *end;

    while (*d->at && *d->at != '\n' && !(*d->at == '#' && isblank((unsigned char)d->at[-1])))
        d->at++;
    for (end = d->at; end > start && isspace((unsigned char)end[-1]); end--)
        ;
    buf_add(value, start, (size_t)(end - start));
}

enum err dotenv_next(struct dotenv *d, struct dotenv_entry *out, struct buf *value)
{
    static const char name_bytes[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                     "0123456789_";

    buf_clear(value);
    for (skip_blanks(d); *d->at == '#' || *d->at == '\n'; skip_blanks(d)) {
        d->at += strcspn(d->at, "\n");
        if (*d->at) {
            d->at++;
            d->line++;
        }
    }
    *out = (struct dotenv_entry){.line = d->line};
    if (!*d->at)
        return OK;
    if (strncmp(d->at, "export", 6) == 0 && isblank((unsigned char)d->at[6])) {
        d->at += 6;
        skip_blanks(d);
    }
    out->name = (struct span){d->at, strspn(d->at, name_bytes)};
    d->at += out->name.len;
    skip_blanks(d);
    if (!out->name.len || *d->at != '=') {
        out->wrong = "expected NAME=VALUE";
        return ERR_MALFORMED;
    }
    d->at++;
    d->at += strspn(d->at, " \t");
    if (*d->at == '"' || *d->at == '\'')
        out->wrong = take_quoted(d, value);
    else
        take_plain(d, value);
    d->at += strcspn(d->at, "\n");
    return out->wrong ? ERR_MALFORMED : OK;
}
