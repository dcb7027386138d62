/*
 * turn_time: the clocks, as the loop read them for this turn; handed to everything that needs
 * one.
 */
#ifndef BROKER_ANSWER_TURN_TIME_H
#define BROKER_ANSWER_TURN_TIME_H

#include <stdint.h>

struct turn_time {
    int64_t now;   /* monotonic, ms */
    int64_t awake; /* the same less our own pauses */
    int64_t wall_us;
};

#endif
