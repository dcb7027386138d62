/* service: what the workers share while they answer; made and owned by http.c. */
#ifndef GATEWAY_ROUTES_SERVICE_H
#define GATEWAY_ROUTES_SERVICE_H

#include "gateway/session/accept_queue.h"
#include "gateway/routes/loop_request.h"
#include "gateway/access/gate.h"
#include "gateway/access/rate.h"
#include "shared/base/log.h"

struct service {
    struct rate *queries; /* of quotes and history */
    struct gate *gate;
    struct loop_request_queue *core;
    struct accept_queue *accepted;
    struct log_limit gone; /* clients that did not wait for their handshake's answer */
};

#endif
