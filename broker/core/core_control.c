/* core_control: questions and reports on the control socket (docs/protocol/wire.md). */
#include <assert.h>
#include <msgpack.h>
#include <string.h>
#include <unistd.h>

#include "broker/locks/lock_core.h"
#include "broker/core/core_private.h"
#include "shared/base/log.h"
#include "shared/wire/pack.h"
#include "shared/base/version.h"

#define PAGE_CONNECTIONS 1000

/* Begin an answer of `members` besides "re" and "id". */
void answer_begin(struct question *q, uint32_t members)
{
    buf_clear(&q->d->answer);
    msgpack_packer_init(&q->pk, &q->d->answer, buf_pack_write);
    msgpack_pack_map(&q->pk, members + 2);
    pack_kv_text(&q->pk, "re", q->op);
    pack_kv_u(&q->pk, "id", q->id);
}

void answer_send(struct question *q)
{
    q->d->out.say(q->d->out.ctx, q->peer, buf_span(&q->d->answer));
}

void answer_error(struct question *q, enum err e, const char *message)
{
    answer_begin(q, 2);
    pack_kv_text(&q->pk, "error", span_of(err_name(e)));
    pack_kv_text(&q->pk, "message", span_of(message));
    answer_send(q);
}

static bool speaks_our_version(struct question *q)
{
    uint64_t oldest = pack_find_u(q->map, "oldest", 0),
             newest = pack_find_u(q->map, "newest", 0);

    return oldest <= WIRE_VERSION && newest >= WIRE_VERSION_OLDEST;
}

static void hello_feeder(struct question *q)
{
    struct core *d = q->d;
    struct feed_hello h = {
        .name = pack_find_text(q->map, "name"),
        .owner = pack_find_text(q->map, "owner"),
        .host = pack_find_text(q->map, "host"),
        .peer = q->peer,
        .pid = pack_find_u(q->map, "pid", 0),
        .acked = pack_find_u(q->map, "acked", 0),
        .window = pack_find_u(q->map, "window", 0),
        .allow_crossed = pack_find_bool(q->map, "allow_crossed", false),
    };
    struct feed *f = NULL;
    bool is_new = false;
    char text[256], who[CORE_FEED_WHO_MAX];
    enum err e;

    if (feed_table_lacks_room(d->feeds, &h))
        (void)core_feed_make_room(d);
    e = feed_table_hello(d->feeds, &h, d->time.awake, &f, &is_new);
    if (e == ERR_HELD) {
        snprintf(text, sizeof text, "feed %s is held by %s", f->name,
                 core_feed_who(f->pid, f->host, who));
        answer_begin(q, 3);
        pack_kv_text(&q->pk, "error", span_of(err_name(e)));
        pack_kv_text(&q->pk, "message", span_of(text));
        pack_kv_u(&q->pk, "retry_ms", core_feed_retry_ms(d, f));
        answer_send(q);
        return;
    }
    if (e) {
        answer_error(q, e,
                     e == ERR_FULL ? "too many feeds, of this connection or in all"
                                   : "name and owner must be 1 to 64 of A-Z a-z 0-9 "
                                     ". _ -, and acked at most 2^53");
        return;
    }
    if (h.acked > f->received) /* of the same owner: else it counts from there */
        core_claim_lines(d, f, h.acked);
    if (is_new && f->has_published) /* else with its first line */
        core_remember_feed(d, f);
    if (is_new) {
        core_feed_log_grant(d, f);
        /* It held the name before, and vouches for what it said then. */
        if (f->received)
            core_mark_feed(d, f, false);
    }
    answer_begin(q, f->former.owner[0] ? 5 : 4);
    pack_kv_u(&q->pk, "version", WIRE_VERSION);
    pack_kv_u(&q->pk, "epoch", f->epoch);
    pack_kv_u(&q->pk, "received", f->received);
    pack_kv_u(&q->pk, "lease_ms", WIRE_FEED_LEASE_MS);
    if (f->former.owner[0])
        core_feed_pack_former(d, f, &q->pk);
    answer_send(q);
}

static void hello_other(struct question *q, bool is_gateway)
{
    struct core *d = q->d;

    if (is_gateway) {
        struct registry_hello h = {
            .peer = q->peer,
            .name = pack_find_text(q->map, "name"),
            .host = pack_find_text(q->map, "host"),
            .http = pack_find_text(q->map, "http"),
            .pid = pack_find_u(q->map, "pid", 0),
            .limit = pack_find_u(q->map, "limit", 0),
            .wall_us = d->time.wall_us,
        };
        enum err e = registry_hello(d->registry, &h, d->time.awake);

        if (e) {
            answer_error(q, e,
                         e == ERR_FULL
                             ? "too many gateways, each with connections"
                             : "a gateway needs a name of 1 to 64 characters");
            return;
        }
        log_info("gateway %.*s is here (%.*s, pid %llu)", (int)h.name.len, h.name.at,
                 (int)h.http.len, h.http.at, (unsigned long long)h.pid);
    }
    core_claim_position(d, q->map);
    answer_begin(q, 3);
    pack_kv_u(&q->pk, "version", WIRE_VERSION);
    pack_kv_u(&q->pk, "epoch", d->epoch);
    pack_kv_u(&q->pk, "seq", journal_head(d->journal));
    answer_send(q);
}

static void on_hello(struct question *q)
{
    struct span role = pack_find_text(q->map, "role");

    if (!speaks_our_version(q)) {
        char text[128];

        snprintf(text, sizeof text, "this broker speaks wire versions %d to %d",
                 WIRE_VERSION_OLDEST, WIRE_VERSION);
        answer_error(q, ERR_VERSION, text);
    } else if (span_eq(role, "feeder")) {
        hello_feeder(q);
    } else if (span_eq(role, "gateway") || span_eq(role, "consumer")) {
        hello_other(q, span_eq(role, "gateway"));
    } else {
        answer_error(q, ERR_INVALID, "role must be feeder, gateway or consumer");
    }
}

/* The feed this question speaks for, by its epoch; answers unknown_peer if none. */
static struct feed *asking_feed(struct question *q)
{
    struct feed *f =
        feed_table_hear(q->d->feeds, pack_find_u(q->map, "epoch", 0), q->d->time.awake);

    if (!f)
        answer_error(q, ERR_UNKNOWN_PEER, "this epoch holds no feed: say hello");
    return f;
}

static void on_lost(struct question *q)
{
    struct core *d = q->d;
    struct feed *f = asking_feed(q);
    uint64_t first = pack_find_u(q->map, "first", 0),
             last = pack_find_u(q->map, "last", 0);
    struct span reason = pack_find_text(q->map, "reason");
    struct buf body = {0};
    msgpack_packer pk;

    if (!f)
        return;
    if (reason.len > 64 || !feed_may_skip(f, first, last)) {
        answer_error(q, ERR_INVALID,
                     "not the lines that come next, or lines never heard of");
        return;
    }
    if (span_eq(reason, "log_replaced")) /* it was acknowledged them */
        core_claim_lines(d, f, last);
    (void)feed_skip(f, first, last);
    log_error("feed %s lost lines %llu to %llu: %.*s", f->name,
              (unsigned long long)first, (unsigned long long)last, (int)reason.len,
              reason.at);
    msgpack_packer_init(&pk, &body, buf_pack_write);
    msgpack_pack_map(&pk, 5);
    pack_kv_text(&pk, "feed", span_of(f->name));
    pack_kv_u(&pk, "first", first);
    pack_kv_u(&pk, "last", last);
    pack_kv_u(&pk, "count", last - first + 1);
    pack_kv_text(&pk, "reason", reason);
    d->last_lost = core_publish(d, WIRE_LOST, SPAN(WIRE_TOPIC_LOST), d->last_lost,
                                buf_span(&body), f);
    journal_feed(d->journal, f->index)->received = f->received;
    f->last_seq = journal_head(d->journal);
    buf_free(&body);
    answer_begin(q, 1);
    pack_kv_u(&q->pk, "received", f->received);
    answer_send(q);
}

static void on_goodbye(struct question *q)
{
    struct core *d = q->d;
    struct feed *f =
        feed_table_hear(d->feeds, pack_find_u(q->map, "epoch", 0), d->time.awake);
    struct registry_gateway *g = registry_hear(d->registry, q->peer, d->time.awake);

    if (f) {
        log_info("feed %s says goodbye after line %llu", f->name,
                 (unsigned long long)f->received);
        feed_release(f);
        core_mark_feed(d, f, true);
        if (f->has_published)
            core_remember_feed(d,
                               f); /* last: killed before, we judge its symbols again */
    } else if (g) {
        log_info("gateway %s says goodbye", g->name);
        registry_remove(d->registry, g);
    }
    answer_begin(q, 0);
    answer_send(q);
}

static bool read_connection(struct span *c, struct registry_connection *out)
{
    struct pack_value head, id, host, port, since, protocol;

    if (!pack_next(c, &head) || head.type != PACK_ARRAY || head.count != 5 ||
        !pack_next(c, &id) || !pack_next(c, &host) || !pack_next(c, &port) ||
        !pack_next(c, &since) || !pack_next(c, &protocol) || id.type != PACK_UINT ||
        host.type != PACK_STR || host.text.len >= sizeof out->host ||
        port.type != PACK_UINT || port.u > 65535 || since.type != PACK_UINT ||
        protocol.type != PACK_STR)
        return false;
    *out =
        (struct registry_connection){.id = id.u,
                                     .since_us = (int64_t)since.u,
                                     .port = (uint16_t)port.u,
                                     .is_msgpack = span_eq(protocol.text, "msgpack")};
    memcpy(out->host, host.text.at, host.text.len);
    return true;
}

static void ask_who(struct question *q)
{
    buf_clear(&q->d->answer);
    msgpack_packer_init(&q->pk, &q->d->answer, buf_pack_write);
    msgpack_pack_map(&q->pk, 1);
    pack_kv_text(&q->pk, "op", SPAN("who"));
    answer_send(q);
}

/* No answer but "who" if we do not know it, or if its count is not ours. */
static void on_report(struct question *q)
{
    struct core *d = q->d;
    struct registry_gateway *g = registry_hear(d->registry, q->peer, d->time.awake);
    struct registry_connection c;
    struct pack_value list, id;
    struct span raw;

    if (!g) {
        ask_who(q);
        return;
    }
    if (pack_find_bool(q->map, "reset", false))
        registry_reset(d->registry, g);
    if (pack_find(q->map, "opened", &list, &raw) && list.type == PACK_ARRAY) {
        pack_next(&raw, &list);
        d->work -= list.count;
        for (uint32_t i = 0; i < list.count && read_connection(&raw, &c); i++)
            if (registry_open(d->registry, g, &c))
                break;
    }
    if (pack_find(q->map, "closed", &list, &raw) && list.type == PACK_ARRAY) {
        pack_next(&raw, &list);
        d->work -= list.count;
        for (uint32_t i = 0;
             i < list.count && pack_next(&raw, &id) && id.type == PACK_UINT; i++)
            registry_close(d->registry, g, id.u);
    }
    if (pack_find_u(q->map, "count", g->count) != g->count)
        ask_who(q);
}

static void pack_connection(msgpack_packer *pk, const struct registry_gateway *g,
                            const struct registry_connection *c)
{
    msgpack_pack_array(pk, 5);
    pack_text(pk, span_of(g->name));
    pack_text(pk, span_of(c->host));
    msgpack_pack_uint64(pk, c->port);
    msgpack_pack_uint64(pk, (uint64_t)c->since_us);
    pack_text(pk, c->is_msgpack ? SPAN("msgpack") : SPAN("json"));
}

static void on_connections(struct question *q)
{
    struct registry *r = q->d->registry;
    uint64_t skip = pack_find_u(q->map, "offset", 0),
             limit = pack_find_u(q->map, "limit", PAGE_CONNECTIONS), count = 0;
    size_t total = registry_total(r);

    if (limit > PAGE_CONNECTIONS)
        limit = PAGE_CONNECTIONS;
    if (skip < total)
        count = total - skip < limit ? total - skip : limit;
    answer_begin(q, 3);
    pack_kv_u(&q->pk, "total", total);
    core_pack_gateways(q);
    pack_key(&q->pk, "connections");
    msgpack_pack_array(&q->pk, (size_t)count);
    for (size_t i = 0; i < registry_gateways(r) && count; i++) {
        const struct registry_gateway *g = registry_at(r, i);

        for (size_t k = skip < g->count ? (size_t)skip : g->count;
             k < g->count && count; k++, count--)
            pack_connection(&q->pk, g, g->connections[k]);
        skip -= skip < g->count ? skip : g->count;
    }
    answer_send(q);
}

static void on_ping(struct question *q)
{
    answer_begin(q, 0);
    answer_send(q);
}

static void list_locks(struct question *q)
{
    (void)lock_core_control(q->d, q->peer, q->map, q->op, q->id);
}

/* Those that wait take longer than a moment: core_request.c answers them in their turn. */
static const struct {
    const char *op;
    void (*answer)(struct question *q); /* NULL: in slices */
    bool waits;
} ops[] = {
    {"hello", on_hello, false},     {"lost", on_lost, false},
    {"goodbye", on_goodbye, false}, {"report", on_report, false},
    {"ping", on_ping, false},       {"snapshot", NULL, true},
    {"replay", NULL, true},         {"history", NULL, true},
    {"status", core_status, true},  {"connections", on_connections, true},
    {"locks", list_locks, true},
};

static size_t find_op(struct span op)
{
    size_t i = 0;

    while (i < sizeof ops / sizeof ops[0] && !span_eq(op, ops[i].op))
        i++;
    return i;
}

void core_control_answer(struct question *q)
{
    size_t i = find_op(q->op);

    assert(i < sizeof ops / sizeof ops[0] && ops[i].answer);
    ops[i].answer(q);
}

bool core_refuse_deaf(struct question *q)
{
    struct core *d = q->d;

    if (!d->out.may_ask || d->out.may_ask(d->out.ctx, q->peer))
        return false;
    answer_error(q, ERR_TOO_MANY_REQUESTS,
                 "read the answers of the requests before this one first");
    return true;
}

void core_control(struct core *d, struct span peer, struct span message)
{
    static struct log_limit limit = {.burst = 3, .interval_ms = 10000};
    struct question q = {.d = d, .peer = peer, .map = message};
    size_t i;

    d->work -= CORE_WORK_MESSAGE;
    if (pack_check(message)) {
        log_limited(&limit, d->time.now, LOG_WARNING,
                    "control: a malformed message of %zu bytes was dropped",
                    message.len);
        return;
    }
    q.op = pack_find_text(message, "op");
    q.id = pack_find_u(message, "id", 0);
    if (!span_eq(q.op, "report") && core_refuse_deaf(&q)) /* a report has no answer */
        return;
    i = find_op(q.op);
    if (i < sizeof ops / sizeof ops[0] && ops[i].waits)
        core_request_queue(&q);
    else if (i < sizeof ops / sizeof ops[0])
        ops[i].answer(&q);
    else if (!lock_core_control(d, peer, message, q.op, q.id))
        answer_error(&q, ERR_NOT_FOUND, "no such op");
}
