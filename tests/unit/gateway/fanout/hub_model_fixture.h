/*
 * hub_model_fixture: a model of a hub's symbols, and subscribers that read at random and compare
 * their messages with the model.  Include it after <cmocka.h>.
 */
#ifndef TESTS_UNIT_GATEWAY_FANOUT_HUB_MODEL_FIXTURE_H
#define TESTS_UNIT_GATEWAY_FANOUT_HUB_MODEL_FIXTURE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "tests/unit/dice.h"
#include "tests/unit/gateway/fanout/hub_fixture.h"

#define SUBSCRIBERS 7

static const char *const patterns[] = {"*",   "A*",   "B*", "AB*", "A1*", "A1", "A10",
                                       "AB1", "AB12", "B7", "C1",  "A3",  "Z*", "Z9"};

/* The state of a symbol in the model, and its state as a subscriber has it. */
struct truth {
    bool has_value;
    uint64_t seq;
    enum symbol_state state;
    char value[16];
    bool is_of_old_log; /* no subscriber gets it again before it changes */
    bool is_known;      /* to the hub */
};

struct belief {
    bool has_value;
    uint64_t epoch, seq;
    enum symbol_state state;
    char value[16];
};

static struct truth truths[SYMBOLS];
static char names[SYMBOLS][8];
static uint64_t epoch_now, head;

static struct reader {
    struct hub_subscriber sub;
    bool holds[LENGTH(patterns)];
    struct belief beliefs[SYMBOLS];
    struct buf expected; /* mode all: frames to come, a line each */
    size_t expected_at;
    bool was_visited;
} readers[SUBSCRIBERS];

static bool is_watched[LENGTH(patterns)];

static inline unsigned pattern_index(const struct hub_topic *t)
{
    for (unsigned i = 0; i < LENGTH(patterns); i++)
        if (strcmp(t->pattern, patterns[i]) == 0)
            return i;
    fail_msg("%s", t->pattern);
    return 0;
}

static inline void on_topic_new(void *ctx, struct hub_topic *t)
{
    (void)ctx;
    assert_false(is_watched[pattern_index(t)]);
    is_watched[pattern_index(t)] = true;
}

static inline void on_topic_gone(void *ctx, const struct hub_topic *t)
{
    (void)ctx;
    assert_true(is_watched[pattern_index(t)]);
    is_watched[pattern_index(t)] = false;
}

static inline bool matches(const char *pattern, const char *name)
{
    size_t len = strcspn(pattern, "*");

    return pattern[len] ? strncmp(pattern, name, len) == 0 : strcmp(pattern, name) == 0;
}

static inline bool holds_symbol(const struct reader *r, unsigned symbol)
{
    for (unsigned i = 0; i < LENGTH(patterns); i++)
        if (r->holds[i] && matches(patterns[i], names[symbol]))
            return true;
    return false;
}

static inline unsigned symbol_index(const char *name)
{
    for (unsigned i = 0; i < SYMBOLS; i++)
        if (strcmp(names[i], name) == 0)
            return i;
    fail_msg("%s", name);
    return 0;
}

/* The last line a reader in mode all still expects. */
static inline bool is_last_expected(const struct reader *r, const char *line)
{
    size_t len = strlen(line);

    return r->expected.len - r->expected_at >= len &&
           memcmp(r->expected.data + r->expected.len - len, line, len) == 0 &&
           (r->expected.len - r->expected_at == len ||
            r->expected.data[r->expected.len - len - 1] == '\n');
}

static inline void expect(struct reader *r, const char *kind, unsigned symbol, uint64_t prev)
{
    const struct truth *t = &truths[symbol];
    char line[200];

    snprintf(line, sizeof line, "%s %.7s %llu<%llu %s %s\n", kind, names[symbol],
             (unsigned long long)t->seq, (unsigned long long)prev, encode_state_name(t->state),
             t->value);
    /* Two patterns joined one after the other: what was queued last is not queued
     * again. */
    if (strcmp(kind, "snapshot") != 0 || !is_last_expected(r, line))
        buf_adds(&r->expected, line);
}

static inline void expect_of_all(const char *kind, unsigned symbol)
{
    const struct hub_symbol *s = hub_find(hub, span_of(names[symbol]));

    for (unsigned i = 0; i < SUBSCRIBERS; i++)
        if (readers[i].sub.wants_all && holds_symbol(&readers[i], symbol))
            expect(&readers[i], kind, symbol, s->prev);
}

static inline void check_all_mode(struct reader *r, const char *text)
{
    size_t len = strlen(text);

    if (r->expected.len - r->expected_at <= len ||
        memcmp(r->expected.data + r->expected_at, text, len) != 0 ||
        r->expected.data[r->expected_at + len] != '\n')
        fail_msg("got %s, not %.60s", text, buf_text(&r->expected) + r->expected_at);
    r->expected_at += len + 1;
    if (r->expected_at == r->expected.len) {
        buf_clear(&r->expected);
        r->expected_at = 0;
    }
}

static inline void check_merge(struct reader *r, const char *text)
{
    char kind[16], name[16], state[16], value[16] = "";
    unsigned long long seq, prev;
    unsigned symbol;
    struct belief *b;
    struct truth *t;

    assert_true(
        sscanf(text, "%15s %15s %llu<%llu %15s %15s", kind, name, &seq, &prev, state, value) >= 5);
    symbol = symbol_index(name);
    b = &r->beliefs[symbol];
    t = &truths[symbol];
    assert_true(holds_symbol(r, symbol));
    /* A message is made when it is sent: it always has the newest value. */
    assert_int_equal(seq, t->seq);
    assert_string_equal(state, encode_state_name(t->state));
    assert_string_equal(value, t->value);
    assert_true(epoch_now > b->epoch || seq >= b->seq);
    b->epoch = epoch_now;
    b->seq = seq;
    if (strcmp(kind, "state") != 0) {
        b->has_value = true;
        memcpy(b->value, t->value, sizeof b->value);
    }
    b->state = strcmp(kind, "quote") == 0 ? SYMBOL_LIVE : t->state;
}

static inline void check_listed_once(struct reader *r)
{
    static bool is_listed[SYMBOLS];
    struct frame *f;

    memset(is_listed, 0, sizeof is_listed);
    for (uint32_t i = 0; (f = backlog_peek(&r->sub.backlog, r->sub.encoding, i)); i++) {
        char name[16];
        unsigned symbol;

        assert_int_equal(sscanf(text_of(f), "%*s %15s", name), 1);
        symbol = symbol_index(name);
        assert_false(is_listed[symbol]);
        is_listed[symbol] = true;
    }
}

/* The socket takes some: at random, or all. */
static inline void reader_reads(struct reader *r, bool is_all)
{
    unsigned room = is_all ? UINT32_MAX : dice(3) ? dice(6) : 0;
    uint32_t count = 0;
    struct frame *f;

    hub_verify_backlog(hub, &r->sub, is_all || dice(2) ? UINT32_MAX : dice(6));
    if (!r->sub.wants_all && !dice(10))
        check_listed_once(r);
    if (room > backlog_sendable(&r->sub.backlog))
        room = backlog_sendable(&r->sub.backlog);
    while (count < room && (f = backlog_peek(&r->sub.backlog, r->sub.encoding, count))) {
        assert_int_equal((unsigned char)f->bytes[0],
                         r->sub.encoding == ENCODING_JSON ? 0x81 : 0x82);
        if (r->sub.wants_all)
            check_all_mode(r, text_of(f));
        else
            check_merge(r, text_of(f));
        count++;
    }
    backlog_took(&r->sub.backlog, count);
}

/* A subscriber without pending messages has every value. */
static inline void check_knows_all(struct reader *r)
{
    assert_true(backlog_is_empty(&r->sub.backlog));
    if (r->sub.wants_all) {
        assert_int_equal(r->expected.len, 0);
        return;
    }
    for (unsigned s = 0; s < SYMBOLS; s++) {
        if (!holds_symbol(r, s) || !truths[s].has_value || truths[s].is_of_old_log)
            continue;
        if (!r->beliefs[s].has_value || r->beliefs[s].state != truths[s].state ||
            strcmp(r->beliefs[s].value, truths[s].value) != 0)
            fail_msg("%s is %s %s, not %s %s", names[s], r->beliefs[s].value,
                     encode_state_name(r->beliefs[s].state), truths[s].value,
                     encode_state_name(truths[s].state));
    }
}

#endif
