/*
 * http: the HTTP side of the gateway.
 *
 * This folder has the routes and their handlers, on the workers and in the loop; only main.c calls
 * it.
 *
 * The front (front.h) accepts and waits for complete requests; HTTP_THREADS workers route and
 * answer them.  Admitted WebSockets go into the accept queue; a worker requests all data about the
 * gateway's state from the loop (loop_request.h).  A worker waits only for the loop.
 *
 * An accepted connection carries its descriptor and one place in the gate; the loop owns both from
 * then on (gate_release() after closing).  With explain_close it carries a descriptor but no place.
 *
 * Call http_start on the main thread, before the loop runs.  http_stop may block for some seconds:
 * call it from another thread while the loop continues to answer.
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
 * Listen and serve.  Sets the gate's limit.  On failure *error has the cause: ERR_INVALID, a bad
 * setting (name, value, permitted values); ERR_SYS, an unavailable address or too few descriptors.
 * The config is copied where needed; gate, core and queue must outlive the server.
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

/*
 * Finish the answers in progress, then stop.  Call loop_request_cancel_all first.  NULL is allowed.
 */
void http_stop(struct http *h);

#endif
