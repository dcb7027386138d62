/*
 * client: one WebSocket after the hand-over: its socket, its frames in, its frames out.
 *
 * Out: first what is already begun or said to this client alone (`out`), then what the hub
 * owes it; everything due goes in one send per turn.  When the socket is full we wait for
 * EPOLLOUT and nobody waits for us.  In: wslay, with a context only while a message is
 * arriving, so that an idle client costs a few hundred bytes.
 * In one turn a client costs at most READ_BYTES and some READ_MESSAGES frames of input, and FLUSH_BATCHES
 * sends of BATCH_BYTES each; the rest comes in the next turn, after the others.
 * A client that is closed is freed at the end of the turn (client_reap).
 */
#ifndef GATEWAY_SESSION_CLIENT_H
#define GATEWAY_SESSION_CLIENT_H

#include <wslay/wslay.h>

#include "gateway/gateway.h"
#include "gateway/session/bucket.h"

#define CLOSE_NORMAL 1000
#define CLOSE_PROTOCOL 1002
#define CLOSE_RESTART 1012
#define CLOSE_IDLE 4001
#define CLOSE_SLOW 4008
#define CLOSE_ABUSE 4429

#define CLIENT_OUT_MAX \
    65536 /* said to one client and not taken: it is answered no more */

struct client {
    /* What a quote touches comes first: of thousands of clients little is in the cache. */
    struct loop_watch watch;
    struct gateway *g;
    uint32_t interval_ms; /* from max_hz, 0: none */
    bool is_blocked;      /* waiting for EPOLLOUT */
    bool is_muted;        /* we do not read: it does not take our answers */
    bool is_closing;      /* close frame queued: nothing follows */
    bool is_dead;
    bool is_deaf;         /* nothing it says matters any more: read and drop */
    bool has_peer_closed; /* its close frame came */
    bool has_left;        /* and came before ours */
    bool is_deferred;     /* in g->deferred */
    bool owes_heartbeat;  /* it may go along with what is sent next */
    struct buf out; /* frames to this client alone, and the rest of one cut short */
    size_t waiting_bytes; /* stream.c: what its requests still to be run cost */
    uint64_t messages_out, bytes_out;
    int64_t flush_at; /* monotonic, ms: not before, when max_hz is set */
    struct hub_subscriber sub;

    struct client *next_dead;
    uint64_t id;
    uint32_t place; /* in g->clients */
    uint16_t port;
    char *host;
    int64_t since_us;
    wslay_event_context_ptr in; /* NULL while no message is arriving */
    struct frame_meter meter;
    size_t read_budget;   /* left in this turn */
    uint32_t frames_read; /* in this turn */
    bool is_resting;      /* it is not read before `rested_at` */
    int64_t rested_at;    /* monotonic, ms */
    struct client *next_resting;
    bool is_lost; /* end of file, or a socket error */
    bool
        is_too_large; /* its next frame declares more than WS_MAX_SIZE, or fragments go on */
    bool has_place;      /* in the gate; false: it is only told why it may not stay */
    bool is_auto;        /* still has what it got without asking */
    bool is_incomplete;  /* stream.c: it joined topics that were not live */
    uint16_t close_code; /* what the connection ended with, for the log */
    char close_why[48];
    uint8_t pings;         /* unanswered */
    unsigned bad_requests; /* in this minute */
    /* stream.c: its requests that wait, the first of them at work */
    uint32_t requests;
    struct request *request, **request_end;
    struct client *next_waiting, **waiting_link;
    struct bucket topics; /* that it may still make */
    size_t steps;         /* of work that it may still cause in this millisecond */
    int64_t steps_at;     /* monotonic, ms: when it got them */
    int64_t heard_at;     /* awake clock, ms */
    int64_t heartbeat_at, minute_at, close_by; /* monotonic, ms */
    uint64_t stated_seq;  /* the highest complete-up-to position it was told */
    uint64_t settled_seq; /* one the next heartbeat may tell; 0: none */
    uint64_t messages_in;
};

/* Takes the descriptor of the accepted connection.  NULL if it could not be watched (logged, slot returned). */
struct client *client_new(struct gateway *g, const struct accepted *a);

/* Send what is owed, as far as the socket takes it and max_hz allows. */
void client_flush(struct client *c);
/* It may be answered: no more than CLIENT_OUT_MAX is said already and not taken. */
static inline bool client_has_room(const struct client *c)
{
    return c->out.len <= CLIENT_OUT_MAX;
}
/* It asked when quotes passed where. */
static inline bool client_is_traced(const struct client *c)
{
    return c->sub.backlog.quote_as == MESSAGE_TRACED;
}
/* Queue a close frame and stop everything else.  `why` is for the log. */
void client_close(struct client *c, uint16_t code, struct span reason_json,
                  const char *why);
/* The connection is gone, or shall be at once. */
void client_drop(struct client *c, const char *why);

/* Its mode, and what is counted of it (place_counts). */
void client_set_mode(struct client *c, bool wants_all);

/* Watch for what it may do now. */
void client_rewatch(struct client *c);
/* Not to be read in this millisecond: what it sends waits in the kernel. */
void client_rest(struct client *c);
void client_rest_end(struct client *c); /* of one that does not: nothing */
void client_wake(struct gateway *g);    /* those that have rested */

#define CLIENT_SWEEP_MS 100 /* between two of them */
/* Pings, heartbeats and silences, of a tenth of all clients. */
void client_sweep(struct gateway *g);
/* How much those just swept are owed, once what is due has been flushed. */
void client_measure(struct gateway *g);
/* Flush those whose max_hz allows it again. */
void client_flush_deferred(struct gateway *g);
/* Free those that died. */
void client_reap(struct gateway *g);

#endif
