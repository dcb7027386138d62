#include "shared/base/check.h"

#include <ctype.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "shared/base/log.h"
#include "shared/base/mem.h"

#define BURST 16 /* answers sent per turn */
#define READY "ready"

struct check {
    /* must be first: the callback casts the watch to the check */
    struct loop_watch watch;
    struct loop *loop;
    check_state_fn *state;
    const void *ctx;
};

/* Fills in "@program/pid" in the abstract namespace; returns the length for bind and connect. */
static socklen_t name(struct sockaddr_un *a, const char *program, long pid)
{
    int len;

    memset(a, 0, sizeof *a);
    a->sun_family = AF_UNIX;
    len = snprintf(a->sun_path + 1, sizeof a->sun_path - 1, "%s/%ld", program, pid);
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)len);
}

static void on_request(struct loop_watch *w, uint32_t events)
{
    struct check *c = (struct check *)w;
    const char *state = c->state(c->ctx);
    struct sockaddr_un from;
    char nothing;

    (void)events;
    for (int i = 0; i < BURST; i++) {
        socklen_t len = sizeof from;

        if (recvfrom(w->fd, &nothing, 1, MSG_DONTWAIT, (struct sockaddr *)&from, &len) < 0)
            return;
        if (len > sizeof from.sun_family &&
            sendto(w->fd, state, strlen(state), MSG_DONTWAIT, (struct sockaddr *)&from, len) < 0)
            log_debug("check: the program that sent the request is gone");
    }
}

struct check *check_open(struct loop *l, const char *program, check_state_fn *state,
                         const void *ctx)
{
    struct check *c = mem_zalloc(sizeof *c);
    struct sockaddr_un a;
    socklen_t len = name(&a, program, getpid());

    *c = (struct check){.loop = l, .state = state, .ctx = ctx};
    c->watch.on_ready = on_request;
    c->watch.fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (c->watch.fd >= 0 && bind(c->watch.fd, (struct sockaddr *)&a, len) == 0 &&
        !loop_watch(l, &c->watch, EPOLLIN))
        return c;
    log_warning("--check will not find this process: %s", strerror(errno));
    if (c->watch.fd >= 0)
        close(c->watch.fd);
    free(c);
    return NULL;
}

void check_close(struct check *c)
{
    if (!c)
        return;
    loop_unwatch(c->loop, &c->watch);
    close(c->watch.fd);
    free(c);
}

/* Returns false if the program is gone or does not answer in time. */
static bool request(const char *program, long pid, int patience_ms, char answer[CHECK_STATE_MAX])
{
    struct timeval patience = {patience_ms / 1000, patience_ms % 1000 * 1000};
    struct sockaddr_un self = {.sun_family = AF_UNIX}, a;
    socklen_t len = name(&a, program, pid);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    ssize_t size = -1;

    /* bind without a name: the kernel chooses a free one. */
    if (fd >= 0 && bind(fd, (struct sockaddr *)&self, sizeof self.sun_family) == 0 &&
        connect(fd, (struct sockaddr *)&a, len) == 0 &&
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) == 0 &&
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) == 0 &&
        send(fd, "?", 1, 0) == 1)
        size = recv(fd, answer, CHECK_STATE_MAX - 1, 0);
    if (fd >= 0)
        close(fd);
    if (size < 0)
        return false;
    answer[size] = '\0';
    for (char *p = answer; *p; p++)
        if (!isprint((unsigned char)*p))
            *p = '?';
    return true;
}

/* The process id in a line of /proc/net/unix, or 0: a datagram socket named @program/PID. */
static long pid_in(const char *line, const char *program)
{
    const char *at = strrchr(line, '@');
    size_t len = strlen(program);
    char *end;
    long pid;

    if (!at || strncmp(at + 1, program, len) != 0 || at[1 + len] != '/' ||
        !isdigit((unsigned char)at[2 + len]))
        return 0;
    pid = strtol(at + 2 + len, &end, 10);
    return *end == '\n' ? pid : 0;
}

int check_request(const char *program, int patience_ms, FILE *to)
{
    FILE *sockets = fopen("/proc/net/unix", "re");
    char line[512], answer[CHECK_STATE_MAX];
    int found = 0, unwell = 0;
    long pid;

    if (!sockets) {
        fprintf(to, "%s: /proc/net/unix: %s\n", program, strerror(errno));
        return 1;
    }
    while (fgets(line, sizeof line, sockets)) {
        if (!(pid = pid_in(line, program)))
            continue;
        found++;
        if (!request(program, pid, patience_ms, answer))
            snprintf(answer, sizeof answer, "does not answer");
        if (strcmp(answer, READY) != 0)
            unwell++;
        fprintf(to, "%s %ld: %s\n", program, pid, answer);
    }
    fclose(sockets);
    if (!found)
        fprintf(to, "%s: none is running here\n", program);
    return found && !unwell ? 0 : 1;
}
