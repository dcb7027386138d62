/*
 * handshake: from an upgrade request to a socket in the accept queue.
 *
 * gateway/routes calls it; it is the only way in which a WebSocket reaches gateway/session.
 *
 * admit judges the request and reserves the place.  finish answers with the 101, takes the
 * descriptor from the front and puts it into the queue.  Frames that came with the request, before
 * the 101, are lost: the accepted connection is marked early.  Worker threads; one handshake per
 * request.
 */
#ifndef GATEWAY_ACCESS_HANDSHAKE_H
#define GATEWAY_ACCESS_HANDSHAKE_H

#include "gateway/http/reply.h"
#include "gateway/http/request.h"
#include "gateway/limits/gate.h"
#include "gateway/policy/admission.h"
#include "gateway/session/accept_queue.h"
#include "shared/base/log.h"

/* What all handshakes share. */
struct handshake_service {
    struct gate *gate;
    struct accept_queue *accepted;
    struct log_limit gone; /* clients that did not wait for the answer to their handshake */
};

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

/* True: go on with handshake_finish.  False: *reply states why not. */
bool handshake_admit(struct handshake_service *s, struct request *r, struct handshake_path path,
                     struct reply *reply);

/* {"code":…,"message":…,"setting":…}, at most 123 bytes, as a close frame takes. */
void handshake_reason(enum admission_rule rule, char out[124]);

/*
 * Of an admitted handshake.  True: the connection is the loop's.  False: its client is gone, and
 * the connection is still the caller's.
 */
bool handshake_finish(struct handshake_service *s, struct front *f, struct request *r);
/* Give back what the request still holds, however it ended. */
void handshake_abandon(struct handshake_service *s, struct request *r);

#endif
