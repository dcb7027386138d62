/*
 * stream_resume: clients in mode all that come back with a position get what they missed.
 *
 * From the hub's window if it reaches back far enough; else from the broker's log, page by
 * page, as fast as the client's socket takes it.  Those who want the same symbols form a group, and a
 * group has one question under way at a time, after the lowest position that any of
 * them is at: ten thousand who come back at once share a handful of pages.
 */
#include <uthash.h>

#include "gateway/fanout/encode.h"
#include "shared/wire/replay.h"
#include "gateway/session/stream_private.h"
#include "gateway/upstream/upstream.h"
#include "gateway/fanout/window.h"
#include "shared/base/mem.h"
#include "shared/wire/pack.h"

#define RETRY_MS 200
#define PATTERNS_MAX 64 /* named in a question; of more, everything is asked for */

struct resume_group {
    UT_hash_handle hh; /* by patterns */
    struct gateway *g;
    struct buf patterns;
    size_t members;
    bool is_asked, is_wanted;
    int64_t ask_at; /* not before: the broker had no answer */
    uint64_t wanted_after;
    /* The page that has come: everything of the patterns in (after, upto]. */
    struct window *page; /* NULL: none */
    uint64_t after, upto, first, head;
};

/* --- groups --------------------------------------------------------------------- */

static int by_pattern(const void *a, const void *b)
{
    return strcmp((*(struct hub_topic *const *)a)->pattern,
                  (*(struct hub_topic *const *)b)->pattern);
}

static void put_key(const struct request *r, struct buf *key)
{
    if (r->topic_count > PATTERNS_MAX) {
        buf_adds(key, "*");
        return;
    }
    if (!r->topic_count)
        return;
    qsort(r->topics, r->topic_count, sizeof *r->topics, by_pattern);
    for (size_t i = 0; i < r->topic_count; i++) {
        if (i)
            buf_addc(key, ',');
        buf_add(key, r->topics[i]->pattern, r->topics[i]->pattern_len);
    }
}

static struct resume_group *group_of(struct gateway *g, const struct request *r)
{
    struct resume_group *group;
    struct buf key = {0};

    put_key(r, &key);
    HASH_FIND(hh, g->resumes, key.data, key.len, group);
    if (group) {
        buf_free(&key);
    } else {
        group = mem_zalloc(sizeof *group);
        group->g = g;
        group->patterns = key;
        HASH_ADD_KEYPTR(hh, g->resumes, group->patterns.data, group->patterns.len,
                        group);
    }
    group->members++;
    return group;
}

static void group_free(struct resume_group *group)
{
    HASH_DEL(group->g->resumes, group);
    window_free(group->page);
    buf_free(&group->patterns);
    free(group);
}

static void want(struct request *r)
{
    struct resume_group *group = r->group;

    if (!group->is_wanted || r->cursor < group->wanted_after)
        group->wanted_after = r->cursor;
    group->is_wanted = true;
}

/* --- pages ------------------------------------------------------------------------ */

static void add_record(void *ctx, struct span topic, const struct wire_record *r)
{
    struct resume_group *group = ctx;
    struct hub *hub = group->g->hub;
    struct span symbol = wire_topic_symbol(topic);
    struct window_record w = {
        .seq = r->seq,
        .prev = r->prev,
        .sent_us = r->sent_us,
        .accepted_us = r->accepted_us,
        .kind = r->kind == WIRE_STATE ? MESSAGE_STATE : MESSAGE_QUOTE,
        .state =
            r->kind == WIRE_STATE && !span_eq(pack_find_text(r->body, "state"), "live")
                ? SYMBOL_STALE
                : SYMBOL_LIVE,
        .body = (char *)(uintptr_t)r->body.at,
        .body_len = r->kind == WIRE_STATE ? 0 : (uint32_t)r->body.len,
    };

    if (r->kind != WIRE_LOST) {
        if (!hub_is_wanted(hub, symbol))
            return;
        w.symbol = hub_know(hub, symbol);
    }
    window_add(group->page, &w);
}

static void on_page(struct gateway *g, void *ctx, struct span answer)
{
    struct resume_group *group = ctx;

    group->is_asked = false;
    if (!group->members) {
        group_free(group);
        return;
    }
    if (!answer.len || pack_find_u(answer, "epoch", 0) != hub_epoch(g->hub)) {
        /* It is asked again, but not in every turn; or those who wanted it go another way. */
        group->ask_at = g->now + RETRY_MS;
        return;
    }
    group->page = window_new(0);
    group->upto = pack_find_u(answer, "upto", 0);
    group->head = pack_find_u(answer, "head", 0);
    group->first = pack_find_u(answer, "first", 0);
    replay_each(answer, group->after, add_record, group);
}

static void ask(struct resume_group *group)
{
    struct buf body = {0};
    msgpack_packer pk;

    msgpack_packer_init(&pk, &body, buf_pack_write);
    pack_kv_text(&pk, "pattern", buf_span(&group->patterns));
    pack_kv_u(&pk, "after", group->wanted_after);
    group->after = group->wanted_after;
    group->is_asked = true;
    pack_kv_u(&pk, "limit", UPSTREAM_PAGE);
    upstream_request(group->g->upstream, "replay", 3, buf_span(&body), group, on_page);
    buf_free(&body);
}

void stream_resume_ask(struct gateway *g)
{
    struct resume_group *group, *next;

    HASH_ITER(hh, g->resumes, group, next)
    {
        bool is_due = group->is_wanted && !group->is_asked && g->now >= group->ask_at;

        window_free(group->page);
        group->page = NULL;
        group->is_wanted = false;
        if (is_due && upstream_is_here(g->upstream))
            ask(group);
    }
}

void stream_fini(struct gateway *g)
{
    struct resume_group *group, *next;

    HASH_ITER(hh, g->resumes, group, next)
    group_free(group);
}

/* --- one client ----------------------------------------------------------------------- */

void stream_resume_end(struct request *r)
{
    hub_walk_end(&r->states);
    if (r->group && --r->group->members == 0 && !r->group->is_asked)
        group_free(r->group);
    r->group = NULL;
}

static bool has_room(const struct client *c)
{
    return c->sub.backlog.queue_bytes < (size_t)c->g->config.client_queue / 2;
}

bool stream_resume_has_room(const struct request *r)
{
    return r->is_cut && !r->client->is_blocked && client_has_room(r->client) &&
           has_room(r->client);
}

static void acknowledge(struct gateway *g, struct request *r)
{
    struct client *c = r->client;

    if (r->is_acked)
        return;
    r->is_acked = true;
    r->wait_for = r->since_seq; /* another gateway may have been ahead of this one */
    stream_state_position(c, r->since_seq);
    c->sub.backlog.sent_seq = r->since_seq;
    stream_send_subscribed(g, r, r->since_seq, true, false);
}

static void queue(struct gateway *g, struct client *c, struct frame *f)
{
    backlog_queue(&c->sub.backlog, f, SIZE_MAX);
    hub_set_due(g->hub, &c->sub);
}

/* Give it everything in (cursor, upto] of its symbols.  false: its queue is full, or the slice over. */
static bool serve(struct gateway *g, struct request *r, struct window *w, uint64_t upto,
                  size_t *steps)
{
    struct client *c = r->client;

    hub_stamp(g->hub, r->topics, r->topic_count);
    for (size_t i = window_after(w, r->cursor); i < window_count(w); i++) {
        const struct window_record *record = window_at(w, i);

        if (record->seq > upto)
            break;
        if (!*steps) {
            r->cursor = record->seq - 1;
            return false;
        }
        --*steps;
        if (record->symbol && !hub_is_stamped(g->hub, record->symbol))
            continue;
        if (!has_room(c)) {
            r->cursor = record->seq - 1;
            r->is_cut = true;
            return false;
        }
        queue(g, c, window_frame(w, i, c->sub.encoding, c->sub.backlog.quote_as));
        r->wait_for = record->seq;
    }
    if (upto > r->cursor)
        r->cursor = upto;
    return true;
}

static bool window_covers(struct gateway *g, const struct request *r)
{
    struct window *w = hub_window(g->hub);

    if (!w || r->cursor < window_floor(w))
        return false;
    for (size_t i = 0; i < r->topic_count; i++)
        if (r->cursor < r->topics[i]->synced_seq)
            return false;
    return true;
}

static void tell_pruned(struct gateway *g, struct request *r, uint64_t last)
{
    struct buf body = {0};
    struct frame *f;

    replay_put_hole(&body, r->cursor + 1, last, SPAN("retention"));
    f = encode_lost(last, buf_span(&body), r->client->sub.encoding);
    queue(g, r->client, f);
    frame_release(&f);
    buf_free(&body);
    r->cursor = last;
}

/* Something of the group's page is news to this client. */
static bool is_page_for(const struct resume_group *group, const struct request *r)
{
    return group->page && group->after <= r->cursor &&
           (r->cursor < group->upto || group->upto >= group->head);
}

/*
 * It has every record up to `since_seq`, but what it was told of the broker's absence is none:
 * the present states of its symbols that have no record after it.  One that changes before all
 * are told gets a record after it.  false: its queue is full, or the slice over.
 */
static bool tell_states(struct gateway *g, struct request *r, size_t *steps)
{
    struct client *c = r->client;
    struct hub_symbol *s;

    if (!r->is_telling_states)
        hub_walk_begin(&r->states, r->topics, r->topic_count);
    r->is_telling_states = true;
    while (!r->is_told_states) {
        r->is_cut = !has_room(c);
        if (r->is_cut || !hub_walk_next(g->hub, &r->states, steps, &s))
            return false;
        if (!s)
            r->is_told_states = true;
        else if (s->body.len && s->seq && s->seq <= r->since_seq)
            queue(g, c, hub_symbol_frame(s, MESSAGE_STATE, c->sub.encoding));
    }
    return true;
}

bool stream_resume_is_beyond(struct gateway *g, struct request *r)
{
    if (!r->group)
        r->group = group_of(g, r);
    if (r->group->page && r->group->after <= r->since_seq)
        return r->since_seq > r->group->head;
    want(r);
    return false;
}

enum resume_verdict stream_resume(struct gateway *g, struct request *r, size_t *steps)
{
    if (hub_is_frozen(g->hub))
        return RESUME_WAITS;
    if (r->since_epoch != hub_epoch(g->hub))
        return RESUME_NOT_KEPT;
    if (!r->group)
        r->group = group_of(g, r);
    if (is_page_for(r->group, r) && has_room(r->client)) {
        if (r->cursor > r->group->head ||
            (!r->is_acked && r->cursor + 1 < r->group->first))
            return RESUME_NOT_KEPT;
        acknowledge(g, r);
        if (r->cursor + 1 < r->group->first)
            tell_pruned(g, r, r->group->first - 1);
        serve(g, r, r->group->page, r->group->upto, steps);
    }
    if (!has_room(r->client))
        return RESUME_WAITS;
    if (!window_covers(g, r)) {
        want(r);
        return RESUME_WAITS;
    }
    if (r->cursor > hub_applied(g->hub) && !r->is_acked) {
        want(r); /* of a position that we have not come to, the broker knows more */
        return RESUME_WAITS;
    }
    acknowledge(g, r);
    if (hub_applied(g->hub) < r->wait_for ||
        !serve(g, r, hub_window(g->hub), hub_applied(g->hub), steps) ||
        !tell_states(g, r, steps))
        return RESUME_WAITS;
    return RESUME_READY;
}
