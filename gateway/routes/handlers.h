/*
 * handlers: the loop's answers to the requests of HTTP workers (loop_request.h).
 *
 * What only the broker knows is requested there; the answer states that a broker is away or silent
 * ("complete": false, or 503), and never guesses.  JSON shapes: docs/protocol/http.md.
 * Loop's thread only.
 */
#ifndef GATEWAY_ROUTES_HANDLERS_H
#define GATEWAY_ROUTES_HANDLERS_H

#include "gateway/routes/loop_request.h"
#include "gateway/session/sessions.h"
#include "gateway/upstream/upstream.h"

struct gate;
struct own_page;

/* What answers are made from: all of it outlives the handlers. */
struct handlers {
    const struct gateway_config *config;
    const char *name, *http_address; /* of the gateway; "http://HOST:PORT" */
    int64_t started_us;
    struct hub *hub;
    struct gate *gate;
    struct upstream *upstream;
    struct sessions *sessions; /* also for the time of the turn, and the counters */
    struct loop_request_queue *requests;
    struct own_page *own_pages; /* private: answers that take several turns */
};

/* Take all requests that wait; each is answered now or when the broker has answered. */
void handlers_answer(struct handlers *h);
/* Go on with answers that take several turns.  true: there is more to do. */
bool handlers_work(struct handlers *h);
void handlers_fini(struct handlers *h); /* those under way are answered with 503 */

#endif
