#include "gateway/session/sessions.h"

#include <stdlib.h>

#include "gateway/fanout/encode.h"
#include "gateway/fanout/framing.h"
#include "gateway/fanout/slot.h"
#include "gateway/session/resume_group.h"
#include "gateway/session/session_private.h"
#include "shared/base/mem.h"

#define SWEEP_PARTS 10 /* a sweep looks at a tenth */
#define SWEEP_ROUND_MS (SWEEP_PARTS * SESSIONS_SWEEP_MS)
#define PINGS_MAX 100 /* unanswered */

struct sessions *sessions_new(const struct gateway_config *config, const char *name,
                              struct hub *hub, struct counters *counters,
                              const struct session_out *out)
{
    struct sessions *all = mem_zalloc(sizeof *all);

    all->config = config;
    all->name = name;
    all->hub = hub;
    all->counters = counters;
    all->json = json_new();
    all->out = *out;
    return all;
}

void sessions_free(struct sessions *all)
{
    if (!all)
        return;
    resume_group_free_all(all);
    json_free(all->json);
    free(all->list);
    free(all->deferred);
    free(all);
}

void sessions_set_time(struct sessions *all, int64_t now, int64_t awake, int64_t wall_us)
{
    all->now = now;
    all->awake = awake;
    all->wall_us = wall_us;
}

void sessions_unthrottle(struct sessions *all)
{
    for (struct session *s = all->throttled, *next; s; s = next) {
        next = s->next_throttled;
        if (all->now < s->throttled_until)
            continue;
        session_throttle_end(s);
        session_watch(s);
    }
}

/* --- pings, heartbeats and silences ------------------------------------------------------ */

static void end_idle(struct session *s)
{
    static const char why[] = "silent for WEBSOCKET_TIMEOUT";

    session_close(s, SESSION_CLOSE_IDLE,
                  SPAN("{\"code\":\"idle\",\"setting\":\"WEBSOCKET_TIMEOUT\"}"), why);
    /* The peer has probably gone: it gets one chance to receive the close frame. */
    session_flush(s);
    if (!s->is_dead && s->is_blocked)
        session_drop(s, why);
}

static void send_ping(struct session *s)
{
    framing_add_ping(&s->out, s->sub.encoding);
    s->pings++;
    hub_set_due(s->all->hub, &s->sub);
}

/* A peer without input is heard when its machine acknowledges more of what it was sent. */
static void hear_acknowledged(struct session *s)
{
    int64_t acknowledged = (int64_t)s->bytes_out - (int64_t)s->all->io.unacknowledged(s);

    if (acknowledged <= s->acknowledged)
        return;
    s->acknowledged = acknowledged;
    s->heard_at = s->all->awake;
    s->pings = 0;
}

static void look_at(struct session *s)
{
    struct sessions *all = s->all;
    int64_t silence, timeout = all->config->websocket_timeout,
                     interval = all->config->ws_ping_interval;

    if (s->is_closing) {
        if (all->now >= s->close_by)
            session_drop(s, "no answer to close");
        return;
    }
    if (!interval)
        interval = timeout / 3;
    if (!framing_has_input(s->sub.encoding) && all->awake - s->heard_at >= interval)
        hear_acknowledged(s);
    silence = all->awake - s->heard_at;
    if (silence >= timeout) {
        end_idle(s);
        return;
    }
    if (silence >= interval * (s->pings + 1) && !s->is_blocked && s->pings < PINGS_MAX)
        send_ping(s);
    if (all->now >= s->heartbeat_at && !s->is_blocked) {
        session_send_heartbeat(s);
    } else if (all->now + SWEEP_ROUND_MS >= s->heartbeat_at) {
        /* The next sweep would be too late: it goes along with a quote if one comes before. */
        s->is_heartbeat_pending = true;
        session_settle_position(s);
    }
}

void sessions_sweep(struct sessions *all)
{
    size_t i = all->sweep_at++ % SWEEP_PARTS;

    while (i < all->count) {
        struct session *s = all->list[i];

        look_at(s);
        /*
         * A dropped session leaves its place to the last one in the list, so look at this place
         * again.
         */
        if (i < all->count && all->list[i] == s)
            i += SWEEP_PARTS;
    }
}

void sessions_measure(struct sessions *all)
{
    for (size_t i = all->sweep_at % SWEEP_PARTS; i < all->count; i += SWEEP_PARTS) {
        const struct session *s = all->list[i];

        histogram_add(&all->counters->queued[s->sub.wants_all], backlog_length(&s->sub.backlog));
    }
}

/* --- requests and output ------------------------------------------------------------------ */

void sessions_settle(struct sessions *all)
{
    struct session *last;
    size_t spent = 0;

    all->has_spare_work = false;
    if (!all->waiting)
        return;
    last = (struct session *)((char *)all->waiting_end - offsetof(struct session, next_waiting));
    for (struct session *s = all->waiting, *next; s; s = next) {
        next = s == last ? NULL : s->next_waiting;
        if (session_work(s, &spent)) { /* the other sessions come first next time */
            all->has_spare_work = true;
            session_request_yield(s);
        }
        if (spent >= SESSION_TURN_STEPS) {
            all->has_spare_work |= next != NULL;
            break;
        }
    }
    resume_group_ask_all(all);
}

bool sessions_have_more(const struct sessions *all)
{
    for (const struct session *s = all->waiting; s; s = s->next_waiting)
        if (session_resume_has_room(s->request))
            return true;
    return false;
}

void sessions_flush_deferred(struct sessions *all)
{
    for (size_t i = 0; i < all->deferred_count;) {
        struct session *s = all->deferred[i];

        if (!s->is_dead && all->now < s->flush_at) {
            i++;
            continue;
        }
        all->deferred[i] = all->deferred[--all->deferred_count];
        s->is_deferred = false;
        if (!s->is_dead)
            session_flush(s);
    }
}

void sessions_flush_due(struct sessions *all, size_t most, uint64_t bytes, bool only_free)
{
    uint64_t upto = all->counters->bytes_out + bytes;
    /* a session may become due again: it is flushed in the next turn */
    size_t due = hub_due_count(all->hub);
    struct hub_subscriber *sub;

    if (most > due)
        most = due;
    while (most-- && all->counters->bytes_out < upto && (sub = hub_take_due(all->hub)))
        if (only_free && session_of(sub)->requests)
            hub_set_due(all->hub, sub);
        else
            session_flush(session_of(sub));
}

void sessions_reap(struct sessions *all)
{
    for (size_t i = 0; all->dead && i < all->deferred_count;) {
        if (all->deferred[i]->is_dead)
            all->deferred[i] = all->deferred[--all->deferred_count];
        else
            i++;
    }
    while (all->dead) {
        struct session *s = all->dead;

        all->dead = s->next_dead;
        buf_free(&s->out);
        free(s->host);
        all->io.free(s);
    }
}

/* --- to all ------------------------------------------------------------------------------- */

void sessions_reset(struct sessions *all, const char *reason)
{
    for (size_t i = 0; i < all->count; i++) {
        struct session *s = all->list[i];

        if (s->is_closing)
            continue;
        session_state_position(s, 0);
        hub_drop_backlog(all->hub, &s->sub);
        if (s->sub.wants_all)
            session_request_join_anew(s);
        session_send_reset(s, reason);
    }
}

/* In mode all the report is queued among the records; in mode merge it is sent by itself. */
void sessions_report_loss(struct sessions *all, uint64_t seq, struct span body)
{
    struct frame *frames[ENCODING_COUNT];

    hub_apply_lost(all->hub, seq, body);
    for (int e = 0; e < ENCODING_COUNT; e++)
        frames[e] = encode_lost(hub_epoch(all->hub), seq, body, (enum encoding)e);
    hub_queue_all(all->hub, frames);
    for (size_t i = 0; i < all->count; i++) {
        struct session *s = all->list[i];
        const struct frame *f = frames[s->sub.encoding];

        if (s->is_closing || s->sub.wants_all)
            continue;
        hub_set_due(all->hub, &s->sub);
        if (s->out.len + f->len > (size_t)all->config->client_queue) {
            s->sub.backlog.has_overflowed = true; /* it does not take them: slow_consumer */
            continue;
        }
        buf_add(&s->out, f->bytes, f->len);
        s->messages_out++;
        all->counters->deliveries++;
    }
    for (int e = 0; e < ENCODING_COUNT; e++)
        frame_release(&frames[e]);
}

void sessions_send_away(struct sessions *all, uint64_t gateways)
{
    uint64_t clients = all->away_count; /* and those that are still here */

    for (size_t i = 0; i < all->count; i++)
        clients += !all->list[i]->is_closing;
    for (size_t i = all->count; i-- > 0;) {
        struct session *s = all->list[i];

        if (s->is_closing)
            continue;
        session_send_away(s, session_reconnect_ms(all, all->away_count++, clients, gateways));
        session_close(s, SESSION_CLOSE_RESTART, SPAN("{\"code\":\"restart\"}"), "gateway restarts");
    }
}

void sessions_drop_all(struct sessions *all, const char *why)
{
    while (all->count)
        session_drop(all->list[0], why);
    sessions_reap(all);
}
