/*
 * gateway: what main.c shares with what it sets up: one struct, one thread.
 *
 * main.c owns the loop.  The HTTP side (the front and its workers) touches none of this: it talks to the
 * loop through loop_request.h, accept_queue.h and gate.h.
 */
#ifndef GATEWAY_GATEWAY_H
#define GATEWAY_GATEWAY_H

#include <stdbool.h>
#include <stdint.h>

#include "gateway/session/accept_queue.h"
#include "gateway/routes/handlers.h"
#include "gateway/fanout/counters.h"
#include "gateway/limits/gate.h"
#include "gateway/config/gateway_config.h"
#include "gateway/fanout/hub.h"
#include "shared/base/loop.h"

struct gateway {
    struct gateway_config config;
    char name[65];
    char http_address[96]; /* http://HOST:PORT */
    struct loop *loop;
    struct hub *hub;
    struct upstream *upstream;
    struct gate *gate;
    struct loop_request_queue *requests;
    struct accept_queue *accepted;
    int64_t now, awake, wall_us; /* of this turn */
    bool is_tidy_due;            /* the hub has more to forget */

    struct sessions *sessions;
    struct handlers handlers;
    struct counters counters;
};

#endif
