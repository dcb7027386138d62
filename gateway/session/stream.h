/*
 * stream: what clients say and what they are told (docs/protocol/stream.md).
 *
 * A subscription is acknowledged when the gateway itself is live on every topic it names: until
 * then it waits as a request, in merge at most STREAM_WAIT_MS (then it is acknowledged with
 * what is known and says that the broker is away).  One ack or error per request, before any
 * of its data.  A client that does not take the answers gets no more of them: its requests wait.
 *
 * What clients ask for is done in slices.  A step is some 0.1 µs: a symbol looked at or owed, an eighth
 * of a pattern taken, an eighth of a message run (and one for every 16 bytes of it).
 * A client causes at most STREAM_STEPS in a millisecond, but a message is run whole, and paid by
 * the milliseconds after it; all clients together STREAM_TURN_STEPS in a turn, and one client's
 * rest.  A pattern that nobody holds is a new topic, and costs the gateway and the broker far more:
 * a client makes MAX_SYMBOLS of them at once, in slices, and then STREAM_TOPICS every
 * STREAM_TOPICS_MS.  Patterns held are bounded by MAX_SYMBOLS, what waits unread by CLIENT_OUT_MAX.
 */
#ifndef GATEWAY_SESSION_STREAM_H
#define GATEWAY_SESSION_STREAM_H

#include "gateway/session/client.h"

#define STREAM_WAIT_MS 2000
#define STREAM_STEPS 512
#define STREAM_TURN_STEPS 4096
#define STREAM_TOPICS 16
#define STREAM_TOPICS_MS 4

/* Say welcome and subscribe as the URL or the automatic setting says. */
void stream_welcome(struct client *c, const char *query);
/* One whole message. */
void stream_message(struct client *c, bool is_text, struct span message);
/* Acknowledge the requests whose topics have become live, or that waited too long. */
void stream_settle(struct gateway *g);
/* Once what is due has been flushed: can somebody that catches up be told more at once? */
bool stream_has_more(const struct gateway *g);
/* All clients are gone. */
void stream_fini(struct gateway *g);
/* A client is going: its waiting requests go too. */
void stream_forget(struct client *c);

/* Nothing is owed: the next heartbeat may state the position of now, whatever has come by then. */
void stream_settle_position(struct client *c);
void stream_heartbeat(struct client *c);
void stream_going_away(struct client *c, int64_t reconnect_after_ms);
/* To everyone: the log is another one. */
void stream_reset_all(struct gateway *g, const char *reason);
/* To everyone: lines of a feed were lost.  body: the record's msgpack map. */
void stream_lost_all(struct gateway *g, uint64_t seq, struct span body);

void stream_epoch_text(uint64_t epoch, char out[17]);

#endif
