#include "shared/feed/broker_link.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "shared/base/log.h"
#include "shared/base/mem.h"
#include "shared/wire/bus.h"
#include "shared/wire/wire.h"

/*
 * Messages queued in ZeroMQ for the broker. Further lines stay in the outbox, so that a heartbeat
 * or a rewind does not wait behind them.
 */
#define INGEST_HIGH_WATER 4096
/* While the broker is away, hellos queue up here: a returning broker gets a few, not a flood. */
#define CONTROL_HIGH_WATER 16
#define DRAIN_MAX 256 /* messages of the broker per turn */
#define OWNER_BYTES 16

struct sockets {
    void *ingest, *control;
};

struct broker_link {
    struct link_settings set;
    struct broker_link_out out;
    void *context;
    struct link *link;
    struct sockets sockets;
    int watched; /* how many of the sockets the caller watches: ingest, then control */
    int64_t awake;
    char owner[2 * OWNER_BYTES + 1], host[65];
    bool has_more; /* the broker sent more than one turn takes */
};

static void make_owner(char owner[2 * OWNER_BYTES + 1])
{
    unsigned char random[OWNER_BYTES];

    if (getrandom(random, sizeof random, 0) != sizeof random) {
        log_critical("no random bytes: %s", strerror(errno));
        abort();
    }
    for (size_t i = 0; i < sizeof random; i++)
        snprintf(owner + 2 * i, 3, "%02x", random[i]);
}

/* --- sockets ------------------------------------------------------------------------ */

static void close_sockets(struct sockets *s)
{
    bus_close(s->ingest);
    bus_close(s->control);
    *s = (struct sockets){0};
}

/* Returns NULL, with a note and errno, if the endpoint is not valid. */
static void *connect_to(const struct broker_link *b, int type, const char *endpoint, int high_water,
                        size_t frame_max)
{
    void *s = bus_try_connect(b->context, type, endpoint, high_water, frame_max);
    char text[LINK_TEXT_MAX];
    int error = errno;

    if (s)
        return s;
    snprintf(text, sizeof text,
             "cannot connect to %s: %s; correct the BROKER_… setting that names it", endpoint,
             zmq_strerror(error));
    b->out.note(b->out.ctx, LOG_ERROR, text);
    errno = error;
    return NULL;
}

/* Opens both, or notes the reason and opens neither. */
static bool open_sockets(const struct broker_link *b, struct sockets *out)
{
    struct sockets s = {0};
    int one = 1, error;

    s.control =
        connect_to(b, ZMQ_DEALER, b->set.control, CONTROL_HIGH_WATER, WIRE_FEED_ANSWER_FRAME_MAX);
    if (s.control)
        s.ingest =
            connect_to(b, ZMQ_PUB, b->set.ingest, INGEST_HIGH_WATER, WIRE_SUBSCRIPTION_FRAME_MAX);
    /*
     * With this option a full pipe returns EAGAIN instead of dropping; PUB supports it too, see
     * zmq_setsockopt.
     */
    if (s.control && s.ingest && !zmq_setsockopt(s.ingest, ZMQ_XPUB_NODROP, &one, sizeof one)) {
        *out = s;
        return true;
    }
    error = errno;
    close_sockets(&s);
    errno = error;
    return false;
}

static int fd_at(const struct broker_link *b, int index)
{
    return bus_fd(index ? b->sockets.control : b->sockets.ingest);
}

static void unwatch(struct broker_link *b)
{
    while (b->watched)
        b->out.unwatch(b->out.ctx, fd_at(b, --b->watched));
}

/* Returns false, with a note and errno, if the caller watches no more descriptors. */
static bool watch(struct broker_link *b)
{
    char text[LINK_TEXT_MAX];
    int error;

    for (; b->watched < 2; b->watched++) {
        if (b->out.watch(b->out.ctx, fd_at(b, b->watched)))
            continue;
        error = errno;
        snprintf(text, sizeof text, "epoll: %s", strerror(error));
        b->out.note(b->out.ctx, LOG_ERROR, text);
        errno = error;
        return false;
    }
    return true;
}

static bool replace_sockets(struct broker_link *b)
{
    struct sockets fresh;

    if (!open_sockets(b, &fresh)) {
        link_reopened(b->link, false);
        return true;
    }
    b->out.note(b->out.ctx, LOG_DEBUG, "nothing proves that the broker hears us: new sockets");
    unwatch(b);
    close_sockets(&b->sockets);
    b->sockets = fresh;
    link_reopened(b->link, true);
    return watch(b);
}

/* --- what the link sends ------------------------------------------------------------ */

static bool send_control(void *ctx, struct span message)
{
    struct broker_link *b = ctx;

    return bus_send(b->sockets.control, &message, 1) == OK;
}

static bool send_ingest(void *ctx, const struct span frames[2])
{
    struct broker_link *b = ctx;

    return bus_send(b->sockets.ingest, frames, 2) == OK;
}

static void note(void *ctx, enum log_level level, const char *text)
{
    struct broker_link *b = ctx;

    b->out.note(b->out.ctx, level, text);
}

static void refused(void *ctx, uint64_t line, struct span reason)
{
    struct broker_link *b = ctx;

    b->out.refused(b->out.ctx, line, reason);
}

/* --- life --------------------------------------------------------------------------- */

struct broker_link *broker_link_open(void *context, const struct link_settings *settings,
                                     struct outbox *outbox, const struct broker_link_out *out)
{
    struct broker_link *b = mem_zalloc(sizeof *b);
    struct link_out link_out = {b, send_control, send_ingest, note, out->refused ? refused : NULL};
    int error;

    b->context = context;
    b->out = *out;
    b->set = *settings;
    make_owner(b->owner);
    if (gethostname(b->host, sizeof b->host - 1))
        b->host[0] = '\0';
    b->set.owner = b->owner;
    b->set.host = b->host;
    b->set.pid = (uint64_t)getpid();
    b->link = link_new(&b->set, outbox, &link_out);
    if (open_sockets(b, &b->sockets) && watch(b))
        return b;
    error = errno;
    broker_link_close(b, 0);
    errno = error;
    return NULL;
}

void broker_link_close(struct broker_link *b, int linger_ms)
{
    if (!b)
        return;
    unwatch(b);
    bus_set_linger(b->sockets.ingest, linger_ms);
    bus_set_linger(b->sockets.control, linger_ms);
    link_free(b->link);
    close_sockets(&b->sockets);
    free(b);
}

struct link *broker_link_state(struct broker_link *b)
{
    return b->link;
}

static void drain_control(struct broker_link *b)
{
    struct bus_message m;
    enum err e;

    b->has_more = false;
    for (int i = 0; i < DRAIN_MAX; i++) {
        e = bus_recv(b->sockets.control, &m);
        if (e == ERR_AGAIN)
            return;
        if (e)
            continue;
        link_take(b->link, bus_frame(&m, m.count - 1));
        bus_message_close(&m);
    }
    b->has_more = true;
}

bool broker_link_turn(struct broker_link *b, const struct broker_link_time *now)
{
    b->awake = now->awake;
    link_begin_turn(b->link, now->awake, now->mono, now->wall_us);
    drain_control(b);
    /* a PUB socket receives nothing, but this call clears its descriptor */
    (void)bus_is_readable(b->sockets.ingest);
    link_tick(b->link);
    return b->has_more || !link_is_broken(b->link) || replace_sockets(b);
}

int64_t broker_link_deadline(const struct broker_link *b)
{
    return b->has_more ? b->awake : link_deadline(b->link);
}
