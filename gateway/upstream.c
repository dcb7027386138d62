#include "gateway/upstream_private.h"

#include <msgpack.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "gateway/client.h"
#include "gateway/report.h"
#include "gateway/stream.h"
#include "shared/bus.h"
#include "shared/clock.h"
#include "shared/log.h"
#include "shared/mem.h"
#include "shared/pack.h"

#define BURST 256
#define ANSWER_BYTES 65536 /* of answers in one turn, and one more */
#define HELLO_MS 500       /* between attempts */
#define ASKED_MAX 64       /* snapshots of topics under way */
#define MARK_MS 1000       /* before a mark is tried again */
#define ALIVE_MS 1000
#define REPORT_MS 50
#define NO_BROKER_MS 3000        /* before it is said that there is none, */
#define NO_BROKER_AGAIN_MS 60000 /* and again */
#define CATCH_UP_PATTERNS 64 /* named in a question; of more, everything is asked for */

/* --- asking -------------------------------------------------------------------------- */

/* The head of a request of `members` besides op and id. */
static void begin(struct buf *b, msgpack_packer *pk, const char *op, uint64_t id,
                  uint32_t members)
{
    msgpack_packer_init(pk, b, buf_pack_write);
    msgpack_pack_map(pk, members + 1 + (id != 0));
    pack_kv_text(pk, "op", span_of(op));
    if (id)
        pack_kv_u(pk, "id", id);
}

static void send_control(struct upstream *u, const struct buf *b)
{
    struct span frame = buf_span(b);

    if (bus_send(u->control.socket, &frame, 1))
        log_debug("control: the broker is not taking questions");
    inlet_touch(&u->control);
}

static struct question *question_new(struct upstream *u, enum question_kind kind)
{
    struct question *q = mem_zalloc(sizeof *q);

    q->id = ++u->next_id;
    q->kind = kind;
    q->give_up_at = u->g->now + UPSTREAM_ANSWER_MS;
    u->asked += kind == QUESTION_TOPIC;
    HASH_ADD(hh, u->questions, id, sizeof q->id, q);
    return q;
}

void upstream_question_end(struct upstream *u, struct question *q)
{
    HASH_DEL(u->questions, q);
    u->asked -= q->kind == QUESTION_TOPIC;
    free(q);
}

static void say_hello(struct upstream *u)
{
    struct gateway *g = u->g;
    struct question *q = question_new(u, QUESTION_HELLO);
    struct buf b = {0};
    char host[65] = "";
    msgpack_packer pk;

    gethostname(host, sizeof host - 1);
    begin(&b, &pk, "hello", q->id, 8 + UPSTREAM_KNOWN_MEMBERS);
    pack_kv_text(&pk, "role", SPAN("gateway"));
    pack_kv_text(&pk, "name", span_of(g->name));
    pack_kv_text(&pk, "host", span_of(host));
    pack_kv_text(&pk, "http", span_of(g->http_address));
    pack_kv_u(&pk, "pid", (uint64_t)getpid());
    pack_kv_u(&pk, "limit", (uint64_t)gate_limit(g->gate));
    pack_kv_u(&pk, "oldest", WIRE_VERSION_OLDEST);
    pack_kv_u(&pk, "newest", WIRE_VERSION);
    upstream_pack_known(u, &pk);
    send_control(u, &b);
    buf_free(&b);
    u->hello_at = g->now + HELLO_MS;
}

void upstream_ask_snapshot(struct upstream *u, enum question_kind kind,
                           const char *pattern, uint32_t generation, uint64_t from)
{
    struct question *q = question_new(u, kind);
    struct buf b = {0};
    msgpack_packer pk;

    snprintf(q->pattern, sizeof q->pattern, "%s", pattern);
    q->generation = generation;
    begin(&b, &pk, "snapshot", q->id, 3);
    pack_kv_text(&pk, "pattern", span_of(pattern));
    pack_kv_u(&pk, "from", from);
    pack_kv_u(&pk, "limit", UPSTREAM_PAGE);
    send_control(u, &b);
    buf_free(&b);
}

/* Of everything that somebody in mode all follows. */
static void put_patterns(struct upstream *u, struct buf *out)
{
    size_t count = 0;

    for (const struct hub_topic *t = hub_topic_first(u->g->hub); t; t = t->next) {
        if (!hub_topic_has_all(t))
            continue;
        if (out->len)
            buf_addc(out, ',');
        buf_add(out, t->pattern, t->pattern_len);
        if (++count == CATCH_UP_PATTERNS) {
            buf_clear(out);
            break;
        }
    }
    if (!out->len)
        buf_addc(out, '*');
}

void upstream_ask_page(struct upstream *u)
{
    struct question *q = question_new(u, QUESTION_CATCH_UP);
    struct buf b = {0}, patterns = {0};
    msgpack_packer pk;

    put_patterns(u, &patterns);
    q->generation = u->resyncs;
    begin(&b, &pk, "replay", q->id, 3);
    pack_kv_text(&pk, "pattern", buf_span(&patterns));
    pack_kv_u(&pk, "after", u->verified_seq);
    pack_kv_u(&pk, "until", u->mark_seq);
    send_control(u, &b);
    buf_free(&patterns);
    buf_free(&b);
}

static void ask(struct upstream *u, bool is_possible, const char *op, uint32_t members,
                struct span body, void *ctx, upstream_answer *on_answer)
{
    struct question *q;
    struct buf b = {0};
    msgpack_packer pk;

    if (!is_possible) {
        on_answer(u->g, ctx, SPAN(""));
        return;
    }
    upstream_send_report(u); /* the answer must know of everybody here */
    q = question_new(u, QUESTION_ASK);
    q->ctx = ctx;
    q->on_answer = on_answer;
    begin(&b, &pk, op, q->id, members);
    buf_add(&b, body.at, body.len);
    send_control(u, &b);
    buf_free(&b);
}

void upstream_ask(struct upstream *u, const char *op, uint32_t members,
                  struct span body, void *ctx, upstream_answer *on_answer)
{
    ask(u, u->is_here && u->is_known, op, members, body, ctx, on_answer);
}

void upstream_forward(struct upstream *u, const char *op, uint32_t members,
                      struct span body, void *ctx, upstream_answer *on_answer)
{
    ask(u, u->is_here && u->has_met, op, members, body, ctx, on_answer);
}

/* --- topics and marks ------------------------------------------------------------------- */

static void subscribe(struct upstream *u, int option, const char *topic, size_t len)
{
    zmq_setsockopt(u->records.socket, option, topic, len);
    inlet_touch(&u->records);
}

/* "EUR/USD" is subscribed as "EUR/USD ", "BTC*" as "BTC". */
static size_t zmq_topic(const struct hub_topic *t, char out[WIRE_TOPIC_MAX])
{
    if (!t->is_prefix)
        return wire_topic(out, hub_topic_pattern(t));
    memcpy(out, t->pattern, (size_t)t->pattern_len - 1);
    return (size_t)t->pattern_len - 1;
}

static void on_topic_new(void *ctx, struct hub_topic *t)
{
    struct upstream *u = ctx;
    char topic[WIRE_TOPIC_MAX];

    subscribe(u, ZMQ_SUBSCRIBE, topic, zmq_topic(t, topic));
    u->has_new_topics = true;
}

static void on_topic_gone(void *ctx, const struct hub_topic *t)
{
    struct upstream *u = ctx;
    char topic[WIRE_TOPIC_MAX];

    subscribe(u, ZMQ_UNSUBSCRIBE, topic, zmq_topic(t, topic));
}

void upstream_subscribe_all(struct upstream *u)
{
    subscribe(u, ZMQ_SUBSCRIBE, WIRE_TOPIC_HEARTBEAT, sizeof WIRE_TOPIC_HEARTBEAT - 1);
    subscribe(u, ZMQ_SUBSCRIBE, WIRE_TOPIC_LOST, sizeof WIRE_TOPIC_LOST - 1);
    subscribe(u, ZMQ_SUBSCRIBE, WIRE_TOPIC_WELCOME, sizeof WIRE_TOPIC_WELCOME - 1);
    for (struct hub_topic *t = hub_topic_first(u->g->hub); t; t = t->next)
        on_topic_new(u, t);
}

void upstream_ping(struct upstream *u)
{
    struct buf b = {0};
    msgpack_packer pk;

    begin(&b, &pk, "ping", ++u->next_id, 0);
    send_control(u, &b);
    buf_free(&b);
}

void upstream_drop_mark(struct upstream *u)
{
    if (u->mark[0])
        subscribe(u, ZMQ_UNSUBSCRIBE, u->mark, strlen(u->mark));
    u->mark[0] = '\0';
}

/*
 * One mark serves all topics that are new; those that come meanwhile wait for the next.  A resync
 * needs one even if there is no topic.  While the gateway catches up to one, no other is placed:
 * the end of the catch-up must not move.
 */
static void place_mark(struct upstream *u)
{
    bool is_wanted = !u->is_verified;

    if (u->is_catching_up || (u->mark[0] ? u->g->now - u->mark_at < MARK_MS
                                         : !u->has_new_topics && !is_wanted))
        return;
    u->has_new_topics = false;
    u->generation += is_wanted;
    for (struct hub_topic *t = hub_topic_first(u->g->hub); t; t = t->next) {
        if (t->sync == TOPIC_LIVE || (t->sync == TOPIC_SYNCING && t->is_marked))
            continue; /* live, or its snapshot is under way */
        if (!is_wanted)
            u->generation++;
        is_wanted = true;
        t->sync = TOPIC_SYNCING;
        t->is_marked = false;
        t->generation = u->generation;
    }
    if (!is_wanted)
        return;
    upstream_drop_mark(u);
    snprintf(u->mark, sizeof u->mark, WIRE_TOPIC_MARK "%s-%u ", u->mark_name,
             u->generation);
    subscribe(u, ZMQ_SUBSCRIBE, u->mark, strlen(u->mark));
    u->mark_at = u->g->now;
}

static void on_mark(struct upstream *u, struct span topic, uint64_t seq,
                    uint64_t heartbeats)
{
    if (!u->mark[0] || !span_eq(topic, u->mark))
        return; /* somebody else's, seen through a subscription to everything */
    upstream_drop_mark(u);
    u->mark_seq = seq;
    if (!u->is_verified) {
        u->heartbeat_number = heartbeats; /* those before it were not looked at */
        upstream_catch_up(u);
    }
    if (u->asked_upto == u->to_ask.len) {
        buf_clear(&u->to_ask);
        u->asked_upto = 0;
    }
    for (struct hub_topic *t = hub_topic_first(u->g->hub); t; t = t->next) {
        if (t->sync != TOPIC_SYNCING || t->generation != u->generation)
            continue;
        t->is_marked = true;
        buf_add(&u->to_ask, t->pattern, (size_t)t->pattern_len + 1);
    }
    upstream_ask_more(u);
}

void upstream_ask_more(struct upstream *u)
{
    while (u->is_verified && u->asked < ASKED_MAX && u->asked_upto < u->to_ask.len) {
        const char *pattern = u->to_ask.data + u->asked_upto;
        const struct hub_topic *t = hub_topic_find(u->g->hub, span_of(pattern));

        if (t && t->sync == TOPIC_SYNCING && t->is_marked)
            upstream_ask_snapshot(u, QUESTION_TOPIC, pattern, t->generation, 0);
        u->asked_upto += strlen(pattern) + 1;
    }
}

/* --- records ---------------------------------------------------------------------------------- */

void upstream_set_here(struct upstream *u, bool is_here)
{
    struct gateway *g = u->g;

    if (u->is_here == is_here)
        return;
    u->is_here = is_here;
    if (is_here) {
        log_info("The broker is here, log epoch %016llx",
                 (unsigned long long)hub_epoch(g->hub));
        return;
    }
    log_warning("The broker is silent: every value is stale until it is back");
    u->is_known = u->has_met = false;
    upstream_resync(u);
    hub_go_stale(g->hub);
}

/* The log is another one: nothing we know of positions holds. */
void upstream_check_epoch(struct upstream *u, uint64_t epoch)
{
    struct gateway *g = u->g;
    uint64_t old = hub_epoch(g->hub);

    if (epoch == old)
        return;
    upstream_resync(u);
    u->verified_seq = u->lost_seq = 0;
    u->known_seq = u->known_record = u->known_accepted = 0;
    u->has_verified_seq = false;
    hub_reset(g->hub, epoch);
    if (!old)
        return;
    log_warning(
        "The broker has a new log (epoch %016llx): clients are told to start anew",
        (unsigned long long)epoch);
    stream_reset_all(g, "log_replaced");
}

/* false: something of ours is missing; it has been asked for. */
static bool check_changed(struct upstream *u, struct span body)
{
    struct hub *hub = u->g->hub;
    struct pack_value list, pair, symbol, seq;
    struct span c;
    bool is_complete = true;

    if (pack_check(body) || !pack_find(body, "changed", &list, &c) ||
        list.type != PACK_ARRAY)
        return false;
    pack_next(&c, &list);
    for (uint32_t i = 0; i < list.count; i++) {
        struct hub_symbol *s;

        if (!pack_next(&c, &pair) || pair.type != PACK_ARRAY || pair.count != 2 ||
            !pack_next(&c, &symbol) || !pack_next(&c, &seq) ||
            symbol.type != PACK_STR || seq.type != PACK_UINT ||
            !quote_is_symbol(symbol.text))
            return false;
        s = hub_find(hub, symbol.text);
        if (s ? !hub_is_synced(hub, s) || s->seq >= seq.u
              : !hub_is_covered(hub, symbol.text))
            continue;
        is_complete = false;
        u->gaps++;
        s = hub_know(hub, symbol.text);
        log_info("%s: the record %llu never came: asking for it", s->name,
                 (unsigned long long)seq.u);
        if (hub_has_all(hub, s)) {
            upstream_resync(u);
            return false;
        }
        upstream_ask_snapshot(u, QUESTION_SYMBOL, s->name, 0, 0);
    }
    return is_complete;
}

static void on_heartbeat(struct upstream *u, const struct wire_record *r)
{
    bool has_missed = u->heartbeat_number && r->prev != u->heartbeat_number + 1;

    u->heartbeat_number = r->prev;
    if (has_missed) {
        log_info(
            "heartbeat %llu came after another than its predecessor: records may be "
            "missing",
            (unsigned long long)r->prev);
        u->gaps++;
        upstream_resync(u);
    } else if (check_changed(u, r->body)) {
        hub_set_seq(u->g->hub, r->seq);
        if (!hub_is_frozen(u->g->hub))
            u->verified_seq = r->seq;
    }
}

static void give(struct upstream *u, struct span symbol, const struct wire_record *r)
{
    struct figures *f = &u->g->figures;

    if (!hub_apply(u->g->hub, symbol, r))
        f->not_newer++;
    else if (r->kind == WIRE_QUOTE)
        figures_note(f, r);
}

static void apply(struct upstream *u, struct span symbol, const struct wire_record *r)
{
    struct hub *hub = u->g->hub;
    struct hub_symbol *s;

    if (!hub_is_gap(hub, symbol, r)) {
        give(u, symbol, r);
        return;
    }
    s = hub_find(hub, symbol);
    u->gaps++;
    if (hub_has_all(hub, s)) {
        upstream_resync(u); /* the log has this record, and the one before it */
        return;
    }
    /* In merge a quote makes up for whatever came before it; a state does not. */
    give(u, symbol, r);
    hub_break_window(hub, r->seq);
    if (r->kind == WIRE_STATE)
        upstream_ask_snapshot(u, QUESTION_SYMBOL, s->name, 0, 0);
}

void upstream_take_loss(struct upstream *u, const struct wire_record *r)
{
    if (r->seq <= u->lost_seq || pack_check(r->body))
        return;
    u->lost_seq = r->seq;
    stream_lost_all(u->g, r->seq, r->body);
}

/* `prev` of a loss is the loss before it. */
static void apply_loss(struct upstream *u, const struct wire_record *r)
{
    if (r->prev > u->lost_seq && hub_has_anyone_in_all(u->g->hub)) {
        log_info("the loss at position %llu never came: asking the log",
                 (unsigned long long)r->prev);
        u->gaps++;
        upstream_resync(u);
        return;
    }
    upstream_take_loss(u, r);
}

void upstream_apply(struct upstream *u, struct span topic, const struct wire_record *r)
{
    struct span symbol = wire_topic_symbol(topic);

    switch (r->kind) {
    case WIRE_HEARTBEAT:
        on_heartbeat(u, r);
        break;
    case WIRE_LOST:
        apply_loss(u, r);
        break;
    case WIRE_QUOTE:
    case WIRE_STATE:
        if (symbol.len && !pack_check(r->body))
            apply(u, symbol, r);
        else
            u->g->figures.malformed++;
        break;
    case WIRE_MARK:
    case WIRE_LOCK: /* no topic of ours */
        break;
    }
}

static void on_record(struct upstream *u, struct span topic, struct span message)
{
    struct wire_record r;

    if (wire_read(message, &r, NULL)) {
        log_debug("upstream: a message that is no record");
        u->g->figures.malformed++;
        return;
    }
    u->g->figures.records[r.kind]++;
    if (u->g->tracers)
        r.received_us = (uint64_t)clock_wall_us();
    upstream_check_epoch(u, r.epoch);
    upstream_note_known(u, &r);
    if (r.kind == WIRE_HEARTBEAT) {
        u->heartbeat_at = u->g->awake;
        upstream_set_here(u, true);
    }
    if (r.kind == WIRE_MARK)
        on_mark(u, topic, r.seq, r.prev);
    else
        upstream_deliver(u, topic, message, &r);
}

/*
 * The broker sends this first on every connection, before any record: records that were under way
 * on the connection before may never have arrived.
 */
static void on_welcome(struct upstream *u)
{
    if (u->connections++)
        log_info("The broker's records come over a new connection");
    upstream_resync(u);
}

/* --- reports ---------------------------------------------------------------------- */

void upstream_send_report(struct upstream *u)
{
    struct gateway *g = u->g;
    struct buf b = {0};
    msgpack_packer pk;
    bool is_whole;

    if (!u->is_known || (report_is_empty(&u->report) && g->now < u->alive_at))
        return;
    do { /* in parts that the broker's socket takes */
        buf_clear(&b);
        begin(&b, &pk, "report", 0, REPORT_MEMBERS);
        is_whole = report_take(&u->report, g->place_count, &b);
        send_control(u, &b);
    } while (!is_whole);
    buf_free(&b);
    u->report_at = g->now + REPORT_MS;
    u->alive_at = g->now + ALIVE_MS;
}

void upstream_report_open(struct upstream *u, const struct client *c)
{
    if (u->is_known) /* else the report after hello has everybody */
        report_open(&u->report, c);
}

void upstream_report_close(struct upstream *u, const struct client *c)
{
    if (u->is_known)
        report_close(&u->report, c);
}

/* --- life -------------------------------------------------------------------------------------------- */

struct upstream *upstream_new(struct gateway *g)
{
    struct upstream *u = mem_zalloc(sizeof *u);
    uint64_t name = 0;

    u->g = g;
    u->context = bus_context();
    if (getrandom(&name, sizeof name, 0) != sizeof name || !upstream_link_open(u)) {
        upstream_free(u);
        return NULL;
    }
    snprintf(u->mark_name, sizeof u->mark_name, "%016llx", (unsigned long long)name);
    hub_watch(g->hub, (struct hub_watcher){u, on_topic_new, on_topic_gone});
    u->heartbeat_at = g->awake;
    u->complain_at = g->now + NO_BROKER_MS;
    return u;
}

void upstream_free(struct upstream *u)
{
    struct question *q, *next;

    if (!u)
        return;
    if (u->is_known) {
        struct buf b = {0};
        msgpack_packer pk;

        begin(&b, &pk, "goodbye", ++u->next_id, 0);
        send_control(u, &b);
        buf_free(&b);
        bus_set_linger(u->control.socket, 200);
    }
    hub_watch(u->g->hub, (struct hub_watcher){0});
    HASH_ITER(hh, u->questions, q, next)
    upstream_question_end(u, q);
    upstream_link_close(u);
    zmq_ctx_term(u->context);
    report_fini(&u->report);
    buf_free(&u->to_ask);
    buf_free(&u->held);
    free(u);
}

void upstream_drain(struct upstream *u)
{
    struct bus_message m;
    enum err e = OK;
    size_t bytes = 0; /* a page of values is worth hundreds of records */

    for (int i = 0; i < BURST && e != ERR_AGAIN && bytes < ANSWER_BYTES; i++) {
        e = inlet_recv(&u->control, &m);
        if (e)
            continue;
        bytes += bus_frame(&m, m.count - 1).len;
        u->control_at = u->g->awake;
        upstream_on_answer(u, bus_frame(&m, m.count - 1));
        bus_message_close(&m);
    }
    e = OK;
    for (int i = 0; i < BURST && e != ERR_AGAIN; i++) {
        e = inlet_recv(&u->records, &m);
        if (e)
            continue;
        u->records_at = u->g->awake;
        if (m.count == 2)
            on_record(u, bus_frame(&m, 0), bus_frame(&m, 1));
        else if (m.count == 1 && span_eq(bus_frame(&m, 0), WIRE_TOPIC_WELCOME))
            on_welcome(u);
        bus_message_close(&m);
    }
}

bool upstream_has_input(struct upstream *u)
{
    return inlet_has_more(&u->control) || inlet_has_more(&u->records);
}

/* Heartbeats on one socket and an answer on the other: either may be missing. */
static void complain_of_silence(struct upstream *u)
{
    struct gateway *g = u->g;

    if (u->is_here && u->is_known) {
        u->complain_at = g->now + NO_BROKER_MS;
    } else if (g->now >= u->complain_at) {
        u->complain_at = g->now + NO_BROKER_AGAIN_MS;
        log_warning("no broker at %s and %s%s: is pregon-broker running?",
                    g->config.broker_publish, g->config.broker_control,
                    gate_is_started(g->gate) ? "" : " yet");
    }
}

void upstream_tick(struct upstream *u)
{
    struct gateway *g = u->g;
    struct question *q, *next;

    if (u->is_here && upstream_silence_ms(u) >= UPSTREAM_SILENCE_MS)
        upstream_set_here(u, false);
    upstream_link_tick(u);
    if (!u->is_known && g->now >= u->hello_at)
        say_hello(u);
    if (u->is_here)
        place_mark(u);
    if (g->now >= u->report_at)
        upstream_send_report(u);
    HASH_ITER(hh, u->questions, q, next)
    if (g->now >= q->give_up_at)
        upstream_give_up(u, q);
    upstream_ask_more(u);
    upstream_resync_tick(u);
    if (u->is_here && u->is_known)
        gate_set_started(g->gate);
    complain_of_silence(u);
}

void upstream_introduce(struct upstream *u)
{
    u->is_known = false;
    u->hello_at = 0;
}

bool upstream_is_here(const struct upstream *u)
{
    return u->is_here;
}

int64_t upstream_silence_ms(const struct upstream *u)
{
    return u->g->awake - u->heartbeat_at;
}

uint64_t upstream_gaps(const struct upstream *u)
{
    return u->gaps;
}

uint32_t upstream_connections(const struct upstream *u)
{
    return u->connections;
}
