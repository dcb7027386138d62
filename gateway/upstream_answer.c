/* upstream_answer: what the broker's answers on control do to the hub. */
#include <msgpack.h>

#include "gateway/client.h"
#include "gateway/stream.h"
#include "gateway/upstream_private.h"
#include "shared/log.h"
#include "shared/pack.h"

static void apply_quotes(struct upstream *u, struct span answer)
{
    struct pack_value list;
    struct wire_entry e;
    struct span c;

    if (!pack_find(answer, "quotes", &list, &c) || list.type != PACK_ARRAY)
        return;
    pack_next(&c, &list);
    for (uint32_t i = 0; i < list.count && wire_take_entry(&c, &e); i++)
        hub_apply_snapshot(u->g->hub, e.symbol, e.seq, e.is_stale, &e.quote);
}

static void on_snapshot(struct upstream *u, const struct question *q, struct span answer)
{
    struct hub_topic *t = hub_topic_find(u->g->hub, span_of(q->pattern));
    uint64_t next = pack_find_u(answer, "next", 0);

    if (pack_find_u(answer, "epoch", 0) != hub_epoch(u->g->hub))
        return; /* of another log: the topics start anew anyway */
    apply_quotes(u, answer);
    if (q->kind != QUESTION_TOPIC || !t || t->generation != q->generation ||
        t->sync != TOPIC_SYNCING)
        return;
    if (next) {
        upstream_ask_snapshot(u, QUESTION_TOPIC, q->pattern, q->generation, next);
        return;
    }
    hub_topic_synced(u->g->hub, t, pack_find_u(answer, "seq", 0));
    hub_set_seq(u->g->hub, pack_find_u(answer, "seq", 0));
}

static void release_held(struct upstream *u, struct hub_symbol *s)
{
    struct span name = {s->name, s->name_len};
    struct wire_record r;
    uint32_t len;

    for (size_t at = 0; at < s->held.len; at += sizeof len + len) {
        memcpy(&len, s->held.data + at, sizeof len);
        if (!wire_read((struct span){s->held.data + at + sizeof len, len}, &r, NULL))
            hub_apply(u->g->hub, name, &r);
    }
    buf_free(&s->held);
    s->is_halted = false;
}

/* Clients in mode all must know that the hole could not be mended. */
static void tell_hole(struct upstream *u, const struct hub_symbol *s, uint64_t first)
{
    struct buf body = {0};
    msgpack_packer pk;

    log_error("%s: records after position %llu are no longer in the broker's journal",
              s->name, (unsigned long long)s->seq);
    msgpack_packer_init(&pk, &body, buf_pack_write);
    msgpack_pack_map(&pk, 5);
    pack_kv_text(&pk, "feed", SPAN(""));
    pack_kv_u(&pk, "first", s->seq + 1);
    pack_kv_u(&pk, "last", first - 1);
    pack_kv_u(&pk, "count", first - 1 - s->seq);
    pack_kv_text(&pk, "reason", SPAN("journal_overflow"));
    stream_lost_all(u->g, first, buf_span(&body));
    buf_free(&body);
}

static void on_replay(struct upstream *u, const struct question *q, struct span answer)
{
    struct hub_symbol *s = hub_find(u->g->hub, span_of(q->pattern));
    uint64_t first = pack_find_u(answer, "first", 0), upto = pack_find_u(answer, "upto", 0);
    struct pack_value list, pair, topic, record;
    struct wire_record r;
    struct span c, symbol;

    if (!s || pack_find_u(answer, "epoch", 0) != hub_epoch(u->g->hub) ||
        !pack_find(answer, "records", &list, &c) || list.type != PACK_ARRAY)
        return;
    if (first > s->seq + 1 && s->seq)
        tell_hole(u, s, first);
    pack_next(&c, &list);
    for (uint32_t i = 0; i < list.count; i++) {
        if (!pack_next(&c, &pair) || pair.type != PACK_ARRAY || pair.count != 2 ||
            !pack_next(&c, &topic) || !pack_next(&c, &record) || topic.type != PACK_STR ||
            record.type != PACK_BIN)
            break;
        symbol = wire_topic_symbol(topic.text);
        if (symbol.len && !wire_read(record.text, &r, NULL) && !pack_check(r.body))
            hub_apply(u->g->hub, symbol, &r);
    }
    if (upto < pack_find_u(answer, "head", 0)) {
        upstream_ask_replay(u, q->pattern, upto);
        return;
    }
    release_held(u, s);
}

static void on_hello(struct upstream *u, struct span answer)
{
    struct gateway *g = u->g;
    struct span error = pack_find_text(answer, "error"),
                text = pack_find_text(answer, "message");

    if (error.len) {
        log_error("The broker refuses this gateway: %.*s (%.*s)", (int)error.len, error.at,
                  (int)text.len, text.at);
        return;
    }
    if (u->is_known)
        return;
    u->is_known = true;
    /* As good as a heartbeat, and up to a second earlier. */
    u->heartbeat_at = g->awake;
    upstream_check_epoch(u, pack_find_u(answer, "epoch", 0));
    upstream_set_here(u, true);
    report_fini(&u->report);
    for (size_t i = 0; i < g->client_count; i++)
        if (g->clients[i]->has_place)
            upstream_report_open(u, g->clients[i]);
    upstream_send_report(u);
}

void upstream_on_answer(struct upstream *u, struct span answer)
{
    uint64_t id = pack_find_u(answer, "id", 0);
    struct question *q;

    if (pack_check(answer))
        return;
    if (span_eq(pack_find_text(answer, "op"), "who")) {
        upstream_introduce(u);
        return;
    }
    HASH_FIND(hh, u->questions, &id, sizeof id, q);
    if (!q)
        return; /* we gave up on it */
    switch (q->kind) {
    case QUESTION_HELLO:
        on_hello(u, answer);
        break;
    case QUESTION_TOPIC:
    case QUESTION_SYMBOL:
        on_snapshot(u, q, answer);
        break;
    case QUESTION_REPLAY:
        on_replay(u, q, answer);
        break;
    case QUESTION_ASK:
        q->on_answer(u->g, q->ask, answer);
        break;
    }
    upstream_question_end(u, q);
}

/* Unanswered: a topic is synchronised again, a worker is told, a hole is asked for again. */
void upstream_give_up(struct upstream *u, struct question *q)
{
    struct hub_topic *t = hub_topic_find(u->g->hub, span_of(q->pattern));
    struct hub_symbol *s = hub_find(u->g->hub, span_of(q->pattern));

    if (q->kind == QUESTION_TOPIC && t && t->generation == q->generation &&
        t->sync == TOPIC_SYNCING) {
        t->sync = TOPIC_NEW;
        u->has_new_topics = true;
    } else if (q->kind == QUESTION_REPLAY && s && s->is_halted) {
        upstream_ask_replay(u, s->name, s->seq);
    } else if (q->kind == QUESTION_ASK) {
        q->on_answer(u->g, q->ask, SPAN(""));
    }
    upstream_question_end(u, q);
}
