/*
 * upstream_request: what the gateway sends to the broker: requests, and reports of its connections.
 *
 * A request is kept, by its id, until it is answered or given up (UPSTREAM_ANSWER_MS).
 */
#include <msgpack.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gateway/session/sessions.h"
#include "gateway/upstream/upstream_private.h"
#include "shared/wire/bus.h"
#include "shared/base/log.h"
#include "shared/base/mem.h"
#include "shared/wire/pack.h"

#define HELLO_MS 500 /* between attempts */
#define ALIVE_MS 1000
#define REPORT_MS 50
#define CATCH_UP_PATTERNS 64 /* named in a request; of more, everything is asked for */

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
    readiness_touch(&u->control);
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

void upstream_say_hello(struct upstream *u)
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

void upstream_request_snapshot(struct upstream *u, enum question_kind kind,
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

void upstream_request_page(struct upstream *u)
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
        on_answer(ctx, SPAN(""));
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

void upstream_request(struct upstream *u, const char *op, uint32_t members,
                      struct span body, void *ctx, upstream_answer *on_answer)
{
    ask(u, u->is_here && u->is_known, op, members, body, ctx, on_answer);
}

void upstream_forward(struct upstream *u, const char *op, uint32_t members,
                      struct span body, void *ctx, upstream_answer *on_answer)
{
    ask(u, u->is_here && u->has_met, op, members, body, ctx, on_answer);
}

void upstream_ping(struct upstream *u)
{
    struct buf b = {0};
    msgpack_packer pk;

    begin(&b, &pk, "ping", ++u->next_id, 0);
    send_control(u, &b);
    buf_free(&b);
}

void upstream_say_goodbye(struct upstream *u)
{
    struct buf b = {0};
    msgpack_packer pk;

    begin(&b, &pk, "goodbye", ++u->next_id, 0);
    send_control(u, &b);
    buf_free(&b);
    bus_set_linger(u->control.socket, 200);
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
        is_whole = report_take(&u->report, g->sessions->place_count, &b);
        send_control(u, &b);
    } while (!is_whole);
    buf_free(&b);
    u->report_at = g->now + REPORT_MS;
    u->alive_at = g->now + ALIVE_MS;
}

void upstream_report_open(struct upstream *u, const struct session *s)
{
    if (u->is_known) /* else the report after hello has everybody */
        report_open(&u->report, s);
}

void upstream_report_close(struct upstream *u, const struct session *s)
{
    if (u->is_known)
        report_close(&u->report, s);
}
