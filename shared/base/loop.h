/*
 * loop: one thread, one epoll, signals as a descriptor.
 *
 * A program's main is: compute when the next deadline is, loop_turn(), drain its ZeroMQ sockets,
 * act on deadlines, again.  The clock is read once per turn; `loop_now()` is handed down.
 * A turn that begins over a second late (SIGSTOP, a suspended laptop) is lateness of ours
 * and not silence of others: loop_awake() is the monotonic clock less all such
 * lateness, and every judgement of silence uses it.
 *
 * Watches are embedded in their owners; a watch may be removed, and its owner freed, from
 * any callback of the same turn only through loop_unwatch() first.
 */
#ifndef SHARED_BASE_LOOP_H
#define SHARED_BASE_LOOP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

#include "shared/base/err.h"

struct loop;

struct loop_watch {
    int fd;
    void (*on_ready)(struct loop_watch *w, uint32_t events); /* EPOLLIN, EPOLLOUT, … */
};

/* Blocks SIGTERM, SIGINT, SIGHUP and ignores SIGPIPE: call it before threads start. */
struct loop *loop_new(void);
void loop_free(struct loop *l);

/* `events` as for epoll_ctl, EPOLLET allowed.  ERR_SYS. */
MUST_CHECK enum err loop_watch(struct loop *l, struct loop_watch *w, uint32_t events);
MUST_CHECK enum err loop_rewatch(struct loop *l, struct loop_watch *w, uint32_t events);
void loop_unwatch(struct loop *l, struct loop_watch *w);

/* Wait at most timeout_ms (0: only look, <0: until something comes), run callbacks. */
void loop_turn(struct loop *l, int64_t timeout_ms);

int64_t loop_now(const struct loop *l); /* monotonic ms, as read at the turn's start */
int64_t loop_awake(const struct loop *l);   /* the same less our own pauses */
int64_t loop_wall_us(const struct loop *l); /* wall clock at the turn's start */

unsigned loop_stops(const struct loop *l); /* SIGTERM and SIGINT so far */
bool loop_take_reload(struct loop *l);     /* SIGHUP since the last call? */

/* Print "ready name=value …\n" (one write) on standard output, and tell systemd if it asked. */
void loop_ready(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
