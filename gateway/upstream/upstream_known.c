/* upstream_known: what the gateway knows of the log, for the broker (docs/protocol/wire.md, "Lost positions"). */
#include "gateway/upstream/upstream_private.h"

#include "shared/wire/pack.h"

/* A heartbeat below what is known: the broker lost positions, and a hello proves it to the broker. */
void upstream_note_known(struct upstream *u, const struct wire_record *r)
{
    bool is_record =
        r->kind == WIRE_QUOTE || r->kind == WIRE_STATE || r->kind == WIRE_LOST;

    if (r->kind == WIRE_HEARTBEAT && r->seq < u->known_seq)
        upstream_introduce(u);
    if (r->kind != WIRE_LOCK && r->seq > u->known_seq)
        u->known_seq = r->seq;
    if (is_record && r->seq > u->known_record) {
        u->known_record = r->seq;
        u->known_accepted = r->accepted_us;
    }
}

void upstream_pack_known(const struct upstream *u, msgpack_packer *pk)
{
    pack_kv_u(pk, "known_epoch", hub_epoch(u->g->hub));
    pack_kv_u(pk, "known_seq", u->known_seq);
    pack_kv_u(pk, "known_record", u->known_record);
    pack_kv_u(pk, "known_accepted", u->known_accepted);
}
