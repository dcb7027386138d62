/*
 * http: the HTTP side of the gateway.
 *
 * This folder decides which path answers what, on the workers and in the loop; only main.c calls
 * it.
 *
 * The front (front.h) accepts and waits for complete requests; HTTP_THREADS workers route and
 * answer them.  Admitted WebSockets are put into the accept queue; everything about the gateway's
 * state is requested of the loop (loop_request.h).  A worker waits for the loop only.
 *
 * What an accepted connection brings: the descriptor and one place in the gate, both the loop's
 * from then on (gate_release() after closing).  An accepted with explain_close brings a
 * descriptor but no place.
 *
 * http_start before the loop turns, on the main thread.  http_stop may block for some
 * seconds: call it from another thread while the loop goes on answering.
 */
#ifndef GATEWAY_ROUTES_HTTP_H
#define GATEWAY_ROUTES_HTTP_H

#include "gateway/session/accept_queue.h"
#include "gateway/routes/loop_request.h"
#include "gateway/limits/gate.h"
#include "gateway/config/gateway_config.h"
#include "shared/base/err.h"

#define HTTP_ERROR_MAX 512

struct http;

/*
 * Listen and serve.  Sets the gate's limit.  Else *error states what is wrong: ERR_INVALID,
 * a bad setting (name, value, what is allowed); ERR_SYS, an address or descriptors that
 * cannot be had.  The config is copied where needed; gate, core and queue must outlive
 * the server.
 */
MUST_CHECK enum err http_start(const struct gateway_config *config, struct gate *gate,
                               struct loop_request_queue *core, struct accept_queue *accepted,
                               struct http **out, char error[HTTP_ERROR_MAX]);
int http_port(const struct http *h); /* the real one */

/*
 * Reload: use these settings from the next request on (all but HOST, PORT,
 * HTTP_THREADS, HTTP_MAX_CONNECTIONS).  ERR_INVALID: *error names the wrong setting, and the old
 * ones stay.
 */
MUST_CHECK enum err http_set_policy(struct http *h, const struct gateway_config *config,
                                    char error[HTTP_ERROR_MAX]);

/* How many workers may wait for the loop at once: for loop_request_queue_new(). */
int http_max_waiting(const struct gateway_config *config);

/* Answer what is under way, then stop.  Call loop_request_cancel_all first.  NULL is allowed. */
void http_stop(struct http *h);

#endif
