/*
 * figures: what this gateway counts since its start, for /metrics.
 *
 * Plain numbers that the loop adds to where it happens.  Latency is counted once per quote and
 * gateway, not per delivery: a quote that is applied leaves its two stamps, and when everybody who
 * is due has been served, one reading of the clock does for all of them.
 * No I/O, no clock.  Loop's thread only.
 */
#ifndef GATEWAY_FANOUT_COUNTERS_H
#define GATEWAY_FANOUT_COUNTERS_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/base/histogram.h"
#include "shared/wire/wire.h"

#define COUNTERS_PENDING_MAX 1024

/* How a connection ended. */
#define COUNTERS_ENDS(X)                                        \
    X(left)            /* its own close frame came first */     \
    X(lost)            /* no close frame from either side */    \
    X(idle)            /* silent for WEBSOCKET_TIMEOUT */       \
    X(slow_consumer)   /* mode all, over CLIENT_QUEUE */        \
    X(bad_frame)       /* what it sent was no WebSocket */      \
    X(too_large)       /* over WS_MAX_SIZE */                   \
    X(too_many_errors) /* a hundred bad requests in a minute */ \
    X(restart)         /* the gateway stopped */

enum counters_end {
#define X(name) COUNTERS_END_##name,
    COUNTERS_ENDS(X)
#undef X
        COUNTERS_END_COUNT
};

struct counters {
    uint64_t records[WIRE_LOCK + 1]; /* from the broker, by kind */
    uint64_t malformed, not_newer;   /* of them, not applied */
    uint64_t opened, ends[COUNTERS_END_COUNT];
    uint64_t deliveries; /* quotes, snapshots, states and losses, to each client */
    uint64_t sends;      /* system calls */
    uint64_t bytes_out, bytes_in, messages_in;
    uint64_t errors;     /* told to clients */
    uint64_t resumes[2]; /* with `since`: not recovered, recovered */
    struct histogram since_sent, since_accepted; /* us */
    struct histogram queued[2]; /* messages, by client and second: merge, all */
    /* of quotes applied and not yet served */
    uint32_t pending;
    uint64_t sent_us[COUNTERS_PENDING_MAX], accepted_us[COUNTERS_PENDING_MAX];
};

void counters_init(struct counters *f);
const char *counters_end_name(enum counters_end end); /* "slow_consumer" */

/* A quote was applied.  More than COUNTERS_PENDING_MAX at once are not timed. */
static inline void counters_note(struct counters *f, const struct wire_record *r)
{
    if (f->pending == COUNTERS_PENDING_MAX)
        return;
    f->sent_us[f->pending] = r->sent_us;
    f->accepted_us[f->pending++] = r->accepted_us;
}

/* Everybody due was served: how long it took.  A clock that lies behind another counts as 0. */
void counters_served(struct counters *f, int64_t wall_us);

#endif
