/* core_status: how the broker stands, for whoever asks. */
#include <msgpack.h>
#include <unistd.h>

#include "broker/locks/lock_core.h"
#include "broker/core/core_private.h"
#include "shared/wire/pack.h"
#include "shared/base/version.h"

#define PROCESS_EVERY_MS 1000

void core_pack_gateways(struct question *q)
{
    struct registry *r = q->d->registry;

    pack_key(&q->pk, "gateways");
    msgpack_pack_array(&q->pk, registry_gateways(r));
    for (size_t i = 0; i < registry_gateways(r); i++) {
        const struct registry_gateway *g = registry_at(r, i);

        msgpack_pack_map(&q->pk, 7);
        pack_kv_text(&q->pk, "name", span_of(g->name));
        pack_kv_text(&q->pk, "host", span_of(g->host));
        pack_kv_text(&q->pk, "http", span_of(g->http));
        pack_kv_u(&q->pk, "pid", g->pid);
        pack_kv_u(&q->pk, "connections", g->count);
        pack_kv_u(&q->pk, "limit", g->limit);
        pack_kv_u(&q->pk, "since", (uint64_t)g->since_us);
    }
}

static void pack_refusals(struct question *q, const struct feed *f)
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

static void pack_feed(struct question *q, const struct feed *f)
{
    uint64_t refused = 0, row = feed_refused_in_row(f);

    for (size_t i = 0; i < QUOTE_REFUSAL_COUNT; i++)
        refused += f->refused[i];
    msgpack_pack_map(&q->pk, 15u + !!f->accepted + !!row);
    pack_kv_text(&q->pk, "name", span_of(f->name));
    pack_kv_text(&q->pk, "host", span_of(f->host));
    pack_kv_u(&q->pk, "stored",
              q->d->log_writer ? log_writer_stored_line(q->d->log_writer, f->index)
                               : 0);
    pack_kv_u(&q->pk, "pid", f->pid);
    pack_kv_u(&q->pk, "epoch", f->epoch);
    pack_kv_bool(&q->pk, "live", f->is_held);
    pack_kv_bool(&q->pk, "left", f->has_left);
    pack_kv_u(&q->pk, "silent_ms", (uint64_t)(q->d->time.awake - f->heard_at));
    pack_kv_u(&q->pk, "received", f->received);
    pack_kv_u(&q->pk, "accepted", f->accepted);
    pack_kv_u(&q->pk, "refused", refused);
    pack_refusals(q, f);
    pack_kv_u(&q->pk, "refused_in_row", row);
    if (row)
        pack_kv_text(&q->pk, "refused_why", span_of(quote_refusal_name(f->row_why)));
    if (f->accepted)
        pack_kv_u(&q->pk, "quote_ms", (uint64_t)(q->d->time.now - f->accepted_at));
    pack_kv_u(&q->pk, "duplicates", f->duplicates);
    pack_kv_u(&q->pk, "lost", f->lost);
}

static void pack_store(struct question *q)
{
    struct core *d = q->d;
    struct log_writer_status s;

    pack_key(&q->pk, "store");
    if (!d->log_writer) {
        msgpack_pack_map(&q->pk, 3);
        pack_kv_text(&q->pk, "kind", SPAN("memory"));
        pack_kv_bool(&q->pk, "durable", false);
        pack_kv_text(&q->pk, "reason", SPAN("STORE is memory: nothing is kept"));
        return;
    }
    log_writer_status(d->log_writer, (uint64_t)d->time.wall_us, &s);
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

static void pack_process(struct question *q)
{
    struct core *d = q->d;
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

static void pack_peers(struct question *q)
{
    static const struct peers_counts none;
    const struct peers_counts *c = q->d->peers ? q->d->peers : &none;

    pack_key(&q->pk, "peers");
    msgpack_pack_map(&q->pk, 8);
    pack_kv_u(&q->pk, "ingest", c->connections[PEERS_INGEST]);
    pack_kv_u(&q->pk, "publish", c->connections[PEERS_PUBLISH]);
    pack_kv_u(&q->pk, "control", c->connections[PEERS_CONTROL]);
    pack_kv_u(&q->pk, "closed_unfinished", c->closed_unfinished);
    pack_kv_u(&q->pk, "closed_deaf", c->closed_deaf);
    pack_kv_u(&q->pk, "closed_topics", c->closed_topics);
    pack_kv_u(&q->pk, "closed_full", c->closed_full);
    pack_kv_u(&q->pk, "refused", c->refused);
}

void core_status(struct question *q)
{
    struct core *d = q->d;
    size_t feeds = 0;

    answer_begin(q, 16);
    pack_kv_text(&q->pk, "version", span_of(PREGON_VERSION));
    pack_kv_u(&q->pk, "pid", (uint64_t)getpid());
    pack_kv_u(&q->pk, "epoch", d->epoch);
    pack_kv_u(&q->pk, "seq", journal_head(d->journal));
    pack_kv_u(&q->pk, "symbols", book_count(d->book));
    pack_kv_u(&q->pk, "started", (uint64_t)d->started_us);
    pack_kv_u(&q->pk, "journal_first", journal_first(d->journal));
    pack_kv_u(&q->pk, "journal_bytes", journal_bytes(d->journal));
    pack_kv_text(&q->pk, "epoch_reason",
                 d->log_writer && log_writer_is_new_epoch(d->log_writer)
                     ? span_of(log_writer_epoch_reason(d->log_writer))
                     : SPAN(""));
    core_clock_pack_status(d, &q->pk);
    pack_process(q);
    pack_store(q);
    lock_core_pack_status(d, &q->pk);
    pack_peers(q);
    core_pack_gateways(q);
    pack_key(&q->pk, "feeds");
    for (size_t i = 0; i < feed_table_count(d->feeds); i++)
        feeds += feed_table_at(d->feeds, i)->name[0] != '\0';
    msgpack_pack_array(&q->pk, feeds);
    for (size_t i = 0; i < feed_table_count(d->feeds); i++)
        if (feed_table_at(d->feeds, i)->name[0])
            pack_feed(q, feed_table_at(d->feeds, i));
    answer_send(q);
}
