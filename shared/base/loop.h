/*
 * loop: one thread's event loop: one epoll, and signals as a descriptor.
 *
 * A program's main loop computes its next deadline, calls loop_turn(), drains its ZeroMQ sockets,
 * acts on due deadlines and repeats. The clock is read once per turn; the program passes
 * `loop_now()` on. A turn that begins over a second late (SIGSTOP, a suspended laptop) means that
 * this process was paused, not that its peers were silent: loop_awake() is the monotonic clock less
 * all such pauses, and every judgement of a peer's silence uses it.
 *
 * Watches are embedded in their owners. A callback may remove any watch and free its owner in the
 * same turn, but only after loop_unwatch().
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

/* Blocks SIGTERM, SIGINT and SIGHUP and ignores SIGPIPE; call it before threads start. */
struct loop *loop_new(void);
void loop_free(struct loop *l);

/* `events` as for epoll_ctl, EPOLLET allowed.  Fails with ERR_SYS. */
MUST_CHECK enum err loop_watch(struct loop *l, struct loop_watch *w, uint32_t events);
MUST_CHECK enum err loop_rewatch(struct loop *l, struct loop_watch *w, uint32_t events);
void loop_unwatch(struct loop *l, struct loop_watch *w);

/* Wait at most timeout_ms (0: do not wait; <0: without a limit), then run the callbacks. */
void loop_turn(struct loop *l, int64_t timeout_ms);

int64_t loop_now(const struct loop *l); /* monotonic ms, as read at the turn's start */
/* monotonic ms at the turn's start, less the process's pauses */
int64_t loop_awake(const struct loop *l);
int64_t loop_wall_us(const struct loop *l); /* wall clock at the turn's start */

/* how often SIGTERM and SIGINT have come so far */
unsigned loop_stops(const struct loop *l);

/*
 * Around work that may take seconds without loop_turn, and before the end of the program: a second
 * SIGTERM or SIGINT of the process, earlier or from now on, ends it at once with status 1 (`_exit`:
 * nothing is flushed).  A thread that is started meanwhile must block all signals.
 */
void loop_leave(struct loop *l);
void loop_enter(struct loop *l); /* signals come as a descriptor again */

bool loop_take_reload(struct loop *l); /* has SIGHUP come since the last call? */

/*
 * Print "ready name=value …\n" on standard output with one write, and notify systemd if it waits
 * for that.
 */
void loop_ready(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
