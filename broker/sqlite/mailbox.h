/*
 * mailbox: results on their way from threads to the loop.
 *
 * A message is a struct of the caller with a `struct mail` as its first member.  It changes
 * owner: mailbox_put gives it away, and the caller of mailbox_take has it.  The descriptor is
 * readable while there is a message, so the loop polls it and then takes messages until there
 * are none.  Unbounded: the requests that lead to results are bounded.
 */
#ifndef BROKER_SQLITE_MAILBOX_H
#define BROKER_SQLITE_MAILBOX_H

#include <pthread.h>
#include <stdbool.h>

#include "shared/base/bell.h"

struct mail {
    struct mail *next; /* the mailbox's, or the worker's that it was sent to */
};

struct mailbox {
    pthread_mutex_t lock;
    struct bell bell;
    struct mail *first, *last;
};

/* false: no descriptor is left, errno has the reason; the mailbox can be closed all the same. */
bool mailbox_open(struct mailbox *m);
/* Messages that are still in it are the caller's to take out before. */
void mailbox_close(struct mailbox *m);

int mailbox_fd(const struct mailbox *m);
void mailbox_put(struct mailbox *m, struct mail *mail); /* any thread */
struct mail *mailbox_take(struct mailbox *m); /* the oldest; NULL: there is none */

#endif
