#include "broker/publisher.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <linux/sockios.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#include "shared/clock.h"
#include "shared/log.h"

#define GIVE_UP_MS 5000 /* to cut as many connections as it takes */

void publisher_init(struct publisher *p, void *socket)
{
    int on = 1;

    *p = (struct publisher){.socket = socket};
    zmq_setsockopt(socket, ZMQ_XPUB_NODROP, &on, sizeof on);
}

static uint16_t port_of(const struct sockaddr_storage *a)
{
    const void *at = a;

    if (a->ss_family == AF_INET)
        return ntohs(((const struct sockaddr_in *)at)->sin_port);
    if (a->ss_family == AF_INET6)
        return ntohs(((const struct sockaddr_in6 *)at)->sin6_port);
    return 0;
}

/* Is this the address of a connection that was accepted at the endpoint? */
static bool is_at(const char *endpoint, const struct sockaddr_storage *own)
{
    const void *at = own;
    const char *colon = strrchr(endpoint, ':');

    if (own->ss_family == AF_UNIX)
        return strncmp(endpoint, "ipc://", 6) == 0 &&
               strcmp(((const struct sockaddr_un *)at)->sun_path, endpoint + 6) == 0;
    return strncmp(endpoint, "tcp://", 6) == 0 && port_of(own) &&
           port_of(own) == strtoul(colon + 1, NULL, 10);
}

/* Bytes of this connection that wait in the kernel; -1: it is none of the endpoint's. */
static int unsent_bytes(int fd, const char *endpoint)
{
    struct sockaddr_storage own = {0}, peer;
    socklen_t own_len = sizeof own, peer_len = sizeof peer;
    int bytes = -1;

    if (getsockname(fd, (struct sockaddr *)&own, &own_len) || !is_at(endpoint, &own) ||
        getpeername(fd, (struct sockaddr *)&peer, &peer_len) ||
        ioctl(fd, SIOCOUTQ, &bytes))
        return -1;
    return bytes;
}

/* The connection with the most unsent bytes, -1: none has any. */
static int most_behind(const struct publisher *p)
{
    char endpoint[BUS_ENDPOINT_MAX];
    DIR *dir = opendir("/proc/self/fd");
    const struct dirent *e;
    int found = -1, most = 0;

    bus_endpoint(p->socket, endpoint);
    while (dir && (e = readdir(dir))) {
        int fd = atoi(e->d_name), bytes = fd > 2 ? unsent_bytes(fd, endpoint) : -1;

        if (bytes > most) {
            most = bytes;
            found = fd;
        }
    }
    if (dir)
        closedir(dir);
    return found;
}

static void cut(struct publisher *p, int fd)
{
    static struct log_limit limit = {.burst = 10, .interval_ms = 60000};
    struct sockaddr_storage peer = {0};
    socklen_t len = sizeof peer;
    char host[INET6_ADDRSTRLEN] = "a local program";
    const void *at = &peer;

    getpeername(fd, (struct sockaddr *)&peer, &len);
    if (peer.ss_family == AF_INET6)
        inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)at)->sin6_addr, host,
                  sizeof host);
    else if (peer.ss_family == AF_INET)
        inet_ntop(AF_INET, &((const struct sockaddr_in *)at)->sin_addr, host,
                  sizeof host);
    shutdown(fd, SHUT_RDWR);
    p->cuts++;
    log_limited(
        &limit, clock_mono_ms(), LOG_WARNING,
        "%s (port %u) does not take its records and PUBLISH_QUEUE of them wait "
        "for it: the broker ends its connection; it can connect again and ask the "
        "log for what it missed",
        host, port_of(&peer));
}

/*
 * A queue is full.  Wait while ZeroMQ's thread may be what is late, else cut one connection; then look
 * whether there is room.
 */
static void make_room(struct publisher *p, int64_t *wait_until)
{
    struct pollfd pfd = {.fd = most_behind(p), .events = POLLOUT};
    int64_t now = clock_mono_ms();
    bool is_taking = pfd.fd < 0 || poll(&pfd, 1, 0) == 1;

    if (!*wait_until)
        *wait_until = now + PUBLISHER_WAIT_MS;
    if (pfd.fd >= 0 && (!is_taking || now >= *wait_until)) {
        cut(p, pfd.fd);
        *wait_until = 0;
    }
    nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    bus_is_readable(p->socket); /* has the socket learn what its queues have room for */
}

/* false: there is no room, and no connection left to cut. */
static bool retry(struct publisher *p, int64_t *wait_until, int64_t *give_up_at)
{
    int64_t now = clock_mono_ms();

    if (!*give_up_at)
        *give_up_at = now + GIVE_UP_MS;
    if (now >= *give_up_at) {
        log_error("publish: a record could not be sent");
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
