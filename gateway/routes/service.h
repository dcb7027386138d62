/* service: what the workers share while they answer; made and owned by http.c. */
#ifndef GATEWAY_ROUTES_SERVICE_H
#define GATEWAY_ROUTES_SERVICE_H

#include "gateway/access/handshake.h"
#include "gateway/routes/loop_request.h"
#include "gateway/limits/gate.h"
#include "gateway/limits/rate.h"

struct service {
    struct rate *queries; /* of quotes and history */
    struct gate *gate;
    struct loop_request_queue *core;
    struct handshake_service handshakes;
};

#endif
