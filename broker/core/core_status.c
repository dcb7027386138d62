/* core_status: the answer to status, the state of the whole broker. */
#include <msgpack.h>
#include <unistd.h>

#include "broker/locks/lock_core.h"
#include "broker/core/core_private.h"
#include "shared/wire/pack.h"
#include "shared/base/version.h"

#define PROCESS_EVERY_MS 1000

static void pack_refusals(struct control_request *q, const struct feed *f)
{
    uint32_t reasons = 0;

    for (size_t i = 0; i < QUOTE_REFUSAL_COUNT; i++)
        reasons += f->refused[i] > 0;
    pack_key(&q->pk, "refusals");
    msgpack_pack_map(&q->pk, reasons);
    for (size_t i = 0; i < QUOTE_REFUSAL_COUNT; i++)
        if (f->refused[i])
            pack_kv_u(&q->pk, quote_refusal_name((enum quote_refusal)i), f->refused[i]);
}

static void pack_feed(struct core *d, struct control_request *q, const struct feed *f)
{
    uint64_t refused = 0, row = feed_refused_in_row(f);

    for (size_t i = 0; i < QUOTE_REFUSAL_COUNT; i++)
        refused += f->refused[i];
    msgpack_pack_map(&q->pk, 15u + !!f->accepted + !!row);
    pack_kv_text(&q->pk, "name", span_of(f->name));
    pack_kv_text(&q->pk, "host", span_of(f->host));
    pack_kv_u(&q->pk, "stored", core_feed_stored_line(d, f));
    pack_kv_u(&q->pk, "pid", f->pid);
    pack_kv_u(&q->pk, "epoch", f->epoch);
    pack_kv_bool(&q->pk, "live", f->is_held);
    pack_kv_bool(&q->pk, "left", f->has_left);
    pack_kv_u(&q->pk, "silent_ms", (uint64_t)(d->time.awake - f->heard_at));
    pack_kv_u(&q->pk, "received", f->received);
    pack_kv_u(&q->pk, "accepted", f->accepted);
    pack_kv_u(&q->pk, "refused", refused);
    pack_refusals(q, f);
    pack_kv_u(&q->pk, "refused_in_row", row);
    if (row)
        pack_kv_text(&q->pk, "refused_why", span_of(quote_refusal_name(f->row_why)));
    if (f->accepted)
        pack_kv_u(&q->pk, "quote_ms", (uint64_t)(d->time.now - f->accepted_at));
    pack_kv_u(&q->pk, "duplicates", f->duplicates);
    pack_kv_u(&q->pk, "lost", f->lost);
}

static void pack_store(struct core *d, struct control_request *q)
{
    struct log_writer_status s;

    pack_key(&q->pk, "store");
    if (!d->log.log_writer) {
        msgpack_pack_map(&q->pk, 3);
        pack_kv_text(&q->pk, "kind", SPAN("memory"));
        pack_kv_bool(&q->pk, "durable", false);
        pack_kv_text(&q->pk, "reason", SPAN("STORE is memory: nothing is kept"));
        return;
    }
    log_writer_status(d->log.log_writer, (uint64_t)d->time.wall_us, &s);
    msgpack_pack_map(&q->pk, 10);
    pack_kv_text(&q->pk, "kind", SPAN("sqlite"));
    pack_kv_bool(&q->pk, "durable", s.is_durable);
    pack_kv_text(&q->pk, "reason", span_of(s.reason));
    pack_kv_u(&q->pk, "first", s.first);
    pack_kv_u(&q->pk, "stored", s.stored);
    pack_kv_u(&q->pk, "gaps", s.gaps);
    pack_kv_u(&q->pk, "behind_us", s.behind_us);
    pack_kv_u(&q->pk, "behind_max_us", s.behind_max_us);
    pack_kv_u(&q->pk, "damaged", s.damaged);
    pack_kv_text(&q->pk, "damage", span_of(s.damage));
}

static void pack_process(struct core *d, struct control_request *q)
{
    const struct process_usage *f = &d->process;

    if (!d->process_at || d->time.now - d->process_at >= PROCESS_EVERY_MS) {
        process_read(&d->process);
        d->process_at = d->time.now;
    }
    pack_key(&q->pk, "process");
    msgpack_pack_map(&q->pk, 5);
    pack_kv_u(&q->pk, "cpu_us", f->cpu_us);
    pack_kv_u(&q->pk, "resident_bytes", f->resident_bytes);
    pack_kv_u(&q->pk, "virtual_bytes", f->virtual_bytes);
    pack_kv_u(&q->pk, "open_fds", f->open_fds);
    pack_kv_u(&q->pk, "max_fds", f->max_fds);
}

void core_status(struct core *d, struct control_request *q)
{
    size_t feeds = 0;

    answer_begin(q, d->out.pack_peers ? 16 : 15);
    pack_kv_text(&q->pk, "version", span_of(PREGON_VERSION));
    pack_kv_u(&q->pk, "pid", (uint64_t)getpid());
    pack_kv_u(&q->pk, "epoch", d->log.epoch);
    pack_kv_u(&q->pk, "seq", journal_head(d->log.journal));
    pack_kv_u(&q->pk, "symbols", book_known(d->log.book));
    pack_kv_u(&q->pk, "started", (uint64_t)d->started_us);
    pack_kv_u(&q->pk, "journal_first", journal_first(d->log.journal));
    pack_kv_u(&q->pk, "journal_bytes", journal_bytes(d->log.journal));
    pack_kv_text(&q->pk, "epoch_reason",
                 d->log.log_writer && log_writer_is_new_epoch(d->log.log_writer)
                     ? span_of(log_writer_epoch_reason(d->log.log_writer))
                     : SPAN(""));
    core_clock_pack_status(d, &q->pk);
    pack_process(d, q);
    pack_store(d, q);
    lock_core_pack_status(d->locks, &d->time, &q->pk);
    if (d->out.pack_peers)
        d->out.pack_peers(d->out.ctx, &q->pk);
    core_pack_gateways(d, q);
    pack_key(&q->pk, "feeds");
    for (size_t i = 0; i < feed_table_count(d->feeds); i++)
        feeds += feed_table_at(d->feeds, i)->name[0] != '\0';
    msgpack_pack_array(&q->pk, feeds);
    for (size_t i = 0; i < feed_table_count(d->feeds); i++)
        if (feed_table_at(d->feeds, i)->name[0])
            pack_feed(d, q, feed_table_at(d->feeds, i));
    answer_send(q);
}
