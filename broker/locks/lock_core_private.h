/*
 * lock_core_private: what lock_core.c (questions), lock_core_send.c (answers, watchers) and
 * lock_core_store.c (the file) share.
 */
#ifndef BROKER_LOCKS_LOCK_CORE_PRIVATE_H
#define BROKER_LOCKS_LOCK_CORE_PRIVATE_H

#include "broker/locks/lock_core.h"
#include "broker/core/core_private.h"
#include "broker/locks/lock_writer.h"

#define CORE_LOCK_BACK_MAX 4096 /* words held back until what they tell is stored, */
#define CORE_LOCK_BACK_BYTES ((size_t)16 << 20)

/* A word that waits until a change is stored. */
struct lock_core_word {
    struct lock_core_word *prev, *next;
    uint64_t change;
    bool is_answer;      /* else for watchers */
    struct buf to;       /* a peer, or the name of a lock */
    struct buf op, text; /* op: of an answer; text: a message, or an entry */
    uint64_t id;
};

struct lock_core {
    struct lease_table *table;
    struct lock_writer *log_writer; /* NULL: in memory only */
    struct lease_batch *filling, *spare;
    int64_t handed_at;    /* awake: when the batch under way was given away */
    uint64_t token_floor; /* reserved in the file */
    bool is_stopping, is_closed;
    char reason[STORE_ERROR_MAX]; /* "" while the file can be written */
    struct lock_core_word *back;
    size_t back_count, back_bytes;
    uint64_t watch_seq;
    struct buf entry; /* reused */
};

/* One question about locks while it is being answered. */
struct lock_core_question {
    struct question on;
    struct lock_core *k;
    struct span name, owner;
    uint64_t token;
    struct lease *lease; /* NULL: no such lock */
};

/* lock_core_send.c */

/* Say what was begun with answer_begin once the change is stored. */
void lock_core_send(struct lock_core_question *q, uint64_t change);
/* Why nothing is granted now. */
void lock_core_send_closed(struct lock_core_question *q);
void lock_core_send_granted(struct lock_core_question *q, bool is_new,
                            int64_t waited_ms);
void lock_core_send_held(struct lock_core_question *q, size_t place);
void lock_core_pack_entry(msgpack_packer *pk, const struct lease *l, int64_t now);
/* Its entry has changed. */
void lock_core_watch(struct core *d, struct lease *l);
/* Is so much held back that nothing more should be asked? */
bool lock_core_is_behind(const struct lock_core *k);
/* Whom the last grant was: "bot-1 (pid 7 on web1)", as far as it said. */
#define CORE_LOCK_WHO_MAX 256
const char *lock_core_who(const struct lease *l, char out[CORE_LOCK_WHO_MAX]);

/* Say what is stored by now. */
void lock_core_send_stored(struct core *d);
/* Tell those who wait that it is not stored. */
void lock_core_send_failed(struct core *d);
void lock_core_drop_words(struct lock_core *k);

/* lock_core_store.c */
bool lock_core_is_durable(const struct core *d);
const char *lock_core_reason(const struct core *d); /* why not */
void lock_core_forget(struct core *d, const char *name);
void lock_core_take_results(struct core *d);
/* Give away what is to be stored.  Returns ms until it wants to be called again, or -1. */
int64_t lock_core_store(struct core *d);
void lock_core_free_store(struct lock_core *k);

/* lock_core.c: grants are made only while these allow it. */
void lock_core_judge(struct core *d);

#endif
