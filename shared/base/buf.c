#include "shared/base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/mem.h"
#include "shared/base/utf8.h"

struct span span_of(const char *text)
{
    return (struct span){text, strlen(text)};
}

void span_copy(char *out, size_t size, struct span s)
{
    size_t len = s.len < size ? s.len : size - 1;

    if (len) /* `at` of an empty span may be NULL */
        memcpy(out, s.at, len);
    out[len] = '\0';
}

void buf_free(struct buf *b)
{
    free(b->data);
    *b = (struct buf){0};
}

void buf_clear(struct buf *b)
{
    b->len = 0;
}

void buf_reserve(struct buf *b, size_t len)
{
    size_t cap = b->cap ? b->cap : 128;

    while (cap - b->len < len)
        cap *= 2;
    b->data = mem_resize(b->data, cap);
    b->cap = cap;
}

void buf_adds(struct buf *b, const char *text)
{
    buf_add(b, text, strlen(text));
}

void buf_printf(struct buf *b, const char *format, ...)
{
    va_list args;
    int need;

    va_start(args, format);
    need = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (need <= 0)
        return;
    va_start(args, format);
    vsnprintf(buf_room(b, (size_t)need + 1), (size_t)need + 1, format, args);
    va_end(args);
    b->len--;
}

void buf_addu(struct buf *b, uint64_t n)
{
    char digits[20];
    size_t i = sizeof digits;

    do {
        digits[--i] = (char)('0' + n % 10);
        n /= 10;
    } while (n);
    buf_add(b, digits + i, sizeof digits - i);
}

const char *buf_text(struct buf *b)
{
    *buf_room(b, 1) = '\0';
    b->len--;
    return b->data;
}

static void add_escaped(struct buf *b, unsigned char c)
{
    static const char hex[] = "0123456789abcdef";
    const char *shorts = "\bb\ff\nn\rr\tt\"\"\\\\";

    for (const char *s = shorts; *s; s += 2)
        if ((unsigned char)*s == c) {
            char *at = buf_room(b, 2);

            at[0] = '\\';
            at[1] = s[1];
            return;
        }
    buf_adds(b, "\\u00");
    buf_addc(b, hex[c >> 4]);
    buf_addc(b, hex[c & 15]);
}

/* Escapes U+0080 to U+009F, U+2028 and U+2029, which a terminal or a reader of lines may act on. */
static void add_separator(struct buf *b, const char *s, size_t len)
{
    unsigned code = len == 2 ? (unsigned char)s[1] : 0x2000u | ((unsigned char)s[2] & 0x3Fu);

    buf_printf(b, "\\u%04x", code);
}

void buf_json(struct buf *b, struct span text)
{
    const char *s = text.at, *end = s + text.len;

    buf_addc(b, '"');
    while (s < end) {
        const char *plain = s;
        size_t len;

        while (s < end && *s >= 0x20 && *s < 0x7F && *s != '"' && *s != '\\')
            s++;
        buf_add(b, plain, (size_t)(s - plain));
        if (s == end)
            break;
        if ((unsigned char)*s < 0x80) {
            add_escaped(b, (unsigned char)*s++);
            continue;
        }
        len = utf8_len(s, (size_t)(end - s));
        if (len && utf8_is_control(s, len))
            add_separator(b, s, len);
        else if (len)
            buf_add(b, s, len);
        else
            buf_adds(b, "\xEF\xBF\xBD");
        s += len ? len : 1;
    }
    buf_addc(b, '"');
}

void buf_jsons(struct buf *b, const char *text)
{
    buf_json(b, span_of(text));
}

void buf_json_time(struct buf *b, int64_t wall_us)
{
    uint64_t us = wall_us < 0 ? 0 : (uint64_t)wall_us;
    char fraction[7] = {'.'};
    size_t len = 7;

    buf_addu(b, us / 1000000);
    us %= 1000000;
    for (size_t i = 6; i > 0; i--) {
        fraction[i] = (char)('0' + us % 10);
        us /= 10;
    }
    while (len > 2 && fraction[len - 1] == '0')
        len--;
    buf_add(b, fraction, len);
}

int buf_pack_write(void *buf, const char *data, size_t len)
{
    buf_add(buf, data, len);
    return 0;
}
