/*
 * epoll: the epoll_ctl and epoll_wait that ZeroMQ calls in our programs.
 *
 * libzmq 4.3.4 asks for nothing of a connection whose pipe is full, but Linux reports an error
 * (EPOLLERR, EPOLLHUP) unasked.  libzmq then calls its engine for input that it had stopped, the
 * engine marks itself broken and waits to be resumed, and a heartbeat's timer, or a PING among the
 * bytes it has already read, ends the process by an assertion: docs/adr/0013 has the path.
 *
 * Here an error is reported only together with the input or output that was asked for.  Nothing
 * is lost by that: a connection that has failed is readable and writable as well, so ZeroMQ
 * meets the error at its next read.  The engine is therefore never called while its input is
 * stopped, for whatever reason.
 *
 * A program's own function comes before the C library's also for the libraries it uses, so
 * linking this file into it is enough (the Makefile does).  It is not in libpregon, which must not
 * change its user's process.  Our own loop calls the kernel itself.  The gateway's front calls these
 * functions, too: it asks for input or output of every connection that it waits for, so it also
 * meets an error at its next read or write.
 */
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

#define VISIBLE __attribute__((visibility("default")))

VISIBLE int epoll_ctl(int epfd, int op, int fd, struct epoll_event *event)
{
    struct epoll_event quiet;

    /* Asked for nothing: tell of an error once, not again at every wait; see below. */
    if (op != EPOLL_CTL_DEL && event && !(event->events & (EPOLLIN | EPOLLOUT))) {
        quiet = *event;
        quiet.events |= EPOLLET;
        event = &quiet;
    }
    return (int)syscall(SYS_epoll_ctl, epfd, op, fd, event);
}

VISIBLE int epoll_wait(int epfd, struct epoll_event *events, int maxevents, int timeout)
{
    int count = epoll_pwait(epfd, events, maxevents, timeout, NULL), kept = 0;

    for (int i = 0; i < count; i++) {
        struct epoll_event e = events[i];

        e.events &= ~(uint32_t)(EPOLLERR | EPOLLHUP);
        if (e.events)
            events[kept++] = e;
    }
    return count < 0 ? count : kept;
}
