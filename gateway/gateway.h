/*
 * gateway: what the loop's side of the gateway shares: one struct, one thread.
 *
 * main.c owns the loop; client*.c the sockets of WebSocket clients; stream.c what clients say;
 * upstream.c the broker link; pages.c answers HTTP workers' questions.  The HTTP side
 * (the front and its workers) touches none of this: it talks through ask.h, accepted.h and gate.h.
 */
#ifndef GATEWAY_GATEWAY_H
#define GATEWAY_GATEWAY_H

#include <stdbool.h>
#include <stdint.h>

#include "gateway/session/accept_queue.h"
#include "gateway/routes/loop_request.h"
#include "gateway/fanout/counters.h"
#include "gateway/access/gate.h"
#include "gateway/config/gateway_config.h"
#include "gateway/fanout/hub.h"
#include "shared/base/json.h"
#include "shared/base/loop.h"

struct client;
struct own_page;
struct request;
struct resume_group;
struct upstream;

struct gateway {
    struct gateway_config config;
    char name[65];
    char http_address[96]; /* http://HOST:PORT */
    struct loop *loop;
    struct hub *hub;
    struct upstream *upstream;
    struct gate *gate;
    struct loop_request_queue *asks;
    struct accept_queue *accepted;
    struct json *json;           /* reused by every request of a client */
    int64_t now, awake, wall_us; /* of this turn */
    int64_t started_us;

    struct client **clients; /* dense */
    size_t client_count, client_cap, sweep_at;
    size_t tracers;       /* those who asked when quotes passed where */
    uint64_t place_count; /* those with a place in the gate, */
    uint64_t place_counts[2][ENCODING_COUNT]; /* and by mode (1: all) and encoding */
    size_t blocked_count;                     /* those whose socket is full */
    uint64_t next_client_id;
    uint32_t goodbyes;        /* said: each has a slot of its own for coming back */
    struct client **deferred; /* held back by max_hz */
    size_t deferred_count, deferred_cap;
    struct client *dead;                   /* closed in this turn, freed at its end */
    struct client *resting;                /* they sent more than a turn takes */
    struct client *waiting, **waiting_end; /* those that have requests */
    uint64_t last_request;
    bool has_spare_work;          /* slices are left, of what is not urgent */
    struct own_page *own_pages;   /* answers to workers that take several turns */
    struct resume_group *resumes; /* what clients that came back want of the broker */

    struct counters figures;
};

#endif
