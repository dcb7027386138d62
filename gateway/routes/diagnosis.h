/*
 * diagnosis: GET /cotizaciones/websocket_check, by which a page learns why a handshake fails.
 *
 * The code of a page cannot read a failed handshake, but it can fetch this route from any origin.
 * The answer has the result of each admission rule for a handshake now, and faults of a proxy in
 * between.  ?origin= and ?path= check another page or path; the parameters of the stream are also
 * accepted, and checked as for a handshake.
 */
#ifndef GATEWAY_ROUTES_DIAGNOSIS_H
#define GATEWAY_ROUTES_DIAGNOSIS_H

#include "gateway/access/handshake.h"
#include "gateway/http/reply.h"
#include "gateway/policy/cors.h"

#define DIAGNOSIS_QUERY HANDSHAKE_QUERY ",origin,path,method,headers"

/* Finds the kind of a path; the router passes this function. */
typedef struct handshake_path diagnosis_lookup(const char *path);

/* The code of a refused preflight. */
enum gate_request diagnosis_cors_code(enum cors_fault fault);

void diagnosis_answer(struct gate *gate, struct request *r, diagnosis_lookup *lookup,
                      struct reply *reply);

#endif
