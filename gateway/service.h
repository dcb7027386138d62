/* service: what the workers share while they answer; made and owned by http.c. */
#ifndef GATEWAY_SERVICE_H
#define GATEWAY_SERVICE_H

#include "gateway/arrival.h"
#include "gateway/ask.h"
#include "gateway/gate.h"
#include "gateway/rate.h"
#include "shared/log.h"

struct service {
    struct rate *queries; /* of quotes and history */
    struct gate *gate;
    struct ask_desk *desk;
    struct arrival_queue *arrivals;
    struct log_limit gone; /* clients that did not wait for their handshake's answer */
};

#endif
