/* quote: writes the quotes, and parses the messages that arrive. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "tests/bench/load/load.h"

#define ADDED_BYTES 39 /* type, seq and prev, if Pregón adds them */

static const char *value_of(const char *p, size_t len, const char *key)
{
    const char *found = memmem(p, len, key, strlen(key));

    return found ? found + strlen(key) : NULL;
}

static int64_t microseconds(const char *p)
{
    char *end;
    int64_t us = strtoll(p, &end, 10) * 1000000;

    if (*end == '.')
        for (int64_t unit = 100000; *++end >= '0' && *end <= '9'; unit /= 10)
            us += (*end - '0') * unit;
    return us;
}

static uint32_t *last_of(struct client *c, uint32_t symbol)
{
    for (uint32_t i = 0; c->symbols && i < c->count; i++)
        if (c->symbols[i] == symbol)
            return &c->last[i];
    return !c->symbols && symbol < c->count ? &c->last[symbol] : NULL;
}

static void take_quote(struct client *c, const char *p, size_t len, bool is_snapshot)
{
    const char *symbol = value_of(p, len, "\"symbol\":\"S"), *n = value_of(p, len, "\"n\":");
    const char *stamp = value_of(p, len, "\"timestamp\":"), *seq = value_of(p, len, "\"seq\":");
    struct tally *t = &load.tally;
    uint32_t number, *last;

    if (!symbol || !n || !stamp || !(last = last_of(c, (uint32_t)strtoul(symbol, NULL, 10)))) {
        t->errors++;
        return;
    }
    number = (uint32_t)strtoul(n, NULL, 10);
    if (seq && !is_snapshot)
        c->seq = strtoull(seq, NULL, 10);
    if (c->is_muted)
        return;
    if (is_snapshot) {
        t->snapshots++;
    } else {
        t->delivered++;
        t->bytes += len;
        t->missed += *last && number > *last + 1 ? number - *last - 1 : 0;
        t->backward += *last && number <= *last;
        tally_time(t, load_clock_us(CLOCK_REALTIME) - microseconds(stamp));
    }
    *last = number > *last ? number : *last;
}

void quote_take_text(struct client *c, const char *p, size_t len)
{
    struct tally *t = &load.tally;
    const char *seq;

    switch (len > 10 && !memcmp(p, "{\"type\":\"", 9) ? p[9] : 0) {
    case 'q':
    case 's':
        if (p[10] != 't') /* state */
            take_quote(c, p, len, p[9] == 's');
        break;
    case 'a':
        load.acked += !c->is_acked;
        c->is_acked = true;
        t->unrecovered += load.is_returning && !memmem(p, len, "\"recovered\":true", 16);
        if ((seq = value_of(p, len, "\"epoch\":\"")))
            memcpy(load.epoch, seq, 16);
        /* fallthrough */
    case 'h':
        if (!c->seq && (seq = value_of(p, len, "\"seq\":")))
            c->seq = strtoull(seq, NULL, 10);
        break;
    case 'l':
        t->lost++;
        break;
    case 'r':
        t->resets++;
        break;
    case 'w':
        break;
    default:
        t->errors++;
    }
}

void quote_make(uint32_t symbol)
{
    uint32_t n = ++load.next_n[symbol];
    int64_t now = load_clock_us(CLOCK_REALTIME);
    size_t start = load.out.len, added = 0, len;

    if (!load.is_bare)
        buf_printf(&load.out,
                   "{\"type\":\"quote\",\"symbol\":\"" SYMBOL_TEXT "\",\"seq\":%llu,\"prev\":%llu",
                   symbol, (unsigned long long)load.tally.sent + 1001,
                   (unsigned long long)load.tally.sent + 1000);
    else
        buf_printf(&load.out, "{\"symbol\":\"" SYMBOL_TEXT "\"", symbol), added = ADDED_BYTES;
    buf_printf(&load.out, ",\"bid\":\"1.08\",\"timestamp\":%lld.%06lld,\"source\":\"b\",\"n\":%u",
               (long long)(now / 1000000), (long long)(now % 1000000), n);
    len = load.out.len - start + added;
    if (len + 10 < load.bytes) {
        buf_adds(&load.out, ",\"pad\":\"");
        len += 10;
        memset(buf_room(&load.out, load.bytes - len), 'x', load.bytes - len);
        buf_addc(&load.out, '"');
    }
    buf_adds(&load.out, "}\n");
    load.tally.sent++;
    load.tally.expected += load.subscribers[symbol];
}
