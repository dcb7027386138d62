/*
 * handlers: the loop's answers to the requests of HTTP workers (loop_request.h).
 *
 * Data that only the broker has is requested from the broker; if the broker is away or silent, the
 * answer states that ("complete": false, or 503) and has no guessed data.  JSON shapes:
 * docs/protocol/http.md. Loop's thread only.
 */
#ifndef GATEWAY_ROUTES_HANDLERS_H
#define GATEWAY_ROUTES_HANDLERS_H

#include "gateway/routes/loop_request.h"
#include "gateway/session/sessions.h"
#include "gateway/upstream/upstream.h"

struct gate;
struct own_page;

/* The data for the answers; all of it outlives the handlers. */
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
/* Continue answers that take several turns.  true: more work remains. */
bool handlers_work(struct handlers *h);
void handlers_fini(struct handlers *h); /* requests in progress are answered with 503 */

#endif
