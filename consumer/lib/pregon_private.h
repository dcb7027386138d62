/* pregon_private: what the files behind pregon.h share; only they include this header. */
#ifndef CONSUMER_LIB_PREGON_PRIVATE_H
#define CONSUMER_LIB_PREGON_PRIVATE_H

#include <uthash.h>

#include "shared/sync/receiver.h"
#include "shared/sync/lock_client.h"
#include "consumer/lib/pregon.h"
#include "shared/base/err.h"

enum request_kind {
    REQUEST_HELLO,
    REQUEST_PING,   /* does control still reach the broker? */
    REQUEST_FOLLOW, /* of the log or of last values */
    REQUEST_LOCK,   /* what a lock wished for */
    REQUEST_VALUE,
};

struct request {
    UT_hash_handle hh;
    uint64_t id;
    enum request_kind kind;
    int64_t sent_at, give_up_at;
    struct pregon_lock *lock; /* REQUEST_LOCK; NULL: it is gone */
    enum lock_client_wish wish;
    uint64_t token;
    /* REQUEST_VALUE */
    char name[PREGON_LOCK_NAME_MAX + 1];
    pregon_value_fn *fn;
    void *ctx;
};

struct pregon_lock {
    struct pregon *p;
    struct pregon_lock *next;
    struct lock_client hold;
    struct pregon_lock_options options; /* .owner is not valid: see below */
    char name[PREGON_LOCK_NAME_MAX + 1];
    char owner[PREGON_LOCK_OWNER_MAX + 1];
    /* What on_waiting last said, so that it is called for news only. */
    uint32_t told;
};

struct pregon {
    struct pregon_options options;
    void *context, *records, *control;
    char *publish, *requests_to;    /* the addresses of these two sockets */
    int64_t records_at, control_at; /* something came on it, or it was opened */
    int64_t ping_at, tick_at;
    int fd;   /* an epoll of both sockets and `wake` */
    int wake; /* an eventfd: a function called between two turns has work for the next */
    int64_t now;
    struct receiver *follow;
    struct request *requests; /* by id */
    uint64_t next_id;
    uint64_t follow_id; /* of follow's newest request */
    int64_t hello_at;
    bool is_closing;
    bool is_known; /* a hello was answered: who leaves has somebody to tell */
    bool
        is_greeted; /* one since the link came up, after which it may be another broker */
    struct pregon_lock *locks;
    char host[65];
    struct buf json; /* what pregon_quote_json last wrote */
};

/* pregon_request.c */
#define ANSWER_MS 5000 /* without an answer the library gives a request up */
/* A request of `members` besides op and id, which the caller packs into b: then pregon_request_send. */
struct msgpack_packer;
struct request *pregon_request_begin(struct pregon *p, enum request_kind kind,
                                     const char *op, uint32_t members, struct buf *b,
                                     struct msgpack_packer *pk);
/* Sends and frees b.  false: too much waits already; the request will go unanswered. */
bool pregon_request_send(struct pregon *p, struct buf *b);
/* Have the next turn come at once. */
void pregon_wake(struct pregon *p);
void pregon_request_end(struct pregon *p, struct request *r);

/* pregon_link.c */
/* Open both sockets, as options and environment say.  false: neither, errno tells. */
bool pregon_link_open(struct pregon *p);
void pregon_link_close(struct pregon *p);
/* Have p->fd tell of this descriptor. */
bool pregon_link_watch(struct pregon *p, int fd);
/* Ping, and replace a socket on which nothing has come for BUS_SILENCE_MS by a new one. */
void pregon_link_tick(struct pregon *p, bool is_drained);

/* pregon_follow.c */
void pregon_follow(struct pregon *p); /* makes p->follow */
void pregon_note(struct pregon *p, const char *text);

/* pregon_lock.c */
void pregon_locks_check(struct pregon *p);
void pregon_locks_ask(struct pregon *p);
int64_t pregon_locks_deadline(const struct pregon *p);
void pregon_lock_answered(struct pregon *p, struct request *r, struct span answer);
/* To a request that was given up: what it grants and nobody wants any more goes back. */
void pregon_lock_answered_late(struct pregon *p, struct span answer);
/* Are there locks that the broker has not yet heard we leave? */
bool pregon_locks_are_leaving(const struct pregon *p);
void pregon_locks_leave(struct pregon *p);
void pregon_locks_free(struct pregon *p);

/* pregon_value.c; .len 0: unanswered, for that reason. */
void pregon_value_answered(struct pregon *p, struct request *r, struct span answer,
                           enum pregon_error unanswered);

#endif
