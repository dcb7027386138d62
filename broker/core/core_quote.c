/*
 * core_quote: one quote of a feed, refused or entered into ring and book, whichever way it came.
 */
#include <msgpack.h>
#include <stdio.h>

#include "broker/core/core_private.h"
#include "shared/base/log.h"
#include "shared/wire/pack.h"

/* If our clock was set back, the broker must not refuse quotes of peers whose clocks are right. */
static int64_t latest_us(const struct core *d)
{
    int64_t ahead = d->clock.steady.seen_us - d->clock.steady.trusted_us;

    return d->time.wall_us - (ahead < 0 ? ahead : 0);
}

struct quote_rules core_quote_rules(const struct core *d, bool allow_crossed)
{
    return (struct quote_rules){.now_us = latest_us(d),
                                .max_future_us = d->config->max_future * 1000,
                                .allow_crossed = allow_crossed};
}

void core_quote_refuse(struct core *d, struct feed *f, struct span feed, struct span symbol,
                       enum quote_refusal why)
{
    static struct log_limit limit = {.burst = 5, .interval_ms = 10000};
    char line[32] = "";

    d->refused++;
    if (f) {
        feed_refuse(f, f->received, why);
        snprintf(line, sizeof line, ", line %llu", (unsigned long long)f->received);
    }
    log_limited(&limit, d->time.now, LOG_WARNING, "feed %.*s: quote of %.*s refused: %s (%s)%s",
                (int)feed.len, feed.at, (int)symbol.len, symbol.at, quote_refusal_name(why),
                quote_refusal_text(why), line);
}

void core_quote_pack_refusals(const struct feed *f, msgpack_packer *pk)
{
    uint64_t refused = 0;

    for (size_t i = 0; i < QUOTE_REFUSAL_COUNT; i++)
        refused += f->refused[i];
    pack_kv_u(pk, "refused", refused);
    pack_key(pk, "refusals");
    msgpack_pack_array(pk, f->unreported_count);
    for (size_t i = 0; i < f->unreported_count; i++) {
        msgpack_pack_array(pk, 2);
        msgpack_pack_uint64(pk, f->unreported[i].line);
        pack_text(pk, span_of(quote_refusal_name(f->unreported[i].why)));
    }
}

void core_quote_enter(struct core *d, struct book_entry *e, struct feed *f, struct wire_record *r,
                      struct span topic, struct span record)
{
    r->epoch = d->log.epoch;
    r->seq = journal_head(d->log.journal) + 1;
    r->prev = e->seq;
    r->accepted_us = (uint64_t)d->time.wall_us;
    /* The message may be written: it was received, and no other code has it. */
    wire_put_header((char *)(uintptr_t)record.at, r);
    journal_append(d->log.journal, f->index, f->received, topic, record);
    if (e->is_removed)
        book_return(d->log.book, e);
    e->feed = f->index;
    e->is_stale = false;
    buf_clear(&e->record);
    buf_add(&e->record, record.at, record.len);
    book_touch(d->log.book, e, r->seq);
    d->accepted++;
    f->accepted++;
    f->accepted_at = d->time.now;
}

struct span core_quote_pack(struct core *d, struct wire_record *r, bool has_time)
{
    struct buf body = {0};

    if (!has_time) {
        quote_add_time(r->body, d->time.wall_us, &body);
        r->body = buf_span(&body);
    }
    buf_clear(&d->scratch);
    wire_put(&d->scratch, r);
    buf_free(&body);
    return buf_span(&d->scratch);
}
