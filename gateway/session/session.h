/*
 * session: one client of the stream after its handshake, without its socket.
 *
 * This folder holds all sessions (sessions.h), their sockets (client.h) and the queue of accepted
 * connections; gateway/access, gateway/routes and main.c call it.
 *
 * A state machine: bytes of the peer come in through session_io.recv, bytes to the peer go out
 * through session_io.send, the time is that of the turn (sessions_set_time).  client.c gives it a
 * socket, unit tests give it none.  Loop's thread only.
 *
 * A WebSocket and an event stream are the same to a session; framing.h knows the difference.  The
 * peer of an event stream sends nothing: its query is its only request, and it counts as alive
 * while it acknowledges what it is sent.
 *
 * Input: wslay parses the frames; it has a context only while a message is arriving, so that an
 * idle session costs a few hundred bytes.  In one turn a session reads at most SESSION_READ_BYTES,
 * and stops after SESSION_READ_FRAMES complete frames. Output: first the rest of a partial send and
 * messages for this session alone (`out`), then the frames that the hub has pending for it.
 * Everything due goes in one send per turn, of at most SESSION_BATCH_BYTES; a session that is not
 * done after two sends continues in the next turn, after the others.  When the socket is full, the
 * session waits until it is writable; no other session waits for it.
 *
 * Requests (docs/protocol/stream.md) are answered in order, each with one ack or error before any
 * of its data.  A subscription waits until the gateway is live on each of its topics: in mode merge
 * at most SESSION_WAIT_MS, then it is acknowledged with the known symbols ("upstream":"away").  A
 * refused request changes nothing.
 *
 * Bounds.  Requests are carried out in slices.  A step is some 0.1 µs.  Looking at a symbol or
 * queueing it costs one step, taking a pattern eight, running a message eight and one for every 16
 * bytes of it.  A session may use SESSION_STEPS in a millisecond; a message runs completely, and
 * the session waits for the following milliseconds if it overdrew.  All sessions together use
 * SESSION_TURN_STEPS in a turn, plus the rest of one slice.  A pattern that no session has is a new
 * topic, and costs the gateway and the broker far more: a session may make MAX_SYMBOLS of them at
 * once, in slices, and then SESSION_TOPICS every SESSION_TOPICS_MS. MAX_SYMBOLS also bounds the
 * patterns of a session.  The gateway stops reading a session whose unsent answers or waiting
 * requests exceed SESSION_OUT_MAX bytes.
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
     * Read bytes from the peer.  > 0: how many; 0: none now; -1: the peer or the connection has
     * ended.
     */
    ssize_t (*recv)(struct session *s, void *to, size_t size);
    /*
     * Returns how many of the bytes were taken; 0: the socket is full; -1: the connection has
     * ended.
     */
    ssize_t (*send)(struct session *s, const void *bytes, size_t len);
    /*
     * The events that the session waits for have changed (session_reads, is_blocked).  false: they
     * cannot be watched.
     */
    bool (*watch)(struct session *s);
    /* Bytes sent that the peer's machine has not acknowledged. */
    size_t (*unacknowledged)(struct session *s);
    void (*end_output)(struct session *s); /* nothing is sent any more; the peer may send */
    void (*close)(struct session *s);      /* once, at its end */
    void (*free)(struct session *s);       /* once, in sessions_reap */
    int64_t (*wall_us)(void *ctx);         /* now, for the time in traced quotes */
};

typedef void session_answer(void *ctx, struct span answer);

/* The functions that sessions call in the rest of the gateway. */
struct session_out {
    void *ctx;
    void (*opened)(void *ctx, const struct session *s); /* of one with a place, */
    void (*closed)(void *ctx, const struct session *s); /* just before io.close */
    bool (*is_broker_here)(void *ctx);
    /*
     * Request something from the broker: `body` has `members` members of a msgpack map.  on_answer
     * is called once, possibly before this returns: with the answer, or with .len 0 if there is
     * none.
     */
    void (*request)(void *ctx, const char *op, uint32_t members, struct span body, void *answer_ctx,
                    session_answer *on_answer);
};

/* All sessions of the gateway, and the data that they share (sessions.h). */
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

    struct session **list; /* without gaps, `count` of them; the index is s->place */
    size_t count, cap, sweep_at;
    uint64_t place_count;                     /* how many of them have a place in the gate */
    uint64_t place_counts[2][ENCODING_COUNT]; /* by mode (1: all) and encoding */
    size_t traced_count, blocked_count;
    uint64_t last_id, last_request;
    uint32_t away_count;       /* how many got going_away: each has its own time to reconnect */
    struct session **deferred; /* held back by max_hz */
    size_t deferred_count, deferred_cap;
    struct session *dead;                   /* ended in this turn, freed at its end */
    struct session *throttled;              /* they sent more than a turn takes */
    struct session *waiting, **waiting_end; /* the sessions that have requests */
    struct resume_group *resumes;           /* what reconnecting clients need of the log */
    bool has_spare_work;                    /* slices that are not urgent remain */
};

struct session {
    /*
     * Members that every quote reads come first: of thousands of sessions little is in the cache.
     */
    struct sessions *all;
    uint32_t interval_ms; /* from max_hz, 0: no limit */
    bool is_blocked;      /* the socket is full: wait until it is writable */
    bool is_input_paused; /* it does not take our answers */
    bool is_closing;      /* a close frame is queued: nothing follows */
    bool is_dead;
    bool ignores_input;        /* nothing that comes matters any more: read and drop */
    bool has_peer_closed;      /* the peer's close frame came */
    bool has_left;             /* and came before ours */
    bool is_deferred;          /* in all->deferred */
    bool is_heartbeat_pending; /* the heartbeat may be sent together with the next message */
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
    bool is_auto;        /* it still has its automatic subscription */
    bool is_incomplete;  /* it has joined topics that were not live */
    uint16_t close_code; /* the close code of the connection, for the log */
    char close_why[48];
    uint8_t pings;         /* unanswered */
    unsigned bad_requests; /* in this minute */
    /* Its requests; the first one is in progress. */
    uint32_t requests;
    struct session_request *request, **request_end;
    struct session *next_waiting, **waiting_link;
    struct bucket topics; /* new topics that it may still make */
    size_t steps;         /* steps that it may still use in this millisecond */
    int64_t steps_at;     /* monotonic, ms: when it got them */
    int64_t heard_at;     /* awake clock, ms */
    int64_t acknowledged; /* bytes, of a peer without input, when the sweep looked last */
    int64_t heartbeat_at, minute_at, close_by; /* monotonic, ms */
    uint64_t stated_seq;                       /* the highest complete-up-to position it was sent */
    /* a position that the next heartbeat may state; 0: none */
    uint64_t settled_seq;
    uint64_t messages_in;
    struct session_publish *publishes; /* requests to publish that the broker has not answered, */
    uint32_t publish_count;            /* so many */
    bool may_publish;                  /* it has shown PUBLISH_TOKEN */
};

/* At most SESSION_OUT_MAX bytes of its answers are unsent. */
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
 * subscribes as the URL or WEBSOCKET_AUTO_SUBSCRIBE states; or it closes the session, if the client
 * is refused (explain_close) or sent frames too early.
 */
void session_open(struct sessions *all, struct session *s, const struct accepted *a);
void session_begin(struct session *s, const struct accepted *a);

/* Events of the connection. */
#define SESSION_READABLE 1u
#define SESSION_WRITABLE 2u
#define SESSION_PEER_ENDED 4u /* the peer sends no more; its last bytes may still be unread */
#define SESSION_FAILED 8u
void session_on_ready(struct session *s, unsigned events);

/* Send pending data, as far as the socket accepts it and max_hz allows. */
void session_flush(struct session *s);
/* Queue a close frame and stop everything else.  `why` is for the log. */
void session_close(struct session *s, uint16_t code, struct span reason_json, const char *why);
/* The connection is gone, or must be closed at once. */
void session_drop(struct session *s, const char *why);

#endif
