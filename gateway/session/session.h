/*
 * session: one WebSocket client after its handshake, without its socket.
 *
 * This folder holds all sessions (sessions.h), their sockets (client.h) and the queue of accepted
 * connections; gateway/access, gateway/routes and main.c call it.
 *
 * A state machine: bytes of the peer come in through session_io.recv, bytes to the peer go out
 * through session_io.send, the time is that of the turn (sessions_set_time).  client.c gives it a
 * socket, unit tests give it none.  Loop's thread only.
 *
 * Input: wslay takes the frames apart; it has a context only while a message is arriving, so that
 * an idle session costs a few hundred bytes.  In one turn a session reads at most
 * SESSION_READ_BYTES, and no more once SESSION_READ_FRAMES frames were whole. Output: first what is
 * begun or addressed to this session alone (`out`), then what the hub has pending for it.
 * Everything due goes in one send per turn, of at most SESSION_BATCH_BYTES; a session that is not
 * done after two of them goes on in the next turn, after the others.  When the socket is full the
 * session waits until it is writable, and nothing waits for the session.
 *
 * Requests (docs/protocol/stream.md) are answered in the order they came, each with one ack or
 * error before any of its data.  A subscription waits until the gateway is live on each of its
 * topics: in mode merge at most SESSION_WAIT_MS, then it is acknowledged with what is known
 * ("upstream":"away").  A refused request changes nothing.
 *
 * Bounds.  Requests are carried out in slices.  A step is some 0.1 µs: a symbol looked at or
 * queued, an eighth of a pattern taken, an eighth of a message run (and one for every 16 bytes of
 * it).  A session causes at most SESSION_STEPS in a millisecond; a message is run whole, and paid
 * by the milliseconds after it.  All sessions together do SESSION_TURN_STEPS in a turn, and the
 * rest of one slice.  A pattern that no session holds is a new topic, and costs the gateway and the
 * broker far more: a session makes MAX_SYMBOLS of them at once, in slices, and then SESSION_TOPICS
 * every SESSION_TOPICS_MS. Patterns held are bounded by MAX_SYMBOLS.  A session that does not take
 * its answers is not read above SESSION_OUT_MAX bytes of answers or of requests that wait.
 */
#ifndef GATEWAY_SESSION_SESSION_H
#define GATEWAY_SESSION_SESSION_H

#include <sys/types.h>
#include <wslay/wslay.h>

#include "gateway/config/gateway_config.h"
#include "gateway/fanout/counters.h"
#include "gateway/fanout/hub.h"
#include "gateway/session/accept_queue.h"
#include "gateway/session/bucket.h"
#include "shared/base/json.h"

#define SESSION_CLOSE_PROTOCOL 1002
#define SESSION_CLOSE_RESTART 1012
#define SESSION_CLOSE_IDLE 4001
#define SESSION_CLOSE_SLOW 4008
#define SESSION_CLOSE_ABUSE 4429

#define SESSION_OUT_MAX 65536
#define SESSION_READ_BYTES 65536
#define SESSION_READ_FRAMES 32
#define SESSION_BATCH_BYTES 65536
#define SESSION_WAIT_MS 2000
#define SESSION_STEPS 512
#define SESSION_TURN_STEPS 4096
#define SESSION_TOPICS 16
#define SESSION_TOPICS_MS 4
#define SESSION_BAD_REQUESTS 100 /* errors in a minute, then SESSION_CLOSE_ABUSE */

struct resume_group;
struct session;
struct session_request;

/* The connection of a session. */
struct session_io {
    void *ctx;
    /*
     * Bytes that have come.  > 0: so many; 0: none now; -1: the peer or the connection has ended.
     */
    ssize_t (*recv)(struct session *s, void *to, size_t size);
    /*
     * Returns how many of the bytes were taken; 0: the socket is full; -1: the connection has
     * ended.
     */
    ssize_t (*send)(struct session *s, const void *bytes, size_t len);
    /*
     * What the session waits for has changed (session_reads, is_blocked).  false: it cannot be had.
     */
    bool (*watch)(struct session *s);
    void (*end_output)(struct session *s); /* nothing is sent any more; the peer may send */
    void (*close)(struct session *s);      /* once, at its end */
    void (*free)(struct session *s);       /* once, in sessions_reap */
    int64_t (*wall_us)(void *ctx);         /* now, for the time in traced quotes */
};

typedef void session_answer(void *ctx, struct span answer);

/* What sessions need of the rest of the gateway. */
struct session_out {
    void *ctx;
    void (*opened)(void *ctx, const struct session *s); /* of one with a place, */
    void (*closed)(void *ctx, const struct session *s); /* just before io.close */
    bool (*is_broker_here)(void *ctx);
    /*
     * Ask the broker: `body` holds `members` members of a msgpack map.  on_answer is called once,
     * perhaps at once: with the answer, or with .len 0 if there is none.
     */
    void (*request)(void *ctx, const char *op, uint32_t members, struct span body, void *answer_ctx,
                    session_answer *on_answer);
};

/* All sessions of the gateway: what they share (sessions.h). */
struct sessions {
    const struct gateway_config *config;
    const char *name; /* of the gateway */
    struct hub *hub;
    struct counters *counters;
    struct json *json; /* reused by every request */
    struct session_io io;
    struct session_out out;
    int64_t now, awake; /* of this turn: monotonic ms; the same less our own pauses */
    int64_t wall_us;    /* of this turn */

    struct session **list; /* dense, `count` of them; s->place */
    size_t count, cap, sweep_at;
    uint64_t place_count;                     /* of those with a place in the gate, */
    uint64_t place_counts[2][ENCODING_COUNT]; /* by mode (1: all) and encoding */
    size_t traced_count, blocked_count;
    uint64_t last_id, last_request;
    uint32_t away_count;       /* going_away sent: each has a time of its own to reconnect */
    struct session **deferred; /* held back by max_hz */
    size_t deferred_count, deferred_cap;
    struct session *dead;                   /* ended in this turn, freed at its end */
    struct session *throttled;              /* they sent more than a turn takes */
    struct session *waiting, **waiting_end; /* those that have requests */
    struct resume_group *resumes;           /* what reconnecting clients need of the log */
    bool has_spare_work;                    /* slices are left, of what is not urgent */
};

struct session {
    /* What a quote touches comes first: of thousands of sessions little is in the cache. */
    struct sessions *all;
    uint32_t interval_ms; /* from max_hz, 0: none */
    bool is_blocked;      /* the socket is full: wait until it is writable */
    bool is_input_paused; /* it does not take our answers */
    bool is_closing;      /* a close frame is queued: nothing follows */
    bool is_dead;
    bool ignores_input;        /* nothing that comes matters any more: read and drop */
    bool has_peer_closed;      /* the peer's close frame came */
    bool has_left;             /* and came before ours */
    bool is_deferred;          /* in all->deferred */
    bool is_heartbeat_pending; /* it may go along with what is sent next */
    struct buf out;            /* frames to this session alone, and the rest of one cut short */
    size_t waiting_bytes;      /* what its requests still to be run cost */
    uint64_t messages_out, bytes_out;
    int64_t flush_at; /* monotonic, ms: not before, when max_hz is set */
    struct hub_subscriber sub;

    struct session *next_dead;
    uint64_t id;
    uint32_t place; /* in all->list */
    uint16_t port;
    char *host;
    int64_t since_us;
    wslay_event_context_ptr in; /* NULL while no message is arriving */
    struct frame_meter meter;
    size_t read_budget;      /* left in this turn */
    uint32_t frames_read;    /* in this turn */
    bool is_throttled;       /* it is not read before `throttled_until` */
    int64_t throttled_until; /* monotonic, ms */
    struct session *next_throttled;
    bool is_lost;        /* end of file, or a socket error */
    bool is_too_large;   /* its next frame declares more than WS_MAX_SIZE, or fragments go on */
    bool has_place;      /* in the gate; false: it is open only to be sent why it is refused */
    bool is_auto;        /* still has what it got without asking */
    bool is_incomplete;  /* it joined topics that were not live */
    uint16_t close_code; /* what the connection ended with, for the log */
    char close_why[48];
    uint8_t pings;         /* unanswered */
    unsigned bad_requests; /* in this minute */
    /* Its requests, the first of them at work. */
    uint32_t requests;
    struct session_request *request, **request_end;
    struct session *next_waiting, **waiting_link;
    struct bucket topics; /* that it may still make */
    size_t steps;         /* of work that it may still cause in this millisecond */
    int64_t steps_at;     /* monotonic, ms: when it got them */
    int64_t heard_at;     /* awake clock, ms */
    int64_t heartbeat_at, minute_at, close_by; /* monotonic, ms */
    uint64_t stated_seq;                       /* the highest complete-up-to position it was sent */
    uint64_t settled_seq;                      /* one the next heartbeat may state; 0: none */
    uint64_t messages_in;
};

/* Its answers are taken: no more than SESSION_OUT_MAX of them are unsent. */
static inline bool session_has_room(const struct session *s)
{
    return s->out.len <= SESSION_OUT_MAX;
}
static inline bool session_is_traced(const struct session *s)
{
    return s->sub.backlog.quote_as == MESSAGE_TRACED;
}
/* The session waits for input. */
static inline bool session_reads(const struct session *s)
{
    return !s->is_input_paused && !s->is_throttled;
}
static inline struct session *session_of(struct hub_subscriber *sub)
{
    return (struct session *)((char *)sub - offsetof(struct session, sub));
}

/*
 * A zeroed session of an accepted connection enters `all`.  Then session_begin sends welcome and
 * subscribes as the URL or WEBSOCKET_AUTO_SUBSCRIBE says; or, if the client is refused
 * (explain_close) or came too early, closes.
 */
void session_open(struct sessions *all, struct session *s, const struct accepted *a);
void session_begin(struct session *s, const struct accepted *a);

/* What has happened to the connection. */
#define SESSION_READABLE 1u
#define SESSION_WRITABLE 2u
#define SESSION_PEER_ENDED 4u /* it sends no more; what it sent may still be unread */
#define SESSION_FAILED 8u
void session_on_ready(struct session *s, unsigned events);

/* Send what is pending, as far as the socket takes it and max_hz allows. */
void session_flush(struct session *s);
/* Queue a close frame and stop everything else.  `why` is for the log. */
void session_close(struct session *s, uint16_t code, struct span reason_json, const char *why);
/* The connection is gone, or is to be closed at once. */
void session_drop(struct session *s, const char *why);

#endif
