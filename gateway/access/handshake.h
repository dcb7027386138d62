/*
 * handshake: from an upgrade request, or a GET of events, to a socket in the accept queue.
 *
 * gateway/routes calls it; every client of gateway/session passes through it.
 *
 * handshake_admit checks the request and reserves a place.  handshake_finish answers with the 101,
 * takes the descriptor from the front and puts it into the queue.  Frames that came with the
 * request, before the 101, are lost: the accepted connection is marked early.  Worker threads; one
 * handshake per request.
 */
#ifndef GATEWAY_ACCESS_HANDSHAKE_H
#define GATEWAY_ACCESS_HANDSHAKE_H

#include "gateway/http/reply.h"
#include "gateway/http/request.h"
#include "gateway/limits/gate.h"
#include "gateway/policy/admission.h"
#include "gateway/session/accept_queue.h"
#include "shared/base/log.h"

/* Shared by all handshakes. */
struct handshake_service {
    struct gate *gate;
    struct accept_queue *accepted;
    struct log_limit gone; /* clients that did not wait for the answer to their handshake */
};

struct handshake_path {
    bool is_stream, is_http;
    bool is_events;   /* of the stream: the answer to a GET is an event stream */
    char methods[40]; /* that the path takes: "GET, HEAD, PUT" */
};

/* The parameters of the stream's URL. */
#define HANDSHAKE_QUERY "symbols,mode,max_hz,trace,since,token"

/*
 * Read ?token= in both ways, because a '+' may mean a space or itself.  false: there is no token.
 */
bool handshake_take_token(struct request *r, struct admission_request *out);

/*
 * True: go on with handshake_finish.  False: *reply states why not; or it is the head of an event
 * stream, which is all that was requested.  Of events, *reply is the head either way.
 */
bool handshake_admit(struct handshake_service *s, struct request *r, struct handshake_path path,
                     struct reply *reply);

/* {"code":…,"message":…,"setting":…}, at most 123 bytes, as a close frame takes. */
void handshake_reason(enum admission_rule rule, char out[124]);

/*
 * Finish an admitted handshake.  head: the head of an event stream, empty for a WebSocket.  true:
 * the loop owns the connection.  false: the client is gone, and the caller still owns the
 * connection.
 */
bool handshake_finish(struct handshake_service *s, struct front *f, struct request *r,
                      const struct buf *head);
/* Release everything that the request still holds, whatever its outcome. */
void handshake_abandon(struct handshake_service *s, struct request *r);

#endif
