/*
 * lock_request: a request about locks to the broker, and the broker's refusals in HTTP.
 *
 * Worker threads; one request at a time.
 */
#ifndef GATEWAY_ROUTES_LOCK_REQUEST_H
#define GATEWAY_ROUTES_LOCK_REQUEST_H

#include <msgpack.h>

#include "gateway/routes/route_private.h"

struct lock_request {
    struct loop_request request;
    msgpack_packer pk;
};

void lock_request_init(struct lock_request *q, const char *op);
void lock_request_add_text(struct lock_request *q, const char *key, const char *text);
void lock_request_add_u(struct lock_request *q, const char *key, uint64_t n);
void lock_request_add_bool(struct lock_request *q, const char *key, bool value);
void lock_request_add_bin(struct lock_request *q, const char *key, struct span bytes);
/* The grant of a lock: its name, owner and token. */
void lock_request_add_claim(struct lock_request *q, const char *name, const char *owner,
                            uint64_t token);

/*
 * Send it and wait; the request is freed.  true: *answer is the broker's answer, which has the
 * member `must`; the caller frees it.  false: the reply has the error.
 */
bool lock_request_send(struct lock_request *q, struct service *s, struct request *r,
                       const char *must, struct buf *answer, struct reply *p);
/* The reply to an answer that refuses, `error`, or makes no sense. */
void lock_request_refuse(struct reply *p, const struct request *r, struct span answer,
                         struct span error);

#endif
