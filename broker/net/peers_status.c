/* peers_status: the connections in the answer to status. */
#include <msgpack.h>

#include "broker/net/peers.h"
#include "shared/wire/pack.h"

void peers_pack_status(const struct peers *p, struct msgpack_packer *pk)
{
    const struct peers_counts *c = peers_counts(p);

    pack_key(pk, "peers");
    msgpack_pack_map(pk, 8);
    pack_kv_u(pk, "ingest", c->connections[PEERS_INGEST]);
    pack_kv_u(pk, "publish", c->connections[PEERS_PUBLISH]);
    pack_kv_u(pk, "control", c->connections[PEERS_CONTROL]);
    pack_kv_u(pk, "closed_unfinished", c->closed_unfinished);
    pack_kv_u(pk, "closed_deaf", c->closed_deaf);
    pack_kv_u(pk, "closed_topics", c->closed_topics);
    pack_kv_u(pk, "closed_full", c->closed_full);
    pack_kv_u(pk, "refused", c->refused);
}
