/* link_private: shared by link.c and link_take.c; no other file includes it. */
#ifndef SHARED_FEED_LINK_PRIVATE_H
#define SHARED_FEED_LINK_PRIVATE_H

#include "shared/feed/link.h"
#include "shared/feed/stored.h"
#include "shared/base/log.h"
#include "shared/wire/wire.h"

#define HELLO_MS 1000 /* between hellos without an answer */
/*
 * After this silence without `received` the link sends hello again: the name may have been granted
 * to another owner already.
 */
#define SILENCE_MS WIRE_FEED_LEASE_MS
/* half the interval, so that one may come late */
#define HEARTBEAT_MS (WIRE_FEED_HEARTBEAT_MS / 2)
/* pause between rewinds, see on_resend */
#define REWIND_MS 50
#define RETRY_MIN_MS 10
#define RETRY_MAX_MS 10000

struct link {
    struct link_settings set;
    struct outbox *outbox;
    struct link_out out;
    enum link_state state;
    uint64_t last_id; /* number of the last request */
    /* first hello since link_request_name: answers to older ones are ignored */
    uint64_t hello_from;
    uint64_t epoch;             /* epoch of our grant; 0: none */
    int64_t now, mono, wall_us; /* the times of this turn */
    int64_t hello_at, heartbeat_at, silent_at, gone_at;
    /*
     * The sockets are replaced at this time unless an answer of the broker arrives on both before.
     */
    int64_t broken_at;
    bool is_unproven; /* no proof has come since the grant */
    /* log a warning at this time if no hello is answered; 0: all were answered */
    int64_t warn_at;
    uint64_t rewound_to;
    int64_t rewound_at;
    /* a rewind that waits until REWIND_MS after the last one; 0: none */
    uint64_t rewind_requested;
    bool is_full, was_open;
    struct stored stored;
    struct log_limit grant_limit, held_limit, odd_limit, resend_limit, silence_limit, behind_limit,
        caught_up_limit, refusal_limit;
    struct buf message;
    char why[LINK_TEXT_MAX]; /* the last warning or error */
};

/* Passes a sentence to out.note, unless the limit (NULL: none) is reached. */
void link_note(struct link *k, struct log_limit *limit, enum log_level level, const char *format,
               ...) __attribute__((format(printf, 4, 5)));

/* From now on only answers to newer hellos count. */
void link_request_name(struct link *k);
void link_send_heartbeat(struct link *k);
/* Sends everything from that line on again; reports lines that the outbox no longer has as lost. */
void link_rewind_to(struct link *k, uint64_t from);

#endif
