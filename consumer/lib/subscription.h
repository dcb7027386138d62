/*
 * subscription: what a program on libpregon gets of the records that its receiver hands out.
 *
 * The owner of a receiver (shared/sync/receiver.h): it keeps the position of each symbol, drops
 * what the program has already, and in SUBSCRIPTION_NEWEST keeps only the newest quote and state of
 * a symbol until the end of the turn.  pregon.c calls it.
 *
 * No I/O, no clock.  One thread; what `out` calls may add and remove patterns and pause the
 * receiver. Symbols are bounded by what the broker has of the patterns.
 */
#ifndef CONSUMER_LIB_SUBSCRIPTION_H
#define CONSUMER_LIB_SUBSCRIPTION_H

#include "shared/sync/receiver.h"

enum subscription_mode { SUBSCRIPTION_ALL, SUBSCRIPTION_NEWEST };

/* What the program gets of one symbol; valid during the call. */
struct delivered {
    const char *symbol; /* ended by a NUL */
    bool is_stale;
    bool is_snapshot;
    const struct wire_record *record;
};

struct subscription_out {
    void *ctx;
    /* As in receiver_out. */
    void (*listen)(void *ctx, struct span topic, bool is_on);
    void (*request_snapshot)(void *ctx, uint64_t request, struct span pattern, uint64_t from);
    void (*request_replay)(void *ctx, uint64_t request, struct span patterns, uint64_t after,
                           uint64_t until);
    void (*note)(void *ctx, bool is_error, const char *text);
    /* To the program. */
    void (*quote)(void *ctx, const struct delivered *d);
    void (*state)(void *ctx, const struct delivered *d);
    void (*lost)(void *ctx, const struct wire_record *r);
    void (*reset)(void *ctx, uint64_t epoch, uint64_t old_epoch, const char *reason);
    void (*synced)(void *ctx);
    void (*presence)(void *ctx, bool is_up, const char *why);
};

struct subscription_settings {
    enum subscription_mode mode;
    bool no_snapshot;
    uint64_t since_epoch, since_seq; /* 0, 0: none */
    uint64_t name;                   /* random, for marks */
};

struct subscription;

struct subscription *subscription_new(const struct subscription_settings *settings,
                                      const struct subscription_out *out, int64_t now);
void subscription_free(struct subscription *d); /* NULL is allowed */

/*
 * Hand it messages and answers, and let it tick; call receiver_remove through subscription_remove.
 */
struct receiver *subscription_receiver(const struct subscription *d);
/* As receiver_remove.  A pattern that is added again begins anew. */
MUST_CHECK enum err subscription_remove(struct subscription *d, struct span pattern);
/*
 * The end of a turn, SUBSCRIPTION_NEWEST: hand on what has changed.  SUBSCRIPTION_ALL: what a pause
 * left over.
 */
void subscription_flush(struct subscription *d);
/* All that lies at or before it, of live patterns, was handed on or named as lost; 0: none yet. */
uint64_t subscription_position(const struct subscription *d);

#endif
