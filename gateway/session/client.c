#include "gateway/session/client_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gateway/session/stream.h"
#include "gateway/upstream/upstream.h"
#include "shared/base/clock.h"
#include "shared/base/log.h"
#include "shared/base/mem.h"

#define BATCH_BYTES 65536 /* gathered for one send */
#define BATCH_FRAMES 1024
#define FLUSH_BATCHES 2    /* to one client in one turn */
#define CLOSE_WAIT_MS 2000 /* for the peer's close frame */

static struct client *client_of(struct loop_watch *w)
{
    return (struct client *)((char *)w - offsetof(struct client, watch));
}

void client_begin_closing(struct client *c, uint16_t code, const char *why)
{
    if (c->is_closing)
        return;
    c->is_closing = true;
    c->close_by = c->g->now + CLOSE_WAIT_MS;
    c->close_code = code;
    snprintf(c->close_why, sizeof c->close_why, "%s", why);
    hub_leave_all(c->g->hub, &c->sub);
    stream_forget(c);
    hub_set_due(c->g->hub, &c->sub);
}

/* --- out ------------------------------------------------------------------------- */

void client_rewatch(struct client *c)
{
    uint32_t events = (c->is_muted || c->is_resting ? 0u : (uint32_t)EPOLLIN) |
                      (uint32_t)EPOLLRDHUP | (c->is_blocked ? (uint32_t)EPOLLOUT : 0u);

    if (loop_rewatch(c->g->loop, &c->watch, events))
        client_drop(c, "epoll refused it");
}

static void set_blocked(struct client *c, bool is_blocked)
{
    c->g->blocked_count += is_blocked;
    c->g->blocked_count -= c->is_blocked;
    c->is_blocked = is_blocked;
    client_rewatch(c);
}

/* What the next batch takes says that it leaves now. */
static void stamp_batch(struct client *c, uint32_t most)
{
    int64_t wall_us = clock_wall_us();
    size_t len = 0;
    struct frame *f;

    for (uint32_t i = 0; i < most && len <= BATCH_BYTES &&
                         (f = backlog_peek(&c->sub.backlog, c->sub.encoding, i));
         i++) {
        frame_stamp(f, wall_us);
        len += f->len;
    }
}

/* Frames of what the hub owes, after `out`, until the batch is full.  Returns how many. */
static uint32_t gather(struct client *c, char *batch, size_t *len, uint32_t *ends,
                       uint32_t most)
{
    uint32_t count = 0;
    struct frame *f;

    while (count < most &&
           (f = backlog_peek(&c->sub.backlog, c->sub.encoding, count))) {
        if (*len + f->len > BATCH_BYTES)
            break;
        memcpy(batch + *len, f->bytes, f->len);
        *len += f->len;
        ends[count++] = (uint32_t)*len;
    }
    return count;
}

static ssize_t send_some(struct client *c, const char *data, size_t len)
{
    ssize_t n = send(c->watch.fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);

    c->g->figures.sends++;
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
        return 0;
    if (n > 0) {
        c->bytes_out += (uint64_t)n;
        c->g->figures.bytes_out += (uint64_t)n;
    }
    return n;
}

/* One frame larger than a batch goes by itself; what is left of it goes to `out`. */
static ssize_t send_single(struct client *c, struct frame *f)
{
    size_t len = f->len;
    ssize_t n = send_some(c, f->bytes, len);

    if (n > 0) {
        if ((size_t)n < len)
            buf_add(&c->out, f->bytes + n, len - (size_t)n);
        backlog_took(&c->sub.backlog, 1);
        c->messages_out++;
        c->g->figures.deliveries++;
    }
    return n < 0 ? -1 : (size_t)n == len ? 1 : 0; /* f may be gone: it was taken */
}

/* Account for n bytes of a batch of out + frames.  Returns whether all went. */
static bool settle(struct client *c, size_t n, const char *batch, size_t len,
                   const uint32_t *ends, uint32_t count)
{
    size_t out_len = c->out.len;
    uint32_t begun = 0;

    if (n < out_len) {
        memmove(c->out.data, c->out.data + n, out_len - n);
        c->out.len -= n;
        backlog_fall_behind(&c->sub.backlog);
        return false;
    }
    buf_free(
        &c->out); /* what is said to one client is rare: idle ones hold none of it */
    while (begun < count && (begun ? ends[begun - 1] : out_len) < n)
        begun++;
    if (begun && ends[begun - 1] > n)
        buf_add(&c->out, batch + n, ends[begun - 1] - n);
    backlog_took(&c->sub.backlog, begun);
    c->messages_out += begun;
    c->g->figures.deliveries += begun;
    return n == len;
}

/* 1: all of it went, 0: the socket is full, -1: the connection is gone. */
static int send_batch(struct client *c)
{
    static char batch[BATCH_BYTES]; /* loop's thread only */
    static uint32_t ends[BATCH_FRAMES];
    uint32_t sendable = backlog_sendable(&c->sub.backlog),
             most = sendable < BATCH_FRAMES ? sendable : BATCH_FRAMES;
    struct frame *first = c->is_closing || c->out.len || !most
                              ? NULL
                              : backlog_peek(&c->sub.backlog, c->sub.encoding, 0);
    size_t len = 0;
    uint32_t count = 0;
    ssize_t n;

    if (client_is_traced(c) && !c->is_closing)
        stamp_batch(c, most);
    if (first &&
        (first->len > BATCH_BYTES || most == 1 || backlog_length(&c->sub.backlog) == 1))
        return (int)send_single(c, first);
    if (c->out.len >
        BATCH_BYTES) { /* at most CLIENT_OUT_MAX and one answer: send it as it is */
        n = send_some(c, c->out.data, c->out.len);
        return n < 0 ? -1 : settle(c, (size_t)n, NULL, c->out.len, NULL, 0);
    }
    if (c->out.len)
        memcpy(batch, c->out.data, c->out.len);
    len = c->out.len;
    if (!c->is_closing)
        count = gather(c, batch, &len, ends, most);
    if (!len)
        return 1;
    n = send_some(c, batch, len);
    return n < 0 ? -1 : settle(c, (size_t)n, batch, len, ends, count);
}

static bool is_held_back(struct client *c)
{
    struct gateway *g = c->g;

    if (!c->interval_ms || c->is_closing || backlog_is_empty(&c->sub.backlog) ||
        g->now >= c->flush_at)
        return false;
    backlog_fall_behind(&c->sub.backlog);
    if (!c->is_deferred) {
        if (g->deferred_count == g->deferred_cap) {
            g->deferred_cap = g->deferred_cap ? g->deferred_cap * 2 : 64;
            g->deferred = mem_resize(g->deferred, g->deferred_cap * sizeof(void *));
        }
        c->is_deferred = true;
        g->deferred[g->deferred_count++] = c;
    }
    return true;
}

static void send_out_only(struct client *c)
{
    ssize_t n = c->out.len ? send_some(c, c->out.data, c->out.len) : 0;

    if (n < 0)
        client_drop(c, "connection lost");
    else if (!settle(c, (size_t)n, NULL, c->out.len, NULL, 0) && !c->is_blocked)
        set_blocked(c, true);
}

/* One that talks but does not listen, or talks faster than we can answer, is not heard. */
static void check_muted(struct client *c)
{
    bool is_muted = !client_has_room(c) || c->waiting_bytes > CLIENT_OUT_MAX;

    if (c->is_dead || c->is_muted == is_muted)
        return;
    c->is_muted = is_muted;
    set_blocked(c, c->is_blocked);
}

/*
 * From where a client in mode all can go on.  While it is still owed what one of several
 * subscriptions asked for, that is not the highest position it was sent.
 */
static uint64_t resume_seq(const struct client *c)
{
    uint64_t sent = c->sub.backlog.sent_seq;

    if (!c->requests && backlog_is_ascending(&c->sub.backlog))
        return sent;
    return sent < c->stated_seq ? sent : c->stated_seq;
}

/* It is told from where it can go on. */
static void close_slow(struct client *c)
{
    char reason[128];

    snprintf(reason, sizeof reason,
             "{\"code\":\"slow_consumer\",\"setting\":\"CLIENT_QUEUE\",\"epoch\":\"%"
             "016llx\","
             "\"seq\":%llu}",
             (unsigned long long)hub_epoch(c->g->hub),
             (unsigned long long)resume_seq(c));
    client_close(c, CLOSE_SLOW, span_of(reason), "slow consumer");
}

void client_say_heartbeat(struct client *c)
{
    c->owes_heartbeat = false;
    c->heartbeat_at = c->g->now + c->g->config.heartbeat;
    stream_heartbeat(c);
}

static bool has_output(const struct client *c)
{
    return c->out.len || (!c->is_closing && !backlog_is_empty(&c->sub.backlog));
}

static void flush(struct client *c)
{
    bool is_owed;
    int result = 1, batches = 0;

    if (c->is_dead)
        return;
    if (c->sub.backlog.has_overflowed && !c->is_closing)
        close_slow(c);
    if (c->is_blocked) {
        backlog_fall_behind(&c->sub.backlog);
        return;
    }
    if (is_held_back(c)) {
        if (c->out.len)
            send_out_only(c);
        return;
    }
    is_owed = !backlog_is_empty(&c->sub.backlog);
    if (c->owes_heartbeat && is_owed && !c->is_closing)
        client_say_heartbeat(c);
    while (result > 0 && has_output(c)) {
        if (batches++ == FLUSH_BATCHES) {
            hub_set_due(c->g->hub, &c->sub); /* the others first */
            break;
        }
        if (c->sub.backlog.is_dirty)
            hub_verify_backlog(c->g->hub, &c->sub, BATCH_FRAMES);
        result = send_batch(c);
    }
    if (is_owed)
        c->flush_at = c->g->now + c->interval_ms;
    if (c->interval_ms && result > 0)
        stream_settle_position(c); /* sweeps hardly ever see it owed nothing */
    if (result < 0)
        client_drop(c, "connection lost");
    else if (result == 0 && !c->is_blocked)
        set_blocked(c, true);
}

void client_flush(struct client *c)
{
    flush(c);
    check_muted(c);
    if (c->is_dead || c->out.len)
        return;
    if (c->is_closing && c->has_peer_closed)
        /* Both close frames are through: ours to end it, and its place is free before the peer sees that. */
        client_drop(c, c->close_why);
    else if (c->is_deaf)
        shutdown(c->watch.fd,
                 SHUT_WR); /* we cannot hear its close frame: its end will do */
}

void client_flush_deferred(struct gateway *g)
{
    for (size_t i = 0; i < g->deferred_count;) {
        struct client *c = g->deferred[i];

        if (!c->is_dead && g->now < c->flush_at) {
            i++;
            continue;
        }
        g->deferred[i] = g->deferred[--g->deferred_count];
        c->is_deferred = false;
        if (!c->is_dead)
            client_flush(c);
    }
}

/* --- life ----------------------------------------------------------------------------------- */

static void on_ready(struct loop_watch *w, uint32_t events)
{
    struct client *c = client_of(w);

    if (c->is_dead)
        return;
    if (events & EPOLLOUT) {
        set_blocked(c, false);
        if (c->is_dead)
            return;
    }
    if (events & EPOLLIN && !c->is_muted)
        client_read(c);
    if (c->is_dead)
        return;
    if (events & (EPOLLERR | EPOLLHUP) ||
        (events & EPOLLRDHUP && (c->is_muted || !(events & EPOLLIN)) &&
         !c->is_resting)) {
        client_drop(c, c->is_closing ? c->close_why : "connection lost");
        return;
    }
    client_flush(c);
}

struct client *client_new(struct gateway *g, const struct accepted *a)
{
    struct client *c = mem_zalloc(sizeof *c);

    c->g = g;
    c->watch.fd = a->fd;
    c->watch.on_ready = on_ready;
    if (loop_watch(g->loop, &c->watch, EPOLLIN | EPOLLRDHUP)) {
        log_error("%s:%d - a WebSocket could not be watched: %s", a->host, a->port,
                  strerror(errno));
        close(a->fd);
        free(c);
        if (!a->explain_close)
            gate_release(g->gate);
        return NULL;
    }
    hub_set_due(g->hub, &c->sub);
    c->id = ++g->next_client_id;
    c->host = mem_strdup(a->host);
    c->port = (uint16_t)a->port;
    c->since_us = g->wall_us;
    c->heard_at = g->awake;
    c->heartbeat_at = g->now + g->config.heartbeat;
    c->sub.encoding = a->is_msgpack ? ENCODING_MSGPACK : ENCODING_JSON;
    if (g->client_count == g->client_cap) {
        g->client_cap = g->client_cap ? g->client_cap * 2 : 64;
        g->clients = mem_resize(g->clients, g->client_cap * sizeof(void *));
    }
    c->place = (uint32_t)g->client_count;
    g->clients[g->client_count++] = c;
    c->has_place = !a->explain_close;
    if (!c->has_place)
        return c;
    g->place_count++;
    g->place_counts[c->sub.wants_all][c->sub.encoding]++;
    g->figures.opened++;
    upstream_report_open(g->upstream, c);
    log_info("%s:%u - \"WebSocket %.200s\" [accepted]", c->host, c->port, a->path);
    log_info("%s:%u - connection open (%s:%llu)", c->host, c->port, g->name,
             (unsigned long long)c->id);
    return c;
}

void client_set_mode(struct client *c, bool wants_all)
{
    uint64_t(*counts)[ENCODING_COUNT] = c->g->place_counts;

    counts[wants_all][c->sub.encoding] += c->has_place;
    counts[c->sub.wants_all][c->sub.encoding] -= c->has_place;
    hub_set_mode(&c->sub, wants_all);
}

void client_close(struct client *c, uint16_t code, struct span reason, const char *why)
{
    if (c->is_closing || c->is_dead)
        return;
    frame_append_close(&c->out, code, reason);
    client_begin_closing(c, code, why);
}

static enum counters_end end_of(const struct client *c)
{
    if (c->has_left)
        return COUNTERS_END_left;
    switch (c->close_code) {
    case 0:
        return COUNTERS_END_lost;
    case CLOSE_IDLE:
        return COUNTERS_END_idle;
    case CLOSE_SLOW:
        return COUNTERS_END_slow_consumer;
    case CLOSE_ABUSE:
        return COUNTERS_END_too_many_errors;
    case CLOSE_RESTART:
        return COUNTERS_END_restart;
    case WSLAY_CODE_MESSAGE_TOO_BIG:
        return COUNTERS_END_too_large;
    default:
        return COUNTERS_END_bad_frame;
    }
}

void client_drop(struct client *c, const char *why)
{
    struct gateway *g = c->g;

    if (c->is_dead)
        return;
    c->is_dead = true;
    client_rest_end(c);
    g->clients[c->place] = g->clients[--g->client_count];
    g->clients[c->place]->place = c->place;
    loop_unwatch(g->loop, &c->watch);
    if (c->has_place) {
        gate_release(g->gate);
        g->place_count--;
        g->place_counts[c->sub.wants_all][c->sub.encoding]--;
        g->figures.ends[end_of(c)]++;
        upstream_report_close(g->upstream, c);
    }
    close(c->watch.fd); /* its place is free: who sees the end may come back at once */
    stream_forget(c);
    g->tracers -= client_is_traced(c);
    g->blocked_count -= c->is_blocked;
    hub_leave_all(g->hub, &c->sub);
    client_drop_context(c);
    log_info(
        "%s:%u - connection closed: %s, code %u, %.1f s, %llu messages and %llu bytes "
        "sent, %llu merged, %llu messages received",
        c->host, c->port, c->close_code ? c->close_why : why,
        c->close_code ? c->close_code : 1006u, (double)(g->wall_us - c->since_us) / 1e6,
        (unsigned long long)c->messages_out, (unsigned long long)c->bytes_out,
        (unsigned long long)c->sub.backlog.merged, (unsigned long long)c->messages_in);
    c->next_dead = g->dead;
    g->dead = c;
}

void client_reap(struct gateway *g)
{
    for (size_t i = 0; g->dead && i < g->deferred_count;) {
        if (g->deferred[i]->is_dead)
            g->deferred[i] = g->deferred[--g->deferred_count];
        else
            i++;
    }
    while (g->dead) {
        struct client *c = g->dead;

        g->dead = c->next_dead;
        buf_free(&c->out);
        free(c->host);
        free(c);
    }
}
