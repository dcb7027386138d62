/*
 * broker_link: a feed's two sockets to the broker; it drives the state machine `link`.
 *
 * The control socket (DEALER) carries hello and its answers, the ingest socket (PUB) lines and
 * heartbeats. When nothing proves that the broker hears this feeder, broker_link replaces both
 * sockets: a new ZeroMQ socket makes a new connection, while an old one may wait for a peer that
 * has silently gone. One thread.
 */
#ifndef SHARED_FEED_BROKER_LINK_H
#define SHARED_FEED_BROKER_LINK_H

#include "shared/feed/link.h"

struct broker_link;

/* The caller's loop: which descriptors wake it, and what it does with notes. */
struct broker_link_out {
    void *ctx;
    /* Wake the caller when this descriptor is readable. Returns false, with errno, if not. */
    bool (*watch)(void *ctx, int fd);
    void (*unwatch)(void *ctx, int fd);
    /* These two as in struct link_out. */
    void (*note)(void *ctx, enum log_level level, const char *text);
    void (*refused)(void *ctx, uint64_t line, struct span reason);
};

/* The times of a turn, see link.h. */
struct broker_link_time {
    int64_t awake, mono, wall_us;
};

/*
 * Opens the sockets in a ZeroMQ context; it fills in the settings' owner, host and pid. NULL, with
 * a note and errno (of ZeroMQ), if an endpoint is not valid or the caller watches no more
 * descriptors. The outbox must outlive the result.
 */
struct broker_link *broker_link_open(void *context, const struct link_settings *settings,
                                     struct outbox *outbox, const struct broker_link_out *out);
/* Messages that wait in the sockets are sent for linger_ms more, see bus_set_linger. */
void broker_link_close(struct broker_link *b, int linger_ms); /* NULL is allowed */

/* The state machine, for queries and for sending. */
struct link *broker_link_state(struct broker_link *b);
/*
 * Takes at most 256 messages of the broker, does what is due, and replaces the sockets if
 * necessary. Returns false if the caller watches no more descriptors (noted).
 */
bool broker_link_turn(struct broker_link *b, const struct broker_link_time *now);
/* When the next turn has something to do at the latest, on the awake clock. */
int64_t broker_link_deadline(const struct broker_link *b);

#endif
