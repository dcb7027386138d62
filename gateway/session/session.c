#include "gateway/session/session_private.h"

#include <stdio.h>
#include <stdlib.h>

#include "gateway/fanout/framing.h"
#include "shared/base/array.h"
#include "shared/base/log.h"
#include "shared/base/mem.h"

#define CLOSE_WAIT_MS 2000 /* for the peer's close frame */

/* --- input that waits ------------------------------------------------------------------- */

void session_watch(struct session *s)
{
    if (!s->all->io.watch(s))
        session_drop(s, "epoll refused it");
}

void session_throttle(struct session *s)
{
    if (s->is_throttled || s->is_dead)
        return;
    s->is_throttled = true;
    s->throttled_until = s->all->now + 1;
    s->next_throttled = s->all->throttled;
    s->all->throttled = s;
    session_watch(s);
}

void session_throttle_end(struct session *s)
{
    struct session **at = &s->all->throttled;

    if (!s->is_throttled)
        return;
    while (*at != s)
        at = &(*at)->next_throttled;
    *at = s->next_throttled;
    s->is_throttled = false;
}

void session_drop_context(struct session *s)
{
    if (s->in)
        wslay_event_context_free(s->in);
    s->in = NULL;
}

/* --- its begin ---------------------------------------------------------------------------- */

static void count_place(const struct session *s, uint64_t change)
{
    struct sessions *all = s->all;

    if (!s->has_place)
        return;
    all->place_count += change;
    all->place_counts[s->sub.wants_all][s->sub.encoding] += change;
}

static void enter(struct sessions *all, struct session *s)
{
    s->place = (uint32_t)all->count;
    ARRAY_ADD(all->list, all->cap, all->count, s);
}

void session_open(struct sessions *all, struct session *s, const struct accepted *a)
{
    s->all = all;
    s->id = ++all->last_id;
    s->host = mem_strdup(a->host);
    s->port = (uint16_t)a->port;
    s->since_us = all->wall_us;
    s->heard_at = all->awake;
    s->heartbeat_at = all->now + all->config->heartbeat;
    s->sub.encoding = a->encoding;
    s->has_place = !a->explain_close;
    hub_set_due(all->hub, &s->sub);
    enter(all, s);
    if (!s->has_place)
        return;
    count_place(s, 1);
    all->counters->opened++;
    all->out.opened(all->out.ctx, s);
    log_info("%s:%u - \"%s %.200s\" [accepted]", s->host, s->port, framing_connection(a->encoding),
             a->path);
    log_info("%s:%u - connection open (%s:%llu)", s->host, s->port, all->name,
             (unsigned long long)s->id);
}

void session_set_mode(struct session *s, bool wants_all)
{
    count_place(s, -1ull);
    hub_set_mode(&s->sub, wants_all);
    s->sub.encoding = framing_in_mode(s->sub.encoding, wants_all);
    count_place(s, 1);
}

/* --- its end ------------------------------------------------------------------------------ */

void session_begin_closing(struct session *s, uint16_t code, const char *why)
{
    if (s->is_closing)
        return;
    s->is_closing = true;
    s->has_peer_closed |= !framing_has_input(s->sub.encoding); /* it has no answer to wait for */
    s->close_by = s->all->now + CLOSE_WAIT_MS;
    s->close_code = code;
    snprintf(s->close_why, sizeof s->close_why, "%s", why);
    hub_leave_all(s->all->hub, &s->sub);
    session_request_end_all(s);
    hub_set_due(s->all->hub, &s->sub);
}

void session_close(struct session *s, uint16_t code, struct span reason, const char *why)
{
    if (s->is_closing || s->is_dead)
        return;
    framing_add_close(&s->out, s->sub.encoding, code, reason);
    session_begin_closing(s, code, why);
}

static enum counters_end end_of(const struct session *s)
{
    if (s->has_left)
        return COUNTERS_END_left;
    switch (s->close_code) {
    case 0: /* without input the end of the connection is the only way to leave */
        return framing_has_input(s->sub.encoding) ? COUNTERS_END_lost : COUNTERS_END_left;
    case SESSION_CLOSE_IDLE:
        return COUNTERS_END_idle;
    case SESSION_CLOSE_SLOW:
        return COUNTERS_END_slow_consumer;
    case SESSION_CLOSE_ABUSE:
        return COUNTERS_END_too_many_errors;
    case SESSION_CLOSE_RESTART:
        return COUNTERS_END_restart;
    case WSLAY_CODE_MESSAGE_TOO_BIG:
        return COUNTERS_END_too_large;
    default:
        return COUNTERS_END_bad_frame;
    }
}

static void leave(struct session *s)
{
    struct sessions *all = s->all;

    session_throttle_end(s);
    all->list[s->place] = all->list[--all->count];
    all->list[s->place]->place = s->place;
    all->traced_count -= session_is_traced(s);
    all->blocked_count -= s->is_blocked;
    session_request_end_all(s);
    session_publish_abandon(s);
    hub_leave_all(all->hub, &s->sub);
    session_drop_context(s);
}

void session_drop(struct session *s, const char *why)
{
    struct sessions *all = s->all;

    if (s->is_dead)
        return;
    s->is_dead = true;
    if (s->has_place) {
        count_place(s, -1ull);
        all->counters->ends[end_of(s)]++;
        all->out.closed(all->out.ctx, s);
    }
    all->io.close(s); /* its place is free: a peer that sees the end may reconnect at once */
    leave(s);
    log_info("%s:%u - connection closed: %s, code %u, %.1f s, %llu messages and %llu bytes "
             "sent, %llu merged, %llu messages received",
             s->host, s->port, s->close_code ? s->close_why : why,
             s->close_code ? s->close_code : 1006u, (double)(all->wall_us - s->since_us) / 1e6,
             (unsigned long long)s->messages_out, (unsigned long long)s->bytes_out,
             (unsigned long long)s->sub.backlog.merged, (unsigned long long)s->messages_in);
    s->next_dead = all->dead;
    all->dead = s;
}
