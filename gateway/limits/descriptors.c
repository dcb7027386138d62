#include "gateway/limits/descriptors.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

/*
 * Descriptors that the program opens after the count: ZeroMQ's sockets and peers, the loop, the
 * front.
 */
#define LATER 96
/* Places above the capacity, for clients that are accepted only to be closed with a reason. */
#define SPARE 32

enum err descriptors_divide(int limit, int in_use, int http, struct descriptors *out)
{
    int left = limit - in_use - SPARE;

    if (left < 8)
        return ERR_FULL;
    out->limit = limit;
    out->http = left / 4 < http ? left / 4 : http;
    out->capacity = left - out->http;
    return OK;
}

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

/* A failure is not reported: the first clients then only wait a little longer. */
static void make_room(const struct descriptors *d, int clients)
{
    int top = d->limit - SPARE - d->capacity + (clients < d->capacity ? clients : d->capacity);
    int fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, top);

    if (fd >= 0)
        close(fd);
}

enum err descriptors_prepare(int http, int clients, struct descriptors *out)
{
    enum err e = descriptors_divide(raise_limit(), count_open() + LATER, http, out);

    if (!e)
        make_room(out, clients);
    return e;
}
