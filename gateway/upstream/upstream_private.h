/* upstream_private: shared by the files of upstream; no other file includes it. */
#ifndef GATEWAY_UPSTREAM_UPSTREAM_PRIVATE_H
#define GATEWAY_UPSTREAM_UPSTREAM_PRIVATE_H

#include <uthash.h>

#include "gateway/upstream/upstream.h"
#include "shared/wire/readiness.h"

enum sent_kind {
    SENT_HELLO,
    SENT_RECEIVER, /* a snapshot or a page of the log */
    SENT_OWNER,
};

/* A request that waits for its answer. */
struct sent_request {
    UT_hash_handle hh;
    uint64_t id;
    enum sent_kind kind;
    int64_t give_up_at;
    uint64_t number; /* SENT_RECEIVER: the receiver's */
    void *ctx;       /* SENT_OWNER */
    upstream_answer *on_answer;
};

struct upstream {
    struct upstream_settings settings;
    struct upstream_out out;
    char *publish, *control_endpoint;
    void *context;
    struct readiness records, control; /* the sockets */
    int64_t records_at, control_at;    /* a message came on it, or it was opened */
    int64_t ping_at;
    struct receiver *receiver;
    struct sent_request *requests; /* by id */
    uint64_t next_id;
    bool is_here;  /* heartbeats come */
    bool is_known; /* our hello was answered, and heartbeats have come since */
    bool has_started;
    bool has_met; /* is_known was true once since the broker is here */
    int64_t hello_at, alive_at, report_at;
    int64_t complain_at; /* if no broker is here by then */
    struct report report;
};

/* upstream_request.c */
void upstream_say_hello(struct upstream *u);
void upstream_say_goodbye(struct upstream *u);
/* Send a ping; the answer only shows that the broker is there. */
void upstream_ping(struct upstream *u);
/* As in receiver_broker; ctx: the upstream. */
void upstream_request_snapshot(void *ctx, uint64_t number, struct span pattern, uint64_t from);
void upstream_request_replay(void *ctx, uint64_t number, struct span patterns, uint64_t after,
                             uint64_t until);
void upstream_send_report(struct upstream *u);
void upstream_on_answer(struct upstream *u, struct span answer, int64_t now);
/* Forget a request; one of the owner is answered with nothing first. */
void upstream_give_up(struct upstream *u, struct sent_request *q);
void upstream_end_request(struct upstream *u, struct sent_request *q);

/*
 * upstream_hub.c: the functions that the receiver calls to pass records on and to look symbols up.
 */
/* From now on the hub's topics are the receiver's patterns. */
void upstream_connect_hub(struct upstream *u, uint64_t name, int64_t now);
void upstream_on_record(struct upstream *u, struct span topic, struct span message, int64_t now);

/* upstream_link.c */
/* false: the error is logged; close the link nevertheless. */
bool upstream_link_open(struct upstream *u);
void upstream_link_close(struct upstream *u);
/* Ping, and replace a socket on which nothing has come for UPSTREAM_SILENCE_MS by a new one. */
void upstream_link_tick(struct upstream *u);

#endif
