/*
 * bell: one thread wakes the event loop of another thread through an eventfd.
 *
 * Several rings before the loop runs wake the loop once. The caller of bell_ring and bell_hush
 * holds the lock that protects the queue the bell announces; therefore a loop that finds nothing in
 * its queue makes no system call. Any program's queue between threads may use it.
 */
#ifndef SHARED_BASE_BELL_H
#define SHARED_BASE_BELL_H

#include <stdbool.h>

struct bell {
    int fd; /* readable while the bell rings; below 0: not open */
    bool is_ringing;
};

/* Returns false if no descriptor is left; errno gives the reason. */
bool bell_open(struct bell *b);
void bell_close(struct bell *b);
void bell_ring(struct bell *b); /* the queue has an entry */
void bell_hush(struct bell *b); /* the queue is empty again */

#endif
