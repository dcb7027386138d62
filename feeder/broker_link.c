#include "feeder/broker_link.h"

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
    void *context;
    struct loop *loop;
    struct link *link;
    struct sockets sockets;
    struct loop_watch watches[2];
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

/* Opens both, or logs the reason and opens neither. */
static bool open_sockets(const struct broker_link *b, struct sockets *out)
{
    struct sockets s;
    int one = 1;

    s.control = bus_connect(b->context, ZMQ_DEALER, b->set.control, CONTROL_HIGH_WATER,
                            WIRE_FEED_ANSWER_FRAME_MAX);
    s.ingest = bus_connect(b->context, ZMQ_PUB, b->set.ingest, INGEST_HIGH_WATER,
                           WIRE_SUBSCRIPTION_FRAME_MAX);
    /*
     * With this option a full pipe returns EAGAIN instead of dropping; PUB supports it too, see
     * zmq_setsockopt.
     */
    if (s.control && s.ingest && !zmq_setsockopt(s.ingest, ZMQ_XPUB_NODROP, &one, sizeof one)) {
        *out = s;
        return true;
    }
    close_sockets(&s);
    return false;
}

static void on_ready(struct loop_watch *w, uint32_t events)
{
    (void)w; /* every turn reads both sockets anyway */
    (void)events;
}

/* Returns false if the loop takes no more descriptors; logged. */
static bool watch(struct broker_link *b)
{
    int fds[2] = {bus_fd(b->sockets.ingest), bus_fd(b->sockets.control)};

    for (int i = 0; i < 2; i++) {
        b->watches[i] = (struct loop_watch){.fd = fds[i], .on_ready = on_ready};
        if (loop_watch(b->loop, &b->watches[i], EPOLLIN)) {
            log_error("epoll: %s", strerror(errno));
            return false;
        }
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
    log_debug("nothing proves that the broker hears us: new sockets");
    for (int i = 0; i < 2; i++)
        loop_unwatch(b->loop, &b->watches[i]);
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

/* --- life --------------------------------------------------------------------------- */

struct broker_link *broker_link_open(void *context, struct loop *loop,
                                     const struct link_settings *settings, struct outbox *outbox)
{
    struct broker_link *b = mem_zalloc(sizeof *b);
    struct link_out out = {b, send_control, send_ingest};

    b->context = context;
    b->loop = loop;
    b->set = *settings;
    make_owner(b->owner);
    if (gethostname(b->host, sizeof b->host - 1))
        b->host[0] = '\0';
    b->set.owner = b->owner;
    b->set.host = b->host;
    b->set.pid = (uint64_t)getpid();
    b->link = link_new(&b->set, outbox, &out);
    if (open_sockets(b, &b->sockets) && watch(b))
        return b;
    broker_link_close(b);
    return NULL;
}

void broker_link_close(struct broker_link *b)
{
    if (!b)
        return;
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

bool broker_link_turn(struct broker_link *b)
{
    link_begin_turn(b->link, loop_awake(b->loop), loop_now(b->loop), loop_wall_us(b->loop));
    drain_control(b);
    /* a PUB socket receives nothing, but this call clears its descriptor */
    (void)bus_is_readable(b->sockets.ingest);
    link_tick(b->link);
    return b->has_more || !link_is_broken(b->link) || replace_sockets(b);
}

int64_t broker_link_deadline(const struct broker_link *b)
{
    return b->has_more ? loop_awake(b->loop) : link_deadline(b->link);
}
