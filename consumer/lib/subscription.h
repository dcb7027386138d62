/*
 * subscription: decides which of the receiver's records a program on libpregon gets.
 *
 * The owner of a receiver (shared/sync/receiver.h): it keeps the position of each symbol, drops
 * records that the program already has, and in SUBSCRIPTION_NEWEST keeps only the newest quote and
 * state of a symbol until the end of the turn.  pregon.c calls it.
 *
 * No I/O, no clock.  One thread; the functions of `out` may add and remove patterns and pause the
 * receiver. Symbols are bounded by the broker's symbols that match the patterns.
 */
#ifndef CONSUMER_LIB_SUBSCRIPTION_H
#define CONSUMER_LIB_SUBSCRIPTION_H

#include "shared/sync/receiver.h"

enum subscription_mode { SUBSCRIPTION_ALL, SUBSCRIPTION_NEWEST };

/* A record or value of one symbol for the program; valid during the call. */
struct delivered {
    const char *symbol; /* ended by a NUL */
    bool is_stale;
    bool is_removed; /* only of a state */
    bool is_snapshot;
    const struct wire_record *record;
};

struct subscription_out {
    struct receiver_broker broker;
    void *ctx; /* of the others */
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
/* Like receiver_remove.  A pattern that is added again begins anew. */
MUST_CHECK enum err subscription_remove(struct subscription *d, struct span pattern);
/*
 * The end of a turn, SUBSCRIPTION_NEWEST: deliver what has changed.  SUBSCRIPTION_ALL: deliver what
 * a pause left over.
 */
void subscription_flush(struct subscription *d);
/*
 * Every record of live patterns up to this position was delivered or reported as lost; 0: none yet.
 */
uint64_t subscription_position(const struct subscription *d);

#endif
