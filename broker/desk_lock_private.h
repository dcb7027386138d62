/*
 * desk_lock_private: what desk_lock.c (questions), desk_lock_tell.c (answers, watchers) and
 * desk_lock_store.c (the file) share.
 */
#ifndef BROKER_DESK_LOCK_PRIVATE_H
#define BROKER_DESK_LOCK_PRIVATE_H

#include "broker/desk_lock.h"
#include "broker/desk_private.h"
#include "broker/lease_keeper.h"

#define DESK_LOCK_BACK_MAX 4096 /* words held back until what they tell is stored, */
#define DESK_LOCK_BACK_BYTES ((size_t)16 << 20)

/* A word that waits until a change is stored. */
struct desk_lock_word {
    struct desk_lock_word *prev, *next;
    uint64_t change;
    bool is_answer;      /* else for watchers */
    struct buf to;       /* a peer, or the name of a lock */
    struct buf op, text; /* op: of an answer; text: a message, or an entry */
    uint64_t id;
};

struct desk_locks {
    struct lease_table *table;
    struct lease_keeper *keeper; /* NULL: in memory only */
    struct lease_batch *filling, *spare;
    int64_t handed_at;    /* awake: when the batch under way was given away */
    uint64_t token_floor; /* reserved in the file */
    bool is_stopping, is_closed;
    char reason[STORE_ERROR_MAX]; /* "" while the file can be written */
    struct desk_lock_word *back;
    size_t back_count, back_bytes;
    uint64_t watch_seq;
    struct buf entry; /* reused */
};

/* One question about locks while it is being answered. */
struct desk_lock_question {
    struct question on;
    struct desk_locks *k;
    struct span name, owner;
    uint64_t token;
    struct lease *lease; /* NULL: no such lock */
};

/* desk_lock_tell.c */

/* Say what was begun with desk_answer_begin once the change is stored. */
void desk_lock_say(struct desk_lock_question *q, uint64_t change);
/* Why nothing is granted now. */
void desk_lock_say_closed(struct desk_lock_question *q);
void desk_lock_say_granted(struct desk_lock_question *q, bool is_new,
                           int64_t waited_ms);
void desk_lock_say_held(struct desk_lock_question *q, size_t place);
void desk_lock_pack_entry(msgpack_packer *pk, const struct lease *l, int64_t now);
/* Its entry has changed. */
void desk_lock_watch(struct desk *d, struct lease *l);
/* Is so much held back that nothing more should be asked? */
bool desk_lock_is_behind(const struct desk_locks *k);
/* Whom the last grant was: "bot-1 (pid 7 on web1)", as far as it said. */
#define DESK_LOCK_WHO_MAX 256
const char *desk_lock_who(const struct lease *l, char out[DESK_LOCK_WHO_MAX]);

/* Say what is stored by now. */
void desk_lock_tell_stored(struct desk *d);
/* Tell those who wait that it is not stored. */
void desk_lock_tell_failed(struct desk *d);
void desk_lock_drop_words(struct desk_locks *k);

/* desk_lock_store.c */
bool desk_lock_is_durable(const struct desk *d);
const char *desk_lock_reason(const struct desk *d); /* why not */
void desk_lock_forget(struct desk *d, const char *name);
void desk_lock_take_results(struct desk *d);
/* Give away what is to be stored.  Returns ms until it wants to be called again, or -1. */
int64_t desk_lock_store(struct desk *d);
void desk_lock_free_store(struct desk_locks *k);

/* desk_lock.c: grants are made only while these allow it. */
void desk_lock_judge(struct desk *d);

#endif
