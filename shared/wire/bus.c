#include "shared/wire/bus.h"

#include <errno.h>
#include <sched.h>
#include <string.h>

#include "shared/base/log.h"

#define DEAD_MS 10000
#define SUBSCRIPTIONS_HIGH_WATER 16

/*
 * ZeroMQ aborts if the kernel refuses a scheduling policy, so try it first: some sandboxes allow
 * one policy only.
 */
static bool may_wait_its_turn(void)
{
    const struct sched_param none = {0};

    return sched_getscheduler(0) == SCHED_OTHER && sched_setscheduler(0, SCHED_BATCH, &none) == 0 &&
           sched_setscheduler(0, SCHED_OTHER, &none) == 0;
}

void *bus_context(void)
{
    void *context = zmq_ctx_new();

    zmq_ctx_set(context, ZMQ_MAX_SOCKETS, 64);
    /* ZeroMQ's thread must not interrupt the loop for every packet: docs/adr/0012. */
    if (may_wait_its_turn())
        zmq_ctx_set(context, ZMQ_THREAD_SCHED_POLICY, SCHED_BATCH);
    return context;
}

static void set_int(void *socket, int option, int value)
{
    zmq_setsockopt(socket, option, &value, sizeof value);
}

static void *open_socket(void *context, int type, int high_water, size_t frame_max)
{
    void *s = zmq_socket(context, type);
    int64_t message_max = (int64_t)frame_max;

    if (!s)
        return NULL;
    set_int(s, ZMQ_LINGER, 0);
    set_int(s, ZMQ_SNDHWM, high_water);
    /* libzmq takes in all waiting subscriptions before it returns to its caller. */
    set_int(s, ZMQ_RCVHWM,
            type == ZMQ_XPUB || type == ZMQ_PUB ? SUBSCRIPTIONS_HIGH_WATER : high_water);
    set_int(s, ZMQ_CONNECT_TIMEOUT, 2000);
    set_int(s, ZMQ_HANDSHAKE_IVL, BUS_SILENCE_MS);
    /* The kernel drops a peer that is gone, or has not read for DEAD_MS. */
    set_int(s, ZMQ_TCP_MAXRT, DEAD_MS);
    set_int(s, ZMQ_TCP_KEEPALIVE, 1);
    set_int(s, ZMQ_TCP_KEEPALIVE_IDLE, 3);
    set_int(s, ZMQ_TCP_KEEPALIVE_INTVL, 1);
    set_int(s, ZMQ_TCP_KEEPALIVE_CNT, 3);
    set_int(s, ZMQ_RECONNECT_IVL, 100);
    set_int(s, ZMQ_RECONNECT_IVL_MAX, 2000);
    zmq_setsockopt(s, ZMQ_MAXMSGSIZE, &message_max, sizeof message_max);
    return s;
}

static void *open_at(void *context, int type, const char *endpoint, int high_water,
                     size_t frame_max, bool is_bind)
{
    void *s = open_socket(context, type, high_water, frame_max);
    int error;

    if (s && (is_bind ? zmq_bind(s, endpoint) : zmq_connect(s, endpoint)) == 0)
        return s;
    error = zmq_errno();
    bus_close(s);
    errno = error;
    return NULL;
}

void *bus_bind(void *context, int type, const char *endpoint, int high_water, size_t frame_max,
               const char *setting)
{
    void *s = open_at(context, type, endpoint, high_water, frame_max, true);

    if (!s && errno == EADDRINUSE)
        log_critical("another program listens on %s: end it, or set %s", endpoint, setting);
    else if (!s && (errno == ENODEV || errno == EADDRNOTAVAIL))
        log_critical("%s: cannot listen on %s: this machine has no such address; name "
                     "one of its IPv4 addresses, or 0.0.0.0 for all",
                     setting, endpoint);
    else if (!s)
        log_critical("%s: cannot listen on %s: %s", setting, endpoint, zmq_strerror(errno));
    return s;
}

void *bus_connect(void *context, int type, const char *endpoint, int high_water, size_t frame_max)
{
    void *s = open_at(context, type, endpoint, high_water, frame_max, false);

    if (!s)
        log_error("cannot connect to %s: %s; correct the BROKER_… setting that names it", endpoint,
                  zmq_strerror(errno));
    return s;
}

void *bus_try_connect(void *context, int type, const char *endpoint, int high_water,
                      size_t frame_max)
{
    return open_at(context, type, endpoint, high_water, frame_max, false);
}

void bus_close(void *socket)
{
    if (socket)
        zmq_close(socket);
}

void bus_set_linger(void *socket, int ms)
{
    if (socket)
        set_int(socket, ZMQ_LINGER, ms);
}

void bus_set_welcome(void *socket, struct span frame)
{
    zmq_setsockopt(socket, ZMQ_XPUB_WELCOME_MSG, frame.at, frame.len);
}

int bus_fd(void *socket)
{
    int fd = -1;
    size_t size = sizeof fd;

    zmq_getsockopt(socket, ZMQ_FD, &fd, &size);
    return fd;
}

void bus_endpoint(void *socket, char out[BUS_ENDPOINT_MAX])
{
    size_t size = BUS_ENDPOINT_MAX;

    if (zmq_getsockopt(socket, ZMQ_LAST_ENDPOINT, out, &size))
        out[0] = '\0';
}

bool bus_is_readable(void *socket)
{
    int events = 0;
    size_t size = sizeof events;

    return zmq_getsockopt(socket, ZMQ_EVENTS, &events, &size) == 0 && (events & ZMQ_POLLIN);
}

/* In ZMTP a frame has a byte of flags and a size of one byte or of eight. */
uint64_t bus_wire_bytes(size_t size)
{
    return size + (size < 256 ? 2 : 9);
}

int bus_source(struct bus_message *m)
{
    return m->count ? zmq_msg_get(&m->frames[m->count - 1], ZMQ_SRCFD) : m->source;
}

uint64_t bus_bytes(const struct bus_message *m)
{
    uint64_t bytes = m->bytes;

    for (int i = 0; i < m->count; i++)
        bytes += bus_wire_bytes(zmq_msg_size(&m->frames[i]));
    return bytes;
}

/* Drops a message with too many frames: receives the rest of its frames. */
static enum err drop_message(void *socket, struct bus_message *m)
{
    zmq_msg_t extra;
    bool more = true;

    while (more) {
        zmq_msg_init(&extra);
        if (zmq_msg_recv(&extra, socket, ZMQ_DONTWAIT) < 0) {
            zmq_msg_close(&extra);
            bus_message_close(m);
            return ERR_AGAIN;
        }
        more = zmq_msg_more(&extra);
        m->bytes += bus_wire_bytes(zmq_msg_size(&extra));
        zmq_msg_close(&extra);
    }
    m->bytes = bus_bytes(m);
    m->source = bus_source(m);
    bus_message_close(m);
    return ERR_MALFORMED;
}

enum err bus_recv(void *socket, struct bus_message *out)
{
    out->count = 0;
    out->bytes = 0;
    out->source = -1;
    while (out->count < BUS_FRAMES_MAX) {
        zmq_msg_t *frame = &out->frames[out->count];

        zmq_msg_init(frame);
        if (zmq_msg_recv(frame, socket, ZMQ_DONTWAIT) < 0) {
            zmq_msg_close(frame);
            bus_message_close(out);
            return ERR_AGAIN;
        }
        out->count++;
        if (!zmq_msg_more(frame))
            return OK;
    }
    return drop_message(socket, out);
}

void bus_message_close(struct bus_message *m)
{
    while (m->count > 0)
        zmq_msg_close(&m->frames[--m->count]);
}

struct span bus_frame(struct bus_message *m, int index)
{
    return (struct span){zmq_msg_data(&m->frames[index]), zmq_msg_size(&m->frames[index])};
}

enum err bus_send(void *socket, const struct span *frames, int count)
{
    for (int i = 0; i < count; i++) {
        int flags = ZMQ_DONTWAIT | (i + 1 < count ? ZMQ_SNDMORE : 0);

        if (zmq_send(socket, frames[i].at, frames[i].len, flags) < 0)
            return ERR_AGAIN; /* ZeroMQ refuses a whole message at its first frame */
    }
    return OK;
}

enum err bus_forward(void *socket, struct bus_message *m)
{
    for (int i = 0; i < m->count; i++) {
        int flags = ZMQ_DONTWAIT | (i + 1 < m->count ? ZMQ_SNDMORE : 0);

        if (zmq_msg_send(&m->frames[i], socket, flags) < 0)
            return ERR_AGAIN;
    }
    m->count = 0;
    return OK;
}
