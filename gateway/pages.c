#include "gateway/pages_private.h"

#include <msgpack.h>
#include <stdio.h>
#include <string.h>

#include "gateway/client.h"
#include "gateway/stream.h"
#include "gateway/upstream.h"
#include "shared/pack.h"
#include "shared/quote.h"
#include "shared/version.h"

#define STATE_CONNECTED 1 /* as Starlette's WebSocketState, which the old page showed */

void pages_put_timestamp(struct gateway *g, struct buf *b)
{
    buf_adds(b, ",\"timestamp\":");
    buf_json_time(b, g->wall_us);
    buf_adds(b, "}\n");
}

void pages_put_time(struct buf *b, const char *key, uint64_t wall_us)
{
    buf_printf(b, ",\"%s\":", key);
    buf_json_time(b, (int64_t)wall_us);
}

/* Enter the list `key` of an answer; returns its length, *c stands at its first element. */
uint32_t pages_enter_list(struct span answer, const char *key, struct span *c)
{
    struct pack_value list;

    if (!pack_find(answer, key, &list, c) || list.type != PACK_ARRAY)
        return 0;
    pack_next(c, &list);
    return list.count;
}

struct span pages_take(struct span *c)
{
    struct span start = *c;

    pack_skip(c);
    return (struct span){start.at, start.len - c->len};
}

uint64_t pages_merged(const struct gateway *g)
{
    uint64_t merged = g->figures.merged_by_gone;

    for (size_t i = 0; i < g->client_count; i++)
        merged += g->clients[i]->sub.backlog.merged;
    return merged;
}

/* --- health -------------------------------------------------------------------------- */

#define REFUSED_ROW \
    3 /* so many refusals one after the other: it is not a single bad quote */
#define QUIET_MS 60000u /* without an accepted quote: they do not "flow" */

/* What is to be said of all feeds together. */
struct feeds_seen {
    uint32_t count, live, refusing;
    bool has_recent;   /* a live feed's quote was accepted within QUIET_MS */
    char refused[160]; /* of the first that is refusing: its name and why */
};

static const char *refusal_text(struct span name)
{
    for (size_t i = 0; i < QUOTE_REFUSAL_COUNT; i++)
        if (span_eq(name, quote_refusal_name((enum quote_refusal)i)))
            return quote_refusal_text((enum quote_refusal)i);
    return "a reason that this gateway does not know";
}

/* Every quote of it is being refused. */
static bool is_refusing(struct span feed)
{
    uint64_t row = pack_find_u(feed, "refused_in_row", 0);

    return row >= REFUSED_ROW || (row && !pack_find_u(feed, "accepted", 0));
}

static void see_feed(struct feeds_seen *s, struct span feed)
{
    struct span name = pack_find_text(feed, "name"),
                why = pack_find_text(feed, "refused_why");

    s->count++;
    if (!pack_find_bool(feed, "live", false))
        return;
    s->live++;
    /* A broker of an earlier version says neither. */
    if (pack_find_u(feed, "quote_ms", UINT64_MAX) < QUIET_MS ||
        !pack_find(feed, "refused_in_row", &(struct pack_value){0}, NULL))
        s->has_recent = true;
    if (is_refusing(feed) && !s->refusing++)
        snprintf(s->refused, sizeof s->refused, "%.*s: %s", (int)name.len, name.at,
                 refusal_text(why));
}

static void put_feed(struct buf *b, struct span feed, bool is_first, bool has_store)
{
    uint64_t silent = pack_find_u(feed, "silent_ms", 0),
             row = pack_find_u(feed, "refused_in_row", 0),
             quote_ms = pack_find_u(feed, "quote_ms", UINT64_MAX);
    bool is_live = pack_find_bool(feed, "live", false);
    bool has_left = pack_find_bool(feed, "left", false);
    struct span why = pack_find_text(feed, "refused_why");
    char refusing[160];

    snprintf(refusing, sizeof refusing,
             "lines arrive, but the last %llu quotes were refused: %s",
             (unsigned long long)row, refusal_text(why));
    buf_printf(b, "%s{\"name\":", is_first ? "" : ",");
    buf_json(b, pack_find_text(feed, "name"));
    member_text(b, "status",
                is_live    ? SPAN("live")
                : has_left ? SPAN("ended")
                           : SPAN("silent"));
    member_text(b, "reason",
                is_live && is_refusing(feed) ? span_of(refusing)
                : is_live                    ? SPAN("lines or heartbeats arrive")
                : has_left ? SPAN("it said goodbye: its symbols are stale")
                           : SPAN("no line and no heartbeat: its symbols are stale"));
    member_seconds(b, "age", silent);
    if (quote_ms != UINT64_MAX)
        member_seconds(b, "quote_age", quote_ms);
    member_u(b, "received", pack_find_u(feed, "received", 0));
    if (has_store)
        member_u(b, "stored", pack_find_u(feed, "stored", 0));
    member_u(b, "accepted", pack_find_u(feed, "accepted", 0));
    member_u(b, "refused", pack_find_u(feed, "refused", 0));
    member_u(b, "refused_in_row", row);
    member_u(b, "lost", pack_find_u(feed, "lost", 0));
    buf_addc(b, '}');
}

static void put_broker(struct gateway *g, struct buf *b, struct span answer)
{
    int64_t silence = upstream_silence_ms(g->upstream);
    char epoch[17];

    stream_epoch_text(hub_epoch(g->hub), epoch);
    buf_printf(b,
               ",\"broker\":{\"status\":\"%s\",\"reason\":\"%s\",\"age\":%lld.%03lld,"
               "\"epoch\":\"%s\",\"seq\":%llu,\"gaps\":%llu",
               answer.len ? "up" : "away",
               answer.len ? "heartbeats and answers arrive"
                          : "no heartbeat or no answer: is pregon-broker running at "
                            "BROKER_PUBLISH and BROKER_CONTROL?",
               (long long)silence / 1000, (long long)silence % 1000, epoch,
               (unsigned long long)hub_seq(g->hub),
               (unsigned long long)upstream_gaps(g->upstream));
    if (answer.len) {
        member_text(b, "version", pack_find_text(answer, "version"));
        if (pack_find_text(answer, "epoch_reason").len)
            member_text(b, "epoch_reason", pack_find_text(answer, "epoch_reason"));
        member_u(b, "symbols", pack_find_u(answer, "symbols", 0));
        pages_put_time(b, "started", pack_find_u(answer, "started", 0));
    }
    buf_addc(b, '}');
}

/* What the broker keeps quotes in; store.len 0: it did not say. */
struct keeping {
    struct span store, kind, reason, damage;
    bool is_durable, has_store; /* has_store: it is a file */
};

static struct keeping find_keeping(struct span answer)
{
    struct keeping k = {0};
    struct pack_value map;

    if (!pack_find(answer, "store", &map, &k.store) || map.type != PACK_MAP)
        return (struct keeping){0};
    k.kind = pack_find_text(k.store, "kind");
    k.has_store = k.kind.len && !span_eq(k.kind, "memory");
    k.is_durable = pack_find_bool(k.store, "durable", false);
    k.reason = pack_find_text(k.store, "reason");
    k.damage = pack_find_text(k.store, "damage");
    if (!k.reason.len)
        k.reason = k.is_durable ? SPAN("quotes are stored as they come")
                                : SPAN("the broker does not say why");
    return k;
}

static void put_keeping(struct buf *b, const struct keeping *k)
{
    if (!k->store.len)
        return;
    buf_adds(b, ",\"store\":{\"kind\":");
    buf_json(b, k->kind);
    member_flag(b, "durable", k->is_durable);
    member_text(b, "reason", k->reason);
    if (k->has_store) {
        member_u(b, "stored", pack_find_u(k->store, "stored", 0));
        member_u(b, "first", pack_find_u(k->store, "first", 0));
        member_u(b, "gaps", pack_find_u(k->store, "gaps", 0));
        member_seconds(b, "behind", pack_find_u(k->store, "behind_us", 0) / 1000);
        member_u(b, "damaged", pack_find_u(k->store, "damaged", 0));
        if (k->damage.len)
            member_text(b, "damage", k->damage);
    }
    buf_addc(b, '}');
}

/*
 * Quotes that flow unstored, or a log with damage, are a worry, but no reason to take anything out of
 * service.
 */
static void put_verdict(struct buf *b, const char *ill, const struct feeds_seen *feeds,
                        const struct keeping *k)
{
    struct buf reason = {0};
    bool is_unstored = !ill && k->has_store && !k->is_durable;
    bool is_damaged = !ill && k->damage.len;
    bool is_degraded = is_unstored || is_damaged || (!ill && feeds->refusing);

    buf_adds(&reason, ill ? ill
                      : feeds->has_recent
                          ? "quotes flow"
                          : "feeds are live, but no quote was accepted in "
                            "the last 60 s");
    if (is_unstored) {
        buf_adds(&reason, ", but are not being stored: ");
        buf_add(&reason, k->reason.at, k->reason.len);
    }
    if (is_damaged) {
        buf_adds(&reason, is_unstored ? "; also, a part of the log is damaged: "
                                      : ", but a part of the log is damaged: ");
        buf_add(&reason, k->damage.at, k->damage.len);
    }
    if (feeds->live && feeds->refusing)
        buf_printf(&reason, "%s every quote of %u of %u live feeds is refused (%s)",
                   ill                         ? ":"
                   : is_unstored || is_damaged ? "; also,"
                                               : ", but",
                   feeds->refusing, feeds->live, feeds->refused);
    buf_printf(b, "{\"status\":\"%s\"",
               ill           ? "unhealthy"
               : is_degraded ? "degraded"
                             : "ok");
    member_text(b, "reason", buf_span(&reason));
    buf_free(&reason);
}

static void answer_health(struct gateway *g, void *ctx, struct span answer)
{
    struct ask *q = ctx;
    struct buf feeds = {0};
    struct span c;
    struct keeping keeping = find_keeping(answer);
    uint32_t count = pages_enter_list(answer, "feeds", &c);
    struct feeds_seen seen = {0};
    const char *ill;

    for (uint32_t i = 0; i < count; i++) {
        struct span feed = pages_take(&c);

        see_feed(&seen, feed);
        put_feed(&feeds, feed, i == 0, keeping.has_store);
    }
    ill = gate_is_leaving(g->gate)    ? "this gateway is draining: SIGTERM came"
          : !gate_is_started(g->gate) ? "no broker reached since the start"
          : !answer.len               ? "the broker is away: values are stale"
          : !seen.count               ? "no feeder has ever said hello"
          : !seen.live ? "every feed is silent or has ended: values are stale"
          : seen.refusing == seen.live
              ? "feeds are live, but the broker accepts none of their quotes"
              : NULL;
    put_verdict(&q->body, ill, &seen, &keeping);
    put_broker(g, &q->body, answer);
    put_keeping(&q->body, &keeping);
    buf_adds(&q->body, ",\"feeds\":[");
    buf_add(&q->body, feeds.data, feeds.len);
    buf_addc(&q->body, ']');
    buf_free(&feeds);
    buf_adds(&q->body, ",\"gateway\":{\"name\":");
    buf_jsons(&q->body, g->name);
    member_text(&q->body, "version", SPAN(PREGON_VERSION));
    pages_put_time(&q->body, "started", (uint64_t)g->started_us);
    member_u(&q->body, "active_connections", g->place_count);
    member_u(&q->body, "max_connections", (uint64_t)gate_limit(g->gate));
    member_flag(&q->body, "websocket_enabled", g->config.websocket_enabled);
    member_u(&q->body, "symbols", hub_symbol_count(g->hub));
    buf_addc(&q->body, '}');
    pages_put_timestamp(g, &q->body);
    ask_answer(g->asks, q, ill ? 503 : 200);
}

/* --- websocket_status ------------------------------------------------------------------ */

static void put_connection(struct buf *b, const struct ask *q, bool is_first,
                           struct span gateway, struct span host, uint64_t port,
                           uint64_t since_us, struct span protocol)
{
    buf_adds(b, is_first ? "{\"host\":" : ",{\"host\":");
    buf_json(b, q->privileged ? host : SPAN(""));
    member_u(b, "port", q->privileged ? port : 0);
    member_u(b, "state", STATE_CONNECTED);
    member_text(b, "gateway", gateway);
    pages_put_time(b, "since", since_us);
    member_text(b, "protocol", protocol);
    buf_addc(b, '}');
}

static uint32_t put_all_connections(struct ask *q, struct span answer)
{
    struct span c;
    uint32_t count = pages_enter_list(answer, "connections", &c);

    for (uint32_t i = 0; i < count; i++) {
        struct pack_value head, gateway, host, port, since, protocol;

        if (!pack_next(&c, &head) || head.type != PACK_ARRAY || head.count != 5 ||
            !pack_next(&c, &gateway) || !pack_next(&c, &host) ||
            !pack_next(&c, &port) || !pack_next(&c, &since) ||
            !pack_next(&c, &protocol) || gateway.type != PACK_STR ||
            host.type != PACK_STR || port.type != PACK_UINT ||
            since.type != PACK_UINT || protocol.type != PACK_STR)
            return i;
        put_connection(&q->body, q, i == 0, gateway.text, host.text, port.u, since.u,
                       protocol.text);
    }
    return count;
}

static uint32_t put_own_connections(struct gateway *g, struct ask *q)
{
    uint32_t count = 0;
    uint64_t skip = q->offset;

    for (size_t i = 0; i < g->client_count && count < q->limit; i++) {
        const struct client *c = g->clients[i];

        if (!c->has_place || skip-- > 0)
            continue;
        skip = 0;
        put_connection(&q->body, q, count++ == 0, span_of(g->name), span_of(c->host),
                       c->port, (uint64_t)c->since_us,
                       c->sub.encoding == ENCODING_MSGPACK ? SPAN("msgpack")
                                                           : SPAN("json"));
    }
    return count;
}

static void put_gateways(struct gateway *g, struct buf *b, struct span answer)
{
    struct span c;
    uint32_t count = pages_enter_list(answer, "gateways", &c);

    buf_adds(b, ",\"gateways\":[");
    for (uint32_t i = 0; i < count; i++) {
        struct span gateway = pages_take(&c);

        buf_adds(b, i ? ",{\"name\":" : "{\"name\":");
        buf_json(b, pack_find_text(gateway, "name"));
        member_text(b, "http", pack_find_text(gateway, "http"));
        member_u(b, "active_connections", pack_find_u(gateway, "connections", 0));
        member_u(b, "max_connections", pack_find_u(gateway, "limit", 0));
        pages_put_time(b, "since", pack_find_u(gateway, "since", 0));
        buf_addc(b, '}');
    }
    if (!answer.len) {
        buf_adds(b, "{\"name\":");
        buf_jsons(b, g->name);
        member_text(b, "http", span_of(g->http_address));
        member_u(b, "active_connections", g->place_count);
        member_u(b, "max_connections", (uint64_t)gate_limit(g->gate));
        pages_put_time(b, "since", (uint64_t)g->started_us);
        buf_addc(b, '}');
    }
    buf_addc(b, ']');
}

static void answer_status(struct gateway *g, void *ctx, struct span answer)
{
    struct ask *q = ctx;
    uint64_t total = answer.len ? pack_find_u(answer, "total", 0) : g->place_count;
    struct buf *b = &q->body;
    uint32_t shown;

    buf_adds(b, "{\"active_connections\":");
    buf_addu(b, total);
    buf_adds(b, ",\"connections\":[");
    shown = answer.len ? put_all_connections(q, answer) : put_own_connections(g, q);
    buf_addc(b, ']');
    member_u(b, "offset", q->offset);
    member_u(b, "limit", q->limit);
    member_flag(b, "truncated", q->offset + shown < total);
    member_flag(b, "complete", answer.len > 0);
    member_flag(b, "websocket_enabled", g->config.websocket_enabled);
    put_gateways(g, b, answer);
    buf_adds(b, ",\"gateway\":{\"name\":");
    buf_jsons(b, g->name);
    member_u(b, "active_connections", g->place_count);
    member_u(b, "max_connections", (uint64_t)gate_limit(g->gate));
    buf_printf(b, ",\"timeout\":%lld.%03lld",
               (long long)g->config.websocket_timeout / 1000,
               (long long)g->config.websocket_timeout % 1000);
    member_u(b, "symbols", hub_symbol_count(g->hub));
    member_u(b, "bytes_sent", g->figures.bytes_out);
    member_u(b, "merged", pages_merged(g));
    member_u(b, "upstream_gaps", upstream_gaps(g->upstream));
    buf_adds(b, ",\"refusals\":");
    gate_refusals_json(g->gate, b);
    buf_addc(b, '}');
    pages_put_timestamp(g, b);
    ask_answer(g->asks, q, 200);
}

/* --- what workers ask of the broker itself -------------------------------------------------- */

static void answer_forwarded(struct gateway *g, void *ctx, struct span answer)
{
    struct ask *q = ctx;

    buf_add(&q->body, answer.at, answer.len);
    ask_answer(g->asks, q, answer.len ? 200 : 503);
}

/* --- asking --------------------------------------------------------------------------------- */

static void ask_page(struct gateway *g, struct ask *q, const char *op, const char *key,
                     upstream_answer *on_answer)
{
    struct buf b = {0};
    msgpack_packer pk;
    bool is_snapshot = strcmp(op, "snapshot") == 0;

    msgpack_packer_init(&pk, &b, buf_pack_write);
    if (is_snapshot)
        pack_kv_text(&pk, "pattern", span_of(q->text[0] ? q->text : "*"));
    pack_kv_u(&pk, key, q->offset);
    pack_kv_u(&pk, "limit", q->limit);
    upstream_ask(g->upstream, op, is_snapshot ? 3 : 2, buf_span(&b), q, on_answer);
    buf_free(&b);
}

void pages_ask_quotes(struct gateway *g, struct ask *q)
{
    ask_page(g, q, "snapshot", "from", pages_answer_quotes);
}

static void ask_history(struct gateway *g, struct ask *q)
{
    const struct timeline *t = &q->timeline;
    struct buf b = {0};
    msgpack_packer pk;

    msgpack_packer_init(&pk, &b, buf_pack_write);
    pack_kv_text(&pk, "symbol", span_of(q->text));
    pack_kv_text(&pk, "order", t->is_oldest_first ? SPAN("oldest") : SPAN("newest"));
    pack_kv_u(&pk, "after", t->after);
    pack_kv_u(&pk, "before", t->before);
    pack_kv_u(&pk, "since", t->since_us);
    pack_kv_u(&pk, "until", t->until_us);
    pack_kv_u(&pk, "limit", q->limit);
    upstream_ask(g->upstream, "history", 7, buf_span(&b), q, pages_answer_history);
    buf_free(&b);
}

static void take_question(struct gateway *g, struct ask *q)
{
    switch (q->kind) {
    case ASK_LIVE:
        ask_answer(g->asks, q, 200);
        break;
    case ASK_HEALTH:
        upstream_ask(g->upstream, "status", 0, SPAN(""), q, answer_health);
        break;
    case ASK_METRICS:
        upstream_ask(g->upstream, "status", 0, SPAN(""), q, pages_answer_metrics);
        break;
    case ASK_WEBSOCKET_STATUS:
        ask_page(g, q, "connections", "offset", answer_status);
        break;
    case ASK_QUOTES:
        if (!pages_take_quotes(g, q))
            pages_ask_quotes(g, q);
        break;
    case ASK_QUOTE:
        q->offset = 0;
        q->limit = 1;
        ask_page(g, q, "snapshot", "from", pages_answer_quote);
        break;
    case ASK_HISTORY:
        ask_history(g, q);
        break;
    case ASK_BROKER:
        upstream_forward(g->upstream, q->op, q->members, buf_span(&q->question), q,
                         answer_forwarded);
        break;
    }
}

void pages_answer(struct gateway *g)
{
    struct ask *q;

    while ((q = ask_take(g->asks)))
        take_question(g, q);
}
