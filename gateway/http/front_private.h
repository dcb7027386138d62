/* front_private: shared by the files of front; no other file includes it. */
#ifndef GATEWAY_HTTP_FRONT_PRIVATE_H
#define GATEWAY_HTTP_FRONT_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/types.h>
#include <uthash.h>

#include "gateway/http/front.h"
#include "shared/base/bell.h"
#include "shared/base/log.h"

enum waiting_for {
    WAITING_LINGER, /* in the order in which they give way */
    WAITING_HEAD,
    WAITING_WRITE,
    WAITING_BODY,
    WAITING_KINDS,
    WAITING_WORKER = WAITING_KINDS, /* a worker owns it; the front does not wait for it */
};

struct address;

/* A connection as the front's thread sees it. */
struct waiting {
    struct connection c; /* first */
    enum waiting_for what;
    bool is_dead;    /* closed in this turn, freed at its end */
    bool is_counted; /* counted among the connections that are being answered */
    bool lingers;
    uint32_t events; /* events registered with epoll; 0: none */
    int64_t deadline;
    struct head_scan scan;
    struct buf in, out;
    size_t wanted, sent; /* bytes of body; bytes of out */
    size_t held;         /* as it counts in front.held */
    struct waiting *next, *prev;
    uint32_t ip;
    struct address *address; /* while it is on a list */
    struct waiting *address_next, *address_prev;
};

struct address {
    uint32_t ip;
    int count;
    struct waiting *first; /* the oldest */
    UT_hash_handle hh;
};

struct front {
    int listener, epoll, port, connections;
    struct gate *gate;
    atomic_int per_address;
    atomic_int_fast64_t head_ms;
    atomic_int open; /* connections, wherever they are */
    struct log_limit invalid;
    uint32_t id_prefix, id_count;
    pthread_t thread;
    bool is_running, is_paused;

    /* the front's thread */
    int64_t now;
    int64_t paused_until; /* nothing is accepted, if is_paused */
    size_t held;
    struct waiting *lists[WAITING_KINDS]; /* the oldest first */
    struct waiting *dead;
    struct address *addresses;

    pthread_mutex_t lock; /* guards the rest */
    pthread_cond_t has_ready, is_idle;
    struct bell bell;                 /* rung when a worker returns a connection to the front */
    struct waiting *ready, *returned; /* for workers; from workers */
    int answering;
    bool is_stopping;
};

/* front_wait.c: the front's thread only */

/* Begin to wait for an event of this connection: list, deadline, epoll, bounds. */
void front_park(struct front *f, struct waiting *w, enum waiting_for what);
void front_unpark(struct front *f, struct waiting *w); /* off its lists and epoll */
void front_drop(struct front *f, struct waiting *w);   /* close it */
/* close the oldest; false: no connection waits */
bool front_evict(struct front *f);
/* free the connections that were closed in this turn */
void front_reap(struct front *f);
/* ms to the next deadline; -1: there is none */
int front_timeout(const struct front *f);

/* Release everything that a connection holds; it is on no list any more. */
void front_discard(struct front *f, struct waiting *w);

/* front_loop.c */
void *front_run(void *arg);
/* Returns the bytes sent, or -1: the peer is gone.  Any thread. */
ssize_t front_send(int fd, const char *at, size_t len);

/* Count the connection as answered, if it was counted before. */
void front_settle(struct front *f, struct waiting *w);

#endif
