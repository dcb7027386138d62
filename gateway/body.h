/*
 * body: what a request carries, read on civetweb's worker, bounded in size and in time.
 *
 * civetweb waits for each piece of a body as long as for a whole request, so that who
 * sends a byte now and then would hold a worker for hours.  It is asked only for what it
 * has read along with the headers; the rest we read from the socket ourselves, BODY_WAIT_MS
 * in all.  Chunked bodies are refused: every client of ours knows its length.
 *
 * Worker's thread; the clock is read here.
 */
#ifndef GATEWAY_BODY_H
#define GATEWAY_BODY_H

#include <stdbool.h>

#include "gateway/reply.h"
#include "gateway/request.h"
#include "gateway/service.h"

#define BODY_WAIT_MS 5000    /* for all of it */
#define BODY_DISCARD_MS 1000 /* for what nobody wants, after the answer */

/*
 * Read the body, of at most `most` bytes, to the end of *out.  False: the reply says what
 * is wrong (411 length_required, 400 bad_request, 413 too_large, 408 timed_out, 503).
 */
bool body_read(struct service *s, struct request *r, size_t most, struct buf *out,
               struct reply *p);

/*
 * After the answer: take what is left of the body off the socket for a while.  Closing on
 * unread bytes resets the connection, and the answer may be lost with it.
 */
void body_discard(struct service *s, const struct request *r);

#endif
