/*
 * pages: the loop's answers to the questions of HTTP workers.
 *
 * What only the broker knows is asked there; a broker that is away or silent is said in the
 * answer ("complete": false, or 503), never guessed.  JSON shapes: docs/protocol/http.md.
 */
#ifndef GATEWAY_ROUTES_HANDLERS_H
#define GATEWAY_ROUTES_HANDLERS_H

#include "gateway/gateway.h"

/* Take all questions that wait; each is answered now or when the broker has answered. */
void handlers_answer(struct gateway *g);
/* Go on with answers that take several turns.  true: there is more to do. */
bool handlers_work(struct gateway *g);
void handlers_fini(struct gateway *g); /* those under way are given up */

#endif
