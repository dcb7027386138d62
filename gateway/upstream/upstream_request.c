/*
 * upstream_request: what the gateway sends to the broker (requests, and reports of its
 * connections), and the broker's answers.
 *
 * A request is kept, by its id, until it is answered or given up (UPSTREAM_ANSWER_MS).
 */
#include <msgpack.h>
#include <stdlib.h>
#include <unistd.h>

#include "gateway/upstream/upstream_private.h"
#include "shared/base/log.h"
#include "shared/base/mem.h"
#include "shared/wire/bus.h"
#include "shared/wire/pack.h"

#define HELLO_MS 500 /* between attempts */
#define ALIVE_MS 1000
#define REPORT_MS 50

/* The head of a request of `members` besides op and id. */
static void begin(struct buf *b, msgpack_packer *pk, const char *op, uint64_t id, uint32_t members)
{
    msgpack_packer_init(pk, b, buf_pack_write);
    msgpack_pack_map(pk, members + 1 + (id != 0));
    pack_kv_text(pk, "op", span_of(op));
    if (id)
        pack_kv_u(pk, "id", id);
}

/* Sends and frees b. */
static void send_control(struct upstream *u, struct buf *b)
{
    struct span frame = buf_span(b);

    if (bus_send(u->control.socket, &frame, 1))
        log_debug("control: the broker is not taking requests");
    readiness_touch(&u->control);
    buf_free(b);
}

static struct sent_request *request_new(struct upstream *u, enum sent_kind kind)
{
    struct sent_request *q = mem_zalloc(sizeof *q);

    q->id = ++u->next_id;
    q->kind = kind;
    q->give_up_at = loop_awake(u->settings.loop) + UPSTREAM_ANSWER_MS;
    HASH_ADD(hh, u->requests, id, sizeof q->id, q);
    return q;
}

void upstream_end_request(struct upstream *u, struct sent_request *q)
{
    HASH_DEL(u->requests, q);
    free(q);
}

void upstream_give_up(struct upstream *u, struct sent_request *q)
{
    if (q->kind == SENT_OWNER)
        q->on_answer(q->ctx, SPAN(""));
    upstream_end_request(u, q); /* the receiver repeats the request if it still needs the answer */
}

void upstream_introduce(struct upstream *u)
{
    u->is_known = false;
    u->hello_at = 0;
}

void upstream_say_hello(struct upstream *u)
{
    struct upstream_self self = u->out.self(u->out.ctx);
    struct receiver_known known = receiver_known(u->receiver);
    struct sent_request *q = request_new(u, SENT_HELLO);
    struct buf b = {0};
    char host[65] = "";
    msgpack_packer pk;

    gethostname(host, sizeof host - 1);
    begin(&b, &pk, "hello", q->id, 12);
    pack_kv_text(&pk, "role", SPAN("gateway"));
    pack_kv_text(&pk, "name", span_of(self.name));
    pack_kv_text(&pk, "host", span_of(host));
    pack_kv_text(&pk, "http", span_of(self.http));
    pack_kv_u(&pk, "pid", (uint64_t)getpid());
    pack_kv_u(&pk, "limit", self.limit);
    pack_kv_u(&pk, "oldest", WIRE_VERSION_OLDEST);
    pack_kv_u(&pk, "newest", WIRE_VERSION);
    pack_kv_u(&pk, "known_epoch", known.epoch);
    pack_kv_u(&pk, "known_seq", known.seq);
    pack_kv_u(&pk, "known_record", known.record);
    pack_kv_u(&pk, "known_accepted", known.accepted_us);
    send_control(u, &b);
    u->hello_at = loop_awake(u->settings.loop) + HELLO_MS;
}

void upstream_request_snapshot(void *ctx, uint64_t number, struct span pattern, uint64_t from)
{
    struct upstream *u = ctx;
    struct sent_request *q = request_new(u, SENT_RECEIVER);
    struct buf b = {0};
    msgpack_packer pk;

    q->number = number;
    begin(&b, &pk, "snapshot", q->id, 3);
    pack_kv_text(&pk, "pattern", pattern);
    pack_kv_u(&pk, "from", from);
    pack_kv_u(&pk, "limit", UPSTREAM_PAGE);
    send_control(u, &b);
}

void upstream_request_replay(void *ctx, uint64_t number, struct span patterns, uint64_t after,
                             uint64_t until)
{
    struct upstream *u = ctx;
    struct sent_request *q = request_new(u, SENT_RECEIVER);
    struct buf b = {0};
    msgpack_packer pk;

    q->number = number;
    begin(&b, &pk, "replay", q->id, 3);
    pack_kv_text(&pk, "pattern", patterns);
    pack_kv_u(&pk, "after", after);
    pack_kv_u(&pk, "until", until);
    send_control(u, &b);
}

static void request(struct upstream *u, bool is_possible, const char *op, uint32_t members,
                    struct span body, void *ctx, upstream_answer *on_answer)
{
    struct sent_request *q;
    struct buf b = {0};
    msgpack_packer pk;

    if (!is_possible) {
        on_answer(ctx, SPAN(""));
        return;
    }
    upstream_send_report(u); /* the broker's answer must count all our connections */
    q = request_new(u, SENT_OWNER);
    q->ctx = ctx;
    q->on_answer = on_answer;
    begin(&b, &pk, op, q->id, members);
    buf_add(&b, body.at, body.len);
    send_control(u, &b);
}

void upstream_request(struct upstream *u, const char *op, uint32_t members, struct span body,
                      void *ctx, upstream_answer *on_answer)
{
    request(u, u->is_known, op, members, body, ctx, on_answer);
}

void upstream_forward(struct upstream *u, const char *op, uint32_t members, struct span body,
                      void *ctx, upstream_answer *on_answer)
{
    request(u, u->has_met, op, members, body, ctx, on_answer);
}

void upstream_ping(struct upstream *u)
{
    struct buf b = {0};
    msgpack_packer pk;

    begin(&b, &pk, "ping", ++u->next_id, 0);
    send_control(u, &b);
}

void upstream_say_goodbye(struct upstream *u)
{
    struct buf b = {0};
    msgpack_packer pk;

    begin(&b, &pk, "goodbye", ++u->next_id, 0);
    send_control(u, &b);
    bus_set_linger(u->control.socket, 200);
}

/* --- reports ---------------------------------------------------------------------- */

void upstream_send_report(struct upstream *u)
{
    int64_t now = loop_awake(u->settings.loop);
    bool is_whole;

    if (!u->is_known || (report_is_empty(&u->report) && now < u->alive_at))
        return;
    do { /* in parts that the broker's socket takes */
        struct buf b = {0};
        msgpack_packer pk;

        begin(&b, &pk, "report", 0, REPORT_MEMBERS);
        is_whole = report_take(&u->report, u->out.self(u->out.ctx).count, &b);
        send_control(u, &b);
    } while (!is_whole);
    u->report_at = now + REPORT_MS;
    u->alive_at = now + ALIVE_MS;
}

void upstream_report_open(struct upstream *u, const struct report_client *c)
{
    if (u->is_known) /* otherwise the report after hello has all connections */
        report_open(&u->report, c);
}

void upstream_report_close(struct upstream *u, uint64_t client_id)
{
    if (u->is_known)
        report_close(&u->report, client_id);
}

/* --- answers ------------------------------------------------------------------------- */

static void on_hello(struct upstream *u, struct span answer, int64_t now)
{
    struct span error = pack_find_text(answer, "error"), text = pack_find_text(answer, "message");

    if (error.len) {
        log_error("The broker refuses this gateway: %.*s (%.*s)", (int)error.len, error.at,
                  (int)text.len, text.at);
        return;
    }
    if (u->is_known)
        return;
    u->is_known = u->has_met = true;
    /* As good as a heartbeat, and up to a second earlier. */
    receiver_on_hello(u->receiver, pack_find_u(answer, "epoch", 0), now);
    report_fini(&u->report);
    u->out.report_all(u->out.ctx);
    upstream_send_report(u);
}

void upstream_on_answer(struct upstream *u, struct span answer, int64_t now)
{
    struct sent_request *q;
    uint64_t id;

    if (pack_check(answer))
        return;
    if (span_eq(pack_find_text(answer, "op"), "who")) {
        upstream_introduce(u);
        return;
    }
    id = pack_find_u(answer, "id", 0);
    HASH_FIND(hh, u->requests, &id, sizeof id, q);
    if (!q)
        return; /* the request was given up */
    switch (q->kind) {
    case SENT_HELLO:
        on_hello(u, answer, now);
        break;
    case SENT_RECEIVER:
        receiver_on_answer(u->receiver, q->number, answer, now);
        break;
    case SENT_OWNER:
        q->on_answer(q->ctx, answer);
        break;
    }
    upstream_end_request(u, q);
}
