/* desk_lock_store: what is stored of locks, and what of that is told. */
#include <string.h>

#include "broker/desk_lock_private.h"
#include "shared/pack.h"

bool desk_lock_is_durable(const struct desk *d)
{
    (void)d;
    return false;
}

const char *desk_lock_reason(const struct desk *d)
{
    (void)d;
    return "STORE is memory: locks end with the broker";
}

void desk_lock_pack_status(struct desk *d, struct msgpack_packer *pk)
{
    const struct lease_table *t = d->locks->table;

    pack_key(pk, "locks");
    msgpack_pack_map(pk, 6);
    pack_kv_text(pk, "kind", SPAN("memory"));
    pack_kv_bool(pk, "durable", desk_lock_is_durable(d));
    pack_kv_text(pk, "reason", span_of(desk_lock_reason(d)));
    pack_kv_u(pk, "count", lease_count(t));
    pack_kv_u(pk, "held", lease_count_held(t));
    pack_kv_u(pk, "waiting", lease_count_places(t));
}
