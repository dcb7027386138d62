/*
 * session_request: a request of a session, and the list of waiting requests.
 *
 * A request is a subscription, or the end of one: it keeps references to its topics until the
 * session has joined them.  Messages that arrive meanwhile wait behind it as requests to run later:
 * requests are answered in order.  Each session has a list of its own.
 */
#ifndef GATEWAY_SESSION_SESSION_REQUEST_H
#define GATEWAY_SESSION_SESSION_REQUEST_H

#include "gateway/fanout/message.h"
#include "gateway/session/session.h"

#define SESSION_ID_MAX 64 /* bytes of a request's id, and of a rejected symbol in an answer */

enum request_phase {
    /* waits until its topics are live; in mode all it may get missed records meanwhile */
    REQUEST_WAITING,
    REQUEST_FINDING,  /* finds the symbols of its topics */
    REQUEST_QUEUEING, /* their snapshots; it has been acknowledged */
    REQUEST_DONE,
};

struct session_request {
    struct session_request *next;
    struct session *session;
    uint64_t number;
    struct buf message; /* to be run; empty: a subscription, or the end of one */
    bool is_text;
    size_t cost;         /* of one to be run, in its session's waiting_bytes */
    struct buf id;       /* the id, encoded for the client; empty: none */
    struct buf patterns; /* to be taken, from `patterns_at` on: [length, text] … */
    size_t patterns_at;
    bool is_leaving; /* an unsubscribe */
    enum request_phase phase;
    struct hub_topic **topics;
    size_t topic_count, topic_cap;
    /* topics that the session had in mode merge, to be joined again in mode all */
    struct hub_topic **kept;
    size_t kept_count;
    size_t live;      /* how many of them were live */
    uint64_t live_in; /* the hub_restarts count at which they were live */
    struct message_texts accepted, rejected, left;
    int64_t answer_by; /* monotonic, ms */
    bool is_auto;
    bool is_anew; /* after a reset: the request gets no ack */
    bool is_cut;  /* its session had no room for all there was */
    bool is_recovered, is_away;
    uint64_t complete_seq, join_epoch; /* when it began to join */
    size_t snapshot_limit;
    /* of one with `since` */
    bool has_since;
    uint64_t since_epoch, since_seq;
    /* session_resume.c, in mode all: */
    bool is_acked;
    uint64_t cursor;   /* the session has been sent everything up to here */
    uint64_t wait_for; /* the hub must have reached this position before it may join */
    bool has_sent_states, is_sending_states;
    struct hub_walk states; /* the states still to be sent */
    struct resume_group *group;
};

/* Submit it or end it. */
struct session_request *session_request_new(struct session *s);
void session_request_end(struct session_request *r); /* frees it */

/* Add a pattern that must be taken, regardless of its content. */
void session_request_add(struct session_request *r, struct span pattern);
void session_request_set_since(struct session_request *r, uint64_t epoch, uint64_t seq);

/* Insert before the session's other requests: the message that made it was the first of them. */
void session_request_submit(struct session_request *r);
/* Behind them: a message to be run later. */
void session_request_defer(struct session *s, bool is_text, struct span message);
/*
 * Subscribe the session again to everything that it has, before all other requests: the log was
 * replaced.
 */
void session_request_join_anew(struct session *s);

struct session_request *session_request_take_first(struct session *s);
void session_request_end_all(struct session *s);
/* The sessions that have requests go on in the order of a list: to its end. */
void session_request_yield(struct session *s);

#endif
