/* service: what civetweb's threads share while they answer; made and owned by http.c.
 */
#ifndef GATEWAY_SERVICE_H
#define GATEWAY_SERVICE_H

#include <civetweb.h>

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

/* civetweb's number of the socket a request came on; -1: its client is gone. */
static inline int service_find_socket(struct service *s,
                                      const struct mg_request_info *info)
{
    return handover_find(&s->handover, info->remote_addr, info->remote_port,
                         info->server_port);
}

#endif
