/* link_private: what link.c and link_take.c share; only they include this header. */
#ifndef FEEDER_LINK_PRIVATE_H
#define FEEDER_LINK_PRIVATE_H

#include "feeder/link.h"
#include "feeder/stored.h"
#include "shared/base/log.h"
#include "shared/wire/wire.h"

#define ASK_MS 1000 /* between hellos nobody answers */
/* Of `received`, before saying hello again: then the name may be another's already. */
#define SILENCE_MS WIRE_FEED_LEASE_MS
#define HEARTBEAT_MS (WIRE_FEED_HEARTBEAT_MS / 2) /* one may come late */
#define REWIND_MS 50                              /* between rewinds, see on_resend */
#define RETRY_MIN_MS 10
#define RETRY_MAX_MS 10000

struct link {
    struct link_settings set;
    struct outbox *outbox;
    struct link_out out;
    enum link_state state;
    uint64_t last_id;    /* of our requests */
    uint64_t asked_from; /* first hello of this round: answers to older ones are void */
    uint64_t epoch;      /* of our grant, 0: none */
    int64_t now, mono, wall_us; /* of this turn */
    int64_t ask_at, heartbeat_at, silent_at, gone_at;
    /* The sockets are replaced unless the broker proves by then that it hears both. */
    int64_t broken_at;
    bool is_unproven;    /* granted since the last proof */
    int64_t complain_at; /* if no hello is answered by then; 0: all were */
    uint64_t rewound_to;
    int64_t rewound_at;
    uint64_t rewind_asked; /* waits until REWIND_MS after the last one; 0: none */
    bool is_full, was_open;
    struct stored stored;
    struct log_limit grant_limit, held_limit, odd_limit, resend_limit, silence_limit,
        behind_limit, caught_up_limit;
    struct buf message;
};

/* From now on only answers to newer hellos count. */
void link_begin_asking(struct link *k);
void link_send_heartbeat(struct link *k);
/* Send everything from that line on again; what the outbox no longer has is reported as lost. */
void link_rewind_to(struct link *k, uint64_t from);

#endif
