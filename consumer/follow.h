/*
 * follow: the records of some patterns, told in order and without a gap.
 *
 * The receiver of docs/protocol.md §1.  It is handed what comes from the broker, and says
 * what to ask and what to tell through the functions of its `out`.  Whenever something may
 * be missing (a new pattern, a new connection, a heartbeat or `prev` that does not fit) it
 * begins a *round*: a mark, then what the log has between the position that is vouched for
 * and the mark (FOLLOW_NEWEST: last values instead), then snapshots of what is new.  Until
 * the round is over records are held back; in FOLLOW_NEWEST only those of what is new.
 *
 * `position` is complete up to: all that lies at or before it, of what is synced, has been
 * told or named as lost.  It moves with heartbeats and rounds, and with a record that
 * is the very next one.
 *
 * No I/O, no clock: `now` is any monotonic ms.  One thread; what `out` calls may add and
 * remove patterns and stop, but not hand in records or answers.  Held records are bounded
 * to 64 MiB, symbols by what the broker has.
 */
#ifndef CONSUMER_FOLLOW_H
#define CONSUMER_FOLLOW_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/buf.h"
#include "shared/err.h"
#include "shared/quote.h"
#include "shared/wire.h"

#define FOLLOW_PATTERN_MAX (QUOTE_SYMBOL_MAX + 1)
#define FOLLOW_SILENCE_MS 3000 /* without a heartbeat: the broker is away */

enum follow_mode { FOLLOW_ALL, FOLLOW_NEWEST };

/* What is told of one symbol; valid during the call. */
struct follow_told {
    const char *symbol; /* ended by a NUL */
    bool is_stale;
    bool is_snapshot;
    const struct wire_record *record;
};

struct follow_out {
    void *ctx;
    /* To the records' socket: subscribe or unsubscribe. */
    void (*listen)(void *ctx, struct span topic, bool is_on);
    /* To control; what was asked before is not waited for any more. */
    void (*ask_snapshot)(void *ctx, struct span patterns, uint64_t from);
    void (*ask_replay)(void *ctx, struct span patterns, uint64_t after, uint64_t until);
    /* To whoever follows. */
    void (*quote)(void *ctx, const struct follow_told *t);
    void (*state)(void *ctx, const struct follow_told *t);
    void (*lost)(void *ctx, const struct wire_record *r);
    void (*reset)(void *ctx, uint64_t epoch, uint64_t old_epoch, const char *reason);
    void (*synced)(void *ctx);
    void (*link)(void *ctx, bool is_up, const char *why);
    void (*note)(void *ctx, const char *text);
};

struct follow_settings {
    enum follow_mode mode;
    bool no_snapshot;
    uint64_t since_epoch, since_seq; /* 0, 0: none */
    uint64_t name;                   /* random, for marks */
};

struct follow;

struct follow *follow_new(const struct follow_settings *settings,
                          const struct follow_out *out, int64_t now);
void follow_free(struct follow *f);

bool follow_is_pattern(struct span pattern);
/* ERR_INVALID: no pattern.  One that is there already is OK. */
MUST_CHECK enum err follow_add(struct follow *f, struct span pattern);
MUST_CHECK enum err follow_remove(struct follow *f, struct span pattern);

/* The records' socket is a new one: subscribe to everything on it. */
void follow_listen(struct follow *f);
/* A message of two frames, or the one of a welcome. */
void follow_on_record(struct follow *f, struct span topic, struct span message,
                      int64_t now);
void follow_on_welcome(struct follow *f);
/* The answer to the newest question; it has passed pack_check. */
void follow_on_answer(struct follow *f, struct span answer, int64_t now);
/* FOLLOW_NEWEST: tell what has changed.  FOLLOW_ALL: what a stop left over. */
void follow_flush(struct follow *f);
/* Due work.  is_drained: there is nothing to read, so that silence is silence. */
void follow_tick(struct follow *f, bool is_drained, int64_t now);
/* When it wants the next tick. */
int64_t follow_deadline(const struct follow *f);

/* From a callback: tell nothing more until follow_go_on. */
void follow_stop(struct follow *f);
void follow_go_on(struct follow *f);
bool follow_is_stopped(const struct follow *f);

uint64_t follow_epoch(const struct follow *f);
uint64_t follow_position(const struct follow *f); /* 0: none yet */
bool follow_is_up(const struct follow *f);
int64_t follow_heard_at(const struct follow *f); /* when the last heartbeat came */

#endif
