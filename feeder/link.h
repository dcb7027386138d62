/*
 * link: the feeder's side of the conversation with the broker.
 *
 * Takes the feed's name on the control socket (hello), keeps it with heartbeats, sends
 * the lines of a `struct outbox` on the ingest socket, and moves that line by the
 * broker's `received` and `resend`.  docs/protocol/wire.md is the authority.  The link
 * never gives up on a broker that is away: it says hello until one answers, so the
 * order of starting does not matter, and a restarted broker gets everything it has not
 * received.
 *
 *   ASKING → OPENING → OPEN → LEAVING → GONE      STANDBY: another owner holds the name
 *      ↑   a lease of silence, or stopped so long  REFUSED: no use asking again
 *      +------------+-------+
 *
 * `now` is the loop's awake clock in ms: our own pauses are not the broker's silence.  `mono` is the
 * monotonic one: our lease runs on while we are stopped.
 * Owns both sockets and borrows the line; one thread.
 */
#ifndef FEEDER_LINK_H
#define FEEDER_LINK_H

#include <stdbool.h>
#include <stdint.h>

#include "feeder/outbox.h"

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
    const char *feed;             /* outlive the link, as the two below */
    const char *ingest, *control; /* endpoints of the broker */
    bool allow_crossed;
    uint64_t
        window; /* lines it can keep unacknowledged: how often the broker must answer */
};

struct link;

/* NULL with what is wrong logged: an endpoint that cannot be.  The line must outlive
 * it. */
struct link *link_open(void *context, const struct link_settings *settings,
                       struct outbox *line);
void link_close(struct link *k); /* NULL is allowed */

/* Descriptors to watch (ingest, control); on any news call link_turn(). */
void link_descriptors(const struct link *k, int out[2]);

/* Take in what the broker said, and do what is due: hello, heartbeat, judge silence. */
void link_turn(struct link *k, int64_t now, int64_t mono, int64_t wall_us);
/*
 * Has the broker for BUS_SILENCE_MS neither acknowledged a heartbeat nor said that another holds the
 * name?  Then its address may have moved, or a connection hang half-open: after link_turn, stop
 * watching the descriptors, call link_reopen and watch the new ones.  It opens new sockets and says
 * hello; nothing is lost by that, since what was not received stays in the ring.
 */
bool link_is_broken(const struct link *k);
void link_reopen(struct link *k);
/* Send waiting lines, at most `burst`.  True if more can be sent right now. */
bool link_send(struct link *k, int burst);
/* When link_turn has something to do at the latest. */
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
