/* service: what civetweb's threads share while they answer; made and owned by http.c.
 */
#ifndef GATEWAY_SERVICE_H
#define GATEWAY_SERVICE_H

#include "gateway/arrival.h"
#include "gateway/ask.h"
#include "gateway/gate.h"
#include "gateway/handover.h"
#include "shared/log.h"

struct service {
    struct gate *gate;
    struct ask_desk *desk;
    struct arrival_queue *arrivals;
    struct handover handover;
    struct log_limit untaken; /* sockets we could not take over */
    struct log_limit invalid; /* requests that are not HTTP */
};

#endif
