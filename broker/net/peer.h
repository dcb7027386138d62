/*
 * peer: how much memory one connection costs the broker, and whether that is too much.
 *
 * libzmq bounds a queue by whole messages only.  It holds an unfinished multipart message of
 * any length, and answers of any size.  So the broker compares what the kernel counted for a
 * connection with what it received from and gave to libzmq itself:
 *
 *   unfinished = bytes libzmq read from the connection − bytes of messages delivered to us
 *   unsent     = bytes of answers given to libzmq       − bytes libzmq wrote to the connection
 *
 * A suspect may have delivered messages before the counting began.  So only bytes that arrive from
 * then on count, and a well-behaved peer soon delivers at least a heartbeat.
 *
 * Handshakes and heartbeats of libzmq appear in the kernel's numbers only.  To correct that, both
 * differences return to zero whenever libzmq cannot be holding any data.
 *
 * Times are the loop's monotonic milliseconds.  No I/O, no clock, one thread.
 */
#ifndef BROKER_NET_PEER_H
#define BROKER_NET_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PEER_SUSPECT_BYTES (64 * 1024) /* unfinished: watched from then on */
/* a suspect is closed if it grows by the limit after this time */
#define PEER_SUSPECT_MS 15
#define PEER_SUSPECT_IDLE_MS 2000 /* or if nothing is delivered for so long */
/* Heartbeats of libzmq, which complete no message: a PING and a PONG a second. */
#define PEER_FORGIVEN_PER_S 32
/* While data waits for it, a connection must read at least this much within the timeout. */
#define PEER_TAKE_MIN (16 * 1024)

struct peer_limits {
    uint64_t unfinished_bytes; /* of one connection */
    int64_t timeout_ms;        /* how long a connection may read nothing while data waits for it */
};

/* The kernel's numbers for a connection. */
struct peer_sample {
    uint64_t consumed; /* bytes received by the kernel and read by libzmq */
    uint64_t acked;    /* bytes that the other side's kernel has acknowledged */
    uint64_t written;  /* bytes libzmq wrote to the kernel */
    uint64_t not_sent; /* bytes of these that wait for room at the other side */
};

struct peer {
    uint64_t consumed; /* of the last sample */
    uint64_t unfinished;
    int64_t sampled_at;
    int64_t suspect_at;     /* 0: is not suspect */
    uint64_t suspect_bytes; /* unfinished then */
    int64_t idle_since;     /* a suspect: its last delivery, or when it became one */
    uint64_t delivered;     /* bytes, since the last sample */
    bool has_delivered;     /* a message, since the last sample */
    bool has_spoken;        /* ever delivered a message */
    uint64_t given;         /* bytes of answers, on the kernel's scale */
    uint64_t written;
    uint64_t not_sent;   /* of the last sample */
    uint64_t acked_then; /* when the wait below began */
    int64_t waits_since; /* 0: no data waits for it */
};

enum peer_verdict {
    PEER_FINE,
    PEER_SUSPECT,    /* sample it again soon */
    PEER_UNFINISHED, /* holds more than the limit in unfinished messages */
    PEER_DEAF        /* read too little of the data that waits for it */
};

/*
 * Judge one sample.  has_drained: since the previous sample, every complete message of the
 * connection's socket was delivered to us.
 */
enum peer_verdict peer_judge(struct peer *p, const struct peer_limits *limits,
                             const struct peer_sample *s, bool has_drained, int64_t now);

/* A message of that many bytes on the wire was delivered. */
void peer_hear(struct peer *p, uint64_t bytes);
/* An answer of this many bytes on the wire was given to libzmq. */
void peer_give(struct peer *p, uint64_t bytes);
/* Bytes of answers that libzmq holds, as of the last sample. */
uint64_t peer_unsent(const struct peer *p);
/* The same, plus bytes that wait in our kernel for room at the other side. */
uint64_t peer_untaken(const struct peer *p);
/* Update the counts of answers from a sample, without a result. */
void peer_note_written(struct peer *p, const struct peer_sample *s);

#endif
