#include "broker/net/publisher.h"

#include <dirent.h>
#include <linux/sockios.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#include "broker/net/descriptor.h"
#include "shared/base/clock.h"
#include "shared/base/log.h"

struct connection {
    int fd;         /* -1: none */
    uint64_t inode; /* so that no other connection is hit if libzmq closes this one */
    int unsent;     /* bytes in the kernel */
};

void publisher_init(struct publisher *p, void *socket)
{
    int on = 1;

    *p = (struct publisher){.socket = socket};
    zmq_setsockopt(socket, ZMQ_XPUB_NODROP, &on, sizeof on);
}

static bool is_local(const char *path, int fd)
{
    struct sockaddr_un own = {0};
    socklen_t len = sizeof own - 1; /* so that the path ends */
    bool is_abstract = path[0] == '@';

    return !getsockname(fd, (struct sockaddr *)&own, &len) && own.sun_family == AF_UNIX &&
           !own.sun_path[0] == is_abstract &&
           strcmp(own.sun_path + is_abstract, path + is_abstract) == 0;
}

/* Was this connection accepted at the endpoint? */
static bool is_at(const char *endpoint, int fd)
{
    const char *colon = strrchr(endpoint, ':');
    uint16_t port;

    if (strncmp(endpoint, "ipc://", 6) == 0)
        return is_local(endpoint + 6, fd);
    port = descriptor_port(fd);
    return port && colon && port == strtoul(colon + 1, NULL, 10);
}

/* Visit each connection of the publisher's socket, in no order. */
static void each_connection(struct publisher *p,
                            void (*visit)(struct publisher *p, struct connection c,
                                          struct connection *out),
                            struct connection *out)
{
    char endpoint[BUS_ENDPOINT_MAX];
    DIR *dir = opendir("/proc/self/fd");
    const struct dirent *e;

    bus_endpoint(p->socket, endpoint);
    while (dir && (e = readdir(dir))) {
        struct connection c = {.fd = atoi(e->d_name)};

        if (c.fd > 2 && is_at(endpoint, c.fd) && !ioctl(c.fd, SIOCOUTQ, &c.unsent)) {
            c.inode = descriptor_inode(c.fd);
            visit(p, c, out);
        }
    }
    if (dir)
        closedir(dir);
}

static void keep_most_behind(struct publisher *p, struct connection c, struct connection *out)
{
    (void)p;
    if (c.unsent > out->unsent)
        *out = c;
}

static void cut(struct publisher *p, struct connection c, struct connection *out)
{
    static struct log_limit limit = {.burst = 10, .interval_ms = 60000};
    char name[DESCRIPTOR_NAME_MAX];

    (void)out;
    if (!descriptor_name(c.fd, name)) /* it listens, or it has ended */
        return;
    descriptor_shut_down(c.fd, c.inode);
    p->cuts++;
    log_limited(&limit, clock_mono_ms(), LOG_WARNING,
                "%s does not take its records and PUBLISH_QUEUE of them wait for it: the "
                "broker "
                "ends its connection; it can connect again and ask the log for what it missed",
                name);
}

/*
 * A queue is full.  Wait while ZeroMQ's thread may be late, otherwise cut one connection; then
 * check for room.
 */
static void make_room(struct publisher *p, int64_t *wait_until)
{
    struct connection c = {.fd = -1};
    int64_t now = clock_mono_ms();
    struct pollfd pfd = {.events = POLLOUT};

    each_connection(p, keep_most_behind, &c);
    pfd.fd = c.fd; /* poll ignores -1 */
    if (!*wait_until)
        *wait_until = now + PUBLISHER_WAIT_MS;
    if (c.fd >= 0 && (poll(&pfd, 1, 0) != 1 || now >= *wait_until)) {
        cut(p, c, NULL);
        *wait_until = 0;
    }
    nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    bus_is_readable(p->socket); /* has the socket learn what its queues have room for */
}

/*
 * false: there was no room for PUBLISHER_GIVE_UP_MS (or the process was stopped for that long), and
 * every connection is cut, so that none continues without the record.
 */
static bool retry(struct publisher *p, int64_t *wait_until, int64_t *give_up_at)
{
    int64_t now = clock_mono_ms();

    if (!*give_up_at)
        *give_up_at = now + PUBLISHER_GIVE_UP_MS;
    if (now >= *give_up_at) {
        log_error("publish: no queue has room for a record: all connections end, and can "
                  "ask the log for it");
        each_connection(p, cut, NULL);
        return false;
    }
    make_room(p, wait_until);
    return true;
}

void publisher_send(struct publisher *p, struct span topic, struct span record)
{
    struct span frames[] = {topic, record};
    int64_t wait_until = 0, give_up_at = 0;

    while (bus_send(p->socket, frames, 2) && retry(p, &wait_until, &give_up_at))
        ;
}

void publisher_forward(struct publisher *p, struct bus_message *m)
{
    int64_t wait_until = 0, give_up_at = 0;

    while (bus_forward(p->socket, m) && retry(p, &wait_until, &give_up_at))
        ;
}
