/*
 * diagnosis: GET /cotizaciones/websocket_check, the page's only way to learn why.
 *
 * Page code sees nothing of a failed handshake, but it can fetch this, from any origin:
 * the verdict the same admission rules would give it now, rule by rule, and what is odd
 * about the proxy in between.  ?origin= and ?path= ask about another page or path; the stream's own
 * parameters may stand there, too, and are judged as the stream would judge them.
 */
#ifndef GATEWAY_ROUTES_DIAGNOSIS_H
#define GATEWAY_ROUTES_DIAGNOSIS_H

#include "gateway/access/handshake.h"
#include "gateway/http/reply.h"

#define DIAGNOSIS_QUERY HANDSHAKE_QUERY ",origin,path"

/* Which kind of path is it?  Handed in by the router, which knows. */
typedef struct handshake_path diagnosis_lookup(const char *path);

void diagnosis_answer(struct gate *gate, struct request *r, diagnosis_lookup *lookup,
                      struct reply *reply);

#endif
