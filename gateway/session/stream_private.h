/* stream_private: what the files of stream share; nobody else includes it. */
#ifndef GATEWAY_SESSION_STREAM_PRIVATE_H
#define GATEWAY_SESSION_STREAM_PRIVATE_H

#include "gateway/fanout/message.h"
#include "gateway/session/stream.h"

/*
 * A subscription on its way, or the end of one: it holds its topics until the client has joined
 * them.  What the client says meanwhile waits behind it, as a message still to be run: requests are
 * answered in the order they came.  Each client has a list of its own.
 */
enum request_phase {
    REQUEST_WAITS, /* for its topics to be live; in mode all it may be told what it missed */
    REQUEST_FINDS, /* the symbols that it will be owed */
    REQUEST_OWES,  /* acknowledged */
    REQUEST_DONE,
};

struct request {
    struct request *next;
    struct client *client;
    uint64_t number;
    struct buf message; /* to be run; empty: a subscription, or the end of one */
    bool is_text;
    size_t cost;         /* of one to be run, in its client's waiting_bytes */
    struct buf id;       /* encoded for the client; empty: none */
    struct buf patterns; /* to be taken, from `patterns_at` on: [length, text] … */
    size_t patterns_at;
    bool is_leaving; /* an unsubscribe */
    enum request_phase phase;
    struct hub_topic **topics;
    size_t topic_count;
    struct hub_topic **kept; /* held in merge before, to be joined anew in mode all */
    size_t kept_count;
    size_t live;      /* of them so many were live, */
    uint64_t live_in; /* before topics started anew again */
    struct message_texts accepted, rejected, left;
    int64_t answer_by; /* monotonic, ms */
    bool is_auto;
    bool is_anew; /* after a reset: there is no ack */
    bool is_cut;  /* its client had no room for all there was */
    bool is_recovered, is_away;
    uint64_t complete_seq, join_epoch; /* when it began to join */
    size_t snapshot_limit;
    /* of one with `since` */
    bool has_since;
    uint64_t since_epoch, since_seq;
    /* stream_resume.c, in mode all: */
    bool is_acked;
    uint64_t cursor;   /* it has been given everything up to here */
    uint64_t wait_for; /* the hub must have come so far before it may join */
    bool is_told_states, is_telling_states;
    struct hub_walk
        states; /* those it has still to be told, while it is telling them */
    struct resume_group *group;
};

#define STREAM_ID_MAX 64

/* stream.c: the requests of each client. */
struct request *stream_request_new(struct client *c);
void stream_submit(struct request *r); /* it is the first of its client now */
void stream_request_end(struct gateway *g, struct request *r); /* frees it */

/* stream_subscribe.c: add a pattern to be taken, whatever it holds. */
void stream_request_add(struct request *r, struct span pattern);
/*
 * Its client goes from merge to mode all.  If records of its symbols are still owed or may be missing,
 * it leaves them now, and the request joins them anew together with its own: snapshots first,
 * then every record.
 */
void stream_request_keep(struct request *r);
/* Named in the answer, if need be cut short. */
void stream_reject(struct message_texts *t, enum encoding encoding,
                   struct span pattern);
/* Go on with one that is not a message to be run.  true: it is answered, and everything is owed. */
bool stream_advance(struct gateway *g, struct request *r, size_t *steps);

/* What a subscription, by message or by URL, says of itself: read whole before it is applied. */
struct stream_wishes {
    bool has_mode, wants_all;
    bool has_hz;
    uint32_t interval_ms; /* between two batches, from max_hz */
    bool has_trace, is_traced;
    bool has_since;
    uint64_t epoch, seq;
};

/* stream_op.c: run a message, and what a URL may say, too. */
void stream_run(struct client *c, bool is_text, struct span message);
/* False: it is no such thing, and the result is not to be used. */
bool stream_read_mode(struct span text, bool *wants_all);
bool stream_read_hz(struct span text, uint32_t *interval_ms);
bool stream_read_since(struct span text, uint64_t *epoch,
                       uint64_t *seq); /* EPOCH:SEQ */
/* Mode, rate and trace; `since` is the request's. */
void stream_apply_wishes(struct client *c, const struct stream_wishes *w);
void stream_set_since(struct request *r, uint64_t epoch, uint64_t seq);

/*
 * What a client in mode all missed, as far as it can be given now.  RESUME_READY: it has all that
 * the hub has applied and knows the state of the rest, and must join at once.  RESUME_NOT_KEPT: it cannot be had; snapshots
 * will have to do.
 */
enum resume_verdict { RESUME_WAITS, RESUME_READY, RESUME_NOT_KEPT };
enum resume_verdict stream_resume(struct gateway *g, struct request *r, size_t *steps);
/* There is room again for what it could not be given in this turn. */
bool stream_resume_has_room(const struct request *r);
/* After all requests had their turn: ask the broker for the pages they want. */
void stream_resume_ask(struct gateway *g);
/* The request ends: it wants nothing more. */
void stream_resume_end(struct request *r);

/*
 * Of a client in merge that is ahead of this gateway: the broker has said that its position lies
 * beyond the head of the log.  Else the broker is asked.
 */
bool stream_resume_is_beyond(struct gateway *g, struct request *r);

/* The ack of a subscription; `seq` is the position it states. */
void stream_send_subscribed(struct gateway *g, struct request *r, uint64_t seq,
                            bool is_recovered, bool is_broker_away);

/* More symbols match than an automatic subscription may have. */
void stream_send_too_many(struct client *c, size_t count, size_t limit);

/* The log is another one: as if it had subscribed to all it has again. */
void stream_begin_anew(struct client *c);

/* Put the message behind what the client has not got yet; frees the message. */
void stream_finish(struct client *c, struct message *m);
/* The request's id as it is said back; nothing if it had none. */
void stream_put_id(struct message *m, const struct buf *id);
/* That its quotes are traced, if they are. */
void stream_put_trace(struct message *m, const struct client *c);
/* `at`: the byte where the request went wrong, or NULL.  Too many of them end it (4429). */
void stream_send_error(struct client *c, const struct buf *id, const char *code,
                       const char *text, const size_t *at);
/*
 * The position up to which it has been sent everything of its symbols: never above what
 * it is still owed, then it is told what it was told before.
 */
uint64_t stream_complete_seq(struct client *c);
/* All topics of the client are live, and the hub's position moves. */
bool stream_is_live(const struct client *c);
/* It is told that it may go on from there, which may be below what it was told before. */
static inline void stream_state_position(struct client *c, uint64_t seq)
{
    c->stated_seq = seq;
    c->settled_seq = 0;
}
void stream_send_welcome(struct client *c);

#endif
