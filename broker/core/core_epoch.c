/*
 * core_epoch: a peer proves that the log has lost positions, and the log begins a new epoch.
 *
 * A data folder that was copied and put back as a whole looks like the same log, but it gives
 * positions again that peers already know.  Two things prove that: the broker acknowledged lines to
 * a feeder that the log does not have; or a peer knows a position of this epoch that the log does
 * not have, or has with another record.
 *
 * Peers are not authenticated, so the harm of a false claim is bounded: a start of the broker
 * begins at most one epoch (the one of the start itself counts), a claim must name the current
 * epoch or come from the owner whose (random, secret) token the log knows for the feed, and a
 * position may be at most CORE_CLAIM_MAX above the head.  Without a store every start has its own
 * epoch, so peers cannot prove anything.
 */
#include <stdio.h>

#include "broker/core/core_private.h"
#include "shared/base/log.h"
#include "shared/wire/pack.h"

static struct log_limit limit = {.burst = 3, .interval_ms = 60000};

static bool may_begin(struct core *d, uint64_t seq, const char *proof)
{
    const char *why = NULL;
    struct log_writer_status s;

    if (!d->log.log_writer || !d->out.renew)
        return false;
    log_writer_status(d->log.log_writer, (uint64_t)d->time.wall_us, &s);
    if (log_writer_is_new_epoch(d->log.log_writer))
        why = "an epoch has begun since the start, and no other one will before a "
              "restart";
    else if (seq > journal_head(d->log.journal) + CORE_CLAIM_MAX)
        why = "no log can have come so far";
    else if (!s.is_durable)
        why = "no epoch can begin before the store takes records again";
    if (why)
        log_limited(&limit, d->time.now, LOG_WARNING, "Ignored: %s: %s", proof, why);
    return !why;
}

static void begin(struct core *d, uint64_t seq, const char *proof)
{
    uint64_t head = journal_head(d->log.journal);

    if (!may_begin(d, seq, proof))
        return;
    log_error("The log has lost positions: %s.  Was an older data folder put back?  The log "
              "begins a new epoch (" CORE_ROLLED_BACK "): clients will start anew",
              proof);
    core_request_drop(d); /* it reads the log that ends here */
    d->out.renew(d->out.ctx, CORE_ROLLED_BACK, seq > head ? seq : head);
    d->log.epoch = log_writer_epoch(d->log.log_writer);
    for (size_t i = 0; i < feed_table_count(d->feeds); i++) {
        const struct feed *f = feed_table_at(d->feeds, i);

        if (!f->has_published)
            continue;
        core_remember_feed(d, f);
        log_writer_set_line(d->log.log_writer, f->index, f->received);
    }
    /* send a heartbeat now, so that all receivers learn of the new epoch */
    d->heartbeat_at = d->time.now;
    log_info("Log epoch %016llx from position %llu on", (unsigned long long)d->log.epoch,
             (unsigned long long)journal_head(d->log.journal) + 1);
}

void core_claim_lines(struct core *d, const struct feed *f, uint64_t last)
{
    char proof[160];

    snprintf(proof, sizeof proof,
             "feed %s was acknowledged lines up to %llu, the log has them up to %llu", f->name,
             (unsigned long long)last, (unsigned long long)f->received);
    begin(d, 0, proof);
}

/* Is it another record than the log has at that position? */
static bool is_other_record(const struct core *d, uint64_t seq, uint64_t accepted_us)
{
    struct journal_entry e;
    struct wire_record r;

    return seq && !journal_read(d->log.journal, seq, &e) && !wire_read_header(e.record, &r) &&
           r.accepted_us != accepted_us;
}

void core_claim_position(struct core *d, struct span hello)
{
    struct span role = pack_find_text(hello, "role"), name = pack_find_text(hello, "name");
    uint64_t seq = pack_find_u(hello, "known_seq", 0),
             record = pack_find_u(hello, "known_record", 0),
             accepted = pack_find_u(hello, "known_accepted", 0),
             head = journal_head(d->log.journal);
    char proof[200];

    if (pack_find_u(hello, "known_epoch", 0) != d->log.epoch)
        return;
    if (record > seq)
        seq = record;
    if (seq > head)
        snprintf(proof, sizeof proof, "%.*s %.*s knows position %llu, the log goes to %llu",
                 role.len < 10 ? (int)role.len : 10, role.at, name.len < 65 ? (int)name.len : 65,
                 name.at, (unsigned long long)seq, (unsigned long long)head);
    else if (is_other_record(d, record, accepted))
        snprintf(proof, sizeof proof, "%.*s %.*s knows another record at position %llu",
                 role.len < 10 ? (int)role.len : 10, role.at, name.len < 65 ? (int)name.len : 65,
                 name.at, (unsigned long long)record);
    else
        return;
    begin(d, seq, proof);
}
