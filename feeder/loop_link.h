/*
 * loop_link: lets the feeder's loop wait for the sockets of broker_link, and logs its notes.
 * main.c uses it. One thread: the loop's.
 */
#ifndef FEEDER_LOOP_LINK_H
#define FEEDER_LOOP_LINK_H

#include "shared/base/loop.h"
#include "shared/feed/broker_link.h"

struct loop_link {
    struct loop *loop;
    struct loop_watch watches[2]; /* fd 0: not in use */
};

/* `l`, zeroed but for its loop, must outlive the broker_link that is opened with the result. */
struct broker_link_out loop_link_out(struct loop_link *l);
/* The times of the loop's turn. */
struct broker_link_time loop_link_time(const struct loop_link *l);

#endif
