/*
 * core_key: idempotency keys and their answers as records of the log, so that a request can also be
 * repeated after a restart of the broker.  No receiver reads these records.
 */
#include <msgpack.h>

#include "broker/core/core_private.h"
#include "broker/core/key_table.h"
#include "shared/wire/pack.h"
#include "shared/wire/publish.h"

void core_key_enter(struct core *d, const struct key_name *n, const struct key_answer *a)
{
    struct wire_record r = {
        .kind = WIRE_KEY,
        .epoch = d->log.epoch,
        .seq = journal_head(d->log.journal) + 1,
        .prev = d->last_key,
        .accepted_us = (uint64_t)d->time.wall_us,
    };
    struct buf body = {0}, frame = {0};
    msgpack_packer pk;

    msgpack_packer_init(&pk, &body, buf_pack_write);
    msgpack_pack_map(&pk, 7);
    pack_kv_text(&pk, "feed", n->feed);
    pack_kv_text(&pk, "key", n->key);
    pack_kv_u(&pk, "part", n->part);
    pack_kv_u(&pk, "hash", a->hash);
    pack_kv_u(&pk, "first", a->first);
    pack_kv_u(&pk, "count", a->count);
    pack_key(&pk, "refused");
    buf_add(&body, a->refused.at, a->refused.len);
    r.body = buf_span(&body);
    wire_put(&frame, &r);
    journal_append(d->log.journal, JOURNAL_NO_FEED, 0, SPAN(WIRE_TOPIC_KEY), buf_span(&frame));
    d->last_key = r.seq;
    buf_free(&body);
    buf_free(&frame);
}

void core_key_restore(struct core *d, struct key_table *keys, const struct wire_record *r)
{
    struct key_name n = {.feed = pack_find_text(r->body, "feed"),
                         .key = pack_find_text(r->body, "key"),
                         .part = pack_find_u(r->body, "part", 0)};
    struct key_answer a = {.hash = pack_find_u(r->body, "hash", 0),
                           .first = pack_find_u(r->body, "first", 0),
                           .last = r->seq,
                           .count = pack_find_u(r->body, "count", 0)};
    int64_t age_ms = (d->time.wall_us - (int64_t)r->accepted_us) / 1000;
    struct pack_value refused;

    d->last_key = r->seq;
    if (age_ms < 0)
        age_ms = 0;
    if (publish_is_key(n.key) && pack_find(r->body, "refused", &refused, &a.refused) &&
        age_ms < KEY_TABLE_MS && key_table_has_room(keys, d->time.awake) &&
        !key_table_find(keys, &n, d->time.awake))
        key_table_add(keys, &n, &a, age_ms, d->time.awake);
}
