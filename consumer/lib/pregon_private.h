/* pregon_private: shared by the files behind pregon.h; no other file includes it. */
#ifndef CONSUMER_LIB_PREGON_PRIVATE_H
#define CONSUMER_LIB_PREGON_PRIVATE_H

#include <uthash.h>

#include "consumer/lib/subscription.h"
#include "shared/sync/lock_client.h"
#include "consumer/lib/pregon_publish.h"
#include "shared/base/err.h"
#include "shared/feed/broker_link.h"

enum request_kind {
    REQUEST_HELLO,
    REQUEST_PING,     /* does the control socket still reach the broker? */
    REQUEST_RECEIVER, /* for the receiver: the log or last values */
    REQUEST_LOCK,     /* for a lock_client */
    REQUEST_VALUE,
};

struct request {
    UT_hash_handle hh;
    uint64_t id;
    enum request_kind kind;
    int64_t sent_at, give_up_at;
    uint64_t number;          /* REQUEST_RECEIVER: the receiver's */
    struct pregon_lock *lock; /* REQUEST_LOCK; NULL: the lock was closed */
    enum lock_client_request request;
    uint64_t token;
    /* REQUEST_VALUE */
    char name[PREGON_LOCK_NAME_MAX + 1];
    pregon_value_fn *fn;
    void *ctx;
};

struct pregon_lock {
    struct pregon *p;
    struct pregon_lock *next;
    struct lock_client client;
    struct pregon_lock_options options; /* its .owner is not valid: see `owner` */
    char name[PREGON_LOCK_NAME_MAX + 1];
    char owner[PREGON_LOCK_OWNER_MAX + 1];
    /* The state at the last on_waiting, which is called only for changes. */
    uint32_t reported;
};

struct pregon {
    struct pregon_options options;
    void *context, *records, *control;
    char *publish, *requests_to; /* the addresses of the two sockets */
    /* when a message last came on it, or it was opened */
    int64_t records_at, control_at;
    int64_t ping_at, tick_at;
    int fd; /* an epoll of both sockets and `wake` */
    /* an eventfd: a function called between two turns has work for the next turn */
    int wake;
    int64_t now;
    struct subscription *subscription;
    struct receiver *receiver; /* the subscription's */
    struct request *requests;  /* by id */
    uint64_t next_id;
    int64_t hello_at;
    bool is_closing;
    /* the broker answered a hello, so a closing connection must send goodbye */
    bool is_known;
    /* hello was sent since the link came up; after a loss it may be another broker */
    bool is_greeted;
    struct pregon_lock *locks;
    struct pregon_feed *feeds;
    struct broker_link_time feed_time; /* of this turn, for feeds */
    int64_t feed_due, feed_pauses;     /* when the next turn is due, monotonic; see read_time */
    char host[65];
    struct buf json; /* the last result of pregon_quote_json */
};

/* pregon_request.c */
/* without an answer for this long the library gives a request up */
#define ANSWER_MS 5000
/*
 * Begins a request with `members` besides op and id, which the caller packs into b; then call
 * pregon_request_send.
 */
struct msgpack_packer;
struct request *pregon_request_begin(struct pregon *p, enum request_kind kind, const char *op,
                                     uint32_t members, struct buf *b, struct msgpack_packer *pk);
/* Sends and frees b.  Returns false if the queue is full; the request will get no answer. */
bool pregon_request_send(struct pregon *p, struct buf *b);
/* Makes the next turn come at once. */
void pregon_wake(struct pregon *p);
void pregon_request_end(struct pregon *p, struct request *r);

/* pregon_link.c */
/*
 * Opens both sockets, at the addresses of the options or the environment. Returns false if neither
 * is open, with errno.
 */
bool pregon_link_open(struct pregon *p);
void pregon_link_close(struct pregon *p);
/* A copy of `given`, else of the environment's variable, else of `usual`; NULL: no memory. */
char *pregon_link_address(const char *given, const char *variable, const char *usual);
/* PREGON_ERROR_INVALID if errno says that an address is not valid, else PREGON_ERROR_SYSTEM. */
enum pregon_error pregon_link_error(int error);
/* Makes p->fd readable when this descriptor is. */
bool pregon_link_watch(struct pregon *p, int fd);
/* Pings, and replaces a socket on which nothing has come for BUS_SILENCE_MS. */
void pregon_link_tick(struct pregon *p, bool is_drained);

/* pregon_follow.c */
void pregon_follow(struct pregon *p); /* makes p->subscription */
void pregon_note(struct pregon *p, const char *text);

/* pregon_feed.c */
/* Returns how many ms may pass until the next turn. */
int64_t pregon_feeds_turn(struct pregon *p);
/* The next turn is due in `wait` ms at the latest. */
void pregon_feeds_wait(struct pregon *p, int64_t wait);
/* Frees the feeds that are closed, or all; it sends the goodbye of each. */
void pregon_feeds_free(struct pregon *p, bool is_all);

/* pregon_lock.c */
void pregon_locks_check(struct pregon *p);
void pregon_locks_request(struct pregon *p);
int64_t pregon_locks_deadline(const struct pregon *p);
void pregon_lock_answered(struct pregon *p, struct request *r, struct span answer);
/*
 * Handles the answer to a request that was given up: it releases a grant that no lock wants any
 * more.
 */
void pregon_lock_answered_late(struct pregon *p, struct span answer);
/* Are there closed locks whose release the broker has not answered? */
bool pregon_locks_are_leaving(const struct pregon *p);
void pregon_locks_leave(struct pregon *p);
void pregon_locks_free(struct pregon *p);

/* pregon_value.c; .len 0: there was no answer, for that reason. */
void pregon_value_answered(struct pregon *p, struct request *r, struct span answer,
                           enum pregon_error unanswered);

#endif
