/*
 * accepted: WebSockets and event streams on their way from the HTTP workers to the loop.
 *
 * A worker puts an accepted connection in; the loop, woken through an eventfd, takes it out and
 * owns the descriptor and the admission slot from then on.  Nothing is shared after that.
 */
#ifndef GATEWAY_SESSION_ACCEPT_QUEUE_H
#define GATEWAY_SESSION_ACCEPT_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

#include "gateway/fanout/frame.h"

struct accepted {
    struct accepted *next;
    int fd;        /* non-blocking, close-on-exec */
    int port;      /* of the client: the peer's, or from the trusted proxy */
    char host[64]; /* likewise, textual address */
    char request_id[24];
    char *path;          /* as the client sent it; owned */
    char *query;         /* query string, undecoded, never NULL; owned */
    char *last_event_id; /* instead of the query's `since`; NULL: the header was not there; owned */
    enum encoding encoding;
    bool is_early;            /* frames came before the 101 and were lost: close with 1002 */
    int explain_close;        /* close with this code at once, 0: a real client */
    char explain_reason[124]; /* JSON of at most 123 bytes */
    int64_t explain_retry_ms; /* after which an event stream's client may come again */
};

struct accept_queue;

struct accept_queue *accept_queue_new(void);
void accept_queue_free(struct accept_queue *q); /* closes what was never taken */
int accept_queue_fd(const struct accept_queue *q);

void accept_queue_put(struct accept_queue *q, struct accepted *a); /* any thread; takes it */
struct accepted *accept_queue_take(struct accept_queue *q);        /* loop; NULL: none, fd reset */
void accept_free(struct accepted *a);                              /* not the descriptor */

#endif
