/*
 * The gateway's link to the broker at random, against a naive model of what its clients must get.
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

#include "tests/unit/gateway/upstream/upstream_fixture.h"

#define PEERS 5
#define STORIES 150
#define TURNS 250

static const char *const choices[] = {"*", "A*", "AB*", "A1", "A2", "AB1", "B*", "B1", "C1", "Z"};
#define CHOICES (sizeof choices / sizeof *choices)

/* The messages that a client has received. */
static struct peer {
    struct session *s;
    struct buf in;
    struct json *json;
    uint64_t epoch;
    bool holds[CHOICES];
    bool wants_all, will_want_all; /* the second one: once its request is acknowledged */
    bool is_asking;
    uint64_t have[SYMBOLS + 1]; /* the newest position of each symbol; 0: none */
    bool has_losses_from;       /* it gets losses, */
    bool is_anew;               /* its log was replaced, and nothing has come since */
    uint64_t joined_at;         /* what was applied when it was acknowledged last */
    uint64_t losses_from;       /* of those above this position */
    bool may_jump[SYMBOLS];     /* a snapshot of it is to come */
    bool is_stale[SYMBOLS];
    bool is_lost[LOG_MAX]; /* positions that were reported as lost */
    uint64_t newest;       /* of the records in mode all */
} peers[PEERS];

static bool covers(const struct peer *p, unsigned symbol)
{
    for (unsigned i = 0; i < CHOICES; i++)
        if (p->holds[i] && matches(choices[i], names[symbol]))
            return true;
    return false;
}

/* The log of what it got; 0: its gateway knew no broker yet when it answered. */
static bool is_current(const struct peer *p)
{
    return !p->epoch || p->epoch == epoch;
}

/* A client gets no losses from before its subscription. */
static bool is_accounted(const struct peer *p, uint64_t at)
{
    return p->is_lost[at] || (at <= p->joined_at && (entries[at].is_damaged || at <= pruned));
}

/* Every position about `what` between the two was reported as lost. */
static void check_between(const struct peer *p, unsigned what, uint64_t after, uint64_t before,
                          const char *why)
{
    for (uint64_t at = after + 1; at < before && at <= head; at++)
        if (entries[at].what == what && !is_accounted(p, at))
            fail_msg("peer %d, %s, %s of %s: position %llu is missing after %llu, before "
                     "%llu",
                     (int)(p - peers), p->wants_all ? "all" : "merge", why,
                     what == LOSS ? "losses" : names[what], (unsigned long long)at,
                     (unsigned long long)after, (unsigned long long)before);
}

/* All that it follows, up to a position that was reported as complete. */
static void check_complete(const struct peer *p, uint64_t upto, const char *why)
{
    if (!is_current(p) || shape.is_leaky)
        return;
    for (unsigned i = 0; i < SYMBOLS; i++)
        if (covers(p, i) && last_of[i])
            check_between(p, i, p->have[i], upto + 1, why);
    if (p->wants_all && p->has_losses_from)
        check_between(p, LOSS, p->have[LOSS], upto + 1, why);
}

/* A record, in mode all: the next of its symbol, and above all before it. */
static void take_record(struct peer *p, unsigned what, uint64_t seq)
{
    if (seq <= p->have[what])
        fail_msg("peer %d: position %llu comes twice", (int)(p - peers), (unsigned long long)seq);
    check_between(p, what, p->have[what], seq, "record");
    if (seq <= p->newest && !shape.is_leaky)
        fail_msg("peer %d: position %llu after %llu", (int)(p - peers), (unsigned long long)seq,
                 (unsigned long long)p->newest);
    p->newest = seq;
}

static uint64_t number(const struct json_value *m, const char *key)
{
    const struct json_value *v = json_member(m, key);

    return v ? strtoull(v->text.at, NULL, 10) : 0;
}

static void on_symbol(struct peer *p, const struct json_value *m, bool is_snapshot, bool is_state)
{
    struct span name = json_member(m, "symbol")->text;
    const struct json_value *state = json_member(m, "state");
    uint64_t seq = number(m, "seq");
    unsigned i = 0;

    while (i < SYMBOLS && !span_eq(name, names[i]))
        i++;
    assert_true(i < SYMBOLS);
    if (state)
        p->is_stale[i] = span_eq(state->text, "stale");
    else
        p->is_stale[i] = false;
    if (!is_current(p))
        return;
    if (p->is_anew) /* it has joined again; there is no ack */
        p->joined_at = hub_applied(g.hub);
    p->is_anew = false;
    if (p->wants_all && !covers(p, i))
        fail_msg("peer %d: %s was not asked for", (int)(p - peers), names[i]);
    if (!p->wants_all || (is_state && seq == p->have[i])) {
        p->have[i] = seq > p->have[i] ? seq : p->have[i];
        return;
    }
    if (!is_snapshot)
        take_record(p, i, seq);
    else if (seq < p->have[i])
        fail_msg("peer %d: a snapshot goes back", (int)(p - peers));
    else if (!p->may_jump[i])
        check_between(p, i, p->have[i], seq, "snapshot");
    p->may_jump[i] = false;
    p->have[i] = seq;
}

static void on_lost(struct peer *p, const struct json_value *m)
{
    uint64_t seq = number(m, "seq"), last = number(m, "last");

    if (!is_current(p))
        return;
    if (!json_member(m, "feed")->text.len) { /* a hole of the log */
        for (uint64_t at = number(m, "first"); at <= last && at < LOG_MAX; at++)
            p->is_lost[at] = true;
        return;
    }
    if (!p->wants_all || !p->has_losses_from || seq <= p->losses_from)
        return;
    take_record(p, LOSS, seq);
    p->have[LOSS] = seq;
}

static void on_ack(struct peer *p, const struct json_value *m)
{
    const struct json_value *list = json_member(m, "symbols"), *v;
    bool is_leaving = span_eq(json_member(m, "op")->text, "unsubscribe"),
         begins_all = !is_leaving && p->will_want_all && !p->wants_all;

    p->is_asking = false;
    if (!is_leaving) {
        p->wants_all = p->will_want_all;
        p->epoch = strtoull(json_member(m, "epoch")->text.at, NULL, 16);
        p->joined_at = hub_applied(g.hub);
    }
    for (v = list + 1; v < list + list->skip; v += v->skip)
        for (unsigned i = 0; i < CHOICES; i++) {
            if (!span_eq(v->text, choices[i]))
                continue;
            for (unsigned s = 0; s < SYMBOLS; s++)
                if (matches(choices[i], names[s]) && (begins_all || !covers(p, s)))
                    p->may_jump[s] = true;
        }
    if (begins_all) {
        memset(p->may_jump, true, sizeof p->may_jump);
        p->newest = 0;
        p->has_losses_from = false;
    }
    if (p->wants_all && !p->has_losses_from) { /* from now on */
        p->has_losses_from = true;
        p->have[LOSS] = p->losses_from = hub_applied(g.hub);
    }
    for (v = list + 1; v < list + list->skip; v += v->skip)
        for (unsigned i = 0; i < CHOICES; i++)
            if (span_eq(v->text, choices[i]))
                p->holds[i] = !is_leaving;
    for (unsigned s = 0; s < SYMBOLS; s++)
        if (!covers(p, s))
            p->have[s] = 0;
    if (!memchr(p->holds, 1, sizeof p->holds))
        p->has_losses_from = false; /* a client without symbols gets none */
}

static void on_message(struct peer *p, struct span text)
{
    const struct json_value *m;
    struct span type;

    assert_int_equal(json_parse(p->json, text, &m), OK);
    type = json_member(m, "type")->text;
    if (span_eq(type, "quote"))
        on_symbol(p, m, false, false);
    else if (span_eq(type, "state"))
        on_symbol(p, m, false, true);
    else if (span_eq(type, "snapshot"))
        on_symbol(p, m, true, false);
    else if (span_eq(type, "lost"))
        on_lost(p, m);
    else if (span_eq(type, "ack"))
        on_ack(p, m);
    else if (span_eq(type, "heartbeat"))
        check_complete(p, number(m, "seq"), "heartbeat");
    else if (span_eq(type, "reset")) {
        p->epoch = strtoull(json_member(m, "epoch")->text.at, NULL, 16);
        memset(p->have, 0, sizeof p->have);
        memset(p->is_lost, 0, sizeof p->is_lost);
        memset(p->may_jump, true, sizeof p->may_jump);
        p->has_losses_from = false;
        p->newest = 0;
        p->joined_at = 0;
        p->is_anew = true;
    } else {
        assert_true(span_eq(type, "welcome"));
    }
}

static struct peer *peer_of(const struct session *s)
{
    for (size_t i = 0; i < PEERS; i++)
        if (peers[i].json && peers[i].s == s)
            return &peers[i];
    return NULL;
}

/* The connection of a session: what it sends is in its peer's `in`; its peer sends nothing. */
static ssize_t io_send(struct session *s, const void *bytes, size_t len)
{
    struct peer *p = peer_of(s);

    if (p)
        buf_add(&p->in, bytes, len);
    return (ssize_t)len;
}

static const struct session_io io = {
    .send = io_send, .watch = io_watch, .close = io_nothing, .free = io_free};

static void listen_to(struct peer *p)
{
    size_t at = 0;

    while (p->in.len - at >= 2) {
        const unsigned char *b = (const unsigned char *)p->in.data + at;
        size_t len = b[1], from = 2;

        if (len == 126) {
            len = (size_t)b[2] << 8 | b[3];
            from = 4;
        }
        assert_true(at + from + len <= p->in.len && b[1] != 127);
        assert_int_equal(b[0] & 15, OPCODE_TEXT);
        on_message(p, (struct span){p->in.data + at + from, len});
        at += from + len;
    }
    assert_int_equal(at, p->in.len);
    buf_clear(&p->in);
}

/* --- what clients do -------------------------------------------------------------------------- */

static void put_choices(struct buf *out, const char *quote)
{
    for (unsigned left = 1 + dice(3), i = 0; left; left--, i++)
        buf_printf(out, "%s%s%s%s", i ? "," : "", quote, choices[dice(CHOICES)], quote);
}

static void come(struct peer *p)
{
    struct accepted a = {.host = "127.0.0.1", .port = 1};
    struct buf query = {0};

    *p = (struct peer){.s = mem_zalloc(sizeof *p->s), .json = json_new(), .is_asking = true};
    p->will_want_all = shape.is_leaky || dice(3) > 0;
    buf_printf(&query, "mode=%s&symbols=", p->will_want_all ? "all" : "merge");
    put_choices(&query, "");
    buf_addc(&query, '\0');
    a.path = a.query = query.data;
    session_open(g.sessions, p->s, &a);
    session_begin(p->s, &a);
    p->wants_all = false; /* until it is acknowledged nothing of it is judged so */
    buf_free(&query);
}

static void go(struct peer *p)
{
    if (!p->json)
        return;
    session_drop(p->s, "gone");
    json_free(p->json);
    buf_free(&p->in);
    p->json = NULL;
}

static void say_something(struct peer *p)
{
    bool is_leaving = dice(4) == 0, has_mode = !is_leaving && !shape.is_leaky && dice(2);
    struct buf b = {0};

    if (p->is_asking)
        return;
    if (has_mode)
        p->will_want_all = dice(2);
    if (!p->will_want_all)
        p->wants_all = false; /* at once */
    buf_printf(&b, "{\"op\":\"%s\"%s,\"symbols\":[", is_leaving ? "unsubscribe" : "subscribe",
               !has_mode          ? ""
               : p->will_want_all ? ",\"mode\":\"all\""
                                  : ",\"mode\":\"merge\"");
    put_choices(&b, "\"");
    buf_adds(&b, "]}");
    p->is_asking = true;
    session_message(p->s, true, buf_span(&b));
    buf_free(&b);
}

static void do_something(struct peer *p)
{
    if (!p->json)
        come(p);
    else if (dice(20) == 0)
        go(p);
    else if (dice(3) == 0)
        say_something(p);
    else
        session_send_heartbeat(p->s);
}

/* --- turns ------------------------------------------------------------------------------------ */

/* As in the gateway's loop. */
static void turn(size_t deliveries, size_t answers)
{
    for (; deliveries && wire_first < wire_end; deliveries--)
        deliver_one();
    while (answers-- && answer_one())
        ;
    if (!u.is_known && dice(2))
        upstream_say_hello(&u);
    receiver_tick(u.receiver, true, g.awake);
    note_pages();
    hub_fan_out(g.hub);
    sessions_settle(g.sessions);
    sessions_flush_due(g.sessions, SIZE_MAX, UINT64_MAX / 2, false);
    sessions_reap(g.sessions);
    hub_tidy(g.hub, shape.is_leaky ? 100 : 2);
    for (size_t i = 0; i < PEERS; i++)
        if (peers[i].json)
            listen_to(&peers[i]);
}

static void pass(int64_t ms)
{
    g.now += ms;
    g.awake += ms;
    sessions_set_time(g.sessions, g.now, g.awake, 0);
}

static void go_on(void)
{
    pass(1 + dice(300));
    for (unsigned i = dice(shape.per_turn); i; i--)
        publish_some();
    if (dice(4) == 0)
        heartbeat();
    if (dice(100) < shape.cuts)
        cut();
    if (dice(100) < shape.silences)
        pass(UPSTREAM_SILENCE_MS);
    if (dice(1000) < shape.new_logs) {
        begin_log();
        cut();
    }
    if (shape.holes && dice(30) == 0)
        pruned = pruned + dice((unsigned)(head - pruned) + 1);
    if (dice(2))
        place_mark();
    if (dice(2))
        do_something(&peers[dice(PEERS)]);
    turn(dice(12), dice(6));
}

static void settle(void)
{
    shape.loss_of_answers = 0;
    shape.leak = 0;
    for (int i = 0; i < 150 || (u.receiver->phase == PHASE_CATCHING_UP && i < 2000); i++) {
        pass(100);
        if (i % 3 == 0)
            heartbeat();
        place_mark();
        turn(SIZE_MAX, 10);
    }
}

static void check_end(void)
{
    for (size_t k = 0; k < PEERS; k++) {
        struct peer *p = &peers[k];

        if (!p->json)
            continue;
        if (p->is_asking || !is_current(p))
            fail_msg("peer %zu was not answered", k);
        for (unsigned i = 0; i < SYMBOLS; i++) {
            if (!covers(p, i) || !last_of[i])
                continue;
            check_between(p, i, p->have[i], head + 1, "end");
            if (p->is_stale[i] != is_stale[i])
                fail_msg("peer %zu believes that %s is %s", k, names[i],
                         p->is_stale[i] ? "stale" : "live");
        }
        if (p->wants_all && p->has_losses_from)
            check_between(p, LOSS, p->have[LOSS], head + 1, "end");
    }
}

static void draw_shape(void)
{
    static const unsigned often[] = {0, 2, 10};

    shape = (struct shape){
        .symbols = 2 + dice(SYMBOLS - 1),
        .page = 1 + dice(dice(2) ? 3 : 100),
        .loss_of_answers = often[dice(3)],
        .cuts = often[dice(3)],
        .silences = often[dice(3)],
        .new_logs = often[dice(3)],
        .holes = often[dice(3)],
        .per_turn = 2 + dice(12),
        .leak = dice(4) ? 0 : 5,
    };
    shape.is_leaky = shape.leak > 0;
}

static void play(void)
{
    draw_shape();
    open_fixture();
    g.sessions->io = io;
    for (int i = 0; i < TURNS; i++)
        go_on();
    settle();
    check_end();
    for (size_t i = 0; i < PEERS; i++)
        go(&peers[i]);
    sessions_reap(g.sessions);
    close_fixture();
}

static void every_client_in_all_gets_every_record_in_order_or_a_loss_that_names_it(void **state)
{
    (void)state;
    log_init("test", "critical", "text");
    dice_seed();
    for (int i = 0; i < STORIES; i++)
        play();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_client_in_all_gets_every_record_in_order_or_a_loss_that_names_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
