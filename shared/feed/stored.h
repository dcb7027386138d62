/*
 * stored: decides whether the broker's store falls behind what the broker received.
 *
 * The broker's store is always a moment behind, so one line at a time is timed: the newest one
 * received when the previous one was stored. Only a line that is not stored within STORED_LATE_MS
 * is reported, once; and once more when a later line is stored in time or nothing is left to store.
 * A broker without a store does not report stored lines and is never behind.
 *
 * Judged on each `received` of the broker; while the broker is away no time passes. Times are
 * monotonic ms; no I/O. One owner, one thread.
 */
#ifndef SHARED_FEED_STORED_H
#define SHARED_FEED_STORED_H

#include <stdbool.h>
#include <stdint.h>

#define STORED_LATE_MS 10000

enum stored_news {
    STORED_NO_NEWS,
    STORED_BEHIND,    /* a line received STORED_LATE_MS ago is not stored yet */
    STORED_CAUGHT_UP, /* and is no longer behind */
};

/* Zero-initialise. */
struct stored {
    bool is_known; /* the broker reports what is stored */
    uint64_t line; /* stored up to this line */
    bool is_behind;
    uint64_t mark; /* the line that is timed; 0: none */
    int64_t marked_at;
};

/* The broker reported: received up to `received`, stored up to `line`. */
enum stored_news stored_judge(struct stored *s, uint64_t received, uint64_t line, int64_t now);
/* The broker reported nothing about storing. */
void stored_forget(struct stored *s);
/* The broker was away: timing starts again, but a reported delay is not forgotten. */
void stored_pause(struct stored *s);

#endif
