/* upstream_answer: what the broker's answers on control do to the hub. */
#include <msgpack.h>

#include "gateway/session/sessions.h"
#include "gateway/upstream/upstream_private.h"
#include "shared/base/log.h"
#include "shared/wire/pack.h"

#define REFUSED_MS 100 /* before a refused snapshot is asked for again */

/*
 * Records come on the other socket: one that is ahead of them is no news, but about to arrive,
 * unless it is from before the mark (then the resync could not get it, and reported it), or the
 * symbol was not followed so far, or was asked for because its last record never came.
 */
static bool is_about_to_come(struct upstream *u, enum question_kind kind,
                             struct hub_symbol *s, uint64_t seq)
{
    if (seq <= s->seq)
        return false;
    if (!u->is_verified)
        return true;
    if (kind == QUESTION_TOPIC && seq <= u->mark_seq)
        return false;
    return hub_has_all(u->g->hub, s) ||
           (kind == QUESTION_TOPIC && hub_is_synced(u->g->hub, s));
}

/*
 * All records up to the mark have come, but not this one, which a live topic covers, or which is
 * from after the resync.
 */
static bool is_missing(const struct upstream *u, struct hub_symbol *s, uint64_t seq)
{
    return u->is_verified && seq > s->seq && seq <= u->mark_seq &&
           (seq > u->verified_seq || hub_is_synced(u->g->hub, s)) &&
           hub_has_all(u->g->hub, s);
}

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

        if (is_missing(u, s, e.seq)) {
            log_info("%s: the record %llu never came: asking the log", s->name,
                     (unsigned long long)e.seq);
            u->gaps++;
            upstream_resync(u);
        }
        if (is_about_to_come(u, kind, s, e.seq))
            continue;
        if (kind == QUESTION_SYMBOL && e.seq > s->seq)
            hub_break_window(hub, e.seq);
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
    if (q->kind == QUESTION_TOPIC && (!t || t->generation != q->generation ||
                                      t->sync != TOPIC_SYNCING || !u->is_verified))
        return; /* asked before a resync: it will be asked again */
    apply_quotes(u, q->kind, answer);
    if (q->kind != QUESTION_TOPIC || !u->is_verified)
        return;
    if (next) {
        upstream_request_snapshot(u, QUESTION_TOPIC, q->pattern, q->generation, next);
        return;
    }
    hub_topic_synced(u->g->hub, t, pack_find_u(answer, "seq", 0));
    hub_set_seq(u->g->hub, u->mark_seq);
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
    u->is_known = u->has_met = true;
    /* As good as a heartbeat, and up to a second earlier. */
    u->heartbeat_at = g->awake;
    upstream_check_epoch(u, pack_find_u(answer, "epoch", 0));
    upstream_set_here(u, true);
    report_fini(&u->report);
    for (size_t i = 0; i < g->sessions->count; i++)
        if (g->sessions->list[i]->has_place)
            upstream_report_open(u, g->sessions->list[i]);
    upstream_send_report(u);
}

/*
 * The broker refuses it, as too many wait: asked again a little later, as if it had not been answered,
 * and meanwhile in the way of further ones.
 */
static bool put_off(struct upstream *u, struct question *q, struct span answer)
{
    if ((q->kind != QUESTION_TOPIC && q->kind != QUESTION_SYMBOL) ||
        !pack_find_text(answer, "error").len)
        return false;
    q->give_up_at = u->g->now + REFUSED_MS;
    return true;
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
    if (!q || put_off(u, q, answer))
        return; /* we gave up on it, or shall */
    switch (q->kind) {
    case QUESTION_HELLO:
        on_hello(u, answer);
        break;
    case QUESTION_TOPIC:
    case QUESTION_SYMBOL:
        on_snapshot(u, q, answer);
        break;
    case QUESTION_CATCH_UP:
        upstream_on_page(u, q, answer);
        break;
    case QUESTION_ASK:
        q->on_answer(q->ctx, answer);
        break;
    }
    upstream_question_end(u, q);
}

/* Unanswered: a topic is synchronised again, a worker is told, a hole is asked for again. */
void upstream_give_up(struct upstream *u, struct question *q)
{
    struct hub_topic *t = hub_topic_find(u->g->hub, span_of(q->pattern));

    if (q->kind == QUESTION_TOPIC && t && t->generation == q->generation &&
        t->sync == TOPIC_SYNCING) {
        t->sync = TOPIC_NEW;
        u->has_new_topics = true;
    } else if (q->kind == QUESTION_CATCH_UP) {
        upstream_on_no_page(u, q);
    } else if (q->kind == QUESTION_ASK) {
        q->on_answer(q->ctx, SPAN(""));
    }
    upstream_question_end(u, q);
}
