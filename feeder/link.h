/*
 * link: the feeder's side of the conversation with the broker, without sockets.
 *
 * Requests the feed's name with `hello`, keeps the name with heartbeats, sends the lines of an
 * outbox, and moves that outbox by the broker's `received` and `resend`.  docs/protocol/wire.md
 * describes the messages.  The link never gives up on a broker that is away: it sends hello until a
 * broker answers, so the order of starting does not matter, and a restarted broker gets everything
 * that it has not received.
 *
 *   ASKING → OPENING → OPEN → LEAVING → GONE      STANDBY: another owner holds the name
 *      ↑   a lease of silence, or stopped so long  REFUSED: no use asking again
 *      +------------+-------+
 *
 * No I/O and no clock: broker_link.h hands in messages and times, and sends what `struct link_out` gets.
 * `now` is the loop's awake clock in ms: a pause of this process is not the broker's silence.  `mono`
 * is the monotonic clock: the lease runs on while this process is stopped.  One thread.
 */
#ifndef FEEDER_LINK_H
#define FEEDER_LINK_H

#include <stdbool.h>
#include <stdint.h>

#include "feeder/outbox.h"
#include "shared/wire/bus.h"

/* How long the broker may prove nothing before the sockets are replaced. */
#define LINK_SILENCE_MS BUS_SILENCE_MS

enum link_state {
    LINK_ASKING,  /* hello is out, no answer yet */
    LINK_STANDBY, /* another holds the name; asked again from time to time */
    LINK_OPENING, /* granted; heartbeats only, until one is acknowledged */
    LINK_OPEN,    /* lines go out */
    LINK_LEAVING, /* goodbye is out */
    LINK_GONE,    /* the broker answered it, or will not in time */
    LINK_REFUSED, /* the broker said something that asking again cannot change */
};

struct link_settings {
    const char *feed;             /* the strings outlive the link */
    const char *ingest, *control; /* endpoints of the broker, for log lines */
    const char *owner;            /* 32 hex digits, drawn once per process */
    const char *host;
    uint64_t pid;
    bool allow_crossed;
    uint64_t
        window; /* lines the outbox keeps unacknowledged: how often the broker must answer */
};

/* Where the link sends.  false: the socket takes no more, and nothing was sent. */
struct link_out {
    void *ctx;
    bool (*control)(void *ctx, struct span message);
    bool (*ingest)(void *ctx, const struct span frames[2]); /* topic, record */
};

struct link;

/* The outbox must outlive the link. */
struct link *link_new(const struct link_settings *settings, struct outbox *outbox,
                      const struct link_out *out);
void link_free(struct link *k); /* NULL is allowed */

/* A turn: begin it, take every message of the broker, then tick: hello, heartbeat, judge silence. */
void link_begin_turn(struct link *k, int64_t now, int64_t mono, int64_t wall_us);
/* A message on the control socket; anything may stand in it. */
void link_take(struct link *k, struct span message);
void link_tick(struct link *k);
/*
 * Has the broker for LINK_SILENCE_MS neither acknowledged a heartbeat nor answered that another owner
 * holds the name?  Then its address may have moved, or a connection hang half-open.  The caller, which
 * has taken in every message, opens new sockets and calls link_reopened (is_new: that worked).  Nothing
 * is lost by that: the outbox keeps what was not received.
 */
bool link_is_broken(const struct link *k);
void link_reopened(struct link *k, bool is_new);
/* Send waiting lines, at most `burst`.  True if more can be sent right now. */
bool link_send(struct link *k, int burst);
/* When link_tick has something to do at the latest. */
int64_t link_deadline(const struct link *k);

/* Stop sending and give the name back; LINK_GONE follows within a second. */
void link_leave(struct link *k, int64_t now);

enum link_state link_state(const struct link *k);
/* Is the name ours, as far as we know?  Not while another holds it, nor before a grant.
 */
bool link_is_granted(const struct link *k);
/* Up to which line the broker had stored quotes when it last said `received`.  False: it keeps
 * nothing, or has not said so yet. */
bool link_stored(const struct link *k, uint64_t *line);

#endif
