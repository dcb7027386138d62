/*
 * front: holds every HTTP connection while it waits for its peer.
 *
 * This folder reads requests and writes replies, and knows no route; gateway/access and
 * gateway/routes call it.
 *
 * One thread accepts, reads heads and bodies, writes the rest of answers that a worker could not
 * send at once, and reads what a refused peer still sends.  A worker gets a connection only with a
 * complete, well-formed head (and, if it wants one, a complete body), so that neither a peer that
 * sends slowly nor one that reads slowly occupies a worker.  Heads that are not HTTP are answered
 * here (head.h).
 *
 * Bounds.  There are at most `connections` connections, and at most `per_address` of one address
 * wait here; the one that has waited longest is closed for a new one, answered ones first.  All
 * waiting connections hold at most FRONT_HELD_MOST bytes.  A head has `head_ms`, a body
 * FRONT_BODY_MS, an answer FRONT_WRITE_MS, and bytes after an answer FRONT_LINGER_MS.  These are
 * total times; a byte that arrives does not extend them.  One turn accepts at most 64 connections
 * and reads at most one head from each. A peer that connects and sends nothing waits in the kernel
 * for some 15 s (TCP_DEFER_ACCEPT) and is not counted.
 *
 * front_open, front_start, front_stop and front_free on one thread; front_take and the functions
 * that return a connection on any worker's thread.
 */
#ifndef GATEWAY_HTTP_FRONT_H
#define GATEWAY_HTTP_FRONT_H

#include <stdbool.h>
#include <stdint.h>

#include "gateway/limits/gate.h"
#include "gateway/http/head.h"
#include "shared/base/buf.h"
#include "shared/base/err.h"

#define FRONT_HELD_MOST ((size_t)64 * 1024 * 1024)
#define FRONT_BODY_MS 5000
#define FRONT_WRITE_MS 10000
#define FRONT_LINGER_MS 1000
#define FRONT_PEER_MAX 16 /* an IPv4 address */
#define FRONT_ID_MAX 24
#define FRONT_ERROR_MAX 512

enum front_body {
    FRONT_BODY_UNREAD, /* no handler has requested it yet */
    FRONT_BODY_WHOLE,
    FRONT_BODY_LATE,    /* FRONT_BODY_MS are over */
    FRONT_BODY_CUT_OFF, /* the peer is gone */
    FRONT_BODY_STOPPED, /* the gateway drains */
};

/* A request. The worker owns it until the worker returns it to the front. */
struct connection {
    int fd; /* non-blocking, close-on-exec, no delay */
    char peer[FRONT_PEER_MAX];
    int port; /* the peer's */
    char id[FRONT_ID_MAX];
    struct head head;
    struct buf body; /* the bytes after the head, possibly more than the body */
    enum front_body outcome;

    struct waiting *waiting; /* private */
};

struct front_limits {
    int connections; /* fixed at start */
    int per_address;
    int64_t head_ms;
};

struct front;

/*
 * Listen on an address (or a name for one) and port; 0: a free one.  The gate counts refused
 * requests and states when the front must stop waiting for bodies; it must outlive the front.
 * ERR_INVALID: *error names the setting; ERR_SYS.
 */
MUST_CHECK enum err front_open(const char *host, int port, const struct front_limits *limits,
                               struct gate *gate, struct front **out, char error[FRONT_ERROR_MAX]);
int front_port(const struct front *f);
MUST_CHECK enum err front_start(struct front *f); /* ERR_SYS: no thread */
void front_set_limits(struct front *f, const struct front_limits *limits);

/* The next request; waits for one.  NULL: the front stops. */
struct connection *front_take(struct front *f);

/*
 * Return the connection until `len` bytes of body have arrived or cannot arrive: then front_take
 * returns it again.
 */
void front_await_body(struct front *f, struct connection *c, size_t len);

/*
 * Send the answer and close.  Takes ownership of the bytes.  lingers: the peer may send more than
 * was read; closing with unread bytes would reset the connection and lose the answer.
 */
void front_answer(struct front *f, struct connection *c, struct buf *answer, bool lingers);

/* The descriptor is the caller's from now on. */
int front_release(struct front *f, struct connection *c);

/* Wait until every request taken so far is answered, or until_ms (monotonic) is over. */
void front_wait_idle(struct front *f, int64_t until_ms);
/* No request is taken any more; workers get NULL.  Join them before front_free. */
void front_stop(struct front *f);
void front_free(struct front *f); /* closes every connection; NULL is allowed */

#endif
