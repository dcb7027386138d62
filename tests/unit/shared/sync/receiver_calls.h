/*
 * receiver_calls: writes each call of a receiver's `out` functions as a line of text, so that a
 * test can compare them.  Include it after <cmocka.h>, in one file of a program.
 *
 *   +TOPIC -TOPIC          subscribed, unsubscribed (a mark as ~)
 *   snapshot? replay?      requests, under their number
 *   SYMBOL POSITION        a record, `of SYMBOL POSITION` a snapshot; leap, logged: the origin
 *   # TEXT   ! TEXT        a note, an error
 */
#ifndef TESTS_UNIT_SHARED_SYNC_RECEIVER_CALLS_H
#define TESTS_UNIT_SHARED_SYNC_RECEIVER_CALLS_H

#include <stdio.h>
#include <string.h>

#include "shared/sync/receiver.h"
#include "tests/unit/packed.h"

#define EPOCH 7

static struct {
    struct receiver *r;
    struct buf called;
    char mark[WIRE_TOPIC_MAX];
    uint64_t last[26], epoch; /* of the symbols A to Z */
    bool wants_all, must_pause;
    int64_t now;
} t;

__attribute__((format(printf, 1, 2))) static inline void note(const char *format, ...)
{
    char line[400];
    va_list args;

    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    buf_printf(&t.called, "%s\n", line);
}

/* The calls since the last check must be these. */
static inline void called(const char *expected)
{
    assert_string_equal(buf_text(&t.called), expected);
    buf_clear(&t.called);
}

#define U(n) ((unsigned long long)(n))

/* --- out ------------------------------------------------------------------------------------ */

static inline void on_listen(void *ctx, struct span topic, bool is_on)
{
    (void)ctx;
    if (topic.len > 5 && memcmp(topic.at, WIRE_TOPIC_MARK, 6) == 0) {
        if (is_on)
            span_copy(t.mark, sizeof t.mark, topic);
        topic = SPAN("~");
    }
    note("%c%.*s", is_on ? '+' : '-', (int)topic.len, topic.at);
}

static inline void on_request_snapshot(void *ctx, uint64_t request, struct span pattern,
                                       uint64_t from)
{
    (void)ctx;
    note("snapshot? #%llu %.*s from %llu", U(request), (int)pattern.len, pattern.at, U(from));
}

static inline void on_request_replay(void *ctx, uint64_t request, struct span patterns,
                                     uint64_t after, uint64_t until)
{
    (void)ctx;
    note("replay? #%llu %.*s %llu-%llu", U(request), (int)patterns.len, patterns.at, U(after + 1),
         U(until));
}

static inline bool wants_all(void *ctx, struct span pattern)
{
    (void)ctx, (void)pattern;
    return t.wants_all;
}

static inline struct receiver_symbol find(void *ctx, struct span name, bool may_add)
{
    uint64_t *last = &t.last[name.at[0] - 'A'];

    (void)ctx, (void)may_add;
    if (!receiver_match(t.r, name).is_wanted)
        return (struct receiver_symbol){0};
    return (struct receiver_symbol){last, *last};
}

static inline struct receiver_coverage cover(void *ctx, struct span name,
                                             const struct receiver_symbol *s)
{
    struct receiver_match m = receiver_match(t.r, name);

    (void)ctx, (void)s;
    return (struct receiver_coverage){m.is_live, m.is_wanted && t.wants_all};
}

static inline void pause_if_told(void)
{
    if (t.must_pause)
        receiver_pause(t.r);
}

static inline void on_record(void *ctx, const struct receiver_symbol *s,
                             const struct wire_record *r, enum receiver_origin origin)
{
    uint64_t *last = s->of;

    (void)ctx;
    assert_int_equal(r->epoch, EPOCH);
    note("%c %llu%s", (char)('A' + (last - t.last)), U(r->seq),
         origin == RECEIVER_LEAP     ? " leap"
         : origin == RECEIVER_LOGGED ? " logged"
                                     : "");
    if (r->seq > *last)
        *last = r->seq;
    pause_if_told();
}

static inline void on_snapshot(void *ctx, const struct receiver_symbol *s,
                               const struct wire_entry *e)
{
    uint64_t *last = s->of;

    (void)ctx;
    note("of %c %llu", (char)('A' + (last - t.last)), U(e->seq));
    if (e->seq > *last)
        *last = e->seq;
    pause_if_told();
}

static inline void on_lost(void *ctx, const struct wire_record *r)
{
    struct span reason = pack_find_text(r->body, "reason");

    (void)ctx;
    note("lost %llu: %llu-%llu %.*s", U(r->seq), U(pack_find_u(r->body, "first", 0)),
         U(pack_find_u(r->body, "last", 0)), (int)reason.len, reason.at);
    pause_if_told();
}

static inline void on_flush(void *ctx)
{
    (void)ctx;
    note("flush");
    pause_if_told();
}

static inline void on_reset(void *ctx, uint64_t epoch, uint64_t old, const char *reason)
{
    (void)ctx;
    memset(t.last, 0, sizeof t.last);
    note("reset %llu after %llu: %s", U(epoch), U(old), reason);
    pause_if_told();
}

static inline void on_link(void *ctx, bool is_up)
{
    (void)ctx;
    note("%s", is_up ? "up" : "down");
}

static inline void on_unverified(void *ctx)
{
    (void)ctx;
    note("unverified");
}

static inline void on_live(void *ctx, struct span pattern, uint64_t seq)
{
    (void)ctx;
    note("live %.*s %llu", (int)pattern.len, pattern.at, U(seq));
}

static inline void on_synced(void *ctx)
{
    (void)ctx;
    note("synced");
}

static inline void on_passed(void *ctx, uint64_t seq)
{
    (void)ctx;
    note("passed %llu", U(seq));
}

static inline void on_complete(void *ctx, uint64_t seq)
{
    (void)ctx;
    note("complete %llu", U(seq));
}

static inline void on_thawed(void *ctx)
{
    (void)ctx;
    note("thawed");
}

static inline void on_fell_back(void *ctx)
{
    (void)ctx;
    note("fell back");
}

static inline void on_note(void *ctx, bool is_error, const char *text)
{
    (void)ctx;
    note("%s %s", is_error ? "!" : "#", text);
}

/* --- the broker ----------------------------------------------------------------------------- */

static inline void tick(int64_t ms)
{
    t.now += ms;
    receiver_tick(t.r, true, t.now);
}

static inline void record_comes(const char *topic, enum wire_kind kind, uint64_t seq, uint64_t prev,
                                const char *json)
{
    struct wire_record r = {.kind = kind, .epoch = t.epoch, .seq = seq, .prev = prev}, read;
    struct buf body = {0}, b = {0};

    packed(&body, json);
    r.body = buf_span(&body);
    wire_put(&b, &r);
    assert_int_equal(wire_read(buf_span(&b), &read, NULL), OK);
    assert_true(receiver_on_record(t.r, span_of(topic), buf_span(&b), &read, t.now));
    buf_free(&body);
    buf_free(&b);
}

static inline void quote(const char *topic, uint64_t seq, uint64_t prev)
{
    record_comes(topic, WIRE_QUOTE, seq, prev, "{}");
}

static inline void mark(uint64_t head, uint64_t heartbeats)
{
    char topic[WIRE_TOPIC_MAX];

    snprintf(topic, sizeof topic, "%s", t.mark); /* it is unsubscribed meanwhile */
    record_comes(topic, WIRE_MARK, head, heartbeats, "null");
}

static inline void answer(uint64_t request, const char *json)
{
    struct buf b = {0};

    packed(&b, json);
    receiver_on_answer(t.r, request, buf_span(&b), t.now);
    buf_free(&b);
}

/* A page of a snapshot with one entry, or none; next 0: the last page. */
static inline void snapshot(uint64_t request, const char *symbol, uint64_t at, uint64_t seq,
                            uint64_t next)
{
    struct wire_record r = {.kind = WIRE_QUOTE, .epoch = t.epoch, .seq = at, .body = SPAN("\x80")};
    struct buf b = {0}, record = {0};
    msgpack_packer pk;

    wire_put(&record, &r);
    msgpack_packer_init(&pk, &b, buf_pack_write);
    msgpack_pack_map(&pk, 4);
    pack_kv_u(&pk, "epoch", t.epoch);
    pack_kv_u(&pk, "seq", seq);
    pack_kv_u(&pk, "next", next);
    pack_key(&pk, "quotes");
    msgpack_pack_array(&pk, symbol ? 1 : 0);
    if (symbol) {
        msgpack_pack_array(&pk, 4);
        pack_text(&pk, span_of(symbol));
        msgpack_pack_uint64(&pk, at);
        pack_text(&pk, SPAN("live"));
        msgpack_pack_bin_with_body(&pk, record.data, record.len);
    }
    receiver_on_answer(t.r, request, buf_span(&b), t.now);
    buf_free(&record);
    buf_free(&b);
}

/* A page of the log with the records of A at `first` and `second`; 0: none. */
static inline void page(uint64_t request, uint64_t log_first, uint64_t upto, uint64_t first,
                        uint64_t second)
{
    uint64_t seqs[] = {first, second};
    struct buf b = {0}, record = {0};
    msgpack_packer pk;

    msgpack_packer_init(&pk, &b, buf_pack_write);
    msgpack_pack_map(&pk, 5);
    pack_kv_u(&pk, "epoch", t.epoch);
    pack_kv_u(&pk, "first", log_first);
    pack_kv_u(&pk, "upto", upto);
    pack_key(&pk, "gaps");
    msgpack_pack_array(&pk, 0);
    pack_key(&pk, "records");
    msgpack_pack_array(&pk, (first ? 1u : 0u) + (second ? 1u : 0u));
    for (int i = 0; i < 2; i++) {
        struct wire_record r = {
            .kind = WIRE_QUOTE, .epoch = t.epoch, .seq = seqs[i], .body = SPAN("\x80")};

        if (!seqs[i])
            continue;
        buf_clear(&record);
        wire_put(&record, &r);
        msgpack_pack_array(&pk, 2);
        pack_text(&pk, SPAN("A "));
        msgpack_pack_bin_with_body(&pk, record.data, record.len);
    }
    receiver_on_answer(t.r, request, buf_span(&b), t.now);
    buf_free(&record);
    buf_free(&b);
}

static inline void open_receiver(const struct receiver_settings *settings)
{
    struct receiver_out out = {{NULL, on_listen, on_request_snapshot, on_request_replay, on_note},
                               NULL,
                               wants_all,
                               find,
                               cover,
                               on_record,
                               on_snapshot,
                               on_lost,
                               on_flush,
                               on_reset,
                               on_link,
                               on_unverified,
                               on_live,
                               on_synced,
                               on_passed,
                               on_complete,
                               on_thawed,
                               on_fell_back};

    memset(&t, 0, sizeof t);
    t.epoch = EPOCH;
    t.now = 1000;
    t.r = receiver_new(settings, &out, t.now);
    called("+!welcome \n+!heartbeat \n+!lost \n");
    receiver_on_welcome(t.r);
    called("");
}

static inline void close_receiver(void)
{
    receiver_free(t.r);
    buf_free(&t.called);
}

static inline void add(const char *pattern)
{
    assert_int_equal(receiver_add(t.r, span_of(pattern)), OK);
}

/* As the gateway opens it: no mark before a heartbeat; snapshots come beside the records. */
static inline void open_gateway(bool all)
{
    open_receiver(&(struct receiver_settings){.name = 1, .needs_heartbeat = true});
    t.wants_all = all;
    add("A*"), add("B");
    called("+A\n+B \n");
    tick(0);
    called("");
    receiver_on_hello(t.r, EPOCH, t.now);
    called("reset 7 after 0: log_replaced\nup\n");
    tick(0);
    called("+~\n");
    mark(100, 3);
}

static inline void open_live_gateway(bool all)
{
    open_gateway(all);
    called("-~\n"
           "snapshot? #1 B from 0\n"
           "snapshot? #2 A* from 0\n");
    snapshot(2, "A", 90, 101, 0);
    called("of A 90\n"
           "live A* 101\n"
           "complete 100\n");
    snapshot(1, NULL, 0, 101, 0);
    called("live B 101\n"
           "complete 100\n"
           "thawed\n"
           "synced\n");
    assert_true(receiver_is_verified(t.r));
}

#endif
