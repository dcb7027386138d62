/* core_restore: last values and feeds as an earlier broker left them. */
#include "broker/core/core_private.h"
#include "broker/core/key_table.h"
#include "shared/base/log.h"
#include "shared/wire/pack.h"

/* NULL: there is no room for the feed. */
static struct feed *restore_feed(struct core *d, struct feed_grant *g)
{
    struct feed *f;

    g->is_published = span_eq(g->owner, CORE_PRODUCE_OWNER);
    if (g->is_published)
        g->lease_ms = d->config->publish_timeout;
    f = feed_table_restore(d->feeds, g, d->time.awake);
    if (f)
        f->last_seq = journal_head(d->log.journal);
    return f;
}

static void take_feed(void *ctx, const struct store_feed *stored)
{
    struct core *d = ctx;
    struct feed_grant g = {
        .name = stored->name,
        .owner = stored->owner,
        .epoch = stored->epoch,
        .received = stored->received,
        .is_held = false,
        .has_left = stored->has_left,
    };
    struct feed *f = restore_feed(d, &g);

    /* Only the ring of a new epoch has no feeds yet. */
    if (f && !journal_feed(d->log.journal, f->index)->name[0]) {
        core_remember_feed(d, f);
        log_writer_set_line(d->log.log_writer, f->index, f->received);
    }
}

/* Take the feeds of the ring: they are newer than those of the store. */
static void take_ring_feeds(struct core *d)
{
    uint32_t count = JOURNAL_FEEDS;

    while (count && !journal_feed(d->log.journal, count - 1)->name[0])
        count--;
    for (uint32_t i = 0; i < count; i++) {
        const struct journal_feed *slot = journal_feed(d->log.journal, i);
        struct feed_grant g = {
            .name = span_of(slot->name),
            .owner = span_of(slot->owner),
            .epoch = slot->epoch,
            .received = slot->received,
            .is_held = slot->has_left != 1,
            .has_left = slot->has_left == 1,
        };

        if (slot->name[0])
            (void)restore_feed(d, &g);
        if (feed_table_count(d->feeds) == i) /* entries of the ring name feeds by index */
            feed_table_leave_free(d->feeds);
    }
}

static uint32_t feed_index(const struct core *d, struct span name)
{
    for (size_t i = 0; i < feed_table_count(d->feeds); i++)
        if (span_eq(name, feed_table_at(d->feeds, i)->name))
            return (uint32_t)i;
    return BOOK_NO_FEED;
}

static void take_last(void *ctx, const struct store_last *l)
{
    struct core *d = ctx;
    struct book_entry *e = book_add(d->log.book, l->symbol);

    if (!e)
        return;
    e->seq = l->seq;
    if (l->is_removed) {
        book_remove(d->log.book, e);
        return;
    }
    e->feed = feed_index(d, l->feed);
    e->is_stale = l->is_stale || log_writer_is_new_epoch(d->log.log_writer);
    buf_clear(&e->record);
    buf_add(&e->record, l->record.at, l->record.len);
}

static bool is_young_key(void *ctx, const struct wire_record *r)
{
    return pack_check(r->body) || core_key_age_ms(ctx, r) < KEY_TABLE_MS;
}

static void take_key(void *ctx, const struct wire_record *r)
{
    struct core *d = ctx;

    d->last_key = r->seq;
    if (!pack_check(r->body))
        core_produce_restore(d, r);
}

enum err core_restore(struct core *d, char error[LOG_WRITER_ERROR_MAX])
{
    struct store *s = log_writer_store(d->log.log_writer);
    struct store_state state;
    enum err e;

    take_ring_feeds(d);
    e = store_each_feed(s, take_feed, d, error);
    if (!e)
        e = store_each_last(s, take_last, d, error);
    if (!e)
        e = store_each_key(s, (size_t)d->config->publish_keys, is_young_key, take_key, d, error);
    if (!e)
        e = store_state(s, &state, error);
    if (e)
        return e;
    d->last_lost = state.last_loss;
    if (log_writer_is_new_epoch(d->log.log_writer))
        log_info("The log begins a new epoch (%s): clients will start anew",
                 log_writer_epoch_reason(d->log.log_writer));
    if (state.head >= state.first)
        log_info("The store has positions %llu to %llu, %zu symbols, %zu feeds",
                 (unsigned long long)state.first, (unsigned long long)state.head,
                 book_known(d->log.book), feed_table_count(d->feeds));
    return OK;
}
