/*
 * source_sim: generates quotes of made-up symbols in random walks, at any rate.
 *
 * Benchmarks run on this source, so it must cost little: it writes bodies byte by byte into the
 * caller's buffer and counts prices in hundredths as integers. Each quote carries `n`, rising by
 * one per symbol, so that a receiver can check the order.
 */
#include "feeder/source.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/mem.h"

#define SYMBOLS_MAX 1000000
#define TICKS_START 100000 /* 1000.00 */
#define TICKS_MIN 100
#define TICKS_MAX 99999999
#define CATCH_UP_MS 1000 /* missed quotes beyond this delay are skipped */
#define HEAD_MAX 256     /* bytes of a body without its padding */

struct walk {
    int32_t bid; /* hundredths */
    uint32_t spread;
    uint64_t n;
};

struct source_sim {
    struct source base;
    struct walk *walks;
    uint32_t count, at;
    uint64_t random;
    struct buf padding; /* key and value, ready to copy; or nothing */
    bool has_started;
    int64_t start_ms; /* start of the schedule */
    uint64_t made;    /* quotes made since the start of the schedule */
};

/* xorshift64*, Vigna 2014: fast, and the same on every machine for one seed. */
static uint64_t next_random(struct source_sim *m)
{
    m->random ^= m->random >> 12;
    m->random ^= m->random << 25;
    m->random ^= m->random >> 27;
    return m->random * 0x2545F4914F6CDD1Dull;
}

static char *put_bytes(char *at, const char *bytes, size_t len)
{
    memcpy(at, bytes, len);
    return at + len;
}
#define PUT(at, literal) put_bytes(at, literal, sizeof(literal) - 1)

/* Writes hundredths as text with its msgpack head: 104250 → "1042.50". */
static char *put_price(char *at, uint32_t ticks)
{
    char digits[12];
    size_t i = sizeof digits;

    digits[--i] = (char)('0' + ticks % 10);
    ticks /= 10;
    digits[--i] = (char)('0' + ticks % 10);
    ticks /= 10;
    digits[--i] = '.';
    do {
        digits[--i] = (char)('0' + ticks % 10);
        ticks /= 10;
    } while (ticks);
    *at++ = (char)(0xA0 | (sizeof digits - i));
    return put_bytes(at, digits + i, sizeof digits - i);
}

static char *put_big_endian(char *at, char head, uint64_t n)
{
    *at++ = head;
    for (int shift = 56; shift >= 0; shift -= 8)
        *at++ = (char)(n >> shift);
    return at;
}

static char *put_text(char *at, const char *text)
{
    size_t len = strlen(text); /* a label: at most 64 bytes */

    if (len > 31)
        *at++ = (char)0xD9;
    *at++ = (char)(len > 31 ? len : 0xA0 | len);
    return put_bytes(at, text, len);
}

static void make_body(struct source_sim *m, struct walk *w, int64_t wall_us, struct buf *body)
{
    double seconds = (double)wall_us / 1e6;
    size_t before = body->len;
    char *start = buf_room(body, HEAD_MAX + m->padding.len), *at = start;
    uint64_t bits;

    memcpy(&bits, &seconds, sizeof bits);
    *at++ = (char)(0x80 | (m->padding.len ? 6 : 5));
    at = put_price(PUT(at, "\xA3"
                           "bid"),
                   (uint32_t)w->bid);
    at = put_price(PUT(at, "\xA3"
                           "ask"),
                   (uint32_t)w->bid + w->spread);
    at = put_text(PUT(at, "\xA6"
                          "source"),
                  m->base.set.label);
    at = put_big_endian(PUT(at, "\xA9"
                                "timestamp"),
                        (char)0xCB, bits);
    at = put_big_endian(PUT(at, "\xA1"
                                "n"),
                        (char)0xCF, w->n);
    at = put_bytes(at, m->padding.len ? m->padding.data : "", m->padding.len);
    body->len = before + (size_t)(at - start);
}

/* Moves the price by up to five hundredths and sets a spread of one to eight. */
static void step(struct source_sim *m, struct walk *w)
{
    uint64_t r = next_random(m);

    w->bid += (int32_t)(r % 11) - 5;
    if (w->bid < TICKS_MIN)
        w->bid = TICKS_MIN;
    if (w->bid > TICKS_MAX)
        w->bid = TICKS_MAX;
    w->spread = 1 + (uint32_t)(r >> 32) % 8;
    w->n++;
}

/* Is the next quote due?  Sets due_ms. */
static bool is_due(struct source_sim *m, const struct source_now *now)
{
    uint64_t rate = (uint64_t)m->base.set.rate, late;

    if (!rate)
        return true;
    if (!m->has_started) {
        m->has_started = true;
        m->start_ms = now->ms;
    }
    m->base.due_ms = m->start_ms + (int64_t)(m->made * 1000 / rate);
    if (now->ms - m->base.due_ms > CATCH_UP_MS) {
        late = (uint64_t)(now->ms - m->base.due_ms - CATCH_UP_MS);
        m->base.skipped += late * rate / 1000;
        m->start_ms += (int64_t)late;
        m->base.due_ms += (int64_t)late;
    }
    /* Whole seconds are subtracted, so that made * 1000 never overflows. */
    if (m->made >= rate) {
        m->made -= rate;
        m->start_ms += 1000;
    }
    return m->base.due_ms <= now->ms;
}

static void name_symbol(uint32_t index, char symbol[QUOTE_SYMBOL_MAX + 1])
{
    char digits[8];
    size_t count = 0;

    index++;
    for (; index || count < 5; index /= 10)
        digits[count++] = (char)('0' + index % 10);
    symbol = put_bytes(symbol, "SIM", 3);
    while (count)
        *symbol++ = digits[--count];
    *symbol = '\0';
}

static enum source_outcome sim_next(struct source *s, const struct source_now *now,
                                    char symbol[QUOTE_SYMBOL_MAX + 1], struct buf *body)
{
    struct source_sim *m = (struct source_sim *)s;
    struct walk *w = &m->walks[m->at];

    if (!is_due(m, now))
        return SOURCE_LATER;
    step(m, w);
    make_body(m, w, now->wall_us, body);
    name_symbol(m->at, symbol);
    m->at = m->at + 1 < m->count ? m->at + 1 : 0;
    m->made++;
    return SOURCE_QUOTE;
}

static void sim_free(struct source *s)
{
    struct source_sim *m = (struct source_sim *)s;

    free(m->walks);
    buf_free(&m->padding);
    free(m);
}

/* Pads so that the quote as JSON has about the requested size. */
static void make_padding(struct source_sim *m, int64_t bytes)
{
    static const char sample[] = "{\"symbol\":\"SIM00001\",\"bid\":\"1000.00\",\"ask\":"
                                 "\"1000.01\",\"source\":\"sim\",\"timestamp\":"
                                 "1640995200.123456,\"n\":12345,\"pad\":\"\"}";
    size_t len = bytes > (int64_t)sizeof sample ? (size_t)bytes - sizeof sample + 1 : 0;

    if (!len)
        return;
    buf_adds(&m->padding, "\xA3"
                          "pad");
    buf_addc(&m->padding, (char)0xDA);
    buf_addc(&m->padding, (char)(len >> 8));
    buf_addc(&m->padding, (char)len);
    memset(buf_room(&m->padding, len), 'x', len);
}

struct source *source_sim_open(const char *symbols, const struct source_settings *set)
{
    struct source_sim *m;
    char *rest;
    unsigned long count = strtoul(symbols, &rest, 10);

    if (*symbols < '0' || *symbols > '9' || *rest || count < 1 || count > SYMBOLS_MAX) {
        log_error("source sim:%s: want sim:N with 1 to %d symbols", symbols, SYMBOLS_MAX);
        return NULL;
    }
    m = mem_zalloc(sizeof *m);
    m->count = (uint32_t)count;
    m->walks = mem_alloc(count * sizeof m->walks[0]);
    for (size_t i = 0; i < count; i++)
        m->walks[i] = (struct walk){.bid = TICKS_START, .spread = 1};
    m->random = (uint64_t)set->seed * 0x9E3779B97F4A7C15ull + 0x9E3779B97F4A7C15ull;
    m->random = m->random ? m->random : 1;
    make_padding(m, set->bytes);
    m->base.fd = -1;
    m->base.next = sim_next;
    m->base.free = sim_free;
    return &m->base;
}
