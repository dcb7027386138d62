/*
 * upstream: the gateway's link to the broker.
 *
 * Records come on a SUB socket, only of topics somebody here wants; questions go over a DEALER.
 * Two sockets have no common order, so a new topic is subscribed first, then a private mark; when the
 * mark comes back the subscription is known to be live, and only then the snapshot is asked for:
 * what is not newer than what we have is dropped (docs/protocol/wire.md).  A heartbeat names
 * what changed: a symbol of ours that is behind it lost its last record, and is asked for again.
 * No heartbeat for UPSTREAM_SILENCE_MS: the broker is away, every value is stale; when it
 * is back all topics are synchronised anew.
 * Loop's thread only.
 */
#ifndef GATEWAY_UPSTREAM_UPSTREAM_H
#define GATEWAY_UPSTREAM_UPSTREAM_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/base/buf.h"

struct gateway;
struct session;
struct upstream;

#define UPSTREAM_SILENCE_MS 3000
#define UPSTREAM_PAGE \
    500 /* entries of an answer: what is done with them is done in one turn */
#define UPSTREAM_ANSWER_MS 1500 /* then a question counts as unanswered */

/* NULL: what is wrong has been logged. */
struct upstream *upstream_new(struct gateway *g);
void upstream_free(struct upstream *u); /* says goodbye if the broker is here */

/* Read what has come, act on it: a bounded burst. */
void upstream_drain(struct upstream *u);
/* Is there more?  Ask before sleeping: the descriptors' edges are spent by every call. */
bool upstream_has_input(struct upstream *u);
/* Due work: hello, marks, silences, unanswered questions, reports. */
void upstream_tick(struct upstream *u);

bool upstream_is_here(const struct upstream *u);
int64_t upstream_silence_ms(const struct upstream *u);   /* since the last heartbeat */
uint64_t upstream_gaps(const struct upstream *u);        /* found so far */
uint32_t upstream_connections(const struct upstream *u); /* of records, so far */

/* Say hello again: something the broker was told has changed. */
void upstream_introduce(struct upstream *u);

/* A client came or went: the broker is told soon, at the latest before the next question. */
void upstream_report_open(struct upstream *u, const struct session *s);
void upstream_report_close(struct upstream *u, const struct session *s);

/*
 * Ask the broker.  `request` is a msgpack map without "op" and "id" members: `members` of
 * them in `body`.  on_answer is called exactly once: with the answer's bytes, or with
 * .len 0 when the broker is away or did not answer.
 */
typedef void upstream_answer(void *ctx, struct span answer);
void upstream_request(struct upstream *u, const char *op, uint32_t members,
                      struct span body, void *ctx, upstream_answer *on_answer);
/* The same for what has nothing to do with our clients: also while we introduce
 * ourselves again. */
void upstream_forward(struct upstream *u, const char *op, uint32_t members,
                      struct span body, void *ctx, upstream_answer *on_answer);

#endif
