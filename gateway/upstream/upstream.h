/*
 * upstream: the gateway's link to the broker: sockets, requests, reports.
 *
 * gateway/session, gateway/routes and the gateway's main.c call it; it calls the hub, and its owner
 * through the functions of `out`. Records come on a SUB socket, only of topics that a client of
 * this gateway wants; requests go over a DEALER.  The receiver (shared/sync/receiver.h) decides
 * which records to apply, hold or request again.  After RECEIVER_SILENCE_MS without a heartbeat the
 * broker counts as away and every value as stale; when the broker is back, all topics are
 * synchronised again. Loop's thread only; the clock is loop_awake.
 */
#ifndef GATEWAY_UPSTREAM_UPSTREAM_H
#define GATEWAY_UPSTREAM_UPSTREAM_H

#include "gateway/fanout/counters.h"
#include "gateway/fanout/hub.h"
#include "gateway/upstream/report.h"
#include "shared/base/loop.h"
#include "shared/sync/receiver.h"

#define UPSTREAM_SILENCE_MS RECEIVER_SILENCE_MS
#define UPSTREAM_PAGE 500       /* entries of an answer: all of them are processed in one turn */
#define UPSTREAM_ANSWER_MS 1500 /* then a request counts as unanswered */

/* Data about this gateway for hello and report. */
struct upstream_self {
    const char *name, *http; /* http://HOST:PORT */
    uint64_t limit, count;   /* of WebSockets: at most, and now */
};

struct upstream_out {
    void *ctx; /* handed to every function */
    struct upstream_self (*self)(void *ctx);
    /* The broker answers and sends heartbeats. */
    void (*started)(void *ctx);
    /*
     * The broker has dropped all connections of this gateway: call upstream_report_open for each.
     */
    void (*report_all)(void *ctx);
    /* Inform the clients: records are lost; the log was replaced. */
    void (*lost)(void *ctx, uint64_t seq, struct span body);
    void (*reset)(void *ctx, const char *reason);
};

struct upstream_settings {
    struct loop *loop;
    struct hub *hub;
    struct counters *counters;
    const size_t *tracers;         /* above 0: records are stamped as they come */
    const char *publish, *control; /* endpoints of the broker; copied */
};

/* NULL: the error has been logged. */
struct upstream *upstream_new(const struct upstream_settings *settings,
                              const struct upstream_out *out);
/* sends a goodbye if the broker is connected; NULL is allowed */
void upstream_free(struct upstream *u);

/* Read a bounded number of messages and act on them. */
void upstream_drain(struct upstream *u);
/*
 * Is there more to read?  Call it before sleeping: every call on a socket clears the descriptor's
 * edge.
 */
bool upstream_has_input(struct upstream *u);
/* Due work: hello, marks, silences, unanswered requests, reports. */
void upstream_tick(struct upstream *u);

bool upstream_is_here(const struct upstream *u);
int64_t upstream_silence_ms(const struct upstream *u);   /* since the last heartbeat */
uint64_t upstream_gaps(const struct upstream *u);        /* found so far */
uint32_t upstream_connections(const struct upstream *u); /* of records, so far */

/* Send hello again: some of its data has changed. */
void upstream_introduce(struct upstream *u);

/* A client came or went: the broker gets a report soon, at the latest before the next request. */
void upstream_report_open(struct upstream *u, const struct report_client *c);
void upstream_report_close(struct upstream *u, uint64_t client_id);

/*
 * Send the broker a request.  `body` has `members` members of a msgpack map, without "op" and "id".
 * on_answer is called exactly once: with the answer's bytes, or with .len 0 when the broker is away
 * or did not answer.
 */
typedef void upstream_answer(void *ctx, struct span answer);
void upstream_request(struct upstream *u, const char *op, uint32_t members, struct span body,
                      void *ctx, upstream_answer *on_answer);
/* The same for requests that do not concern our clients: also while the hello is unanswered. */
void upstream_forward(struct upstream *u, const char *op, uint32_t members, struct span body,
                      void *ctx, upstream_answer *on_answer);

#endif
