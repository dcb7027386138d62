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

/* What the program opens after we counted: ZeroMQ's sockets and peers, the loop. */
#define LATER 96
#define QUEUE_MOST 1000
/* civetweb holds one connection it has accepted and not queued, and its listeners. */
#define CIVETWEB_OWN 8
/* Above the capacity: clients that are only let in to be told why not. */
#define SPARE 32
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

enum err handover_open(struct handover *h, int threads)
{
    int pair[2];
    enum err e;

    h->dead = -1;
    e = handover_divide(raise_limit(), count_open() + LATER, threads, &h->budget);
    if (e)
        return e;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
        return ERR_SYS;
    close(pair[1]);
    h->dead = pair[0];
    return OK;
}

void handover_close(struct handover *h)
{
    if (h->dead >= 0)
        close(h->dead);
    h->dead = -1;
}

static bool is_peer(int fd, const struct in_addr *host, int port, int local_port)
{
    struct sockaddr_in a;
    socklen_t len = sizeof a;

    if (getpeername(fd, (struct sockaddr *)&a, &len) || a.sin_family != AF_INET ||
        a.sin_addr.s_addr != host->s_addr || ntohs(a.sin_port) != port)
        return false;
    len = sizeof a;
    return getsockname(fd, (struct sockaddr *)&a, &len) == 0 &&
           ntohs(a.sin_port) == local_port;
}

/* civetweb does not tell the descriptor (Debian's 1.15 has no IPv6, so IPv4 it is). */
int handover_find(const struct handover *h, const char *host, int port, int local_port)
{
    struct in_addr address;

    if (inet_pton(AF_INET, host, &address) != 1)
        return -1;
    /* Connections come after what was opened before us, unless something of that was closed. */
    for (int fd = h->dead + 1; fd < h->budget.floor; fd++)
        if (is_peer(fd, &address, port, local_port))
            return fd;
    for (int fd = 3; fd < h->dead; fd++)
        if (is_peer(fd, &address, port, local_port))
            return fd;
    return -1;
}

static void prepare(int fd)
{
    int one = 1, unsent = NOTSENT_LOWAT;

    /* Neither is worth refusing a client for. */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof unsent);
}

enum err handover_borrow(const struct handover *h, const char *host, int port,
                         int local_port, struct handover_loan *out)
{
    int old = handover_find(h, host, port, local_port), taken, error;

    if (old < 0)
        return ERR_NOT_FOUND;
    taken = fcntl(old, F_DUPFD_CLOEXEC, h->budget.floor);
    if (taken < 0) {
        if (errno == EINVAL) /* what Linux says when the floor is above the limit */
            errno = EMFILE;
        return ERR_SYS;
    }
    if (fcntl(taken, F_SETFL, fcntl(taken, F_GETFL) | O_NONBLOCK) ||
        dup3(h->dead, old, O_CLOEXEC) < 0) {
        error = errno;
        close(taken);
        errno = error;
        return ERR_SYS;
    }
    *out = (struct handover_loan){old, taken};
    return OK;
}

void handover_return(const struct handover_loan *loan)
{
    /* It cannot fail on a number that is taken; if it did, civetweb would read end of
     * file. */
    (void)dup3(loan->fd, loan->number, O_CLOEXEC);
    close(loan->fd);
}

enum err handover_take(const struct handover *h, const char *host, int port,
                       int local_port, int *fd)
{
    struct handover_loan loan;
    enum err e = handover_borrow(h, host, port, local_port, &loan);

    if (e)
        return e;
    prepare(loan.fd);
    *fd = loan.fd;
    return OK;
}

void handover_drop(const struct handover *h, const char *host, int port, int local_port)
{
    int fd = handover_find(h, host, port, local_port);

    if (fd >= 0)
        shutdown(fd, SHUT_RDWR);
}
