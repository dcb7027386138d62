/*
 * epoll: replaces, in our programs, the epoll_ctl and epoll_wait that ZeroMQ calls.
 *
 * libzmq 4.3.4 requests no events for a connection whose pipe is full, but Linux reports errors
 * (EPOLLERR, EPOLLHUP) even when nothing is requested. libzmq then calls its engine for input that
 * the engine had stopped. The engine marks itself broken and waits to be resumed; then a
 * heartbeat's timer, or a PING among the bytes that the engine has already read, ends the process
 * by an assertion. docs/adr/0013 shows the path.
 *
 * The functions here report an error only together with input or output that the caller requested.
 * No error is lost: a failed connection is also readable and writable, so ZeroMQ meets the error at
 * its next read. Therefore libzmq never calls an engine while its input is stopped.
 *
 * A function in a program takes precedence over the C library's for all libraries the program uses,
 * so linking this file into the program is enough (the Makefile does). This file is not in
 * libpregon, which must not change its user's process. Our own loop calls the kernel directly. The
 * gateway's front also calls these functions: it requests input or output for every connection that
 * it waits for, so it also meets an error at its next read or write.
 */
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

#define VISIBLE __attribute__((visibility("default")))

VISIBLE int epoll_ctl(int epfd, int op, int fd, struct epoll_event *event)
{
    struct epoll_event quiet;

    /* A watch without events reports an error once, not at every wait; see epoll_wait below. */
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
