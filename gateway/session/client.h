/*
 * client: the socket of a session: epoll, recv and send, and nothing else.
 *
 * Loop's thread only.
 */
#ifndef GATEWAY_SESSION_CLIENT_H
#define GATEWAY_SESSION_CLIENT_H

#include "gateway/session/session.h"
#include "shared/base/loop.h"

/* For sessions.io. */
struct session_io client_io(struct loop *loop);

/*
 * Take ownership of an accepted connection's descriptor and begin its session.  false: the loop
 * could not watch it (logged), and it is closed; if it has a place in the gate, the caller releases
 * the place.
 */
bool client_accept(struct sessions *all, const struct accepted *a);

#endif
