/*
 * counters: the counters of this gateway since its start, for /metrics.
 *
 * The loop adds to plain numbers. Latency is counted once per quote and gateway, not per delivery:
 * counters_note stores the two time stamps of an applied quote, and when all due subscribers have
 * been sent the quote, counters_served reads the clock once for all stored quotes. No I/O, no
 * clock. Loop's thread only; the HTTP workers get a copy.
 */
#ifndef GATEWAY_FANOUT_COUNTERS_H
#define GATEWAY_FANOUT_COUNTERS_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/base/histogram.h"
#include "shared/wire/wire.h"

#define COUNTERS_PENDING_MAX 1024

/* How a connection ended. */
#define COUNTERS_ENDS(X)                                                         \
    X(left)            /* the client sent its close frame first */               \
    X(lost)            /* no close frame from either side */                     \
    X(idle)            /* silent for WEBSOCKET_TIMEOUT */                        \
    X(slow_consumer)   /* mode all, over CLIENT_QUEUE */                         \
    X(bad_frame)       /* the client's bytes were not a valid WebSocket frame */ \
    X(too_large)       /* over WS_MAX_SIZE */                                    \
    X(too_many_errors) /* a hundred bad requests in a minute */                  \
    X(restart)         /* the gateway stopped */

enum counters_end {
#define X(name) COUNTERS_END_##name,
    COUNTERS_ENDS(X)
#undef X
        COUNTERS_END_COUNT
};

struct counters {
    uint64_t records[WIRE_KIND_COUNT]; /* from the broker, by kind */
    uint64_t malformed, not_newer;     /* records that were not applied */
    uint64_t opened, ends[COUNTERS_END_COUNT];
    uint64_t deliveries; /* quotes, snapshots, states and losses, to each client */
    uint64_t sends;      /* send calls on sockets */
    uint64_t bytes_out, bytes_in, messages_in;
    uint64_t errors;     /* errors sent to clients */
    uint64_t resumes[2]; /* resumes with `since`: [0] not recovered, [1] recovered */
    struct histogram since_sent, since_accepted; /* latency in microseconds */
    /* messages queued per client, sampled each second: [0] merge, [1] all */
    struct histogram queued[2];
    /* quotes that were applied and not yet sent to all; their time stamps are stored */
    uint32_t pending;
    uint64_t sent_us[COUNTERS_PENDING_MAX], accepted_us[COUNTERS_PENDING_MAX];
};

void counters_init(struct counters *f);
const char *counters_end_name(enum counters_end end); /* "slow_consumer" */

/* Count an applied quote.  At most COUNTERS_PENDING_MAX quotes are timed at once. */
static inline void counters_note(struct counters *f, const struct wire_record *r)
{
    if (f->pending == COUNTERS_PENDING_MAX)
        return;
    f->sent_us[f->pending] = r->sent_us;
    f->accepted_us[f->pending++] = r->accepted_us;
}

/*
 * All due subscribers were sent the stored quotes: counts how long that took. A negative time (of
 * two clocks that differ) counts as 0.
 */
void counters_served(struct counters *f, int64_t wall_us);

#endif
