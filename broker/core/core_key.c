/*
 * core_key: idempotency keys and their answers as records of the log, so that a request can also be
 * repeated after a restart of the broker.  No receiver reads these records.
 */
#include <msgpack.h>

#include "broker/core/core_private.h"
#include "broker/core/key_table.h"
#include "shared/wire/pack.h"
#include "shared/wire/publish.h"

/* Of this turn; main has compared the clocks in it. */
static uint64_t boot_ms(const struct core *d)
{
    int64_t ms = (d->time.wall_us - d->clock.steady.seen_us) / 1000;

    return ms > 0 ? (uint64_t)ms : 0;
}

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
    msgpack_pack_map(&pk, 10);
    pack_kv_text(&pk, "feed", n->feed);
    pack_kv_text(&pk, "key", n->key);
    pack_kv_u(&pk, "part", n->part);
    pack_kv_u(&pk, "hash", a->hash);
    pack_kv_u(&pk, "first", a->first);
    pack_kv_u(&pk, "count", a->count);
    pack_kv_u(&pk, "epoch", a->epoch);
    pack_kv_text(&pk, "boot", span_of(d->clock.boot));
    pack_kv_u(&pk, "boot_ms", boot_ms(d));
    pack_key(&pk, "refused");
    buf_add(&body, a->refused.at, a->refused.len);
    r.body = buf_span(&body);
    wire_put(&frame, &r);
    journal_append(d->log.journal, JOURNAL_NO_FEED, 0, SPAN(WIRE_TOPIC_KEY), buf_span(&frame));
    d->last_key = r.seq;
    buf_free(&body);
    buf_free(&frame);
}

int64_t core_key_age_ms(const struct core *d, const struct wire_record *r)
{
    uint64_t wall_us = (uint64_t)d->time.wall_us, now = boot_ms(d), age,
             then = pack_find_u(r->body, "boot_ms", UINT64_MAX);

    if (d->clock.boot[0] && span_eq(pack_find_text(r->body, "boot"), d->clock.boot) && then <= now)
        age = now - then;
    else
        age = r->accepted_us < wall_us ? (wall_us - r->accepted_us) / 1000 : 0;
    return age < KEY_TABLE_MS ? (int64_t)age : KEY_TABLE_MS;
}

void core_key_restore(struct core *d, struct key_table *keys, const struct wire_record *r)
{
    struct key_name n = {.feed = pack_find_text(r->body, "feed"),
                         .key = pack_find_text(r->body, "key"),
                         .part = pack_find_u(r->body, "part", 0)};
    struct key_answer a = {.hash = pack_find_u(r->body, "hash", 0),
                           .first = pack_find_u(r->body, "first", 0),
                           .last = r->seq,
                           .count = pack_find_u(r->body, "count", 0),
                           .epoch = pack_find_u(r->body, "epoch", 0)};
    int64_t age_ms = core_key_age_ms(d, r);
    struct pack_value refused;

    if (publish_is_key(n.key) && pack_find(r->body, "refused", &refused, &a.refused) &&
        age_ms < KEY_TABLE_MS && key_table_has_room(keys, d->time.awake) &&
        !key_table_find(keys, &n, d->time.awake))
        key_table_add(keys, &n, &a, age_ms, d->time.awake);
}
