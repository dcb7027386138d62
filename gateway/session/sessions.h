/*
 * sessions: all sessions of the gateway, and what is done with them in each turn of its loop.
 *
 * In a turn: sessions_set_time, sessions_unthrottle, sessions_sweep every SESSIONS_SWEEP_MS,
 * records and hub_fan_out, sessions_flush_due of those without requests, sessions_settle,
 * sessions_flush_deferred, sessions_flush_due of all, sessions_measure if there was a sweep,
 * sessions_reap.  No I/O, no clock.  Loop's thread only.
 */
#ifndef GATEWAY_SESSION_SESSIONS_H
#define GATEWAY_SESSION_SESSIONS_H

#include "gateway/session/session.h"

#define SESSIONS_SWEEP_MS 100

/* What is given must outlive the sessions; the config may change between two turns. */
struct sessions *sessions_new(const struct gateway_config *config, const char *name,
                              struct hub *hub, struct counters *counters,
                              const struct session_out *out);
void sessions_free(struct sessions *all); /* all have ended; NULL is allowed */

void sessions_set_time(struct sessions *all, int64_t now, int64_t awake, int64_t wall_us);
/* Read those again that sent more than a turn takes, in an earlier millisecond. */
void sessions_unthrottle(struct sessions *all);
/* Pings, heartbeats and silences, of a tenth of all sessions. */
void sessions_sweep(struct sessions *all);
/*
 * Go on with requests: run those that wait, acknowledge subscriptions whose topics have become live
 * or that have waited too long.  After the fan-out, so that a session that joins gets snapshots of
 * it all.
 */
void sessions_settle(struct sessions *all);
/* Flush those whose max_hz allows it again. */
void sessions_flush_deferred(struct sessions *all);
/*
 * Flush those that the hub says are due: at most `most`, and until `bytes` were sent.  only_free:
 * not those that have a request at work.
 */
void sessions_flush_due(struct sessions *all, size_t most, uint64_t bytes, bool only_free);
/* Count how much is pending for those just swept, once what is due has been flushed. */
void sessions_measure(struct sessions *all);
/* Free those that ended. */
void sessions_reap(struct sessions *all);
/* Once what is due has been flushed: can one that catches up with the log be sent more at once? */
bool sessions_have_more(const struct sessions *all);

/* To all: the log is another one. */
void sessions_reset(struct sessions *all, const char *reason);
/* To all: lines of a feed were lost.  body: the record's msgpack map. */
void sessions_report_loss(struct sessions *all, uint64_t seq, struct span body);
/*
 * To all that are not closing: going_away, with a time of its own for each to reconnect (at least
 * SESSIONS_RECONNECT_MS, within window_ms more), and a close frame.
 */
#define SESSIONS_RECONNECT_MS 500
void sessions_send_away(struct sessions *all, int64_t window_ms);
void sessions_drop_all(struct sessions *all, const char *why);

#endif
