/*
 * Feeders with a bad network, silences, restarts and invalid messages at random: a receiver of the
 * published stream must always be able to rely on it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/broker/core/core_fixture.h"
#include "tests/unit/dice.h"

#define FEEDERS 3
#define SYMBOLS 150
#define RECORDS_MAX 200000

/* A feeder with a bad network: it keeps its lines until they are received. */
static struct feeder {
    char name[16], owner[32], peer[48];
    unsigned life;          /* process */
    uint64_t epoch;         /* 0: none granted */
    uint64_t next, send_at; /* next line to make, next to send */
    uint64_t given_up;      /* lines that the feeder no longer has */
    uint64_t old_epochs[64];
    uint64_t published; /* by the receiver: last line seen of this life */
} feeders[FEEDERS];

/* "S7" is 7. */
static unsigned symbol_number(struct span symbol)
{
    unsigned n = 0;

    for (size_t i = 1; i < symbol.len; i++)
        n = n * 10 + (unsigned)(symbol.at[i] - '0');
    assert_true(symbol.len > 1 && n < SYMBOLS);
    return n;
}

/* The receiver applies the stream as published, and keeps it all. */
static struct {
    uint64_t seq, last_lost, heartbeats;
    struct {
        uint64_t seq;
        bool is_stale, is_changed;
        char last[24];
    } symbols[SYMBOLS];
    struct buf *log[RECORDS_MAX]; /* topic and record by position */
    size_t seen;                  /* published records that were already checked */
} receiver;

static bool is_good_line(uint64_t n)
{
    return n % 13 != 0;
}

static unsigned symbol_of_line(uint64_t n)
{
    return (unsigned)(n * 7 + n / 5) % SYMBOLS;
}

static void send_line(const struct feeder *f, uint64_t epoch, uint64_t n)
{
    struct buf body = {0}, message = {0};
    struct wire_record r = {.kind = WIRE_QUOTE, .epoch = epoch, .seq = n};
    char topic[16], last[24];
    msgpack_packer pk;

    snprintf(topic, sizeof topic, "S%u ", symbol_of_line(n));
    snprintf(last, sizeof last, is_good_line(n) ? "%u%03u%06llu" : "x%u%u%llu",
             (unsigned)(f - feeders) + 1, f->life, (unsigned long long)n);
    msgpack_packer_init(&pk, &body, buf_pack_write);
    msgpack_pack_map(&pk, 5);
    pack_kv_text(&pk, "last", span_of(last));
    pack_kv_u(&pk, "timestamp", 1640995200);
    pack_kv_u(&pk, "f", (uint64_t)(f - feeders));
    pack_kv_u(&pk, "life", f->life);
    pack_kv_u(&pk, "n", n);
    r.body = buf_span(&body);
    wire_put(&message, &r);
    ingest(span_of(topic), buf_span(&message));
    buf_free(&body);
    buf_free(&message);
}

static void receive_quote(unsigned s, const struct wire_record *r)
{
    struct feeder *f = &feeders[pack_find_u(r->body, "f", 0)];
    uint64_t n = pack_find_u(r->body, "n", 0), skipped = 0;
    struct span last = pack_find_text(r->body, "last");

    /* No line of a process whose grant has ended; each line once, in order, none missing. */
    assert_int_equal(pack_find_u(r->body, "life", 0), f->life);
    for (uint64_t k = f->published + 1; k < n; k++)
        skipped += is_good_line(k);
    assert_true(n > f->published && is_good_line(n));
    assert_int_equal(skipped, 0);
    f->published = n;
    receiver.symbols[s].is_stale = false;
    snprintf(receiver.symbols[s].last, sizeof receiver.symbols[s].last, "%.*s", (int)last.len,
             last.at);
}

static void receive_lost(const struct wire_record *r)
{
    struct span name = pack_find_text(r->body, "feed");
    uint64_t first = pack_find_u(r->body, "first", 0), last = pack_find_u(r->body, "last", 0);

    assert_int_equal(r->prev, receiver.last_lost);
    receiver.last_lost = r->seq;
    assert_int_equal(pack_find_u(r->body, "count", 0), last - first + 1);
    for (int i = 0; i < FEEDERS; i++)
        if (span_eq(name, feeders[i].name)) {
            for (uint64_t k = feeders[i].published + 1; k < first; k++)
                assert_false(is_good_line(k));
            assert_true(first > feeders[i].published);
            feeders[i].published = last;
        }
}

static void receive_heartbeat(const struct wire_record *r)
{
    struct pack_value list, pair, name, seq;
    struct span c;
    uint32_t expected = 0;

    assert_int_equal(r->seq, receiver.seq);
    assert_int_equal(r->prev, ++receiver.heartbeats);
    assert_true(pack_find(r->body, "changed", &list, &c));
    assert_true(pack_find_bool(r->body, "complete", false));
    for (int s = 0; s < SYMBOLS; s++)
        expected += receiver.symbols[s].is_changed;
    assert_int_equal(list.count, expected);
    pack_next(&c, &list);
    for (uint32_t i = 0; i < list.count; i++) {
        unsigned s;

        assert_true(pack_next(&c, &pair) && pack_next(&c, &name) && pack_next(&c, &seq));
        s = symbol_number(name.text);
        assert_true(receiver.symbols[s].is_changed);
        assert_int_equal(seq.u, receiver.symbols[s].seq);
        receiver.symbols[s].is_changed = false;
    }
}

static void receive(struct sent *m)
{
    struct span topic = buf_span(&m->to), symbol = wire_topic_symbol(topic);
    unsigned s = symbol.len ? symbol_number(symbol) : 0;
    struct wire_record r;
    bool stampable;

    assert_int_equal(wire_read(buf_span(&m->message), &r, &stampable), OK);
    assert_true(stampable);
    assert_int_equal(r.epoch, LOG_EPOCH);
    if (r.kind == WIRE_MARK) {
        assert_int_equal(r.seq, receiver.seq);
        return;
    }
    if (r.kind == WIRE_HEARTBEAT) {
        receive_heartbeat(&r);
        return;
    }
    assert_int_equal(r.seq, ++receiver.seq);
    assert_true(r.seq < RECORDS_MAX);
    receiver.log[r.seq] = calloc(2, sizeof(struct buf));
    buf_add(&receiver.log[r.seq][0], m->to.data, m->to.len);
    buf_add(&receiver.log[r.seq][1], m->message.data, m->message.len);
    if (r.kind == WIRE_LOST) {
        receive_lost(&r);
        return;
    }
    assert_true(symbol.len > 0 && s < SYMBOLS);
    assert_int_equal(r.prev, receiver.symbols[s].seq);
    receiver.symbols[s].seq = r.seq;
    receiver.symbols[s].is_changed = true;
    if (r.kind == WIRE_QUOTE)
        receive_quote(s, &r);
    else
        receiver.symbols[s].is_stale = span_eq(pack_find_text(r.body, "state"), "stale");
}

static void receive_all(void)
{
    for (size_t i = 0; i < published_count; i++)
        receive(&published[i]);
    forget_sent(published, &published_count);
}

static void feeder_says_hello(struct feeder *f)
{
    char json[300];
    uint64_t received;

    snprintf(json, sizeof json,
             "{'op':'hello','id':1,'role':'feeder','name':'%s','owner':'%s','oldest':1,"
             "'newest':1,'acked':0}",
             f->name, f->owner);
    answer_to(f->peer, json);
    if (pack_find_text(last_answer(), "error").len)
        return;
    f->epoch = pack_find_u(last_answer(), "epoch", 0);
    f->old_epochs[dice(LENGTH(f->old_epochs))] = f->epoch;
    received = pack_find_u(last_answer(), "received", 0);
    assert_true(received < f->next);
    f->send_at = received + 1;
}

/* Process control messages: `resend` goes back, or reports lines that are gone as lost. */
static void feeders_listen(void)
{
    size_t count = reply_count;

    for (size_t i = 0; i < count; i++) {
        struct span message = buf_span(&replies[i].message);
        uint64_t epoch = pack_find_u(message, "epoch", 0), from;
        char json[300];

        if (!span_eq(pack_find_text(message, "op"), "resend"))
            continue;
        from = pack_find_u(message, "from", 0);
        for (int k = 0; k < FEEDERS; k++) {
            struct feeder *f = &feeders[k];

            if (f->epoch != epoch || from >= f->next)
                continue;
            f->send_at = from;
            if (from > f->given_up)
                continue;
            snprintf(json, sizeof json,
                     "{'op':'lost','id':1,'epoch':%llu,'first':%llu,'last':%llu,'"
                     "reason':'r'}",
                     (unsigned long long)epoch, (unsigned long long)from,
                     (unsigned long long)f->given_up);
            if (strstr(answer_to(f->peer, json), "'received'"))
                f->send_at = f->given_up + 1;
        }
    }
    forget_sent(replies, &reply_count);
}

static void feeder_restarts(struct feeder *f)
{
    f->life++;
    f->epoch = 0;
    f->next = f->send_at = 1;
    f->given_up = f->published = 0;
    snprintf(f->owner, sizeof f->owner, "o%td-%u", f - feeders, f->life);
    snprintf(f->peer, sizeof f->peer, "p%td-%u", f - feeders, f->life);
}

static void feeder_acts(struct feeder *f)
{
    char json[100];
    unsigned act = dice(100);
    uint64_t old;

    if (!f->epoch) {
        if (!dice(4))
            feeder_says_hello(f);
        return;
    }
    if (act < 75) {
        if (f->send_at == f->next)
            f->next++;
        if (f->send_at <= f->given_up)
            f->send_at = f->given_up + 1;
        if (f->send_at < f->next && dice(12)) /* else the network lost it */
            send_line(f, f->epoch, f->send_at);
        f->send_at++;
        if (f->send_at > f->next)
            f->send_at = f->next;
    } else if (act < 80 && f->next > 1) {
        send_line(f, f->epoch, 1 + dice((unsigned)f->next - 1)); /* a line again, or too early */
    } else if (act < 83) {
        old = f->old_epochs[dice(LENGTH(f->old_epochs))];
        if (old != f->epoch)
            send_line(f, old, 1 + dice((unsigned)f->next));
    } else if (act < 95) {
        line_of_kind(WIRE_HEARTBEAT, f->epoch, f->next - 1, WIRE_TOPIC_HEARTBEAT, NULL);
    } else if (act < 96 && f->next > 30) {
        f->given_up = f->next - 1 - dice(10);
    } else if (act == 97 && !dice(10)) {
        snprintf(json, sizeof json, "{'op':'goodbye','id':1,'epoch':%llu}",
                 (unsigned long long)f->epoch);
        answer_to(f->peer, json);
        receive_all();
        feeder_restarts(f);
    } else if (act == 98) {
        feeder_says_hello(f);
    }
}

static void nonsense_comes_in(void)
{
    char bytes[40];
    struct span s = {bytes, dice(sizeof bytes)};

    for (size_t i = 0; i < s.len; i++)
        bytes[i] = (char)random();
    if (s.len && dice(2))
        bytes[0] = dice(2) ? (char)0x97 : (char)0x83;
    ingest(SPAN("S1 "), s);
    core_control(&core, SPAN("nobody"), s);
    core_subscription(&core, s);
}

/* All pages of a snapshot together must equal the state of a receiver. */
static void a_newcomer_takes_a_snapshot(void)
{
    uint64_t from = 0, count = 0, known = 0;
    struct pack_value list, v[5];
    char json[100];
    struct wire_record r;
    struct span c;

    do {
        snprintf(json, sizeof json, "{'op':'snapshot','id':1,'pattern':'*','from':%llu,'limit':%u}",
                 (unsigned long long)from, 1 + dice(60));
        answer_to("new", json);
        assert_int_equal(pack_find_u(last_answer(), "seq", 0), receiver.seq);
        assert_true(pack_find(last_answer(), "quotes", &list, &c));
        pack_next(&c, &list);
        for (uint32_t i = 0; i < list.count; i++, count++) {
            unsigned s;

            for (int k = 0; k < 5; k++)
                assert_true(pack_next(&c, &v[k]));
            s = symbol_number(v[1].text);
            assert_int_equal(v[2].u, receiver.symbols[s].seq);
            assert_true(span_eq(v[3].text, receiver.symbols[s].is_stale ? "stale" : "live"));
            assert_int_equal(wire_read(v[4].text, &r, NULL), OK);
            assert_true(span_eq(pack_find_text(r.body, "last"), receiver.symbols[s].last));
        }
        from = pack_find_u(last_answer(), "next", 0);
    } while (from);
    for (int s = 0; s < SYMBOLS; s++)
        known += receiver.symbols[s].seq > 0;
    assert_int_equal(count, known);
}

/* From a random position on, page by page: the same bytes as were published, none omitted. */
static void a_laggard_asks_for_a_replay(void)
{
    uint64_t after = dice((unsigned)receiver.seq + 1), upto = after;
    char json[100], pattern[8];
    struct pack_value list, v[3];
    struct span c;

    snprintf(pattern, sizeof pattern, dice(2) ? "S%u" : "S%u*", dice(SYMBOLS));
    if (after + 300 < receiver.seq)
        after = upto = receiver.seq - 300;
    do {
        snprintf(json, sizeof json, "{'op':'replay','id':1,'pattern':'%s','after':%llu,'limit':%u}",
                 pattern, (unsigned long long)upto, 1 + dice(50));
        answer_to("late", json);
        assert_int_equal(pack_find_u(last_answer(), "head", 0), receiver.seq);
        assert_int_equal(pack_find_u(last_answer(), "first", 0), journal_first(core.log.journal));
        after = after + 1 < journal_first(core.log.journal) ? journal_first(core.log.journal) - 1
                                                            : after;
        upto = pack_find_u(last_answer(), "upto", 0);
        assert_true(pack_find(last_answer(), "records", &list, &c));
        pack_next(&c, &list);
        for (; after < upto; after++) {
            struct buf *b = receiver.log[after + 1];
            struct span symbol = wire_topic_symbol(buf_span(&b[0]));
            bool is_match =
                !symbol.len || (symbol.len >= strcspn(pattern, "*") &&
                                !memcmp(symbol.at, pattern, strcspn(pattern, "*")) &&
                                (strchr(pattern, '*') || symbol.len == strlen(pattern)));

            if (!is_match)
                continue;
            for (int k = 0; k < 3; k++)
                assert_true(pack_next(&c, &v[k]));
            assert_int_equal(v[1].text.len, b[0].len);
            assert_memory_equal(v[1].text.at, b[0].data, b[0].len);
            assert_int_equal(v[2].text.len, b[1].len);
            assert_memory_equal(v[2].text.at, b[1].data, b[1].len);
        }
        assert_int_equal(c.len, 0);
        assert_int_equal(after, upto);
    } while (upto < receiver.seq);
}

static void feeders_wait_out_their_leases(void)
{
    pass_time(WIRE_FEED_LEASE_MS);
    core_tick(&core);
    receive_all();
    for (int i = 0; i < FEEDERS; i++) {
        if (!feeders[i].epoch)
            continue;
        if (dice(2))
            feeder_restarts(&feeders[i]);
        else
            feeder_says_hello(&feeders[i]);
    }
}

/* Without losses on the way, every line arrives except those that were reported as lost. */
static void everything_arrives_in_the_end(void)
{
    for (int i = 0; i < FEEDERS; i++) {
        struct feeder *f = &feeders[i];

        while (!f->epoch)
            feeder_says_hello(f);
        for (int round = 0; round < 20; round++) {
            pass_time(FEED_RESEND_MS);
            line_of_kind(WIRE_HEARTBEAT, f->epoch, f->next - 1, WIRE_TOPIC_HEARTBEAT, NULL);
            receive_all();
            feeders_listen();
            while (f->send_at < f->next)
                send_line(f, f->epoch, f->send_at++);
            receive_all();
        }
        for (uint64_t n = f->published + 1; n < f->next; n++)
            assert_false(is_good_line(n));
        for (size_t k = 0; k < feed_table_count(core.feeds); k++)
            if (strcmp(feed_table_at(core.feeds, k)->name, f->name) == 0)
                assert_int_equal(feed_table_at(core.feeds, k)->received, f->next - 1);
    }
}

static void whatever_happens_receivers_see_unbroken_chains(void **state)
{
    (void)state;
    dice_seed();
    memset(&receiver, 0, sizeof receiver);
    memset(feeders, 0, sizeof feeders);
    for (int i = 0; i < FEEDERS; i++) {
        snprintf(feeders[i].name, sizeof feeders[i].name, "f%u", (unsigned)i);
        feeder_restarts(&feeders[i]);
    }
    for (int step = 0; step < 30000; step++) {
        feeder_acts(&feeders[dice(FEEDERS)]);
        receive_all();
        if (!dice(3))
            feeders_listen();
        if (!dice(8)) {
            pass_time(dice(120));
            core_acknowledge(&core);
            assert_true(core_tick(&core) >= 0);
        }
        if (!dice(50))
            nonsense_comes_in();
        if (!dice(100))
            core_subscription(&core, SPAN("\x01~mark/x "));
        receive_all();
        if (!dice(300))
            a_newcomer_takes_a_snapshot();
        if (!dice(300))
            a_laggard_asks_for_a_replay();
        if (!dice(3000))
            feeders_wait_out_their_leases();
    }
    everything_arrives_in_the_end();
    a_newcomer_takes_a_snapshot();
    assert_int_equal(journal_head(core.log.journal), receiver.seq);
    assert_true(receiver.seq > 10000 && journal_first(core.log.journal) > 1);
    for (uint64_t seq = 1; seq <= receiver.seq; seq++) {
        buf_free(&receiver.log[seq][0]);
        buf_free(&receiver.log[seq][1]);
        free(receiver.log[seq]);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(whatever_happens_receivers_see_unbroken_chains),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
