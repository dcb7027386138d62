/* core_control: requests and reports on the control socket (docs/protocol/wire.md). */
#include <assert.h>
#include <msgpack.h>
#include <string.h>
#include <unistd.h>

#include "broker/locks/lock_core.h"
#include "broker/core/core_private.h"
#include "shared/base/log.h"
#include "shared/wire/pack.h"
#include "shared/base/version.h"

static bool speaks_our_version(struct control_request *q)
{
    uint64_t oldest = pack_find_u(q->map, "oldest", 0), newest = pack_find_u(q->map, "newest", 0);

    return oldest <= WIRE_VERSION && newest >= WIRE_VERSION_OLDEST;
}

static void hello_feeder(struct core *d, struct control_request *q)
{
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
    struct feed *f;
    bool is_new = false;

    if (span_eq(h.owner, CORE_PRODUCE_OWNER))
        h.owner = SPAN(""); /* an empty owner is refused */
    f = core_feed_grant(d, q, &h, "too many feeds, of this connection or in all",
                        "name and owner must be 1 to 64 of A-Z a-z 0-9 . _ -, and acked at most "
                        "2^53",
                        &is_new);
    if (!f)
        return;
    if (h.acked > f->received) /* of the same owner: another one counts from there */
        core_claim_lines(d, f, h.acked);
    if (is_new && f->has_published) /* else with its first line */
        core_remember_feed(d, f);
    if (is_new) {
        core_feed_log_grant(d, f);
        /* The same feeder had the name before, so its earlier quotes are valid again. */
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

static void hello_other(struct core *d, struct control_request *q, bool is_gateway)
{

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
                         e == ERR_FULL ? "too many gateways, each with connections"
                                       : "a gateway needs a name of 1 to 64 characters");
            return;
        }
        log_info("gateway %.*s is here (%.*s, pid %llu)", (int)h.name.len, h.name.at,
                 (int)h.http.len, h.http.at, (unsigned long long)h.pid);
    }
    core_claim_position(d, q->map);
    answer_begin(q, 3);
    pack_kv_u(&q->pk, "version", WIRE_VERSION);
    pack_kv_u(&q->pk, "epoch", d->log.epoch);
    pack_kv_u(&q->pk, "seq", journal_head(d->log.journal));
    answer_send(q);
}

static void on_hello(struct core *d, struct control_request *q)
{
    struct span role = pack_find_text(q->map, "role");

    if (!speaks_our_version(q)) {
        char text[128];

        snprintf(text, sizeof text, "this broker speaks wire versions %d to %d",
                 WIRE_VERSION_OLDEST, WIRE_VERSION);
        answer_error(q, ERR_VERSION, text);
    } else if (span_eq(role, "feeder")) {
        hello_feeder(d, q);
    } else if (span_eq(role, "gateway") || span_eq(role, "consumer")) {
        hello_other(d, q, span_eq(role, "gateway"));
    } else {
        answer_error(q, ERR_INVALID, "role must be feeder, gateway or consumer");
    }
}

/* Find the feed of this request by its epoch; answers unknown_peer if there is none. */
static struct feed *requesting_feed(struct core *d, struct control_request *q)
{
    struct feed *f = feed_table_renew(d->feeds, pack_find_u(q->map, "epoch", 0), d->time.awake);

    if (!f)
        answer_error(q, ERR_UNKNOWN_PEER, "this epoch holds no feed: say hello");
    return f;
}

static void on_lost(struct core *d, struct control_request *q)
{
    struct feed *f = requesting_feed(d, q);
    uint64_t first = pack_find_u(q->map, "first", 0), last = pack_find_u(q->map, "last", 0);
    struct span reason = pack_find_text(q->map, "reason");
    struct buf body = {0};
    msgpack_packer pk;

    if (!f)
        return;
    if (reason.len > 64 || !feed_may_skip(f, first, last)) {
        answer_error(q, ERR_INVALID, "not the lines that come next, or lines never announced");
        return;
    }
    if (span_eq(reason, "log_replaced")) /* the broker had acknowledged them */
        core_claim_lines(d, f, last);
    (void)feed_skip(f, first, last);
    log_error("feed %s lost lines %llu to %llu: %.*s", f->name, (unsigned long long)first,
              (unsigned long long)last, (int)reason.len, reason.at);
    msgpack_packer_init(&pk, &body, buf_pack_write);
    msgpack_pack_map(&pk, 5);
    pack_kv_text(&pk, "feed", span_of(f->name));
    pack_kv_u(&pk, "first", first);
    pack_kv_u(&pk, "last", last);
    pack_kv_u(&pk, "count", last - first + 1);
    pack_kv_text(&pk, "reason", reason);
    d->last_lost =
        core_publish(d, WIRE_LOST, SPAN(WIRE_TOPIC_LOST), d->last_lost, buf_span(&body), f);
    journal_feed(d->log.journal, f->index)->received = f->received;
    f->last_seq = journal_head(d->log.journal);
    buf_free(&body);
    answer_begin(q, 1);
    pack_kv_u(&q->pk, "received", f->received);
    answer_send(q);
}

static void on_goodbye(struct core *d, struct control_request *q)
{
    struct feed *f = feed_table_renew(d->feeds, pack_find_u(q->map, "epoch", 0), d->time.awake);
    struct registry_gateway *g = registry_renew(d->registry, q->peer, d->time.awake);

    if (f) {
        log_info("feed %s says goodbye after line %llu", f->name, (unsigned long long)f->received);
        feed_release(f);
        core_mark_feed(d, f, true);
        /*
         * This comes last: if the broker is killed before this point, its next start marks the
         * symbols again.
         */
        if (f->has_published)
            core_remember_feed(d, f);
    } else if (g) {
        log_info("gateway %s says goodbye", g->name);
        registry_remove(d->registry, g);
    }
    answer_begin(q, 0);
    answer_send(q);
}

static void on_ping(struct core *d, struct control_request *q)
{
    (void)d;
    answer_begin(q, 0);
    answer_send(q);
}

static void on_locks(struct core *d, struct control_request *q)
{
    (void)lock_core_control(d->locks, q, &d->time);
}

/* Ops with slices take longer than a turn: core_request.c answers them over several turns. */
static const struct core_op ops[] = {
    {"hello", on_hello, NULL, false},
    {"lost", on_lost, NULL, false},
    {"goodbye", on_goodbye, NULL, false},
    {"publish", core_on_publish, NULL, false},
    {"forget", core_on_forget, NULL, false},
    {"report", core_on_report, NULL, false},
    {"ping", on_ping, NULL, false},
    {"snapshot", NULL, &core_snapshot_slices, true},
    {"replay", NULL, &core_replay_slices, true},
    {"history", NULL, &core_history_slices, true},
    {"status", core_status, NULL, true},
    {"connections", core_on_connections, NULL, true},
    {"locks", on_locks, NULL, true},
};

const struct core_op *core_control_find(struct span op)
{
    for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++)
        if (span_eq(op, ops[i].op))
            return &ops[i];
    return NULL;
}

void core_control(struct core *d, struct span peer, struct span message)
{
    static struct log_limit limit = {.burst = 3, .interval_ms = 10000};
    struct control_request q;
    const struct core_op *op;

    d->work -= CORE_WORK_MESSAGE;
    if (pack_check(message)) {
        log_limited(&limit, d->time.now, LOG_WARNING,
                    "control: a malformed message of %zu bytes was dropped", message.len);
        return;
    }
    q = answer_request(&d->answers, peer, message);
    if (!span_eq(q.op, "report") && core_request_refuse(d, &q)) /* a report has no answer */
        return;
    op = core_control_find(q.op);
    if (op && op->waits)
        core_request_queue(d, &q);
    else if (op)
        op->answer(d, &q);
    else if (!lock_core_control(d->locks, &q, &d->time))
        answer_error(&q, ERR_NOT_FOUND, "no such op");
}

static void answer_history(struct core *d, struct control_request *q, struct archive_result *r)
{
    struct buf again = {0};

    if (!core_history_answer(&d->log, q, r, &again) &&
        core_request_add(d, q->peer, buf_span(&again))) /* too many wait */
        (void)core_history_answer(&d->log, q, r, NULL);
    buf_free(&again);
}

void core_take_answers(struct core *d)
{
    struct archive_result r;

    while (log_writer_take_answer(d->log.log_writer, &r)) {
        struct control_request q = {.answers = &d->answers,
                                    .peer = {r.ticket.peer, r.ticket.peer_len},
                                    .id = r.ticket.id,
                                    .op = r.is_history ? SPAN("history") : SPAN("replay")};

        if (r.error)
            answer_error(&q, r.error, r.text);
        else if (r.is_history)
            answer_history(d, &q, &r);
        else
            core_replay_send(&d->log, &q, &r.page);
        archive_result_clear(&r);
    }
}
