/* upstream_answer: what the broker's answers on control do to the hub. */
#include <msgpack.h>

#include "gateway/client.h"
#include "gateway/stream.h"
#include "gateway/upstream_private.h"
#include "shared/log.h"
#include "shared/pack.h"

static void apply_quotes(struct upstream *u, enum question_kind kind,
                         struct span answer)
{
    struct hub *hub = u->g->hub;
    struct pack_value list;
    struct wire_entry e;
    struct span c;

    if (!pack_find(answer, "quotes", &list, &c) || list.type != PACK_ARRAY)
        return;
    pack_next(&c, &list);
    for (uint32_t i = 0; i < list.count && wire_take_entry(&c, &e); i++) {
        struct hub_symbol *s = hub_know(hub, e.symbol);

        /* Who follows every record gets those in between, not a leap over them. */
        if (s->is_halted || (s->is_synced && e.seq > s->seq && hub_has_all(hub, s) &&
                             kind == QUESTION_TOPIC))
            continue;
        if (s->seq && e.seq > s->seq && hub_has_all(hub, s))
            upstream_mend(u, s);
        else
            hub_apply_snapshot(hub, e.symbol, e.seq, e.is_stale, &e.quote);
    }
}

static void on_snapshot(struct upstream *u, const struct question *q,
                        struct span answer)
{
    struct hub_topic *t = hub_topic_find(u->g->hub, span_of(q->pattern));
    uint64_t next = pack_find_u(answer, "next", 0);

    if (pack_find_u(answer, "epoch", 0) != hub_epoch(u->g->hub))
        return; /* of another log: the topics start anew anyway */
    apply_quotes(u, q->kind, answer);
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

/* Clients in mode all must know of a hole that cannot be mended. */
static void tell_hole(struct upstream *u, const struct hub_symbol *s, uint64_t first,
                      uint64_t last)
{
    struct buf body = {0};
    msgpack_packer pk;

    log_error(
        "%s: records between positions %llu and %llu are no longer in the broker's "
        "journal",
        s->name, (unsigned long long)first, (unsigned long long)last);
    msgpack_packer_init(&pk, &body, buf_pack_write);
    msgpack_pack_map(&pk, 5);
    pack_kv_text(&pk, "feed", SPAN(""));
    pack_kv_u(&pk, "first", first);
    pack_kv_u(&pk, "last", last);
    pack_kv_u(&pk, "count", last - first + 1);
    pack_kv_text(&pk, "reason", SPAN("journal_overflow"));
    stream_lost_all(u->g, last, buf_span(&body));
    buf_free(&body);
}

static void apply_in_order(struct upstream *u, struct hub_symbol *s, struct span record)
{
    uint64_t known = hub_known_upto(s);
    struct wire_record r;

    if (wire_read(record, &r, NULL) || pack_check(r.body) || r.seq <= s->seq)
        return;
    if (r.prev > known)
        tell_hole(u, s, known + 1, r.prev);
    hub_apply(u->g->hub, (struct span){s->name, s->name_len}, &r);
}

static void release_held(struct upstream *u, struct hub_symbol *s)
{
    uint32_t len;

    for (size_t at = 0; at < s->held.len; at += sizeof len + len) {
        memcpy(&len, s->held.data + at, sizeof len);
        apply_in_order(u, s, (struct span){s->held.data + at + sizeof len, len});
    }
    buf_free(&s->held);
    s->is_halted = false;
}

static void on_replay(struct upstream *u, const struct question *q, struct span answer)
{
    struct hub_symbol *s = hub_find(u->g->hub, span_of(q->pattern));
    uint64_t upto = pack_find_u(answer, "upto", 0);
    struct pack_value list, pair, topic, record;
    struct span c;

    if (!s || pack_find_u(answer, "epoch", 0) != hub_epoch(u->g->hub) ||
        !pack_find(answer, "records", &list, &c) || list.type != PACK_ARRAY)
        return;
    pack_next(&c, &list);
    for (uint32_t i = 0; i < list.count; i++) {
        if (!pack_next(&c, &pair) || pair.type != PACK_ARRAY || pair.count != 2 ||
            !pack_next(&c, &topic) || !pack_next(&c, &record) ||
            topic.type != PACK_STR || record.type != PACK_BIN)
            break;
        if (wire_topic_symbol(topic.text).len)
            apply_in_order(u, s, record.text);
    }
    if (upto < pack_find_u(answer, "head", 0) && upto > q->after)
        upstream_ask_replay(u, q->pattern, upto);
    else
        release_held(u, s);
}

static void on_hello(struct upstream *u, struct span answer)
{
    struct gateway *g = u->g;
    struct span error = pack_find_text(answer, "error"),
                text = pack_find_text(answer, "message");

    if (error.len) {
        log_error("The broker refuses this gateway: %.*s (%.*s)", (int)error.len,
                  error.at, (int)text.len, text.at);
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
        upstream_ask_replay(u, s->name, q->after);
    } else if (q->kind == QUESTION_ASK) {
        q->on_answer(u->g, q->ask, SPAN(""));
    }
    upstream_question_end(u, q);
}
