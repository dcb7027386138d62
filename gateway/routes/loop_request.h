/*
 * loop_request: requests of HTTP workers to the gateway's loop; a worker waits a bounded time.
 *
 * Workers (HTTP's threads) own nothing of the gateway's state.  A worker posts a request, the loop
 * is woken through an eventfd, takes the requests, answers each (at once, or later when the broker
 * has answered), and the worker writes the reply.  A request is reference-counted: after
 * LOOP_REQUEST_WAIT_MS the worker stops waiting, and the loop's late answer is dropped.  At most
 * `max_waiting` workers wait at once; the others get LOOP_REQUEST_BUSY, so that workers are always
 * left for handshakes. A probe (LOOP_REQUEST_LIVE) is answered within a turn and does not count as
 * waiting.
 *
 * loop_request_post: any worker.  loop_request_take, loop_request_answer, loop_request_cancel_all:
 * the loop's thread.
 */
#ifndef GATEWAY_ROUTES_LOOP_REQUEST_H
#define GATEWAY_ROUTES_LOOP_REQUEST_H

#include <stdint.h>

#include "gateway/routes/timeline.h"
#include "shared/base/buf.h"
#include "shared/base/process.h"
#include "shared/wire/quote.h"

#define LOOP_REQUEST_WAIT_MS 2000
#define LOOP_REQUEST_TEXT_MAX 256

enum loop_request_kind {
    LOOP_REQUEST_LIVE, /* does the loop turn? empty body */
    LOOP_REQUEST_HEALTH,
    LOOP_REQUEST_METRICS,          /* uses process; body: text */
    LOOP_REQUEST_WEBSOCKET_STATUS, /* uses offset, limit, privileged */
    LOOP_REQUEST_QUOTES,           /* uses text (a pattern, "" for all), offset, limit */
    LOOP_REQUEST_QUOTE,            /* uses text (a symbol) */
    LOOP_REQUEST_HISTORY,          /* uses text (a symbol), timeline, limit */
    LOOP_REQUEST_BROKER, /* uses op, members, arguments; body: the broker's answer, or 503 */
};

enum loop_request_outcome {
    LOOP_REQUEST_ANSWERED,
    LOOP_REQUEST_BUSY,
    LOOP_REQUEST_TIMED_OUT,
    LOOP_REQUEST_CANCELLED
};

struct handlers;
struct loop_request_queue;

struct loop_request {
    enum loop_request_kind kind;
    char text[LOOP_REQUEST_TEXT_MAX];
    uint64_t offset, limit;
    struct timeline timeline;
    int privileged;               /* the caller sent STATUS_TOKEN, or no STATUS_TOKEN is set */
    const char *op;               /* static */
    struct process_usage process; /* the gateway's own */
    uint32_t members;             /* of the msgpack map whose inside is `arguments` */
    struct buf arguments;         /* loop_request_post copies it; the caller frees its own copy */
    int status;                   /* answer: HTTP status */
    struct buf body;              /* answer: JSON; of quotes and history, as the broker's */
    uint64_t epoch;               /* answer, of quotes: of the log, */
    int64_t answered_us;          /* time of the answer */
    int is_complete;              /* and whether the broker gave it */
    int is_sent;     /* answer, of LOOP_REQUEST_BROKER: the broker may have got the request */
    uint64_t serial; /* set by loop_request_post, unique: the loop's key for late answers */
    struct handlers *handlers; /* the loop's, while it answers */
    /* private from here */
    struct loop_request *next;
    int references;
    int is_done;
};

struct loop_request_queue *loop_request_queue_new(int max_waiting);
void loop_request_queue_free(struct loop_request_queue *d); /* after all workers have gone */
int loop_request_queue_fd(
    const struct loop_request_queue *d); /* readable while there is a request */

/*
 * Worker: send and wait.  Copies the request; on LOOP_REQUEST_ANSWERED q->status and q->body are
 * the answer, and the caller frees the body.
 */
enum loop_request_outcome loop_request_post(struct loop_request_queue *d, struct loop_request *q);

/* Loop: the next request, or NULL (which also resets the descriptor). */
struct loop_request *loop_request_take(struct loop_request_queue *d);
/* Loop: answer and release the request; call it exactly once for every request taken. */
void loop_request_answer(struct loop_request_queue *d, struct loop_request *q, int status);
/* Loop, at shutdown: all that wait or come later get LOOP_REQUEST_CANCELLED. */
void loop_request_cancel_all(struct loop_request_queue *d);

#endif
