/*
 * pregon_link: the two sockets to the broker.
 *
 * One gets a heartbeat every second; the library pings on the other when it is quiet. The library
 * replaces a socket that received nothing for BUS_SILENCE_MS, because its connection may hang: the
 * broker may have moved to another machine under the same name. After that the library recovers as
 * after any new connection: `!welcome ` makes the receiver request the log, and unanswered requests
 * are sent again or given up.
 */
#include <errno.h>
#include <msgpack.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "consumer/lib/pregon_private.h"
#include "shared/wire/bus.h"
#include "shared/wire/wire.h"

#define RECORDS_HIGH_WATER 20000
#define CONTROL_HIGH_WATER 256 /* requests queued for a broker that is away */
#define PING_MS 1000
/*
 * if this much time passes between two turns, this process was paused, and a silence of the broker
 * means nothing
 */
#define LATE_MS 2000

char *pregon_link_address(const char *given, const char *variable, const char *usual)
{
    const char *set = getenv(variable);

    return strdup(given ? given : set && *set ? set : usual);
}

enum pregon_error pregon_link_error(int error)
{
    bool is_address = error == EINVAL || error == EPROTONOSUPPORT || error == ENODEV;

    return is_address ? PREGON_ERROR_INVALID : PREGON_ERROR_SYSTEM;
}

bool pregon_link_watch(struct pregon *p, int fd)
{
    struct epoll_event e = {.events = EPOLLIN};

    return epoll_ctl(p->fd, EPOLL_CTL_ADD, fd, &e) == 0;
}

/* Opens and watches a socket; NULL with errno. */
static void *open_socket(struct pregon *p, int type, const char *endpoint, int high_water,
                         size_t frame_max)
{
    void *s = bus_try_connect(p->context, type, endpoint, high_water, frame_max);

    if (s && !pregon_link_watch(p, bus_fd(s))) {
        bus_close(s);
        return NULL;
    }
    return s;
}

static void *open_records(struct pregon *p)
{
    return open_socket(p, ZMQ_SUB, p->publish, RECORDS_HIGH_WATER, WIRE_RECORD_FRAME_MAX);
}

static void *open_control(struct pregon *p)
{
    return open_socket(p, ZMQ_DEALER, p->requests_to, CONTROL_HIGH_WATER, WIRE_ANSWER_FRAME_MAX);
}

bool pregon_link_open(struct pregon *p)
{
    p->publish = pregon_link_address(p->options.publish, "BROKER_PUBLISH", "tcp://127.0.0.1:5556");
    p->requests_to =
        pregon_link_address(p->options.control, "BROKER_CONTROL", "tcp://127.0.0.1:5557");
    if (!p->publish || !p->requests_to)
        return false;
    p->records = open_records(p);
    if (p->records)
        p->control = open_control(p);
    p->records_at = p->control_at = p->tick_at = p->now;
    return p->control != NULL;
}

static void replace(struct pregon *p, void **socket, void *fresh)
{
    epoll_ctl(p->fd, EPOLL_CTL_DEL, bus_fd(*socket), NULL);
    bus_close(*socket);
    *socket = fresh;
}

void pregon_link_close(struct pregon *p)
{
    int error = errno;

    bus_close(p->records);
    bus_close(p->control);
    free(p->publish);
    free(p->requests_to);
    errno = error;
}

static void reopen_records(struct pregon *p)
{
    void *fresh = open_records(p);

    p->records_at = p->now;
    /* for example no descriptors: keep the old socket and try again later */
    if (!fresh)
        return;
    replace(p, &p->records, fresh);
    receiver_listen(p->receiver);
}

static void reopen_control(struct pregon *p)
{
    void *fresh = open_control(p);

    p->control_at = p->now;
    if (!fresh)
        return;
    replace(p, &p->control, fresh);
    p->is_greeted = false; /* the broker must learn our new connection */
    p->hello_at = p->now;
}

static void ping(struct pregon *p)
{
    struct buf b = {0};
    msgpack_packer pk;

    pregon_request_begin(p, REQUEST_PING, "ping", 0, &b, &pk);
    pregon_request_send(p, &b);
    p->ping_at = p->now + PING_MS;
}

void pregon_link_tick(struct pregon *p, bool is_drained)
{
    if (p->now - p->tick_at > LATE_MS)
        p->records_at = p->control_at = p->now;
    p->tick_at = p->now;
    if (p->records_at < receiver_heard_at(p->receiver))
        p->records_at = receiver_heard_at(p->receiver);
    if (is_drained && p->now - p->records_at >= BUS_SILENCE_MS)
        reopen_records(p);
    if (p->now - p->control_at >= BUS_SILENCE_MS)
        reopen_control(p);
    else if (p->now - p->control_at >= PING_MS && p->now >= p->ping_at)
        ping(p);
}
