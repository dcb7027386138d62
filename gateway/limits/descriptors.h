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
 * Divide `limit` descriptors, of which `in_use` are or will be the program's own, when so many
 * HTTP connections are wanted.  ERR_FULL if nothing is left for WebSockets.
 */
MUST_CHECK enum err descriptors_divide(int limit, int in_use, int http, struct descriptors *out);

/*
 * Raise the soft limit to the hard one, divide it, and make room for the numbers of so many
 * clients: a table of descriptors that grows later holds all threads up for milliseconds.
 * ERR_FULL.
 */
MUST_CHECK enum err descriptors_prepare(int http, int clients, struct descriptors *out);

#endif
