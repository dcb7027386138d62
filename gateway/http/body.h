/*
 * body: the body of a request, bounded in size.
 *
 * A handler that wants the body runs twice if the body is not there yet: body_read notes how much
 * is wanted, the front waits for it (FRONT_BODY_MS in all, without a worker), and the handler runs
 * again.  A handler must therefore change nothing before body_read succeeds.  Chunked bodies are
 * refused: every client of ours knows its length.
 */
#ifndef GATEWAY_HTTP_BODY_H
#define GATEWAY_HTTP_BODY_H

#include <stdbool.h>

#include "gateway/http/reply.h"
#include "gateway/http/request.h"

/*
 * Append the body, of at most `most` bytes, to *out.  false: either r->wanted_body is set and the
 * front must wait for the body, or the reply has the error (411 length_required, 413 too_large, 408
 * timed_out, 400 bad_request, 503 draining).
 */
bool body_read(struct request *r, size_t most, struct buf *out, struct reply *p);

/* May there be bytes on the connection that were not read? */
bool body_is_left(const struct request *r);

#endif
