/*
 * peers_private: what peers.c and peers_answers.c share; no other file includes it.
 *
 * peers.c knows the connections, looks at them and closes them; peers_answers.c judges whether
 * a peer on control reads its answers.  Loop's thread only.
 */
#ifndef BROKER_NET_PEERS_PRIVATE_H
#define BROKER_NET_PEERS_PRIVATE_H

#include <dirent.h>
#include <uthash.h>

#include "broker/net/descriptor.h"
#include "broker/net/peer.h"
#include "broker/net/peers.h"
#include "broker/net/topics.h"
#include "shared/base/log.h"

#define IDENTITY_MAX 255 /* of a ROUTER */

struct connection {
    int fd;
    uint64_t inode;
    uint64_t sweep; /* it was seen in */
    bool is_closed; /* closed by us; libzmq has not noticed yet */
    enum peers_door door;
    int64_t since;
    struct peer peer;
    struct topics topics;        /* of publish */
    uint64_t head_then;          /* of the log, when the peer's wait began */
    uint64_t looked_in;          /* of look_now: the turn */
    int64_t look_at, look_pause; /* of look_again: ms */
    int64_t refused_since;       /* the count below began */
    uint32_t refused;
    char name[DESCRIPTOR_NAME_MAX];
    struct span identity; /* points into id; .len 0: unknown yet */
    char id[IDENTITY_MAX];
    UT_hash_handle hh; /* in the table of connections with an identity */
};

struct door {
    uint16_t port; /* 0: not watched */
    uint64_t unfinished_max;
    uint64_t drains, drains_seen; /* times it was empty; at the end of the sweep before */
};

struct peers {
    struct peers_limits limits;
    struct peers_counts counts;
    struct door doors[PEERS_DOORS];
    struct connection **at; /* by descriptor; NULL: never a connection of our sockets */
    int room;
    struct connection *by_identity;
    uint64_t head; /* of the log */
    /* Bytes that wait for all connections: as of the sweep before, and of this one so far. */
    uint64_t unsent, unsent_now, queued, queued_now;
    DIR *listing; /* the folder that the current sweep reads */
    uint64_t sweep;
    int64_t sweep_at, sweep_began;
    bool has_suspects, had_suspects; /* whether this sweep, and the one before, found suspects */
    int64_t trim_at;                 /* 0: nothing to give back */
    int64_t now;
    uint64_t turns;       /* the first is 1 */
    uint64_t seed;        /* of topics */
    uint64_t topic_bytes; /* of all connections */
    struct log_limit limit;
};

/* NULL: no connection with this identity is known. */
struct connection *peers_find(const struct peers *p, struct span identity);
bool peers_is_pressed(const struct peers *p);
void peers_close_flooder(struct peers *p, struct connection *c);

#endif
