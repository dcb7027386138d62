/*
 * journal_ring: the entries and slots of a mapped ring.
 *
 * Only journal.c (it takes records) and journal_load.c (it finds the entries that an earlier broker
 * left) include it.
 */
#ifndef BROKER_LOG_JOURNAL_RING_H
#define BROKER_LOG_JOURNAL_RING_H

#include <string.h>

#include "broker/log/journal.h"
#include "broker/log/journal_file.h"
#include "shared/base/hash.h"

/*
 * An entry in the ring, at a multiple of 8, its topic and record right behind it, zeros up to the
 * next multiple.  An entry never wraps: where it does not fit, a seq of 0 marks the rest of the
 * round as empty.  `sum` is the checksum of all other bytes.
 */
struct entry {
    uint64_t seq, line;
    uint32_t feed;
    uint16_t topic_len, record_len;
    uint64_t sum; /* not in format 1: there topic and record begin here */
};

#define ENTRY_SIZE_1 offsetof(struct entry, sum)

_Static_assert(sizeof(struct entry) == 32 && ENTRY_SIZE_1 == 24, "the layout has a version");
_Static_assert(WIRE_TOPIC_MAX <= UINT16_MAX && WIRE_RECORD_MAX <= UINT16_MAX, "the lengths fit");

/* Set in an offset whose entry is damaged. */
#define OFFSET_DAMAGED ((uint64_t)1)

/*
 * Offsets only grow, as in the file; the place in the ring is the remainder.  The tail and head in
 * the file are authoritative; these members follow them.
 */
struct journal {
    struct journal_file file;
    struct journal_layout *map;
    struct journal_identity identity;
    size_t entry_size; /* bytes of an entry before its topic, in this file's format */
    uint64_t size;     /* the ring's, down to a multiple of 8 */
    uint64_t round;    /* offset of the ring's first byte in the head's round */
    uint64_t tail, head;
    uint64_t *offsets; /* by position, modulo offset_cap (a power of two) */
    size_t offset_cap;
    uint64_t first, next; /* positions */
    bool is_begun;        /* we may append */
    bool is_batch;        /* entries from the offset batch_at on are not valid yet */
    uint64_t batch_at;
};

/*
 * A killed process has executed all instructions before some point of its one thread, and none
 * after it.  Only the compiler could therefore reorder our stores.
 */
static inline void keep_order(void)
{
    atomic_signal_fence(memory_order_seq_cst);
}

static inline void set(_Atomic uint64_t *word, uint64_t value)
{
    keep_order();
    atomic_store_explicit(word, value, memory_order_release);
    keep_order();
}

static inline uint64_t get(const _Atomic uint64_t *word)
{
    return atomic_load_explicit(word, memory_order_acquire);
}

static inline uint64_t *journal_offset(const struct journal *j, uint64_t seq)
{
    return &j->offsets[seq & (j->offset_cap - 1)];
}

static inline struct entry *journal_entry_at(const struct journal *j, uint64_t offset)
{
    return (struct entry *)(void *)(j->map->ring + offset % j->size);
}

static inline uint64_t journal_room(size_t entry_size, uint64_t topic_len, uint64_t record_len)
{
    return (entry_size + topic_len + record_len + 7) & ~(uint64_t)7;
}

/* The checksum of an entry of this format that takes `room` bytes. */
static inline uint64_t journal_sum(const struct entry *e, uint64_t room)
{
    uint64_t h = hash_two(0, e->seq, e->line), word;

    memcpy(&word, &e->feed, sizeof word);
    h = hash_two(h, word, room);
    return hash_words(h, e + 1, (size_t)(room - sizeof *e));
}

/*
 * Is there a complete entry of this position at `offset`, in at most `left` bytes?  Checks the
 * entry's own lengths before it uses them.
 */
bool journal_is_entry(const struct journal *j, uint64_t offset, uint64_t left, uint64_t seq);

/* The checksum of a slot, without the members that are written directly. */
uint32_t journal_feed_sum(const struct journal_feed *f);

void journal_add_offset(struct journal *j, uint64_t offset);
void journal_forget_entries(struct journal *j, uint64_t next);
void journal_finish_change(struct journal_layout *m);
/* The file was mapped. */
void journal_attach(struct journal *j);

#endif
