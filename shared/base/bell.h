/*
 * bell: one thread wakes another one's loop.  An eventfd, rung once however much has come.
 *
 * Whoever rings or hushes it holds the lock of what it tells of; so a loop that looks in vain makes
 * no system call.
 */
#ifndef SHARED_BASE_BELL_H
#define SHARED_BASE_BELL_H

#include <stdbool.h>

struct bell {
    int fd; /* readable while it rings; below 0: there is none */
    bool is_ringing;
};

bool bell_open(struct bell *b); /* false: no descriptor is left, errno says why */
void bell_close(struct bell *b);
void bell_ring(struct bell *b); /* something has come */
void bell_hush(struct bell *b); /* all of it was taken */

#endif
