/*
 * core_publish: publishes the records that do not come from a line of a feeder, and numbers them.
 * Besides this file only core_ingest numbers records.
 */
#include <msgpack.h>
#include <string.h>

#include "broker/core/core_private.h"
#include "shared/wire/pack.h"

uint64_t core_publish(struct core *d, enum wire_kind kind, struct span topic, uint64_t prev,
                      struct span body, const struct feed *f)
{
    struct wire_record r = {
        .kind = kind,
        .epoch = d->log.epoch,
        .seq = journal_head(d->log.journal) + 1,
        .prev = prev,
        .accepted_us = (uint64_t)d->time.wall_us,
        .body = body,
    };
    struct buf frame = {0};

    wire_put(&frame, &r);
    journal_append(d->log.journal, f ? f->index : JOURNAL_NO_FEED, f ? f->received : 0, topic,
                   buf_span(&frame));
    d->out.publish(d->out.ctx, topic, buf_span(&frame));
    buf_free(&frame);
    return r.seq;
}

void core_remember_feed(struct core *d, const struct feed *f)
{
    struct journal_feed slot = {
        .epoch = f->epoch,
        .received = f->received,
        .has_left = f->has_left,
    };

    span_copy(slot.name, sizeof slot.name, span_of(f->name));
    span_copy(slot.owner, sizeof slot.owner, span_of(f->owner));
    journal_set_feed(d->log.journal, f->index, &slot);
}

void core_mark_feed(struct core *d, const struct feed *f, bool is_stale)
{
    struct buf body = {0};
    msgpack_packer pk;

    msgpack_packer_init(&pk, &body, buf_pack_write);
    msgpack_pack_map(&pk, 2u + is_stale);
    pack_kv_text(&pk, "state", is_stale ? SPAN("stale") : SPAN("live"));
    pack_kv_text(&pk, "feed", span_of(f->name));
    if (is_stale)
        pack_kv_text(&pk, "reason", f->has_left ? SPAN("ended") : SPAN("silent"));
    d->work -= (int64_t)book_count(d->log.book);
    for (size_t i = 0; i < book_count(d->log.book); i++) {
        struct book_entry *e = book_at(d->log.book, i);
        char topic[WIRE_TOPIC_MAX];
        size_t len;

        if (e->feed != f->index || e->is_stale == is_stale || !e->record.len)
            continue;
        e->is_stale = is_stale;
        d->work -= CORE_WORK_ENTRY;
        len = wire_topic(topic, (struct span){e->symbol, e->symbol_len});
        book_touch(
            d->log.book, e,
            core_publish(d, WIRE_STATE, (struct span){topic, len}, e->seq, buf_span(&body), NULL));
    }
    buf_free(&body);
}

void core_subscription(struct core *d, struct span frame)
{
    struct wire_record r = {.kind = WIRE_MARK, .epoch = d->log.epoch};
    size_t prefix = sizeof WIRE_TOPIC_MARK - 1;
    struct span topic = {frame.at + 1, frame.len ? frame.len - 1 : 0};
    struct buf mark = {0};

    if (!frame.len || frame.at[0] != 1 || topic.len <= prefix || topic.len > WIRE_TOPIC_MAX ||
        memcmp(topic.at, WIRE_TOPIC_MARK, prefix) != 0)
        return;
    r.seq = journal_head(d->log.journal);
    r.prev = d->heartbeats;
    r.accepted_us = (uint64_t)d->time.wall_us;
    wire_put(&mark, &r);
    d->out.publish(d->out.ctx, topic, buf_span(&mark));
    buf_free(&mark);
}

void core_send_heartbeat(struct core *d)
{
    size_t count;
    struct book_entry *const *changed = book_changes(d->log.book, &count);
    size_t listed = count < WIRE_CHANGES_MAX ? count : WIRE_CHANGES_MAX;
    struct wire_record r = {
        .kind = WIRE_HEARTBEAT,
        .epoch = d->log.epoch,
        .seq = journal_head(d->log.journal),
        .prev = ++d->heartbeats,
        .accepted_us = (uint64_t)d->time.wall_us,
    };
    struct buf body = {0}, frame = {0};
    msgpack_packer pk;

    _Static_assert(WIRE_HEADER_SIZE + 64 + WIRE_CHANGES_MAX * WIRE_CHANGE_BYTES <=
                       WIRE_RECORD_FRAME_MAX,
                   "a heartbeat fits into the frame that its receivers take");
    msgpack_packer_init(&pk, &body, buf_pack_write);
    msgpack_pack_map(&pk, 2);
    pack_kv_bool(&pk, "complete", listed == count);
    pack_key(&pk, "changed");
    msgpack_pack_array(&pk, listed);
    for (size_t i = 0; i < listed; i++) {
        msgpack_pack_array(&pk, 2);
        pack_text(&pk, (struct span){changed[i]->symbol, changed[i]->symbol_len});
        msgpack_pack_uint64(&pk, changed[i]->seq);
    }
    r.body = buf_span(&body);
    wire_put(&frame, &r);
    d->out.publish(d->out.ctx, SPAN(WIRE_TOPIC_HEARTBEAT), buf_span(&frame));
    book_clear_changes(d->log.book);
    buf_free(&body);
    buf_free(&frame);
}

void core_publish_lock(void *ctx, struct span topic, struct wire_record *r)
{
    struct core *d = ctx;
    struct buf frame = {0};

    r->epoch = d->log.epoch;
    r->accepted_us = (uint64_t)d->time.wall_us;
    wire_put(&frame, r);
    d->out.publish(d->out.ctx, topic, buf_span(&frame));
    buf_free(&frame);
}
