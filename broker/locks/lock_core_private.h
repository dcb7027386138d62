/*
 * lock_core_private: what the files of lock_core share; no other file includes it.  From the top:
 * lock_core.c (requests), lock_core_store.c (the file) and lock_core_send.c (answers, watchers);
 * each calls only those below it.
 */
#ifndef BROKER_LOCKS_LOCK_CORE_PRIVATE_H
#define BROKER_LOCKS_LOCK_CORE_PRIVATE_H

#include "broker/locks/lock_core.h"
#include "broker/locks/lock_writer.h"

#define LOCK_CORE_UNSENT_MAX 4096 /* messages that wait until a change is stored, */
#define LOCK_CORE_UNSENT_BYTES ((size_t)16 << 20)

/* A message that waits until a change is stored. */
struct lock_core_unsent {
    struct lock_core_unsent *prev, *next;
    uint64_t change;
    bool is_answer;      /* else for watchers */
    struct buf to;       /* a peer, or the name of a lock */
    struct buf op, text; /* op: of an answer; text: a message, or an entry */
    uint64_t id;
};

struct lock_core {
    struct lock_core_out out;
    struct turn_time time; /* the time of the current call */
    struct lease_table *table;
    struct lock_writer *writer; /* NULL: in memory only */
    struct lease_batch *filling, *spare;
    int64_t handed_at;    /* awake ms at which the writer got the current batch */
    uint64_t token_floor; /* reserved in the file */
    bool is_stopping, is_closed;
    char reason[STORE_ERROR_MAX]; /* "" while the file can be written */
    struct lock_core_unsent *unsent;
    size_t unsent_count, unsent_bytes;
    uint64_t watch_seq;
    struct buf entry; /* reused */
};

/* One request about locks while it is being answered. */
struct lock_core_request {
    struct control_request on;
    struct lock_core *k;
    struct span name, owner;
    uint64_t token;
    struct lease *lease; /* NULL: there is no such lock */
};

/* lock_core_send.c */

/* Is a change durable when it was answered? */
bool lock_core_is_durable(const struct lock_core *k);
/* Send the answer that was begun once the change is stored. */
void lock_core_send(struct lock_core_request *q, uint64_t change);
/* Send the error that states why nothing is granted now. */
void lock_core_send_closed(struct lock_core_request *q);
void lock_core_send_granted(struct lock_core_request *q, bool is_new, int64_t waited_ms);
void lock_core_send_held(struct lock_core_request *q, size_t place);
void lock_core_pack_entry(msgpack_packer *pk, const struct lease *l, int64_t now);
/* The lock's entry has changed: publish it for watchers. */
void lock_core_watch(struct lock_core *k, struct lease *l);
/* Do so many messages wait for the store that no further request should be read? */
bool lock_core_is_behind(const struct lock_core *k);
/* Grants are made only while the file, the messages that wait and a stop allow them. */
void lock_core_judge(struct lock_core *k);
/* A text about the owner of the last grant: "bot-1 (pid 7 on web1)", as far as it is known. */
#define LOCK_CORE_OWNER_MAX 256
const char *lock_core_owner(const struct lease *l, char out[LOCK_CORE_OWNER_MAX]);

/* Send the messages whose changes are stored. */
void lock_core_send_stored(struct lock_core *k);
/* Answer the peers that wait with the error that their change is not stored. */
void lock_core_send_failed(struct lock_core *k);
void lock_core_drop_unsent(struct lock_core *k);

/* lock_core_store.c */
const char *lock_core_reason(const struct lock_core *k); /* why changes are not durable */
void lock_core_forget(struct lock_core *k, const char *name);
void lock_core_take_results(struct lock_core *k);
/* Pass unstored changes to the writer.  Returns ms until the next call is needed, or -1. */
int64_t lock_core_store(struct lock_core *k);
void lock_core_free_store(struct lock_core *k);

#endif
