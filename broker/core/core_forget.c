/*
 * core_forget: the op forget: a symbol that will not come back, or a feed that has ended, is
 * removed.
 *
 * A symbol's removal is a record of the log, a state; the symbol's next quote makes it known again.
 * A feed is removed with the symbols that it was the last to quote; a record that only the log has
 * removes it from the store.
 */
#include <msgpack.h>
#include <stdio.h>

#include "broker/core/core_private.h"
#include "shared/base/log.h"
#include "shared/wire/pack.h"

#define BY_MAX 200 /* bytes */

static void remove_symbol(struct core *d, struct book_entry *e, struct span body)
{
    char topic[WIRE_TOPIC_MAX];
    size_t len = wire_topic(topic, (struct span){e->symbol, e->symbol_len});

    book_touch(d->log.book, e,
               core_publish(d, WIRE_STATE, (struct span){topic, len}, e->seq, body, NULL));
    book_remove(d->log.book, e);
}

static void pack_removal(const char *key, struct span value, struct span by, struct buf *out)
{
    msgpack_packer pk;

    msgpack_packer_init(&pk, out, buf_pack_write);
    msgpack_pack_map(&pk, 2);
    pack_kv_text(&pk, key, value);
    pack_kv_text(&pk, "by", by);
}

/* Enter a record that no receiver gets. */
static void enter_feed_removal(struct core *d, struct span feed, struct span by)
{
    struct wire_record r = {
        .kind = WIRE_FORGET,
        .epoch = d->log.epoch,
        .seq = journal_head(d->log.journal) + 1,
        .accepted_us = (uint64_t)d->time.wall_us,
    };
    struct buf body = {0}, frame = {0};

    pack_removal("feed", feed, by, &body);
    r.body = buf_span(&body);
    wire_put(&frame, &r);
    journal_append(d->log.journal, JOURNAL_NO_FEED, 0, SPAN(WIRE_TOPIC_FORGET), buf_span(&frame));
    buf_free(&body);
    buf_free(&frame);
}

static void answer_forget(struct core *d, struct control_request *q, size_t symbols)
{
    answer_begin(q, 3);
    pack_kv_u(&q->pk, "epoch", d->log.epoch);
    pack_kv_u(&q->pk, "seq", journal_head(d->log.journal));
    pack_kv_u(&q->pk, "symbols", symbols);
    answer_send(q);
}

static void forget_symbol(struct core *d, struct control_request *q, struct span symbol,
                          struct span by)
{
    struct book_entry *e = book_find(d->log.book, symbol);
    struct buf body = {0};

    if (!e || e->is_removed || !e->seq) {
        answer_error(q, ERR_NOT_FOUND, "the broker knows no such symbol");
        return;
    }
    pack_removal("state", SPAN("removed"), by, &body);
    remove_symbol(d, e, buf_span(&body));
    buf_free(&body);
    log_info("symbol %s is removed at position %llu, as requested by %.*s", e->symbol,
             (unsigned long long)e->seq, (int)by.len, by.at);
    answer_forget(d, q, 1);
}

/* Remove the symbols whose last quote came from the feed.  Looks at every symbol. */
static size_t remove_symbols_of(struct core *d, const struct feed *f, struct span by)
{
    struct buf body = {0};
    size_t count = 0;

    pack_removal("state", SPAN("removed"), by, &body);
    for (size_t i = 0; i < book_count(d->log.book); i++) {
        struct book_entry *e = book_at(d->log.book, i);

        if (e->feed != f->index || e->is_removed)
            continue;
        remove_symbol(d, e, buf_span(&body));
        count++;
    }
    d->work -= (int64_t)(book_count(d->log.book) + count * CORE_WORK_ENTRY);
    buf_free(&body);
    return count;
}

static void forget_feed(struct core *d, struct control_request *q, struct span name, struct span by)
{
    struct feed *f = feed_table_find(d->feeds, name);
    char owner[CORE_FEED_OWNER_MAX], text[256];
    size_t symbols;

    if (!f) {
        answer_error(q, ERR_NOT_FOUND, "the broker knows no such feed");
        return;
    }
    if (f->is_held) {
        snprintf(text, sizeof text, "feed %s is live (%s): stop its feeder first", f->name,
                 core_feed_owner(f->pid, f->host, owner));
        answer_error(q, ERR_HELD, text);
        return;
    }
    if (!core_feed_is_stored(d, f)) {
        answer_error(q, ERR_AGAIN, "the store does not have all quotes of this feed yet");
        return;
    }
    symbols = remove_symbols_of(d, f, by);
    enter_feed_removal(d, span_of(f->name), by);
    log_info("feed %s is removed after line %llu, with %zu symbols, as requested by %.*s", f->name,
             (unsigned long long)f->received, symbols, (int)by.len, by.at);
    core_feed_drop(d, f);
    answer_forget(d, q, symbols);
}

void core_on_forget(struct core *d, struct control_request *q)
{
    struct span symbol = pack_find_text(q->map, "symbol"), feed = pack_find_text(q->map, "feed"),
                by = pack_find_text(q->map, "by");

    if (!by.len || by.len > BY_MAX)
        answer_error(q, ERR_INVALID, "by must name the one who asks, in 1 to 200 bytes");
    else if (!symbol.len == !feed.len)
        answer_error(q, ERR_INVALID, "either symbol or feed must be named");
    else if (symbol.len)
        forget_symbol(d, q, symbol, by);
    else
        forget_feed(d, q, feed, by);
}
