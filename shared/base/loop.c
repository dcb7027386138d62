#include "shared/base/loop.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "shared/base/clock.h"
#include "shared/base/mem.h"

#define BATCH 256
#define LATE_MS 1000

struct loop {
    int epoll;
    struct loop_watch signals;
    int64_t now, wall_us;
    int64_t pauses; /* total ms of pauses of this process */
    sigset_t set;   /* the signals that come as a descriptor */
    bool reload;
    struct epoll_event events[BATCH];
    int event_count;
};

/* SIGTERM and SIGINT so far.  Signals are the process's, so this is no loop's own. */
static volatile sig_atomic_t stops;

static struct loop *loop_of(struct loop_watch *w)
{
    return (struct loop *)((char *)w - offsetof(struct loop, signals));
}

static void on_signal(struct loop_watch *w, uint32_t events)
{
    struct loop *l = loop_of(w);
    struct signalfd_siginfo info;

    (void)events;
    while (read(w->fd, &info, sizeof info) == sizeof info) {
        if (info.ssi_signo == SIGHUP)
            l->reload = true;
        else
            stops++;
    }
}

static void read_clock(struct loop *l)
{
    l->now = clock_mono_ms();
    l->wall_us = clock_wall_us();
}

/* While this thread works without loop_turn, a second signal ends the process. */
static void on_stop(int signal_number)
{
    (void)signal_number;
    if (++stops > 1)
        _exit(1);
}

struct loop *loop_new(void)
{
    struct loop *l = mem_zalloc(sizeof *l);
    struct sigaction stop = {.sa_handler = on_stop, .sa_flags = SA_RESTART};

    stops = 0;
    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&l->set);
    sigaddset(&l->set, SIGTERM);
    sigaddset(&l->set, SIGINT);
    sigaddset(&l->set, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &l->set, NULL);
    sigaction(SIGTERM, &stop, NULL);
    sigaction(SIGINT, &stop, NULL);
    l->epoll = epoll_create1(EPOLL_CLOEXEC);
    l->signals.fd = signalfd(-1, &l->set, SFD_NONBLOCK | SFD_CLOEXEC);
    l->signals.on_ready = on_signal;
    if (l->epoll < 0 || l->signals.fd < 0 || loop_watch(l, &l->signals, EPOLLIN)) {
        perror("CRITICAL: epoll or signalfd");
        exit(1);
    }
    read_clock(l);
    return l;
}

void loop_free(struct loop *l)
{
    if (!l)
        return;
    close(l->signals.fd);
    close(l->epoll);
    free(l);
}

static enum err control(struct loop *l, int op, struct loop_watch *w, uint32_t events)
{
    struct epoll_event e = {.events = events, .data.ptr = w};

    /*
     * epoll.c replaces epoll_ctl and epoll_wait for ZeroMQ and hides errors, so the loop calls the
     * kernel.
     */
    return syscall(SYS_epoll_ctl, l->epoll, op, w->fd, &e) ? ERR_SYS : OK;
}

enum err loop_watch(struct loop *l, struct loop_watch *w, uint32_t events)
{
    return control(l, EPOLL_CTL_ADD, w, events);
}

enum err loop_rewatch(struct loop *l, struct loop_watch *w, uint32_t events)
{
    return control(l, EPOLL_CTL_MOD, w, events);
}

void loop_unwatch(struct loop *l, struct loop_watch *w)
{
    syscall(SYS_epoll_ctl, l->epoll, EPOLL_CTL_DEL, w->fd, NULL);
    /* The watch may be in the batch of events that is being dispatched. */
    for (int i = 0; i < l->event_count; i++)
        if (l->events[i].data.ptr == w)
            l->events[i].data.ptr = NULL;
}

void loop_turn(struct loop *l, int64_t timeout_ms)
{
    int timeout = timeout_ms < 0 ? -1 : timeout_ms > 60000 ? 60000 : (int)timeout_ms;
    int64_t due, before = clock_mono_ms();

    /* A pause of this process can fall into the last turn or into the wait. */
    if (before - l->now > LATE_MS)
        l->pauses += before - l->now;
    due = timeout < 0 ? INT64_MAX : before + timeout;
    l->event_count = epoll_pwait(l->epoll, l->events, BATCH, timeout, NULL);
    read_clock(l);
    if (due != INT64_MAX && l->now - due > LATE_MS)
        l->pauses += l->now - due;
    for (int i = 0; i < l->event_count; i++) {
        struct loop_watch *w = l->events[i].data.ptr;

        if (w)
            w->on_ready(w, l->events[i].events);
    }
    l->event_count = 0;
}

int64_t loop_now(const struct loop *l)
{
    return l->now;
}

int64_t loop_awake(const struct loop *l)
{
    return l->now - l->pauses;
}

int64_t loop_wall_us(const struct loop *l)
{
    return l->wall_us;
}

unsigned loop_stops(const struct loop *l)
{
    (void)l;
    return (unsigned)stops;
}

void loop_leave(struct loop *l)
{
    sigset_t ours = l->set;

    on_signal(&l->signals, 0);
    if (stops > 1)
        _exit(1);
    sigdelset(&ours, SIGHUP);
    pthread_sigmask(SIG_UNBLOCK, &ours, NULL);
}

void loop_enter(struct loop *l)
{
    pthread_sigmask(SIG_BLOCK, &l->set, NULL);
}

bool loop_take_reload(struct loop *l)
{
    bool is_due = l->reload;

    l->reload = false;
    return is_due;
}

/* sends one datagram to $NOTIFY_SOCKET, as sd_notify(3) does, without its library */
static void notify_systemd(void)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    const char *path = getenv("NOTIFY_SOCKET");
    size_t len = path ? strlen(path) : 0;
    int fd;

    if (!len || len >= sizeof a.sun_path)
        return;
    memcpy(a.sun_path, path, len);
    if (path[0] == '@')
        a.sun_path[0] = '\0'; /* the abstract namespace */
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || sendto(fd, "READY=1", 7, MSG_NOSIGNAL, (struct sockaddr *)&a,
                         (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)) < 0)
        perror("WARNING: cannot notify systemd that the program is ready");
    if (fd >= 0)
        close(fd);
}

void loop_ready(const char *format, ...)
{
    char line[512] = "ready ";
    va_list args;
    int len;

    va_start(args, format);
    len = vsnprintf(line + 6, sizeof line - 7, format, args);
    va_end(args);
    if (len < 0)
        return;
    if ((size_t)len > sizeof line - 8)
        len = (int)sizeof line - 8;
    line[6 + len] = '\n';
    if (write(STDOUT_FILENO, line, (size_t)len + 7) < 0)
        errno = 0; /* a closed standard output is no reason to stop */
    notify_systemd();
}
