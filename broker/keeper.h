/*
 * keeper: brings the log from the ring into the store, and back at start.
 *
 * The loop calls keeper_turn: what is new in the ring is copied into a batch, and the batch given
 * to the archive's writer when that is free.  The loop never waits: while the disk does not
 * take it, batch and ring fill up, and what the ring pushes out before it was copied
 * becomes a gap, told in the store, by replay and by history.
 * At start it decides whether this is still the same log (else a new epoch begins), and stores
 * what a killed broker left in the ring, before any socket is open.
 * Owned by the broker's loop, but for the threads of archive.h.
 */
#ifndef BROKER_KEEPER_H
#define BROKER_KEEPER_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/archive.h"
#include "broker/broker_config.h"
#include "broker/damage.h"
#include "broker/journal.h"

#define KEEPER_ERROR_MAX (STORE_ERROR_MAX + 64)

struct keeper;

/* Opens store and ring, or says in one sentence what is wrong and what to do. */
MUST_CHECK enum err keeper_open(const struct broker_config *config, uint64_t wall_us,
                                struct keeper **out, char error[KEEPER_ERROR_MAX]);
/* The same, but a new epoch begins for this reason (a literal), with positions above `above`. */
MUST_CHECK enum err keeper_open_anew(const struct broker_config *config,
                                     uint64_t wall_us, const char *reason,
                                     uint64_t above, struct keeper **out,
                                     char error[KEEPER_ERROR_MAX]);
/* Store what is left, until deadline_ms (monotonic); frees.  false: not all could be. */
bool keeper_close(struct keeper *k, int64_t deadline_ms);

struct journal *keeper_journal(struct keeper *k); /* the keeper's */
uint64_t keeper_epoch(const struct keeper *k);
bool keeper_is_new_epoch(const struct keeper *k);
const char *keeper_epoch_reason(const struct keeper *k); /* if it is new */
struct store *keeper_store(struct keeper *k);            /* before keeper_start only */
MUST_CHECK enum err keeper_start(struct keeper *k, char error[KEEPER_ERROR_MAX]);

int keeper_fd(const struct keeper *k); /* readable when there is something to take */

/*
 * Take what the threads have to say.  true: an answer to keeper_ask, archive_result_clear it and
 * ask again.  false: that was all; now keeper_turn knows what was written.
 */
bool keeper_take_answer(struct keeper *k, struct archive_result *out);
/* Copy and hand over what is due.  Returns ms until it wants to be called again, or -1. */
int64_t keeper_turn(struct keeper *k, int64_t now, uint64_t wall_us);
MUST_CHECK enum err keeper_ask(struct keeper *k, bool is_history,
                               const struct store_query *query,
                               const struct archive_ticket *ticket);

struct keeper_status {
    bool is_durable;    /* what is called out is stored soon after */
    const char *reason; /* why not, or "" */
    uint64_t first;     /* oldest position the store has */
    uint64_t stored;    /* newest */
    uint64_t gaps;      /* positions that could not be stored, since the start */
    uint64_t behind_us; /* age of the oldest record that is not stored yet */
    uint64_t behind_max_us;
    uint64_t damaged;   /* positions that are known to be lost, for a file is damaged */
    const char *damage; /* which and what to do, or ""; once there, it stays */
};
void keeper_status(struct keeper *k, uint64_t wall_us, struct keeper_status *out);

/* The wall clock was set by so much: what waits is no older or younger for that. */
void keeper_jump(struct keeper *k, int64_t jump_us);

uint64_t keeper_first(const struct keeper *k); /* keeper_status has it too */

/* All up to this line of the feed is stored, or named as lost: for a log that has just begun. */
void keeper_set_line(struct keeper *k, uint32_t feed, uint64_t line);
/* The line of this feed up to which its quotes are stored. */
uint64_t keeper_stored_line(const struct keeper *k, uint32_t feed);

#endif
