/* service: data shared by the workers; http.c makes and owns it. */
#ifndef GATEWAY_ROUTES_SERVICE_H
#define GATEWAY_ROUTES_SERVICE_H

#include <stdatomic.h>

#include "gateway/access/handshake.h"
#include "gateway/routes/loop_request.h"
#include "gateway/limits/gate.h"
#include "gateway/limits/rate.h"

struct service {
    atomic_int publishing; /* workers with a request to publish, */
    int publishing_max;    /* at most */
    struct rate *queries;  /* of quotes and history */
    struct gate *gate;
    struct loop_request_queue *core;
    struct handshake_service handshakes;
};

#endif
