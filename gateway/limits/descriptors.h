/*
 * descriptors: how many of the process's descriptors go to HTTP, and how many to WebSockets.
 *
 * Once, at start, on the main thread.
 */
#ifndef GATEWAY_LIMITS_DESCRIPTORS_H
#define GATEWAY_LIMITS_DESCRIPTORS_H

#include "shared/base/err.h"

struct descriptors {
    int limit;    /* that this process may open */
    int http;     /* HTTP connections: at most HTTP_MAX_CONNECTIONS, and a quarter of all */
    int capacity; /* WebSockets that fit */
};

/*
 * Divide `limit` descriptors, of which `in_use` are or will be used by the program itself, with
 * `http` HTTP connections.  ERR_FULL if nothing is left for WebSockets.
 */
MUST_CHECK enum err descriptors_divide(int limit, int in_use, int http, struct descriptors *out);

/*
 * Raise the soft limit to the hard one, divide it, and enlarge the kernel's descriptor table for
 * `clients` clients now: growing it later would stop all threads for milliseconds. ERR_FULL.
 */
MUST_CHECK enum err descriptors_prepare(int http, int clients, struct descriptors *out);

#endif
