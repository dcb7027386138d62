/*
 * handlers_metrics: /metrics, for Prometheus: this gateway's own counters, and those of the
 * broker and its feeds, from the broker's status.  docs/protocol/http.md lists every family.
 */
#include <string.h>

#include "gateway/fanout/framing.h"
#include "gateway/limits/gate.h"
#include "gateway/routes/exposition.h"
#include "gateway/routes/handlers_private.h"
#include "shared/wire/pack.h"
#include "shared/base/version.h"

#define US EXPOSITION_MICROSECONDS
#define PLAIN EXPOSITION_PLAIN

static void put_text_and(struct exposition *e, const char *key, const char *text, uint64_t value)
{
    exposition_label(e, key, span_of(text));
    exposition_sample(e, PLAIN, value);
}

/* --- this gateway ------------------------------------------------------------------- */

static const char *const mode_names[] = {"merge", "all"};

static void put_clients(struct exposition *e, const struct handlers *h)
{
    static const enum encoding encodings[] = {ENCODING_JSON, ENCODING_MSGPACK, ENCODING_EVENTS};

    exposition_begin(e, "pregon_clients", "Clients of the stream that are connected.");
    for (int mode = 0; mode < 2; mode++)
        for (size_t i = 0; i < sizeof encodings / sizeof *encodings; i++) {
            enum encoding encoding = framing_in_mode(encodings[i], mode);

            exposition_label(e, "mode", span_of(mode_names[mode]));
            put_text_and(e, "encoding", framing_protocol(encoding),
                         h->sessions->place_counts[mode][encoding]);
        }
    exposition_one(e, "pregon_clients_limit", "How many there may be.", PLAIN,
                   (uint64_t)gate_limit(h->gate));
    exposition_one(e, "pregon_clients_blocked",
                   "Clients whose socket is full: they do not read fast enough.", PLAIN,
                   h->sessions->blocked_count);
    exposition_one(e, "pregon_clients_traced", "Clients that asked when quotes passed where.",
                   PLAIN, h->sessions->traced_count);
    exposition_one(e, "pregon_clients_opened_total", "Connections that began.", PLAIN,
                   h->sessions->counters->opened);
    exposition_begin(e, "pregon_clients_closed_total", "Connections that ended, by reason.");
    for (int i = 0; i < COUNTERS_END_COUNT; i++)
        put_text_and(e, "reason", counters_end_name((enum counters_end)i),
                     h->sessions->counters->ends[i]);
}

static void put_refusals(struct exposition *e, const struct handlers *h)
{
    exposition_begin(e, "pregon_refusals_total", "Handshakes refused, by code.");
    for (int i = ADMISSION_ADMITTED + 1; i < ADMISSION_RULE_END; i++)
        put_text_and(e, "code", admission_code((enum admission_rule)i),
                     gate_refused(h->gate, (enum admission_rule)i));
    for (int i = 0; i < GATE_REQUEST_END; i++)
        put_text_and(e, "code", gate_request_code((enum gate_request)i),
                     gate_refused_requests(h->gate, (enum gate_request)i));
    exposition_begin(e, "pregon_http_heads_refused_total",
                     "HTTP connections that were closed before there was a request, by reason.");
    for (int i = 0; i < GATE_HEAD_END; i++)
        put_text_and(e, "reason", gate_head_name((enum gate_head)i),
                     gate_heads(h->gate, (enum gate_head)i));
    exposition_begin(e, "pregon_resumes_total",
                     "Subscriptions with a position, by whether it could be gone on from.");
    put_text_and(e, "recovered", "false", h->sessions->counters->resumes[false]);
    put_text_and(e, "recovered", "true", h->sessions->counters->resumes[true]);
    exposition_one(e, "pregon_client_errors_total", "Errors told to clients.", PLAIN,
                   h->sessions->counters->errors);
}

static void put_traffic(struct exposition *e, const struct handlers *h)
{
    static const char *const kinds[] = {NULL,        "quote", "state", "lost",
                                        "heartbeat", "mark",  "lock"};
    const struct counters *f = h->sessions->counters;

    exposition_begin(e, "pregon_records_received_total",
                     "Records that came from the broker, by kind.");
    for (int kind = WIRE_QUOTE; kind <= WIRE_MARK; kind++)
        put_text_and(e, "kind", kinds[kind], f->records[kind]);
    exposition_begin(e, "pregon_records_dropped_total",
                     "Records from the broker that were not applied, by reason.");
    put_text_and(e, "reason", "malformed", f->malformed);
    put_text_and(e, "reason", "not_newer", f->not_newer);
    exposition_one(e, "pregon_deliveries_total",
                   "Quotes, snapshots, states and losses sent, each client counted.", PLAIN,
                   f->deliveries);
    exposition_one(e, "pregon_merged_total",
                   "Quotes that clients in mode merge did not get, because newer ones "
                   "replaced them first.",
                   PLAIN, hub_merged(h->hub));
    exposition_one(e, "pregon_sends_total", "System calls that sent to clients.", PLAIN, f->sends);
    exposition_one(e, "pregon_sent_bytes_total", "Bytes sent to WebSocket clients.", PLAIN,
                   f->bytes_out);
    exposition_one(e, "pregon_received_bytes_total", "Bytes received from WebSocket clients.",
                   PLAIN, f->bytes_in);
    exposition_one(e, "pregon_received_messages_total", "Messages received from WebSocket clients.",
                   PLAIN, f->messages_in);
    exposition_begin_histogram(e, "pregon_client_queue_messages",
                               "Messages that a client is owed and its socket does not "
                               "take; each client is looked at once a second.");
    for (int mode = 0; mode < 2; mode++) {
        exposition_label(e, "mode", span_of(mode_names[mode]));
        exposition_histogram(e, PLAIN, &f->queued[mode]);
    }
    exposition_begin_histogram(e, "pregon_delivery_seconds",
                               "How old a quote is when all clients that are due have been "
                               "served, since it was sent by its feeder or accepted by "
                               "the broker; each quote counts once.");
    exposition_label(e, "since", SPAN("sent"));
    exposition_histogram(e, US, &f->since_sent);
    exposition_label(e, "since", SPAN("accepted"));
    exposition_histogram(e, US, &f->since_accepted);
}

static void put_upstream(struct exposition *e, const struct handlers *h)
{
    int64_t silence = upstream_silence_ms(h->upstream);

    exposition_one(e, "pregon_position",
                   "The log's position up to which this gateway has passed everything on.", PLAIN,
                   hub_seq(h->hub));
    exposition_one(e, "pregon_symbols",
                   "Symbols that it knows: that clients ask for or a feed supplies.", PLAIN,
                   hub_symbol_count(h->hub));
    exposition_one(e, "pregon_upstream_gaps_total", "Records found missing, and asked for again.",
                   PLAIN, upstream_gaps(h->upstream));
    exposition_one(e, "pregon_upstream_connections_total", "Connections to the broker's records.",
                   PLAIN, upstream_connections(h->upstream));
    exposition_one(e, "pregon_upstream_silence_seconds", "Since the broker's last heartbeat.", US,
                   silence > 0 ? (uint64_t)silence * 1000 : 0);
}

/* --- both processes ------------------------------------------------------------------ */

struct broker_status {
    struct span status, process; /* the broker's; .len 0: it is away */
};

static void put_build(struct exposition *e, const struct broker_status *t)
{
    exposition_begin(e, "pregon_build_info", "Versions; always 1.");
    exposition_label(e, "process", SPAN("gateway"));
    put_text_and(e, "version", PREGON_VERSION, 1);
    if (!t->status.len)
        return;
    exposition_label(e, "process", SPAN("broker"));
    exposition_label(e, "version", pack_find_text(t->status, "version"));
    exposition_sample(e, PLAIN, 1);
}

static void put_both(struct exposition *e, const char *name, const char *help,
                     enum exposition_unit unit, uint64_t own, struct span map, const char *key)
{
    uint64_t others = pack_find_u(map, key, UINT64_MAX);

    exposition_begin(e, name, help);
    exposition_label(e, "process", SPAN("gateway"));
    exposition_sample(e, unit, own);
    if (others == UINT64_MAX)
        return; /* away, or too old to send it */
    exposition_label(e, "process", SPAN("broker"));
    exposition_sample(e, unit, others);
}

static void put_processes(struct exposition *e, const struct handlers *h,
                          const struct process_usage *own, const struct broker_status *t)
{
    put_both(e, "process_cpu_seconds_total", "Processor time, user and system.", US, own->cpu_us,
             t->process, "cpu_us");
    put_both(e, "process_resident_memory_bytes", "Memory that is resident.", PLAIN,
             own->resident_bytes, t->process, "resident_bytes");
    put_both(e, "process_virtual_memory_bytes", "Memory that is mapped.", PLAIN, own->virtual_bytes,
             t->process, "virtual_bytes");
    put_both(e, "process_open_fds", "Descriptors that are open.", PLAIN, own->open_fds, t->process,
             "open_fds");
    put_both(e, "process_max_fds", "Descriptors that may be open.", PLAIN, own->max_fds, t->process,
             "max_fds");
    put_both(e, "process_start_time_seconds", "Unix time of the start.", US,
             (uint64_t)h->started_us, t->status, "started");
}

/* --- the broker ------------------------------------------------------------------------ */

struct row {
    const char *map; /* of the status; "": the status itself */
    const char *key;
    const char *name, *help;
    enum exposition_unit unit;
};

static const struct row broker_rows[] = {
    {"", "seq", "pregon_broker_position", "The head of the log.", PLAIN},
    {"", "symbols", "pregon_broker_symbols", "Symbols the broker knows.", PLAIN},
    {"", "journal_first", "pregon_journal_first_position",
     "The oldest position in the broker's ring.", PLAIN},
    {"", "journal_bytes", "pregon_journal_bytes", "What is in the broker's ring.", PLAIN},
    {"store", "durable", "pregon_store_durable", "1: quotes are stored as they come.", PLAIN},
    {"store", "stored", "pregon_store_position", "The newest position stored.", PLAIN},
    {"store", "first", "pregon_store_first_position", "The oldest position stored.", PLAIN},
    {"store", "damaged", "pregon_store_damaged",
     "Positions of the log that are known to be unreadable.", PLAIN},
    {"store", "gaps", "pregon_store_gaps_total", "Positions that could not be stored.", PLAIN},
    {"store", "behind_us", "pregon_store_lag_seconds",
     "How old the oldest record is that is not stored yet.", US},
    {"locks", "count", "pregon_locks", "Locks the broker knows.", PLAIN},
    {"locks", "held", "pregon_locks_held", "Locks that are held.", PLAIN},
    {"locks", "waiting", "pregon_locks_waiting", "Places in the lines for locks.", PLAIN},
    {"locks", "durable", "pregon_locks_durable", "1: grants are stored.", PLAIN},
    {"locks", "behind_us", "pregon_locks_lag_seconds",
     "For how long the disk has been writing what was handed to it.", US},
    {"peers", "closed_unfinished", "pregon_broker_peers_unfinished_total",
     "Connections closed for a message that does not end.", PLAIN},
    {"peers", "closed_deaf", "pregon_broker_peers_deaf_total",
     "Connections closed because they do not read.", PLAIN},
    {"peers", "closed_topics", "pregon_broker_peers_topics_total",
     "Connections closed for the size of what they subscribe to.", PLAIN},
    {"peers", "closed_full", "pregon_broker_peers_surplus_total",
     "Connections closed above PEER_CONNECTIONS.", PLAIN},
    {"peers", "refused", "pregon_broker_peers_refused_total",
     "Requests refused because answers were not read.", PLAIN},
};

static const struct row feed_rows[] = {
    {NULL, "live", "pregon_feed_live", "1: its lines or heartbeats arrive.", PLAIN},
    {NULL, "left", "pregon_feed_ended", "1: it announced its end.", PLAIN},
    {NULL, "silent_ms", "pregon_feed_silence_seconds", "Since its last line or heartbeat.", US},
    {NULL, "received", "pregon_feed_lines_received_total", "Lines that arrived, in order.", PLAIN},
    {NULL, "stored", "pregon_feed_lines_stored_total", "Lines up to this one are stored.", PLAIN},
    {NULL, "accepted", "pregon_feed_quotes_accepted_total", "Quotes called out.", PLAIN},
    {NULL, "duplicates", "pregon_feed_duplicates_total", "Lines that came a second time.", PLAIN},
    {NULL, "lost", "pregon_feed_lines_lost_total", "Lines that nobody has.", PLAIN},
};

/* Whole numbers, and true and false as 1 and 0. */
static bool find_number(struct span map, const char *key, uint64_t *out)
{
    struct pack_value v;

    if (!pack_find(map, key, &v, NULL) || (v.type != PACK_UINT && v.type != PACK_BOOL))
        return false;
    *out = v.type == PACK_UINT ? v.u : v.boolean;
    return true;
}

static struct span find_map(struct span map, const char *key)
{
    struct pack_value v;
    struct span raw;

    if (!pack_find(map, key, &v, &raw) || v.type != PACK_MAP)
        return SPAN("");
    return raw;
}

static void put_broker(struct exposition *e, const struct broker_status *t)
{
    struct span list;
    uint64_t n;

    for (size_t i = 0; i < sizeof broker_rows / sizeof *broker_rows; i++) {
        const struct row *r = &broker_rows[i];

        if (find_number(*r->map ? find_map(t->status, r->map) : t->status, r->key, &n))
            exposition_one(e, r->name, r->help, r->unit, n);
    }
    exposition_one(e, "pregon_broker_gateways", "Gateways that the broker hears.", PLAIN,
                   pack_find_list(t->status, "gateways", &list));
}

static void put_feed_refusals(struct exposition *e, struct span feed)
{
    struct span refusals = find_map(feed, "refusals");
    struct pack_value map, reason, n;

    if (!refusals.len || !pack_next(&refusals, &map))
        return;
    for (uint32_t i = 0; i < map.count; i++) {
        if (!pack_next(&refusals, &reason) || !pack_next(&refusals, &n) ||
            reason.type != PACK_STR || n.type != PACK_UINT)
            return;
        exposition_label(e, "feed", pack_find_text(feed, "name"));
        exposition_label(e, "reason", reason.text);
        exposition_sample(e, PLAIN, n.u);
    }
}

static void put_feeds(struct exposition *e, const struct broker_status *t, bool has_store)
{
    struct span list, c;
    uint32_t count = pack_find_list(t->status, "feeds", &list);
    uint64_t n;

    for (size_t i = 0; count && i < sizeof feed_rows / sizeof *feed_rows; i++) {
        const struct row *r = &feed_rows[i];

        if (strcmp(r->key, "stored") == 0 && !has_store)
            continue;
        exposition_begin(e, r->name, r->help);
        c = list;
        for (uint32_t k = 0; k < count; k++) {
            struct span feed = pack_next_raw(&c);

            if (!find_number(feed, r->key, &n))
                continue;
            exposition_label(e, "feed", pack_find_text(feed, "name"));
            exposition_sample(e, r->unit, strcmp(r->key, "silent_ms") ? n : n * 1000);
        }
    }
    if (!count)
        return;
    exposition_begin(e, "pregon_feed_quotes_refused_total",
                     "Quotes refused at the broker's door, by reason.");
    c = list;
    for (uint32_t k = 0; k < count; k++)
        put_feed_refusals(e, pack_next_raw(&c));
}

void handlers_answer_metrics(void *ctx, struct span answer)
{
    struct loop_request *q = ctx;
    struct handlers *h = q->handlers;
    struct exposition e = {.out = &q->body};
    struct broker_status t = {answer, find_map(answer, "process")};
    uint64_t stored;
    bool has_store = find_number(find_map(answer, "store"), "stored", &stored);

    put_build(&e, &t);
    exposition_one(&e, "pregon_ready", "1: /cotizaciones/ready says so.", PLAIN,
                   gate_is_started(h->gate) && !gate_is_leaving(h->gate));
    exposition_one(&e, "pregon_broker_up", "1: the broker answers.", PLAIN, answer.len > 0);
    put_processes(&e, h, &q->process, &t);
    put_clients(&e, h);
    put_refusals(&e, h);
    put_traffic(&e, h);
    put_upstream(&e, h);
    if (answer.len) {
        put_broker(&e, &t);
        put_feeds(&e, &t, has_store);
    }
    exposition_end(&e);
    loop_request_answer(h->requests, q, 200);
}
