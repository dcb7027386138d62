/*
 * stored: how far the broker has come with storing what it received, and is it falling behind?
 *
 * The broker's store is always a moment behind, so a line is marked and timed: the newest one
 * received when the one before was reached.  Only a mark not reached within STORED_LATE_MS is
 * told, once, and once more when a later mark is reached in time, or nothing is left to store.
 * A broker that does not say what is stored keeps nothing, and is never behind.
 *
 * Judged when the broker speaks: while it is away no time passes.  Times are monotonic ms; no
 * I/O.  One owner, one thread.
 */
#ifndef FEEDER_STORED_H
#define FEEDER_STORED_H

#include <stdbool.h>
#include <stdint.h>

#define STORED_LATE_MS 10000

enum stored_news {
    STORED_NO_NEWS,
    STORED_BEHIND,    /* what it received STORED_LATE_MS ago is not stored yet */
    STORED_CAUGHT_UP, /* and now it is no longer behind */
};

/* Zero-initialise. */
struct stored {
    bool is_known; /* the broker says what is stored */
    uint64_t line; /* up to here */
    bool is_behind;
    uint64_t mark; /* this line is waited for, 0: none */
    int64_t marked_at;
};

/* The broker said: all up to `received` is in, all up to `line` is stored. */
enum stored_news stored_judge(struct stored *s, uint64_t received, uint64_t line,
                              int64_t now);
/* It said nothing about storing. */
void stored_forget(struct stored *s);
/* It was away: time begins anew, and whether it was behind is not forgotten. */
void stored_pause(struct stored *s);

#endif
