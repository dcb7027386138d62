/* session_private: what the files of session and sessions share; no other file includes it. */
#ifndef GATEWAY_SESSION_SESSION_PRIVATE_H
#define GATEWAY_SESSION_SESSION_PRIVATE_H

#include "gateway/fanout/message.h"
#include "gateway/session/session.h"
#include "gateway/session/session_request.h"

/* session.c */
/* Nothing more is sent to it but its close frame.  `why` is for the log. */
void session_begin_closing(struct session *s, uint16_t code, const char *why);
/* What wslay keeps of a message that is arriving. */
void session_drop_context(struct session *s);
/* Its mode, and what is counted of it (place_counts). */
void session_set_mode(struct session *s, bool wants_all);
void session_watch(struct session *s);
/* Not to be read in this millisecond: what its peer sends waits in the kernel. */
void session_throttle(struct session *s);
void session_throttle_end(struct session *s); /* of one that is not throttled: nothing */

/* session_answer.c */
void session_epoch_text(uint64_t epoch, char out[17]);
/* Put the message behind what the session has not been sent yet; frees the message. */
void session_finish(struct session *s, struct message *m);
/* The request's id as its answer repeats it; nothing if it had none. */
void session_put_id(struct message *m, const struct buf *id);
/* That its quotes are traced, if they are. */
void session_put_trace(struct message *m, const struct session *s);
/* `at`: the byte where the request went wrong, or NULL.  Too many errors end the session (4429). */
void session_send_error(struct session *s, const struct buf *id, const char *code, const char *text,
                        const size_t *at);
/*
 * The position up to which it has been sent everything of its symbols: never above what is pending
 * for it; while something is, what it was sent before.
 */
uint64_t session_complete_seq(struct session *s);
/* All its topics are live, and the hub's position moves. */
bool session_is_live(const struct session *s);
/* It is sent that it may go on from there, which may be below what it was sent before. */
static inline void session_state_position(struct session *s, uint64_t seq)
{
    s->stated_seq = seq;
    s->settled_seq = 0;
}
/*
 * Nothing is pending: the next heartbeat may state the position of now, whatever comes until then.
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
 * session_resume.c: what a session in mode all missed, as far as it can be given now.
 * RESUME_READY: it has all that the hub has applied and knows the state of the rest, and must join
 * at once.  RESUME_NOT_KEPT: it cannot be had; snapshots will have to do.
 */
enum resume_verdict { RESUME_WAITS, RESUME_READY, RESUME_NOT_KEPT };
enum resume_verdict session_resume(struct session_request *r, size_t *steps);
/* There is room again for what it could not be given in this turn. */
bool session_resume_has_room(const struct session_request *r);
/*
 * Of a client in merge that is ahead of this gateway: the broker has answered that its position
 * lies beyond the head of the log.  Else a request to the broker is made.
 */
bool session_resume_is_beyond(struct session_request *r);

/* session_subscribe.c */
/* Put a pattern into an answer, if need be cut short. */
void session_reject(struct message_texts *t, enum encoding encoding, struct span pattern);
/*
 * Its session goes from merge to mode all.  If records of its symbols are pending or may be
 * missing, it leaves them now, and the request joins them anew together with its own: snapshots
 * first, then every record.
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
/* False: the text is no such thing, and the result is not to be used. */
bool session_option_mode(struct span text, bool *wants_all);
bool session_option_hz(struct span text, uint32_t *interval_ms);
bool session_option_position(struct span epoch, struct span seq, uint64_t *out_epoch,
                             uint64_t *out_seq);
/* Mode, rate and trace; `since` is the request's. */
void session_option_apply(struct session *s, const struct session_options *o);

/* session_op.c: run a message. */
void session_run(struct session *s, bool is_text, struct span message);

/* session_work.c */
/* One whole message: it is run now, or waits behind the others. */
void session_message(struct session *s, bool is_text, struct span message);
/*
 * Go on with its requests until one has to wait or its share of the turn is spent (`*spent` rises).
 * true: for the latter reason.
 */
bool session_work(struct session *s, size_t *spent);

/*
 * session_input.c: a bounded part of what has come; the session may be dead or closing afterwards.
 */
void session_read(struct session *s);

/* session_output.c */
void session_set_blocked(struct session *s, bool is_blocked);

#endif
