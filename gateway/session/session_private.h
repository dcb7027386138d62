/* session_private: shared by the files of session and sessions; no other file includes it. */
#ifndef GATEWAY_SESSION_SESSION_PRIVATE_H
#define GATEWAY_SESSION_SESSION_PRIVATE_H

#include "gateway/fanout/message.h"
#include "gateway/session/session.h"
#include "gateway/session/session_request.h"

/* session.c */
/* Send nothing more to it except its close frame.  `why` is for the log. */
void session_begin_closing(struct session *s, uint16_t code, const char *why);
/* Free wslay's state of a partly received message. */
void session_drop_context(struct session *s);
/* Set its mode, and update the counts of sessions (place_counts). */
void session_set_mode(struct session *s, bool wants_all);
void session_watch(struct session *s);
/* Do not read it for the rest of this millisecond: the kernel keeps what its peer sends. */
void session_throttle(struct session *s);
void session_throttle_end(struct session *s); /* of one that is not throttled: nothing */

/* session_answer.c */
void session_epoch_text(uint64_t epoch, char out[17]);
/* Append the message to the session's output; frees the message. */
void session_finish(struct session *s, struct message *m);
/* Add the request's id to its answer; adds nothing if the request had no id. */
void session_put_id(struct message *m, const struct buf *id);
/* Add the member trace to the message if the session's quotes are traced. */
void session_put_trace(struct message *m, const struct session *s);
/* `at`: the byte where the request went wrong, or NULL.  Too many errors end the session (4429). */
void session_send_error(struct session *s, const struct buf *id, const char *code, const char *text,
                        const size_t *at);
/*
 * The position up to which the session has been sent everything of its symbols.  It is never above
 * anything pending; while something is pending, it is the position before that.
 */
uint64_t session_complete_seq(struct session *s);
/* All its topics are live, and the hub's position rises. */
bool session_is_live(const struct session *s);
/* The session was told to resume from this position, which may be below the last one. */
static inline void session_state_position(struct session *s, uint64_t seq)
{
    s->stated_seq = seq;
    s->settled_seq = 0;
}
/*
 * Nothing is pending: the next heartbeat may state the current position, whatever arrives before
 * it.
 */
void session_settle_position(struct session *s);
void session_send_heartbeat(struct session *s);
void session_send_welcome(struct session *s);
void session_send_reset(struct session *s, const char *reason);
void session_send_away(struct session *s, int64_t reconnect_after_ms);
/* The ack of a subscription; `seq` is the position it states. */
void session_send_subscribed(struct session_request *r, uint64_t seq, bool is_recovered,
                             bool is_broker_away);
/* More symbols match than an automatic subscription may have. */
void session_send_too_many(struct session *s, size_t count, size_t limit);

/*
 * session_resume.c: send a session in mode all the records that it missed, as far as possible now.
 * RESUME_READY: it has everything that the hub has applied, and must join at once.
 * RESUME_NOT_KEPT: the log no longer has the records, so the session gets snapshots instead.
 */
enum resume_verdict { RESUME_WAITS, RESUME_READY, RESUME_NOT_KEPT };
enum resume_verdict session_resume(struct session_request *r, size_t *steps);
/* There is room again for the records that did not fit in this turn. */
bool session_resume_has_room(const struct session_request *r);
/*
 * For a client in mode merge that is ahead of this gateway: true if the broker has answered that
 * the position lies beyond the head of the log.  Otherwise requests that from the broker.
 */
bool session_resume_is_beyond(struct session_request *r);

/* session_subscribe.c */
/* Put a pattern into an answer, if need be cut short. */
void session_reject(struct message_texts *t, enum encoding encoding, struct span pattern);
/*
 * Its session goes from merge to mode all.  If records of its symbols are pending or may be
 * missing, it leaves their topics now, and the request joins them again together with its own
 * topics: snapshots first, then every record.
 */
void session_request_keep(struct session_request *r);
/* Go on with one that is not a message to be run.  true: it is answered, and all is queued. */
bool session_advance(struct session_request *r, size_t *steps);

/* Options of a subscription, by message or by URL: read whole before they are applied. */
struct session_options {
    bool has_mode, wants_all;
    bool has_hz;
    uint32_t interval_ms; /* between two batches, from max_hz */
    bool has_trace, is_traced;
    bool has_since;
    uint64_t epoch, seq;
};

/* session_option.c */
/* false: the text is not valid, and the result must not be used. */
bool session_option_mode(struct span text, bool *wants_all);
bool session_option_hz(struct span text, uint32_t *interval_ms);
bool session_option_position(struct span epoch, struct span seq, uint64_t *out_epoch,
                             uint64_t *out_seq);
/* Mode, rate and trace; `since` is the request's. */
void session_option_apply(struct session *s, const struct session_options *o);

/* session_op.c: run a message. */
void session_run(struct session *s, bool is_text, struct span message);

/* session_work.c */
/* One complete message: run it now, or queue it behind the others. */
void session_message(struct session *s, bool is_text, struct span message);
/*
 * Go on with its requests until one has to wait or its share of the turn is spent (`*spent` rises).
 * true: for the latter reason.
 */
bool session_work(struct session *s, size_t *spent);

/*
 * session_input.c: read a bounded part of the input; afterwards the session may be dead or closing.
 */
void session_read(struct session *s);

/* session_reconnect.c */
#define SESSIONS_RECONNECT_MS 500
/*
 * How long the n-th of `clients` clients waits before it reconnects, so that each of `gateways`
 * gateways gets at most HANDSHAKE_RATE of them a second: SESSIONS_RECONNECT_MS, and its slot in the
 * time that all of them take.  gateways 0: not known, as 1.
 */
int64_t session_reconnect_ms(const struct sessions *all, uint32_t n, uint64_t clients,
                             uint64_t gateways);

/* session_output.c */
void session_set_blocked(struct session *s, bool is_blocked);

/* session_publish.c: the op publish; takes the id if its answer comes later. */
struct json_value;
void session_publish(struct session *s, const struct json_value *root, struct buf *id);
/* A request under way; the broker's answer, or that there is none, frees it. */
struct session_publish {
    struct session *session; /* NULL: the connection has ended */
    struct session_publish *prev, *next;
    struct buf id;
};
/* The session ends: the answers under way have no receiver any more. */
static inline void session_publish_abandon(struct session *s)
{
    for (struct session_publish *p = s->publishes; p; p = p->next)
        p->session = NULL;
    s->publishes = NULL;
    s->publish_count = 0;
}
/* False: a msgpack message publishes a price as a binary fraction. */
bool session_publish_is_exact(struct span message);
/* The error to such a message. */
void session_publish_refuse_inexact(struct session *s, struct span message);

#endif
