/*
 * session_resume: sends a session in mode all that reconnects with a position the records that it
 * missed.
 *
 * They come from the hub's window if it reaches back far enough, otherwise from the broker's log
 * (resume_group.h), page by page, as fast as the client's socket accepts them.
 */
#include "gateway/fanout/encode.h"
#include "gateway/session/resume_group.h"
#include "gateway/session/session_private.h"
#include "shared/wire/replay.h"

static bool has_room(const struct session *s)
{
    return s->sub.backlog.queue_bytes < (size_t)s->all->config->client_queue / 2;
}

bool session_resume_has_room(const struct session_request *r)
{
    return r->is_cut && !r->session->is_blocked && session_has_room(r->session) &&
           has_room(r->session);
}

static void acknowledge(struct session_request *r)
{
    struct session *s = r->session;

    if (r->is_acked)
        return;
    r->is_acked = true;
    r->wait_for = r->since_seq; /* another gateway may have been ahead of this one */
    session_state_position(s, r->since_seq);
    s->sub.backlog.sent_seq = r->since_seq;
    session_send_subscribed(r, r->since_seq, true, false);
}

static void queue(struct session *s, struct frame *f)
{
    backlog_queue(&s->sub.backlog, f, SIZE_MAX);
    hub_set_due(s->all->hub, &s->sub);
}

/*
 * Send all records of its symbols in (cursor, upto].  false: its queue is full, or the slice is
 * over.
 */
static bool serve(struct session_request *r, struct window *w, uint64_t upto, size_t *steps)
{
    struct hub *hub = r->session->all->hub;
    struct session *s = r->session;

    hub_stamp(hub, r->topics, r->topic_count);
    for (size_t i = window_after(w, r->cursor); i < window_count(w); i++) {
        const struct window_record *record = window_at(w, i);

        if (record->seq > upto)
            break;
        if (!*steps) {
            r->cursor = record->seq - 1;
            return false;
        }
        --*steps;
        if (record->symbol && !hub_is_stamped(hub, record->symbol))
            continue;
        if (!has_room(s)) {
            r->cursor = record->seq - 1;
            r->is_cut = true;
            return false;
        }
        queue(s, window_frame(w, i, s->sub.encoding, s->sub.backlog.quote_as));
        r->wait_for = record->seq;
    }
    if (upto > r->cursor)
        r->cursor = upto;
    return true;
}

static bool window_covers(const struct session_request *r)
{
    struct window *w = hub_window(r->session->all->hub);

    if (!w || r->cursor < window_floor(w))
        return false;
    for (size_t i = 0; i < r->topic_count; i++)
        if (r->cursor < r->topics[i]->synced_seq)
            return false;
    return true;
}

/* The log does not reach back so far: the positions up to `last` are lost. */
static void send_pruned(struct session_request *r, uint64_t last)
{
    struct buf body = {0};
    struct frame *f;

    replay_put_hole(&body, r->cursor + 1, last, SPAN("retention"));
    f = encode_lost(r->since_epoch, last, buf_span(&body), r->session->sub.encoding);
    queue(r->session, f);
    frame_release(&f);
    buf_free(&body);
    r->cursor = last;
}

/* Something of the group's page is news to this session. */
static bool is_page_for(const struct resume_page *p, const struct session_request *r)
{
    return p && p->after <= r->cursor && (r->cursor < p->upto || p->upto >= p->head);
}

/*
 * The session has every record up to `since_seq`, but the states that it was sent while the broker
 * was away are not records: queue the current states of its symbols that have no later record.  A
 * symbol that changes before all are queued gets a later record.  false: its queue is full, or the
 * slice is over.
 */
static bool send_states(struct session_request *r, size_t *steps)
{
    struct session *s = r->session;
    struct hub_symbol *symbol;

    if (!r->is_sending_states)
        hub_walk_begin(&r->states, r->topics, r->topic_count);
    r->is_sending_states = true;
    while (!r->has_sent_states) {
        r->is_cut = !has_room(s);
        if (r->is_cut || !hub_walk_next(s->all->hub, &r->states, steps, &symbol))
            return false;
        if (!symbol)
            r->has_sent_states = true;
        else if (symbol->body.len && symbol->seq && symbol->seq <= r->since_seq)
            queue(s, hub_symbol_frame(symbol, MESSAGE_PRESENT, s->sub.encoding));
    }
    return true;
}

bool session_resume_is_beyond(struct session_request *r)
{
    const struct resume_page *page;

    resume_group_join(r);
    page = resume_group_page(r);
    if (page && page->after <= r->since_seq)
        return r->since_seq > page->head;
    resume_group_want(r);
    return false;
}

/* Take the records of the group's page.  false: the log no longer has the missed records. */
static bool take_page(struct session_request *r, size_t *steps)
{
    const struct resume_page *page = resume_group_page(r);

    if (!is_page_for(page, r) || !has_room(r->session))
        return true;
    if (r->cursor > page->head || (!r->is_acked && r->cursor + 1 < page->first))
        return false;
    acknowledge(r);
    if (r->cursor + 1 < page->first)
        send_pruned(r, page->first - 1);
    serve(r, page->records, page->upto, steps);
    return true;
}

enum resume_verdict session_resume(struct session_request *r, size_t *steps)
{
    struct hub *hub = r->session->all->hub;

    if (hub_is_frozen(hub))
        return RESUME_WAITS;
    if (r->since_epoch != hub_epoch(hub))
        return RESUME_NOT_KEPT;
    resume_group_join(r);
    if (!take_page(r, steps))
        return RESUME_NOT_KEPT;
    if (!has_room(r->session))
        return RESUME_WAITS;
    /* Only the broker knows more about a position that the gateway has not reached. */
    if (!window_covers(r) || (r->cursor > hub_applied(hub) && !r->is_acked)) {
        resume_group_want(r);
        return RESUME_WAITS;
    }
    acknowledge(r);
    if (hub_applied(hub) < r->wait_for || !serve(r, hub_window(hub), hub_applied(hub), steps) ||
        !send_states(r, steps))
        return RESUME_WAITS;
    return RESUME_READY;
}
