/*
 * route: which path answers what, and how each answer is made.
 *
 * One table.  What needs the gateway's state is requested of the loop (loop_request.h); the worker
 * only checks the parameters and writes the reply.  To add a route, add a row and a
 * handler.
 */
#ifndef GATEWAY_ROUTES_ROUTE_H
#define GATEWAY_ROUTES_ROUTE_H

#include "gateway/http/reply.h"
#include "gateway/http/request.h"
#include "gateway/routes/service.h"

/*
 * Append the whole answer to *out.  false: there is no answer yet, because the handler needs the
 * body first (r->wanted_body), or because it is an admitted handshake: then *out is the head that
 * handshake_finish needs.
 */
bool route_answer(struct service *s, struct request *r, struct buf *out);

#endif
