/*
 * handover: taking an established socket away from civetweb.
 *
 * A WebSocket left inside civetweb holds a thread for life.  So right after the 101 the
 * socket is moved: its descriptor, found before by the peer's address, is duplicated to a
 * number above the floor, and a dead socket is put over the old number.  civetweb reads
 * end of file there and retires its side; it never knew.  Taken sockets live above the
 * floor, so the search only looks at the few numbers below.
 *
 * The budget says how many descriptors go where.  Any thread may take; open and close
 * belong to the main thread.
 */
#ifndef GATEWAY_HANDOVER_H
#define GATEWAY_HANDOVER_H

#include <stdatomic.h>
#include <stdint.h>

#include "shared/err.h"

struct handover_budget {
    int limit;    /* descriptors this process may open */
    int queue;    /* connections civetweb may hold waiting for a worker */
    int floor;    /* taken sockets are at or above it, all others below */
    int capacity; /* WebSockets that fit */
};

struct handover {
    struct handover_budget budget;
    int dead; /* a socket whose other end is closed */
    /* By number below the floor: the peer's port when we last looked, 0: none.  Only a hint. */
    _Atomic uint16_t *ports;
};

/*
 * Divide `limit` descriptors, of which `in_use` are or will be the program's own, for
 * so many civetweb threads.  ERR_FULL if nothing is left for WebSockets.
 */
MUST_CHECK enum err handover_divide(int limit, int in_use, int threads,
                                    struct handover_budget *out);

/*
 * Raise the soft limit to the hard one, divide it, make the dead socket, and room for the numbers of
 * so many clients: a table of descriptors that grows later holds all threads up for milliseconds.
 * ERR_FULL, ERR_SYS.
 */
MUST_CHECK enum err handover_open(struct handover *h, int threads, int clients);
void handover_close(struct handover *h);

/*
 * The number of the connection from host:port to our local_port, which is civetweb's; -1: there
 * is none any more.
 */
int handover_find(struct handover *h, const char *host, int port, int local_port);

/*
 * What is written to this number stays in the kernel until the one who takes it over has
 * something to say too (handover_uncork), or 200 ms have passed: one packet instead of four.
 */
void handover_cork(int number);
void handover_uncork(int fd);

/*
 * Take the connection of this number.  On OK *fd is ours: non-blocking, close-on-exec, with little
 * unsent data below us; without delay, as civetweb has set it, once it is uncorked.
 * ERR_SYS, with errno EMFILE: no number is left; civetweb still has it.
 */
MUST_CHECK enum err handover_take(const struct handover *h, int number, int *fd);

/*
 * Lent: civetweb sees a dead socket until it is given back, so that what it has read
 * already can be had from it without waiting, and we read on ourselves.  Errors as of
 * handover_take.
 */
struct handover_loan {
    int number; /* where civetweb sees it */
    int fd;     /* the real one */
};
MUST_CHECK enum err handover_borrow(const struct handover *h, int number,
                                    struct handover_loan *out);
void handover_return(const struct handover_loan *loan);

#endif
