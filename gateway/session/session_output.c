/* session_output: sends pending data, as far as the socket accepts it. */
#include <stdio.h>
#include <string.h>

#include "gateway/session/session_private.h"
#include "shared/base/array.h"

#define BATCH_FRAMES 1024
#define FLUSH_BATCHES 2 /* to one session in one turn */
/*
 * For functions that a session with a single frame does not need: inlining them would cost that
 * path registers.
 */
#define SELDOM __attribute__((noinline))

void session_set_blocked(struct session *s, bool is_blocked)
{
    s->all->blocked_count += is_blocked;
    s->all->blocked_count -= s->is_blocked;
    s->is_blocked = is_blocked;
    session_watch(s);
}

/* The traced quotes of the next batch state the time of this send. */
static SELDOM void stamp_batch(struct session *s)
{
    int64_t wall_us = s->all->io.wall_us(s->all->io.ctx);
    uint32_t most = backlog_sendable(&s->sub.backlog);
    size_t len = 0;
    struct frame *f;

    for (uint32_t i = 0; i < most && i < BATCH_FRAMES && len <= SESSION_BATCH_BYTES &&
                         (f = backlog_peek(&s->sub.backlog, s->sub.encoding, i));
         i++) {
        frame_stamp(f, wall_us);
        len += f->len;
    }
}

/* Frames that the hub has pending, after `out`, until the batch is full.  Returns how many. */
static uint32_t gather(struct session *s, char *batch, size_t *len, uint32_t *ends, uint32_t most)
{
    uint32_t count = 0;
    struct frame *f;

    while (count < most && (f = backlog_peek(&s->sub.backlog, s->sub.encoding, count))) {
        if (*len + f->len > SESSION_BATCH_BYTES)
            break;
        memcpy(batch + *len, f->bytes, f->len);
        *len += f->len;
        ends[count++] = (uint32_t)*len;
    }
    return count;
}

/* Returns how many bytes the socket accepted; -1: the connection is gone. */
static ssize_t send_some(struct session *s, const char *data, size_t len)
{
    struct sessions *all = s->all;
    ssize_t n = all->io.send(s, data, len);

    all->counters->sends++;
    if (n > 0) {
        s->bytes_out += (uint64_t)n;
        all->counters->bytes_out += (uint64_t)n;
    }
    return n;
}

/* Send a frame that is larger than a batch by itself; the unsent rest goes to `out`. */
static int send_single(struct session *s, struct frame *f)
{
    size_t len = f->len;
    ssize_t n = send_some(s, f->bytes, len);

    if (n > 0) {
        if ((size_t)n < len)
            buf_add(&s->out, f->bytes + n, len - (size_t)n);
        backlog_took(&s->sub.backlog, 1);
        s->messages_out++;
        s->all->counters->deliveries++;
    }
    return n < 0 ? -1 : (size_t)n == len ? 1 : 0; /* f may have been freed: it was sent */
}

/* Account for n bytes of a batch of out + frames.  Returns whether all went. */
static bool settle(struct session *s, size_t n, const char *batch, size_t len, const uint32_t *ends,
                   uint32_t count)
{
    size_t out_len = s->out.len;
    uint32_t begun = 0;

    if (n < out_len) {
        memmove(s->out.data, s->out.data + n, out_len - n);
        s->out.len -= n;
        return false;
    }
    buf_free(&s->out); /* rarely used: an idle session holds no memory for it */
    while (begun < count && (begun ? ends[begun - 1] : out_len) < n)
        begun++;
    if (begun && ends[begun - 1] > n)
        buf_add(&s->out, batch + n, ends[begun - 1] - n);
    backlog_took(&s->sub.backlog, begun);
    s->messages_out += begun;
    s->all->counters->deliveries += begun;
    return n == len;
}

/*
 * The pending frame, if it must be sent by itself: because it is the only one, or is larger than a
 * batch.
 */
static struct frame *single_frame(struct session *s)
{
    struct backlog *b = &s->sub.backlog;
    uint32_t sendable = s->is_closing || s->out.len ? 0 : backlog_sendable(b);
    struct frame *f = sendable ? backlog_peek(b, s->sub.encoding, 0) : NULL;
    bool is_alone = sendable == 1 || backlog_length(b) == 1;

    return f && (is_alone || f->len > SESSION_BATCH_BYTES) ? f : NULL;
}

/*
 * Send `out` and frames together.  1: all was sent, 0: the socket is full, -1: the connection is
 * gone.
 */
static SELDOM int send_batch(struct session *s)
{
    static char batch[SESSION_BATCH_BYTES]; /* loop's thread only */
    static uint32_t ends[BATCH_FRAMES];
    uint32_t sendable = backlog_sendable(&s->sub.backlog),
             most = sendable < BATCH_FRAMES ? sendable : BATCH_FRAMES, count = 0;
    size_t len = s->out.len;
    ssize_t n;

    if (len > SESSION_BATCH_BYTES) { /* at most SESSION_OUT_MAX and one answer */
        n = send_some(s, s->out.data, len);
        return n < 0 ? -1 : settle(s, (size_t)n, NULL, len, NULL, 0);
    }
    if (len)
        memcpy(batch, s->out.data, len);
    if (!s->is_closing)
        count = gather(s, batch, &len, ends, most);
    if (!len)
        return 1;
    n = send_some(s, batch, len);
    return n < 0 ? -1 : settle(s, (size_t)n, batch, len, ends, count);
}

/* The same, for whatever comes next: a single frame or a batch. */
static int send_next(struct session *s)
{
    struct frame *f;

    if (session_is_traced(s) && !s->is_closing)
        stamp_batch(s);
    f = single_frame(s);
    return f ? send_single(s, f) : send_batch(s);
}

static SELDOM bool is_held_back(struct session *s)
{
    struct sessions *all = s->all;

    if (s->is_closing || backlog_is_empty(&s->sub.backlog) || all->now >= s->flush_at)
        return false;
    if (!s->is_deferred) {
        s->is_deferred = true;
        ARRAY_ADD(all->deferred, all->deferred_cap, all->deferred_count, s);
    }
    return true;
}

static SELDOM void send_out_only(struct session *s)
{
    ssize_t n = s->out.len ? send_some(s, s->out.data, s->out.len) : 0;

    if (n < 0)
        session_drop(s, "connection lost");
    else if (!settle(s, (size_t)n, NULL, s->out.len, NULL, 0) && !s->is_blocked)
        session_set_blocked(s, true);
}

/*
 * Stop reading a session that does not read its answers, or sends requests faster than they are
 * answered.
 */
static void check_input_paused(struct session *s)
{
    bool is_input_paused = !session_has_room(s) || s->waiting_bytes > SESSION_OUT_MAX;

    if (s->is_dead || s->is_input_paused == is_input_paused)
        return;
    s->is_input_paused = is_input_paused;
    session_set_blocked(s, s->is_blocked);
}

/*
 * The position from which a client in mode all can go on.  While something of one of several
 * subscriptions is unsent, that is not the highest position it was sent.
 */
static uint64_t resume_seq(const struct session *s)
{
    uint64_t sent = s->sub.backlog.sent_seq;

    if (!s->requests && backlog_is_ascending(&s->sub.backlog))
        return sent;
    return sent < s->stated_seq ? sent : s->stated_seq;
}

/* The close frame states from where the client can go on. */
static SELDOM void close_slow(struct session *s)
{
    char reason[128];

    snprintf(reason, sizeof reason,
             "{\"code\":\"slow_consumer\",\"setting\":\"CLIENT_QUEUE\",\"epoch\":\"%"
             "016llx\","
             "\"seq\":%llu}",
             (unsigned long long)hub_epoch(s->all->hub), (unsigned long long)resume_seq(s));
    session_close(s, SESSION_CLOSE_SLOW, span_of(reason), "slow consumer");
}

static bool has_output(const struct session *s)
{
    return s->out.len || (!s->is_closing && !backlog_is_empty(&s->sub.backlog));
}

static void flush(struct session *s)
{
    bool has_pending;
    int result = 1, batches = 0;

    if (s->is_dead)
        return;
    if (s->sub.backlog.has_overflowed && !s->is_closing)
        close_slow(s);
    if (s->is_blocked)
        return;
    if (s->interval_ms && is_held_back(s)) {
        if (s->out.len)
            send_out_only(s);
        return;
    }
    has_pending = !backlog_is_empty(&s->sub.backlog);
    if (s->is_heartbeat_pending && has_pending && !s->is_closing)
        session_send_heartbeat(s);
    while (result > 0 && has_output(s)) {
        if (batches++ == FLUSH_BATCHES) {
            hub_set_due(s->all->hub, &s->sub); /* the other sessions come first */
            break;
        }
        if (s->sub.backlog.is_dirty)
            hub_verify_backlog(s->all->hub, &s->sub, BATCH_FRAMES);
        result = send_next(s);
    }
    if (has_pending)
        s->flush_at = s->all->now + s->interval_ms;
    if (s->interval_ms)
        session_settle_position(s); /* sweeps hardly ever see it with nothing pending */
    if (result < 0)
        session_drop(s, "connection lost");
    else if (result == 0 && !s->is_blocked)
        session_set_blocked(s, true);
}

void session_flush(struct session *s)
{
    flush(s);
    check_input_paused(s);
    if (s->is_dead || s->out.len)
        return;
    if (s->is_closing && s->has_peer_closed)
        /* Both close frames are through: the place is free before the peer sees the end. */
        session_drop(s, s->close_why);
    else if (s->ignores_input)
        /* The peer's close frame cannot be read any more: its end will do. */
        s->all->io.end_output(s);
}

/* --- the socket is ready --------------------------------------------------------------------- */

void session_on_ready(struct session *s, unsigned events)
{
    if (s->is_dead)
        return;
    if (events & SESSION_WRITABLE) {
        session_set_blocked(s, false);
        if (s->is_dead)
            return;
    }
    if (events & SESSION_READABLE && !s->is_input_paused)
        session_read(s);
    if (s->is_dead)
        return;
    if (events & SESSION_FAILED ||
        (events & SESSION_PEER_ENDED && (s->is_input_paused || !(events & SESSION_READABLE)) &&
         !s->is_throttled)) {
        session_drop(s, s->is_closing ? s->close_why : "connection lost");
        return;
    }
    session_flush(s);
}
