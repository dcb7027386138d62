/*
 * link: a feed's side of the protocol with the broker, a state machine without sockets.
 *
 * The link requests the feed's name with `hello`, keeps the name with heartbeats, sends the lines
 * of an outbox, and moves that outbox by the broker's `received` and `resend`.
 * docs/protocol/wire.md describes the messages. While the broker is away, the link sends hello
 * until a broker answers. So the programs may start in any order, and a restarted broker gets
 * everything that it has not received.
 *
 *   REQUESTING → OPENING → OPEN → LEAVING → GONE      STANDBY: another owner holds the name
 *       ↑   a lease of silence, or stopped so long    REFUSED: another request cannot succeed
 *       +------------+-------+
 *
 * No I/O and no clock: broker_link passes in messages and times, and sends what it gets through
 * `struct link_out`. `now` is the loop's awake clock in ms: a pause of this process does not count
 * as silence of the broker. `mono` is the monotonic clock: the lease also runs while this process
 * is stopped. One thread.
 *
 * Folder shared/feed: publishing under a feed's name. pregon-feeder and libpregon use it.
 */
#ifndef SHARED_FEED_LINK_H
#define SHARED_FEED_LINK_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/feed/outbox.h"
#include "shared/base/log.h"
#include "shared/wire/bus.h"

/* If nothing proves for so long that the broker hears this feeder, the sockets are replaced. */
#define LINK_SILENCE_MS BUS_SILENCE_MS
#define LINK_TEXT_MAX 512 /* bytes of a note, with its NUL */

enum link_state {
    LINK_REQUESTING, /* hello was sent, the answer is pending */
    /* another owner holds the name; hello is sent again from time to time */
    LINK_STANDBY,
    LINK_OPENING, /* granted; sends only heartbeats until the broker acknowledges one */
    LINK_OPEN,    /* sends lines */
    LINK_LEAVING, /* goodbye was sent */
    LINK_GONE,    /* the broker answered goodbye, or did not in time */
    LINK_REFUSED, /* the broker refused for good */
};

struct link_settings {
    const char *feed;             /* the strings must outlive the link */
    const char *ingest, *control; /* endpoints of the broker, for log lines */
    const char *owner;            /* 32 hex digits, random per process */
    const char *host;
    uint64_t pid;
    bool allow_crossed;
    /* unacknowledged lines that the outbox keeps; the broker must acknowledge within it */
    uint64_t window;
};

struct link_out {
    void *ctx;
    /* These two return false if the socket takes no more; nothing was sent then. */
    bool (*control)(void *ctx, struct span message);
    bool (*ingest)(void *ctx, const struct span frames[2]); /* topic, record */
    /* An event, in one sentence. Events that a peer can provoke are limited. */
    void (*note)(void *ctx, enum log_level level, const char *text);
    /* The broker refused the quote of this line. NULL is allowed. */
    void (*refused)(void *ctx, uint64_t line, struct span reason);
};

struct link;

/* The outbox must outlive the link. */
struct link *link_new(const struct link_settings *settings, struct outbox *outbox,
                      const struct link_out *out);
void link_free(struct link *k); /* NULL is allowed */

/*
 * One turn: link_begin_turn, then link_take for every message of the broker, then link_tick, which
 * sends hellos and heartbeats and judges the broker's silence.
 */
void link_begin_turn(struct link *k, int64_t now, int64_t mono, int64_t wall_us);
/* A message on the control socket; it may contain anything. */
void link_take(struct link *k, struct span message);
void link_tick(struct link *k);
/*
 * True if, for LINK_SILENCE_MS, the broker has neither acknowledged a heartbeat nor answered that
 * another owner holds the name. Then the broker's address may have moved, or a connection may be
 * half open. The caller, which has taken every message, opens new sockets and calls link_reopened
 * (is_new: that succeeded). Nothing is lost: the outbox keeps what was not received.
 */
bool link_is_broken(const struct link *k);
void link_reopened(struct link *k, bool is_new);
/* Sends waiting lines, at most `burst`.  Returns true if more can be sent at once. */
bool link_send(struct link *k, int burst);
/* When link_tick has something to do at the latest. */
int64_t link_deadline(const struct link *k);

/* Stops sending and gives the name back; LINK_GONE follows within a second. */
void link_leave(struct link *k, int64_t now);

enum link_state link_state(const struct link *k);
/*
 * Does this feeder hold the name, as far as it knows? Not before a grant, nor while another holds
 * it.
 */
bool link_is_granted(const struct link *k);
/*
 * The last line whose quote the broker had stored when it last sent `received`. Returns false if
 * the broker has no store, or has not sent it yet.
 */
bool link_stored(const struct link *k, uint64_t *line);
/* The last warning or error, also if its note was suppressed; "" before the first. */
const char *link_why(const struct link *k);

#endif
