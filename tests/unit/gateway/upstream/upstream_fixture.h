/*
 * upstream_fixture: a gateway without sockets to a broker, and a broker after docs/protocol/wire.md
 * that loses connections, answers and its log.  Include it after <cmocka.h>, in one file of a
 * program.
 *
 * The fixture sets the time.  Records wait in `wire` until the test delivers them; requests wait in
 * the gateway's own table until the test answers them.
 */
#ifndef TESTS_UNIT_GATEWAY_UPSTREAM_UPSTREAM_FIXTURE_H
#define TESTS_UNIT_GATEWAY_UPSTREAM_UPSTREAM_FIXTURE_H

#include <msgpack.h>
#include <stdio.h>
#include <string.h>

#include "shared/base/log.h"
#include "shared/base/mem.h"
#include "shared/sync/receiver_private.h"
#include "shared/wire/pack.h"
#include "shared/wire/wire.h"
#include "tests/unit/dice.h"
#include "tests/unit/gateway/upstream/upstream_owner.h"

#define SYMBOLS 12
#define LOSS SYMBOLS /* what a position is about, if it is a feed's loss */
#define LOG_MAX 4096
#define WIRE_LENGTH 8192
#define ACTIVE_MAX 64

static const char *const names[SYMBOLS] = {"A1", "A2", "A3", "AB1", "AB2", "B1",
                                           "B2", "B3", "C1", "C2",  "D",   "E"};

/* The properties of this random run, drawn at its start. */
static struct shape {
    unsigned symbols, page, loss_of_answers, cuts, silences, new_logs, holes, per_turn;
    unsigned leak; /* of 100 records lost on a connection, as no broker of ours does it */
    /* So order cannot be promised, and a lost record is only sure to be found in mode all. */
    bool is_leaky;
} shape;

/* The log: what each position is about; positions begin with 1. */
static struct entry {
    unsigned what;
    enum wire_kind kind;
    uint64_t prev;
    bool is_damaged;
    struct buf record;
} entries[LOG_MAX];
static uint64_t epoch, head, pruned, heartbeats, last_of[SYMBOLS + 1], quote_of[SYMBOLS + 1];
static bool is_stale[SYMBOLS + 1], has_changed[SYMBOLS + 1];

static struct sent {
    bool is_welcome;
    char topic[WIRE_TOPIC_MAX];
    size_t topic_len;
    struct buf message;
} wire[WIRE_LENGTH];
static size_t wire_first, wire_end;
static char active[ACTIVE_MAX][HUB_PATTERN_MAX + 1], placed[WIRE_TOPIC_MAX];
static size_t active_count;

/* The request of the last page: the request itself went to no socket. */
static struct page_of {
    uint64_t number, after, until;
    char patterns[ACTIVE_MAX][HUB_PATTERN_MAX + 1];
    size_t count;
} page_of;

static bool matches(const char *pattern, const char *symbol)
{
    size_t len = strlen(pattern);

    return pattern[len - 1] == '*' ? strncmp(pattern, symbol, len - 1) == 0
                                   : strcmp(pattern, symbol) == 0;
}

static bool any_matches(char (*patterns)[HUB_PATTERN_MAX + 1], size_t count, const char *symbol)
{
    for (size_t i = 0; i < count; i++)
        if (matches(patterns[i], symbol))
            return true;
    return false;
}

/* --- the connection for records ------------------------------------------------------- */

static void send_record(const char *topic, size_t topic_len, struct span message)
{
    struct sent *s = &wire[wire_end++];

    assert_true(wire_end < WIRE_LENGTH && topic_len <= sizeof s->topic);
    *s = (struct sent){.topic_len = topic_len};
    memcpy(s->topic, topic, topic_len);
    buf_add(&s->message, message.at, message.len);
}

static void clear_wire(void)
{
    while (wire_first < wire_end)
        buf_free(&wire[wire_first++].message);
    wire_first = wire_end = 0;
}

/* The gateway's subscriptions have come to the broker. */
static void activate(void)
{
    active_count = 0;
    for (const struct hub_topic *t = hub_topic_first(g.hub); t; t = t->next) {
        assert_true(active_count < ACTIVE_MAX);
        strcpy(active[active_count++], t->pattern);
    }
}

/* A new connection; messages on the way on the old one are lost. */
static void cut(void)
{
    clear_wire();
    wire[wire_end++] = (struct sent){.is_welcome = true};
    activate();
    placed[0] = '\0';
}

static void send_control_record(const char *topic, const struct wire_record *r)
{
    struct buf b = {0};

    wire_put(&b, r);
    send_record(topic, strlen(topic), buf_span(&b));
    buf_free(&b);
}

static void place_mark(void)
{
    struct wire_record r = {.kind = WIRE_MARK, .epoch = epoch, .seq = head, .prev = heartbeats};

    if (!u.receiver->mark[0] || strcmp(u.receiver->mark, placed) == 0)
        return;
    strcpy(placed, u.receiver->mark);
    activate();
    r.body = SPAN("\xc0");
    send_control_record(placed, &r);
}

static void heartbeat(void)
{
    struct buf body = {0};
    struct wire_record r = {
        .kind = WIRE_HEARTBEAT, .epoch = epoch, .seq = head, .prev = ++heartbeats};
    msgpack_packer pk;
    unsigned count = 0;

    for (unsigned i = 0; i < SYMBOLS; i++)
        count += has_changed[i];
    msgpack_packer_init(&pk, &body, buf_pack_write);
    msgpack_pack_map(&pk, 1);
    pack_key(&pk, "changed");
    msgpack_pack_array(&pk, count);
    for (unsigned i = 0; i < SYMBOLS; i++) {
        if (!has_changed[i])
            continue;
        msgpack_pack_array(&pk, 2);
        pack_text(&pk, span_of(names[i]));
        msgpack_pack_uint64(&pk, last_of[i]);
        has_changed[i] = false;
    }
    r.body = buf_span(&body);
    send_control_record(WIRE_TOPIC_HEARTBEAT, &r);
    buf_free(&body);
}

/* --- the log ---------------------------------------------------------------------------- */

static void begin_log(void)
{
    for (uint64_t i = 1; i <= head; i++)
        buf_free(&entries[i].record);
    epoch++;
    head = pruned = heartbeats = 0;
    memset(last_of, 0, sizeof last_of);
    memset(quote_of, 0, sizeof quote_of);
    memset(is_stale, 0, sizeof is_stale);
    memset(has_changed, 0, sizeof has_changed);
}

static void put_body(struct buf *out, unsigned what, enum wire_kind kind)
{
    msgpack_packer pk;

    msgpack_packer_init(&pk, out, buf_pack_write);
    msgpack_pack_map(&pk, kind == WIRE_LOST ? 5 : 1);
    if (kind == WIRE_QUOTE) {
        pack_kv_text(&pk, "last", SPAN("1.5"));
    } else if (kind == WIRE_STATE) {
        pack_kv_text(&pk, "state", is_stale[what] ? SPAN("stale") : SPAN("live"));
    } else {
        pack_kv_text(&pk, "feed", SPAN("f"));
        pack_kv_u(&pk, "first", 1);
        pack_kv_u(&pk, "last", 1);
        pack_kv_u(&pk, "count", 1);
        pack_kv_text(&pk, "reason", SPAN("ring_overflow"));
    }
}

static struct span topic_of(unsigned what, char out[WIRE_TOPIC_MAX])
{
    if (what == LOSS)
        return SPAN(WIRE_TOPIC_LOST);
    return (struct span){out, wire_topic(out, span_of(names[what]))};
}

/* A client follows each of its records: then one that is lost is found. */
static bool is_followed(unsigned symbol)
{
    struct hub_symbol *s = hub_find(g.hub, span_of(names[symbol]));

    return receiver_is_verified(u.receiver) && s && s->seq &&
           hub_cover(g.hub, span_of(names[symbol]), s).has_all;
}

/* A new record; sent to the gateway if it is subscribed. */
static void publish(unsigned what, enum wire_kind kind)
{
    struct entry *e = &entries[++head];
    char room[WIRE_TOPIC_MAX];
    struct span topic = topic_of(what, room);
    struct buf body = {0};
    struct wire_record r;
    bool is_leaked;

    assert_true(head < LOG_MAX);
    if (kind == WIRE_STATE)
        is_stale[what] = !is_stale[what];
    else if (kind == WIRE_QUOTE)
        is_stale[what] = false;
    put_body(&body, what, kind);
    r = (struct wire_record){
        .kind = kind, .epoch = epoch, .seq = head, .prev = last_of[what], .body = buf_span(&body)};
    *e = (struct entry){.what = what, .kind = kind, .prev = last_of[what]};
    e->is_damaged = dice(100) < shape.holes;
    wire_put(&e->record, &r);
    buf_free(&body);
    is_leaked = what != LOSS && is_followed(what) && dice(100) < shape.leak;
    last_of[what] = head;
    if (kind == WIRE_QUOTE)
        quote_of[what] = head;
    if (what != LOSS)
        has_changed[what] = true;
    if (what == LOSS || (!is_leaked && any_matches(active, active_count, names[what])))
        send_record(topic.at, topic.len, buf_span(&e->record));
}

static void publish_some(void)
{
    unsigned what = dice(4) ? dice(2) : dice(shape.symbols); /* two are hot */

    if (head + 2 >= LOG_MAX)
        return;
    if (dice(30) == 0)
        publish(LOSS, WIRE_LOST);
    else
        publish(what, quote_of[what] && dice(8) == 0 ? WIRE_STATE : WIRE_QUOTE);
}

/* --- answers ------------------------------------------------------------------------------ */

static void begin_answer(struct buf *b, msgpack_packer *pk, uint64_t id, uint32_t members)
{
    msgpack_packer_init(pk, b, buf_pack_write);
    msgpack_pack_map(pk, 3 + members);
    pack_kv_u(pk, "id", id);
    pack_kv_u(pk, "epoch", epoch);
    pack_kv_u(pk, "seq", head);
}

static void pack_record(msgpack_packer *pk, uint64_t at)
{
    msgpack_pack_bin(pk, entries[at].record.len);
    msgpack_pack_bin_body(pk, entries[at].record.data, entries[at].record.len);
}

static void answer_snapshot(struct buf *b, const struct sent_request *sent,
                            const struct receiver_request *q)
{
    msgpack_packer pk;
    unsigned count = 0;

    for (unsigned i = 0; i < SYMBOLS; i++)
        count += quote_of[i] && matches(q->text, names[i]);
    begin_answer(b, &pk, sent->id, 1);
    pack_key(&pk, "quotes");
    msgpack_pack_array(&pk, count);
    for (unsigned i = 0; i < SYMBOLS; i++) {
        if (!quote_of[i] || !matches(q->text, names[i]))
            continue;
        msgpack_pack_array(&pk, 4);
        pack_text(&pk, span_of(names[i]));
        msgpack_pack_uint64(&pk, last_of[i]);
        pack_text(&pk, is_stale[i] ? SPAN("stale") : SPAN("live"));
        pack_record(&pk, quote_of[i]);
    }
}

static bool is_in_page(uint64_t at)
{
    return !entries[at].is_damaged &&
           (entries[at].what == LOSS ||
            any_matches(page_of.patterns, page_of.count, names[entries[at].what]));
}

static void answer_page(struct buf *b, const struct sent_request *sent)
{
    uint64_t from = page_of.after > pruned ? page_of.after : pruned, upto;
    msgpack_packer pk;
    unsigned records = 0, holes = 0;

    upto = from + 1 + dice(shape.page);
    if (upto > page_of.until)
        upto = page_of.until > page_of.after ? page_of.until : page_of.after;
    if (upto > head)
        upto = head;
    for (uint64_t at = from + 1; at <= upto; at++) {
        records += is_in_page(at);
        holes += entries[at].is_damaged;
    }
    begin_answer(b, &pk, sent->id, 5);
    pack_kv_u(&pk, "first", pruned + 1);
    pack_kv_u(&pk, "head", head);
    pack_kv_u(&pk, "upto", upto);
    pack_key(&pk, "gaps");
    msgpack_pack_array(&pk, holes);
    for (uint64_t at = from + 1; at <= upto; at++) {
        if (!entries[at].is_damaged)
            continue;
        msgpack_pack_array(&pk, 3);
        msgpack_pack_uint64(&pk, at);
        msgpack_pack_uint64(&pk, at);
        pack_text(&pk, SPAN("damaged"));
    }
    pack_key(&pk, "records");
    msgpack_pack_array(&pk, records);
    for (uint64_t at = from + 1; at <= upto; at++) {
        char room[WIRE_TOPIC_MAX];

        if (!is_in_page(at))
            continue;
        msgpack_pack_array(&pk, 2);
        pack_text(&pk, topic_of(entries[at].what, room));
        pack_record(&pk, at);
    }
}

/* Has a page been requested since the last look? */
static void note_pages(void)
{
    const struct receiver *f = u.receiver;

    if (!f->page_request || f->page_request == page_of.number)
        return;
    page_of = (struct page_of){f->page_request, f->verified_seq, f->mark_seq, {{0}}, 0};
    for (const struct hub_topic *t = hub_topic_first(g.hub); t; t = t->next)
        if (hub_topic_has_all(t))
            strcpy(page_of.patterns[page_of.count++], t->pattern);
    if (!page_of.count)
        strcpy(page_of.patterns[page_of.count++], "*");
}

/* Answer the oldest request, or lose the answer; false: there is none. */
static bool answer_one(void)
{
    struct sent_request *sent = u.requests; /* uthash keeps the order of insertion */
    struct receiver_request *q;
    struct buf b = {0};
    msgpack_packer pk;

    if (!sent)
        return false;
    q = receiver_find_request(u.receiver, sent->number);
    if (sent->kind == SENT_RECEIVER && q)
        answer_snapshot(&b, sent, q);
    else if (sent->kind == SENT_RECEIVER && sent->number == u.receiver->page_request &&
             sent->number == page_of.number)
        answer_page(&b, sent);
    else
        begin_answer(&b, &pk, sent->id, 0);
    if (dice(100) < shape.loss_of_answers)
        upstream_give_up(&u, sent);
    else
        upstream_on_answer(&u, buf_span(&b), g.awake);
    note_pages();
    buf_free(&b);
    return true;
}

/* Deliver the oldest message that is on the way to the gateway. */
static void deliver_one(void)
{
    struct sent *s = &wire[wire_first++];

    if (s->is_welcome)
        receiver_on_welcome(u.receiver);
    else
        upstream_on_record(&u, (struct span){s->topic, s->topic_len}, buf_span(&s->message),
                           g.awake);
    buf_free(&s->message);
    note_pages();
    if (wire_first == wire_end)
        wire_first = wire_end = 0;
}

/* --- life ----------------------------------------------------------------------------------- */

static void open_fixture(void)
{
    static char no_auto[] = "";
    const struct session_out out = {NULL, reserve_nothing, reserve_nothing, is_broker_here,
                                    request};

    memset(&g, 0, sizeof g);
    g.now = g.awake = 1000;
    g.loop = loop_new();
    g.config.client_queue = 1 << 24;
    g.config.max_symbols = 1000;
    g.config.topic_bytes = 1 << 20;
    g.config.auto_max = 1000;
    g.config.handshake_rate = 2000;
    g.config.heartbeat = g.config.websocket_timeout = 1000000;
    g.config.websocket_auto_subscribe = no_auto;
    counters_init(&g.counters);
    g.hub = hub_new((size_t)g.config.client_queue);
    hub_set_window(g.hub, dice(2) ? 2000 : 1 << 20);
    g.sessions = sessions_new(&g.config, "test", g.hub, &g.counters, &out);
    sessions_set_time(g.sessions, g.now, g.awake, 0);
    u = (struct upstream){
        .settings = {.loop = g.loop,
                     .hub = g.hub,
                     .counters = &g.counters,
                     .tracers = &g.sessions->traced_count},
        .out = {NULL, describe_self, note_nothing, note_nothing, report_loss, reset_sessions},
    };
    page_of.number = 0;
    upstream_connect_hub(&u, 1, g.awake);
    begin_log();
    cut();
}

static void close_fixture(void)
{
    while (u.requests)
        upstream_end_request(&u, u.requests);
    clear_wire();
    begin_log();
    sessions_free(g.sessions);
    hub_free(g.hub);
    loop_free(g.loop);
    report_fini(&u.report);
    receiver_free(u.receiver);
}

#endif
