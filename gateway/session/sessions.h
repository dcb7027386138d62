/*
 * sessions: all sessions of the gateway, and their work in each turn of its loop.
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

/* The arguments must outlive the sessions; the config may change between two turns. */
struct sessions *sessions_new(const struct gateway_config *config, const char *name,
                              struct hub *hub, struct counters *counters,
                              const struct session_out *out);
void sessions_free(struct sessions *all); /* all have ended; NULL is allowed */

void sessions_set_time(struct sessions *all, int64_t now, int64_t awake, int64_t wall_us);
/* Read again the sessions that were throttled in an earlier millisecond. */
void sessions_unthrottle(struct sessions *all);
/* Pings, heartbeats and silences, of a tenth of all sessions. */
void sessions_sweep(struct sessions *all);
/*
 * Continue requests: run waiting ones, and acknowledge subscriptions whose topics have become live
 * or that have waited too long.  Call it after the fan-out, so that the snapshots of a joining
 * session include it.
 */
void sessions_settle(struct sessions *all);
/* Flush the sessions whose max_hz allows the next send. */
void sessions_flush_deferred(struct sessions *all);
/*
 * Flush the sessions that the hub has marked as due: at most `most`, and until `bytes` were sent.
 * only_free: skip sessions with a request in progress.
 */
void sessions_flush_due(struct sessions *all, size_t most, uint64_t bytes, bool only_free);
/* Measure the pending bytes of the sessions swept in this turn, after due data was flushed. */
void sessions_measure(struct sessions *all);
/* Free the sessions that have ended. */
void sessions_reap(struct sessions *all);
/* After due data was flushed: can a session that catches up with the log be sent more at once? */
bool sessions_have_more(const struct sessions *all);

/* Report to all sessions that the log was replaced. */
void sessions_reset(struct sessions *all, const char *reason);
/* Report to all sessions that lines of a feed were lost.  body: the record's msgpack map. */
void sessions_report_loss(struct sessions *all, uint64_t seq, struct span body);
/*
 * Send all sessions that are not closing: going_away, with a separate time to reconnect for each
 * (session_reconnect_ms), and a close frame.  gateways: how many others take them, 0: not known.
 */
void sessions_send_away(struct sessions *all, uint64_t gateways);
void sessions_drop_all(struct sessions *all, const char *why);

#endif
