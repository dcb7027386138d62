#include "broker/core/core.h"
#include "broker/locks/lock_core.h"
#include "broker/core/core_private.h"

#include <msgpack.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/log.h"
#include "shared/wire/pack.h"
#include "shared/base/wait.h"

/* After a tick that is this late, the core waits this long before it declares feeds silent. */
#define LISTEN_MS 100

static struct lock_core *new_locks(struct core *d)
{
    struct lease_limits limits = {.count = (size_t)d->config->lock_count_max,
                                  .ttl_max_ms = d->config->lock_ttl_max,
                                  .delay_max_ms = d->config->lock_delay_max};
    struct lock_core_out out = {.answers = &d->answers, .ctx = d, .publish = core_publish_lock};

    return lock_core_new(&limits, &out, &d->time);
}

void core_init(struct core *d, uint64_t epoch)
{
    char error[JOURNAL_ERROR_MAX];

    d->log.epoch = d->log.log_writer ? log_writer_epoch(d->log.log_writer) : epoch;
    d->log.book = book_new((size_t)d->config->max_symbols_total);
    if (!d->log.log_writer) {
        if (journal_open(NULL, (size_t)d->config->journal_bytes, &d->log.journal, error))
            abort(); /* out of memory, or a size that the checks of the settings do not allow */
        journal_begin(d->log.journal, epoch, 0, 1);
    }
    /*
     * Tokens must be greater than those of earlier runs. The wall clock ensures it, and
     * core_restore.
     */
    d->feeds = feed_table_new((uint64_t)d->time.wall_us);
    d->registry = registry_new();
    d->answers = (struct answers){.send = d->out.send, .ctx = d->out.ctx};
    d->locks = new_locks(d);
    core_request_init(d, core_control_find);
    core_produce_init(d);
    core_begin_turn(d);
    d->heartbeat_at = d->time.now;
    d->started_us = d->time.wall_us;
}

void core_fini(struct core *d)
{
    core_request_fini(d);
    core_produce_fini(d);
    book_free(d->log.book);
    if (!d->log.log_writer)
        journal_close(d->log.journal, true);
    feed_table_free(d->feeds);
    registry_free(d->registry);
    lock_core_free(d->locks);
    d->locks = NULL;
    buf_free(&d->scratch);
    answer_fini(&d->answers);
}

/*
 * After a pause of the broker, the kernel may still hold lines that feeders sent during the pause.
 * Wait before declaring these feeds silent.
 */
static void judge_feeds(struct core *d)
{
    struct feed *f;

    if (d->tick_by && d->time.now - d->tick_by > LISTEN_MS)
        d->listen_until = d->time.now + LISTEN_MS;
    if (d->time.now < d->listen_until)
        return;
    while ((f = feed_table_expire(d->feeds, d->time.awake))) {
        char owner[CORE_FEED_OWNER_MAX];

        log_warning("feed %s (%s) is silent: its name is free, its symbols are stale", f->name,
                    core_feed_owner(f->pid, f->host, owner));
        core_mark_feed(d, f, true);
    }
}

/* Release the feeds and gateways whose leases have expired. */
static void expire(struct core *d)
{
    struct registry_gateway *g;

    judge_feeds(d);
    while ((g = registry_expired(d->registry, d->time.awake))) {
        log_warning("gateway %s (%s, pid %llu) is silent: %zu connections are gone with it",
                    g->name, g->host, (unsigned long long)g->pid, g->count);
        registry_remove(d->registry, g);
    }
}

static void begin_op(struct core *d, const struct feed *f, const char *op, uint32_t members,
                     msgpack_packer *pk)
{
    answer_begin_op(&d->answers, op, members + 1, pk);
    pack_kv_u(pk, "epoch", f->epoch);
}

static void send_op(struct core *d, const struct feed *f)
{
    /* restored from the log: this feeder has sent nothing on the control socket yet */
    if (f->peer_len)
        answer_send_op(&d->answers, (struct span){f->peer, f->peer_len});
}

static void send_received(struct core *d, struct feed *f)
{
    msgpack_packer pk;

    f->acknowledged = f->received;
    f->acknowledged_at = d->time.now;
    begin_op(d, f, "received", 1u + !!d->log.log_writer + (f->unreported_count ? 2 : 0), &pk);
    pack_kv_u(&pk, "line", f->received);
    if (d->log.log_writer)
        pack_kv_u(&pk, "stored", core_feed_stored_line(d, f));
    if (f->unreported_count)
        core_quote_pack_refusals(f, &pk);
    f->unreported_count = 0;
    send_op(d, f);
}

void core_acknowledge(struct core *d)
{
    for (size_t i = 0; i < feed_table_count(d->feeds); i++) {
        struct feed *f = feed_table_at(d->feeds, i);

        if (f->is_held && f->acknowledged != f->received &&
            (f->received - f->acknowledged >= f->ack_lines ||
             d->time.now - f->acknowledged_at >= FEED_ACK_MS))
            send_received(d, f);
    }
}

/* Lines after a gap are dropped; ask the feeder to send again from the missing line. */
static void request_resend(struct core *d, struct feed *f, uint64_t line)
{
    static struct log_limit limit = {.burst = 5, .interval_ms = 10000};
    msgpack_packer pk;

    if (!feed_should_resend(f, d->time.now))
        return;
    log_limited(&limit, d->time.now, LOG_INFO,
                "feed %s: line %llu came, %llu is next: requesting a resend", f->name,
                (unsigned long long)line, (unsigned long long)f->received + 1);
    begin_op(d, f, "resend", 1, &pk);
    pack_kv_u(&pk, "from", f->received + 1);
    send_op(d, f);
}

static void take_heartbeat(struct core *d, struct feed *f, uint64_t last)
{
    if (last > f->received)
        request_resend(d, f, last);
    send_received(d, f);
}

static void forget(struct core *d, const char *what)
{
    static struct log_limit limit = {.burst = 3, .interval_ms = 10000};

    d->unknown_lines++;
    log_limited(&limit, d->time.now, LOG_WARNING, "ingest: %s: dropped", what);
}

/* Take the next line of the feed: enter it or refuse it. Returns like core_ingest. */
static bool take_line(struct core *d, struct feed *f, struct wire_record *r, enum err bad,
                      bool is_stampable, struct span topic, struct span record)
{
    struct quote_rules rules = core_quote_rules(d, f->allow_crossed);
    struct span symbol = wire_topic_symbol(topic);
    bool has_time = true;
    enum quote_refusal why = bad == ERR_TOO_LARGE           ? QUOTE_OVERSIZED
                             : bad || r->kind != WIRE_QUOTE ? QUOTE_MALFORMED
                             : !symbol.len                  ? QUOTE_BAD_SYMBOL
                                           : quote_check_line(r->body, &rules, &has_time);
    struct book_entry *e = why ? NULL : book_add(d->log.book, symbol);

    if (!e) {
        core_quote_refuse(d, f, span_of(f->name), symbol, why ? why : QUOTE_BOOK_FULL);
        return false;
    }
    if (is_stampable && has_time) {
        core_quote_enter(d, e, f, r, topic, record);
        return true;
    }
    record = core_quote_pack(d, r, has_time);
    core_quote_enter(d, e, f, r, topic, record);
    d->out.publish(d->out.ctx, topic, record);
    return false;
}

bool core_ingest(struct core *d, struct span topic, struct span record)
{
    struct wire_record r;
    struct feed *f;
    bool stampable = false, is_to_forward;
    enum err bad = wire_open(record, &r, &stampable);

    /* A line with a bad body is still a line: it is refused, and the next one comes. */
    if (bad && wire_read_header(record, &r)) {
        forget(d, "a message that is no record");
        return false;
    }
    f = feed_table_renew(d->feeds, r.epoch, d->time.awake);
    if (!f) {
        forget(d, "a line of an epoch that holds no feed name");
        return false;
    }
    if (!feed_announce(f, r.seq)) {
        forget(d, "a line whose number no feed can have reached");
        return false;
    }
    if (r.kind == WIRE_HEARTBEAT) {
        take_heartbeat(d, f, r.seq);
        return false;
    }
    if (!f->has_published && r.seq == f->received + 1) {
        f->has_published = true;
        core_remember_feed(d, f); /* before the line counts */
    }
    switch (feed_judge(f, r.seq)) {
    case FEED_DUPLICATE:
        return false;
    case FEED_GAP:
        request_resend(d, f, r.seq);
        return false;
    case FEED_TAKE:
        break;
    }
    is_to_forward = take_line(d, f, &r, bad, stampable, topic, record);
    /*
     * Only now: if the broker is killed before the line is in the ring, the feeder must send it
     * again.
     */
    journal_feed(d->log.journal, f->index)->received = f->received;
    f->last_seq = journal_head(d->log.journal);
    return is_to_forward;
}

static bool has_unacknowledged(const struct core *d)
{
    for (size_t i = 0; i < feed_table_count(d->feeds); i++) {
        const struct feed *f = feed_table_at(d->feeds, i);

        if (f->is_held && f->acknowledged != f->received)
            return true;
    }
    return false;
}

static int64_t feed_wait(const struct core *d)
{
    int64_t wait = feed_table_wait(d->feeds, d->time.awake), listen = d->listen_until - d->time.now;

    return wait >= 0 && wait < listen ? listen : wait;
}

int64_t core_tick(struct core *d)
{
    int64_t wait, lock_wait;

    expire(d);
    lock_wait = lock_core_tick(d->locks, &d->time);
    if (d->time.now >= d->heartbeat_at) {
        core_send_heartbeat(d);
        d->heartbeat_at += WIRE_HEARTBEAT_MS;
        if (d->heartbeat_at <= d->time.now)
            d->heartbeat_at = d->time.now + WIRE_HEARTBEAT_MS;
    }
    wait = wait_sooner(d->heartbeat_at - d->time.now, lock_wait);
    wait = wait_sooner(wait, feed_wait(d));
    wait = wait_sooner(wait, core_produce_tick(d));
    if (has_unacknowledged(d))
        wait = wait_sooner(wait, FEED_ACK_MS);
    if (core_request_waits(d))
        wait = wait_sooner(wait, CORE_BEHIND_MS);
    d->tick_by = d->time.now + wait;
    return wait;
}
