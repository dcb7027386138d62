#include "gateway/handover.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "shared/mem.h"

/* What the program opens after we counted: ZeroMQ's sockets and peers, the loop. */
#define LATER 96
#define QUEUE_MOST 1000
/* civetweb holds one connection it has accepted and not queued, and its listeners. */
#define CIVETWEB_OWN 8
/* Above the capacity: clients that are only let in to be told why not. */
#define SPARE 32
#define LOOK_AHEAD 128
/* Unsent bytes we let the kernel hold per client, so that a quote is not stale before
 * it leaves. */
#define NOTSENT_LOWAT (16 * 1024)

enum err handover_divide(int limit, int in_use, int threads,
                         struct handover_budget *out)
{
    struct handover_budget b = {.limit = limit};
    int left = limit - in_use - threads - CIVETWEB_OWN - SPARE;

    if (left < 8)
        return ERR_FULL;
    b.queue = left / 4 < QUEUE_MOST ? left / 4 : QUEUE_MOST;
    b.floor = in_use + threads + CIVETWEB_OWN + b.queue;
    b.capacity = limit - b.floor - SPARE;
    *out = b;
    return OK;
}

/* New descriptors take the lowest free number, so the count bounds what they reach. */
static int count_open(void)
{
    DIR *dir = opendir("/proc/self/fd");
    int count = 0;

    if (!dir)
        return 16;
    while (readdir(dir))
        count++;
    closedir(dir);
    return count;
}

static int raise_limit(void)
{
    struct rlimit r;
    const rlim_t most = 1 << 30;

    if (getrlimit(RLIMIT_NOFILE, &r))
        return 0;
    if (r.rlim_cur != r.rlim_max) {
        rlim_t before = r.rlim_cur;

        r.rlim_cur = r.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &r))
            r.rlim_cur = before;
    }
    return (int)(r.rlim_cur > most ? most : r.rlim_cur);
}

/* Not worth a complaint: without it the first clients wait a little longer. */
static void make_room(const struct handover *h, int clients)
{
    const struct handover_budget *b = &h->budget;
    int top = b->floor + (clients < b->capacity ? clients : b->capacity);
    int fd = fcntl(h->dead, F_DUPFD_CLOEXEC, top);

    if (fd >= 0)
        close(fd);
}

enum err handover_open(struct handover *h, int threads, int clients)
{
    int pair[2];
    enum err e;

    h->dead = -1;
    h->ports = NULL;
    e = handover_divide(raise_limit(), count_open() + LATER, threads, &h->budget);
    if (e)
        return e;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
        return ERR_SYS;
    close(pair[1]);
    h->dead = pair[0];
    h->ports = mem_zalloc((size_t)h->budget.floor * sizeof *h->ports);
    make_room(h, clients);
    return OK;
}

void handover_close(struct handover *h)
{
    if (h->dead >= 0)
        close(h->dead);
    h->dead = -1;
    free(h->ports);
    h->ports = NULL;
}

/* Look at a number, and keep what we see for those who look for another. */
static bool is_connection(struct handover *h, int fd, const struct sockaddr_in *peer,
                          int local_port)
{
    struct sockaddr_in a;
    socklen_t len = sizeof a;

    if (getpeername(fd, (struct sockaddr *)&a, &len) || a.sin_family != AF_INET) {
        atomic_store_explicit(&h->ports[fd], 0, memory_order_relaxed);
        return false;
    }
    atomic_store_explicit(&h->ports[fd], a.sin_port, memory_order_relaxed);
    if (a.sin_addr.s_addr != peer->sin_addr.s_addr || a.sin_port != peer->sin_port)
        return false;
    len = sizeof a;
    return getsockname(fd, (struct sockaddr *)&a, &len) == 0 &&
           ntohs(a.sin_port) == local_port;
}

static int find_seen(struct handover *h, const struct sockaddr_in *peer, int local_port)
{
    for (int fd = 3; fd < h->budget.floor; fd++)
        if (atomic_load_explicit(&h->ports[fd], memory_order_relaxed) ==
                peer->sin_port &&
            is_connection(h, fd, peer, local_port))
            return fd;
    return -1;
}

/* Found, we look a bit further: those that came in a burst stand side by side, without a hole. */
static int find_new(struct handover *h, int first, int end,
                    const struct sockaddr_in *peer, int local_port)
{
    int found = -1;

    for (int fd = first; fd < end && (found < 0 || fd <= found + LOOK_AHEAD); fd++) {
        errno = 0;
        if (is_connection(h, fd, peer, local_port))
            found = fd;
        else if (found >= 0 && errno == EBADF)
            break;
    }
    return found;
}

/* civetweb does not tell the descriptor (Debian's 1.15 has no IPv6, so IPv4 it is). */
int handover_find(struct handover *h, const char *host, int port, int local_port)
{
    struct sockaddr_in peer = {.sin_port = htons((uint16_t)port)};
    int fd;

    if (inet_pton(AF_INET, host, &peer.sin_addr) != 1)
        return -1;
    fd = find_seen(h, &peer, local_port);
    /* Connections come after what was opened before us, unless something of that was closed. */
    if (fd < 0)
        fd = find_new(h, h->dead + 1, h->budget.floor, &peer, local_port);
    if (fd < 0)
        fd = find_new(h, 3, h->dead, &peer, local_port);
    return fd;
}

void handover_cork(int number)
{
    int one = 1;

    (void)setsockopt(number, IPPROTO_TCP, TCP_CORK, &one, sizeof one);
}

void handover_uncork(int fd)
{
    int zero = 0;

    (void)setsockopt(fd, IPPROTO_TCP, TCP_CORK, &zero, sizeof zero);
}

enum err handover_borrow(const struct handover *h, int number, struct handover_loan *out)
{
    int taken, flags, error;

    taken = fcntl(number, F_DUPFD_CLOEXEC, h->budget.floor);
    if (taken < 0) {
        if (errno == EINVAL) /* what Linux says when the floor is above the limit */
            errno = EMFILE;
        return ERR_SYS;
    }
    flags = fcntl(taken, F_GETFL); /* of civetweb's sockets most do not wait already */
    if ((!(flags & O_NONBLOCK) && fcntl(taken, F_SETFL, flags | O_NONBLOCK)) ||
        dup3(h->dead, number, O_CLOEXEC) < 0) {
        error = errno;
        close(taken);
        errno = error;
        return ERR_SYS;
    }
    *out = (struct handover_loan){number, taken};
    return OK;
}

void handover_return(const struct handover_loan *loan)
{
    /* It cannot fail on a number that is taken; if it did, civetweb would read end of
     * file. */
    (void)dup3(loan->fd, loan->number, O_CLOEXEC);
    close(loan->fd);
}

enum err handover_take(const struct handover *h, int number, int *fd)
{
    int unsent = NOTSENT_LOWAT;
    struct handover_loan loan;
    enum err e = handover_borrow(h, number, &loan);

    if (e)
        return e;
    /* Not worth refusing a client for. */
    (void)setsockopt(loan.fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof unsent);
    *fd = loan.fd;
    return OK;
}
