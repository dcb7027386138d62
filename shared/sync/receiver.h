/*
 * follow: the records of some patterns, told in order and without a gap.
 *
 * The receiver of docs/protocol/wire.md.  It is handed what comes from the broker, and says
 * what to ask and what to tell through the functions of its `out`.  Whenever something may
 * be missing (a new pattern, a new connection, a heartbeat or `prev` that does not fit) it
 * begins a *round*: a mark, then what the log has between the position that is vouched for
 * and the mark (RECEIVER_NEWEST: last values instead), then snapshots of what is new.  Until
 * the round is over records are held back; in RECEIVER_NEWEST only those of what is new.
 *
 * `position` is complete up to: all that lies at or before it, of what is synced, has been
 * told or named as lost.  It moves with heartbeats and rounds, and with a record that
 * is the very next one.
 *
 * No I/O, no clock: `now` is any monotonic ms.  One thread; what `out` calls may add and
 * remove patterns and stop, but not hand in records or answers.  Held records are bounded
 * to 64 MiB, symbols by what the broker has.
 */
#ifndef SHARED_SYNC_RECEIVER_H
#define SHARED_SYNC_RECEIVER_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/base/buf.h"
#include "shared/base/err.h"
#include "shared/wire/quote.h"
#include "shared/wire/wire.h"

#define RECEIVER_PATTERN_MAX (QUOTE_SYMBOL_MAX + 1)
#define RECEIVER_SILENCE_MS 3000 /* without a heartbeat: the broker is away */

enum receiver_mode { RECEIVER_ALL, RECEIVER_NEWEST };

/* What is told of one symbol; valid during the call. */
struct receiver_told {
    const char *symbol; /* ended by a NUL */
    bool is_stale;
    bool is_snapshot;
    const struct wire_record *record;
};

struct receiver_out {
    void *ctx;
    /* To the records' socket: subscribe or unsubscribe. */
    void (*listen)(void *ctx, struct span topic, bool is_on);
    /* To control; what was asked before is not waited for any more. */
    void (*ask_snapshot)(void *ctx, struct span patterns, uint64_t from);
    void (*ask_replay)(void *ctx, struct span patterns, uint64_t after, uint64_t until);
    /* To whoever follows. */
    void (*quote)(void *ctx, const struct receiver_told *t);
    void (*state)(void *ctx, const struct receiver_told *t);
    void (*lost)(void *ctx, const struct wire_record *r);
    void (*reset)(void *ctx, uint64_t epoch, uint64_t old_epoch, const char *reason);
    void (*synced)(void *ctx);
    void (*link)(void *ctx, bool is_up, const char *why);
    void (*note)(void *ctx, const char *text);
};

struct receiver_settings {
    enum receiver_mode mode;
    bool no_snapshot;
    uint64_t since_epoch, since_seq; /* 0, 0: none */
    uint64_t name;                   /* random, for marks */
};

struct receiver;

struct receiver *receiver_new(const struct receiver_settings *settings,
                              const struct receiver_out *out, int64_t now);
void receiver_free(struct receiver *f);

bool receiver_is_pattern(struct span pattern);
/* ERR_INVALID: no pattern.  One that is there already is OK. */
MUST_CHECK enum err receiver_add(struct receiver *f, struct span pattern);
MUST_CHECK enum err receiver_remove(struct receiver *f, struct span pattern);

/* The records' socket is a new one: subscribe to everything on it. */
void receiver_listen(struct receiver *f);
/* A message of two frames, or the one of a welcome. */
void receiver_on_record(struct receiver *f, struct span topic, struct span message,
                        int64_t now);
void receiver_on_welcome(struct receiver *f);
/* The answer to the newest question; it has passed pack_check. */
void receiver_on_answer(struct receiver *f, struct span answer, int64_t now);
/* RECEIVER_NEWEST: tell what has changed.  RECEIVER_ALL: what a stop left over. */
void receiver_flush(struct receiver *f);
/* Due work.  is_drained: there is nothing to read, so that silence is silence. */
void receiver_tick(struct receiver *f, bool is_drained, int64_t now);
/* When it wants the next tick. */
int64_t receiver_deadline(const struct receiver *f);

/* From a callback: tell nothing more until receiver_go_on. */
void receiver_stop(struct receiver *f);
void receiver_go_on(struct receiver *f);
bool receiver_is_stopped(const struct receiver *f);

uint64_t receiver_epoch(const struct receiver *f);
uint64_t receiver_position(const struct receiver *f); /* 0: none yet */
bool receiver_is_up(const struct receiver *f);
int64_t receiver_heard_at(const struct receiver *f); /* when the last heartbeat came */

#endif
