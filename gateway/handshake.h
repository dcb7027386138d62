/*
 * handshake: from an upgrade request to a socket in the arrival queue.
 *
 * admit judges the request and reserves the place, before civetweb does anything.
 * civetweb then sends the 101 and calls ready, where the socket is taken; its read loop
 * sees either end of file at once, or frames the client sent before the 101, which are
 * lost to us: the arrival is marked early.  Only when that loop has ended (closed) does
 * the arrival go to the loop, so the mark is never late.  Worker threads; one handshake
 * per request.
 */
#ifndef GATEWAY_HANDSHAKE_H
#define GATEWAY_HANDSHAKE_H

#include "gateway/reply.h"
#include "gateway/request.h"
#include "gateway/service.h"

struct handshake_path {
    bool is_stream, is_http;
};

/* The parameters of the stream's URL. */
#define HANDSHAKE_QUERY "symbols,mode,max_hz,trace,since,token"

/*
 * Take ?token= in both readings, since its '+' may stand for a space or for itself.  False: it is
 * not given.
 */
bool handshake_take_token(struct request *r, struct admission_request *out);

/* True: let civetweb perform it.  False: *reply says why not. */
bool handshake_admit(struct service *s, struct request *r, struct handshake_path path,
                     struct reply *reply);

/* {"code":…,"message":…,"setting":…}, at most 123 bytes, as a close frame takes. */
void handshake_reason(enum admission_rule rule, char out[124]);

void handshake_ready(struct service *s, struct request *r);
void handshake_early(struct request *r); /* frames came before the 101 */
void handshake_closed(struct service *s, struct request *r);
/* Give back what the request still holds, however it ended. */
void handshake_abandon(struct service *s, struct request *r);

#endif
