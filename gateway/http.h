/*
 * http: the HTTP side of the gateway.
 *
 * The front (front.h) accepts and waits for complete requests; HTTP_THREADS workers route and
 * answer them.  Admitted WebSockets are put into the arrival queue; everything about the gateway's
 * state is asked of the loop (see ask.h).  A worker waits for the loop and for nobody else.
 *
 * What an arrival brings: the descriptor and one place in the gate, both the loop's
 * from then on (gate_release() after closing).  An arrival with explain_close brings a
 * descriptor but no place.
 *
 * http_start before the loop turns, on the main thread.  http_stop may block for some
 * seconds: call it from another thread while the loop goes on answering.
 */
#ifndef GATEWAY_HTTP_H
#define GATEWAY_HTTP_H

#include "gateway/arrival.h"
#include "gateway/ask.h"
#include "gateway/gate.h"
#include "gateway/gateway_config.h"
#include "shared/err.h"

#define HTTP_ERROR_MAX 512

struct http;

/*
 * Listen and serve.  Sets the gate's limit.  Else *error tells what is wrong: ERR_INVALID,
 * a bad setting (name, value, what is allowed); ERR_SYS, an address or descriptors that
 * cannot be had.  The config is copied where needed; gate, desk and queue must outlive
 * the server.
 */
MUST_CHECK enum err http_start(const struct gateway_config *config, struct gate *gate,
                               struct ask_desk *desk, struct arrival_queue *arrivals,
                               struct http **out, char error[HTTP_ERROR_MAX]);
int http_port(const struct http *h); /* the real one */

/*
 * Reload: use these settings from the next request on (all but HOST, PORT,
 * HTTP_THREADS, HTTP_MAX_CONNECTIONS).  ERR_INVALID: *error says which setting is wrong, and the old ones
 * stay.
 */
MUST_CHECK enum err http_set_policy(struct http *h, const struct gateway_config *config,
                                    char error[HTTP_ERROR_MAX]);

/* How many workers may wait for the loop at once: for ask_desk_new(). */
int http_max_waiting(const struct gateway_config *config);

/* Answer what is under way, then stop.  Call ask_cancel_all first.  NULL is allowed. */
void http_stop(struct http *h);

#endif
