#include "gateway/routes/handlers_private.h"

#include <msgpack.h>
#include <stdio.h>
#include <string.h>

#include "gateway/session/client.h"
#include "gateway/session/stream.h"
#include "gateway/upstream/upstream.h"
#include "shared/wire/pack.h"

#define STATE_CONNECTED 1 /* as Starlette's WebSocketState, which the old page showed */

void handlers_put_timestamp(struct gateway *g, struct buf *b)
{
    buf_adds(b, ",\"timestamp\":");
    buf_json_time(b, g->wall_us);
    buf_adds(b, "}\n");
}

void handlers_put_time(struct buf *b, const char *key, uint64_t wall_us)
{
    buf_printf(b, ",\"%s\":", key);
    buf_json_time(b, (int64_t)wall_us);
}

/* Enter the list `key` of an answer; returns its length, *c stands at its first element. */
uint32_t handlers_enter_list(struct span answer, const char *key, struct span *c)
{
    struct pack_value list;

    if (!pack_find(answer, key, &list, c) || list.type != PACK_ARRAY)
        return 0;
    pack_next(c, &list);
    return list.count;
}

struct span handlers_take(struct span *c)
{
    struct span start = *c;

    pack_skip(c);
    return (struct span){start.at, start.len - c->len};
}

/* --- websocket_status ------------------------------------------------------------------ */

static void put_connection(struct buf *b, const struct loop_request *q, bool is_first,
                           struct span gateway, struct span host, uint64_t port,
                           uint64_t since_us, struct span protocol)
{
    buf_adds(b, is_first ? "{\"host\":" : ",{\"host\":");
    buf_json(b, q->privileged ? host : SPAN(""));
    member_u(b, "port", q->privileged ? port : 0);
    member_u(b, "state", STATE_CONNECTED);
    member_text(b, "gateway", gateway);
    handlers_put_time(b, "since", since_us);
    member_text(b, "protocol", protocol);
    buf_addc(b, '}');
}

static uint32_t put_all_connections(struct loop_request *q, struct span answer)
{
    struct span c;
    uint32_t count = handlers_enter_list(answer, "connections", &c);

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

/*
 * While the broker is away.  A page begins at the client of that number and looks at no client
 * before it.  Clients without a place, which stay for a moment only, are numbered, too: a page
 * may repeat a connection of the page before, but leaves none out.
 */
static uint32_t put_own_connections(struct gateway *g, struct loop_request *q)
{
    uint32_t count = 0;

    for (uint64_t i = q->offset; i < g->client_count && count < q->limit; i++) {
        const struct client *c = g->clients[i];

        if (!c->has_place)
            continue;
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
    uint32_t count = handlers_enter_list(answer, "gateways", &c);

    buf_adds(b, ",\"gateways\":[");
    for (uint32_t i = 0; i < count; i++) {
        struct span gateway = handlers_take(&c);

        buf_adds(b, i ? ",{\"name\":" : "{\"name\":");
        buf_json(b, pack_find_text(gateway, "name"));
        member_text(b, "http", pack_find_text(gateway, "http"));
        member_u(b, "active_connections", pack_find_u(gateway, "connections", 0));
        member_u(b, "max_connections", pack_find_u(gateway, "limit", 0));
        handlers_put_time(b, "since", pack_find_u(gateway, "since", 0));
        buf_addc(b, '}');
    }
    if (!answer.len) {
        buf_adds(b, "{\"name\":");
        buf_jsons(b, g->name);
        member_text(b, "http", span_of(g->http_address));
        member_u(b, "active_connections", g->place_count);
        member_u(b, "max_connections", (uint64_t)gate_limit(g->gate));
        handlers_put_time(b, "since", (uint64_t)g->started_us);
        buf_addc(b, '}');
    }
    buf_addc(b, ']');
}

static void answer_status(struct gateway *g, void *ctx, struct span answer)
{
    struct loop_request *q = ctx;
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
    member_u(b, "merged", hub_merged(g->hub));
    member_u(b, "upstream_gaps", upstream_gaps(g->upstream));
    buf_adds(b, ",\"refusals\":");
    gate_refusals_json(g->gate, b);
    buf_addc(b, '}');
    handlers_put_timestamp(g, b);
    loop_request_answer(g->asks, q, 200);
}

/* --- what workers ask of the broker itself -------------------------------------------------- */

static void answer_forwarded(struct gateway *g, void *ctx, struct span answer)
{
    struct loop_request *q = ctx;

    buf_add(&q->body, answer.at, answer.len);
    loop_request_answer(g->asks, q, answer.len ? 200 : 503);
}

/* --- asking --------------------------------------------------------------------------------- */

static void ask_page(struct gateway *g, struct loop_request *q, const char *op,
                     const char *key, upstream_answer *on_answer)
{
    struct buf b = {0};
    msgpack_packer pk;
    bool is_snapshot = strcmp(op, "snapshot") == 0;

    msgpack_packer_init(&pk, &b, buf_pack_write);
    if (is_snapshot)
        pack_kv_text(&pk, "pattern", span_of(q->text[0] ? q->text : "*"));
    pack_kv_u(&pk, key, q->offset);
    pack_kv_u(&pk, "limit", q->limit);
    upstream_request(g->upstream, op, is_snapshot ? 3 : 2, buf_span(&b), q, on_answer);
    buf_free(&b);
}

void handlers_ask_quotes(struct gateway *g, struct loop_request *q)
{
    ask_page(g, q, "snapshot", "from", handlers_answer_quotes);
}

static void ask_history(struct gateway *g, struct loop_request *q)
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
    upstream_request(g->upstream, "history", 7, buf_span(&b), q,
                     handlers_answer_history);
    buf_free(&b);
}

static void take_question(struct gateway *g, struct loop_request *q)
{
    switch (q->kind) {
    case ASK_LIVE:
        loop_request_answer(g->asks, q, 200);
        break;
    case ASK_HEALTH:
        upstream_request(g->upstream, "status", 0, SPAN(""), q, handlers_answer_health);
        break;
    case ASK_METRICS:
        upstream_request(g->upstream, "status", 0, SPAN(""), q,
                         handlers_answer_metrics);
        break;
    case ASK_WEBSOCKET_STATUS:
        ask_page(g, q, "connections", "offset", answer_status);
        break;
    case ASK_QUOTES:
        if (!handlers_take_quotes(g, q))
            handlers_ask_quotes(g, q);
        break;
    case ASK_QUOTE:
        q->offset = 0;
        q->limit = 1;
        ask_page(g, q, "snapshot", "from", handlers_answer_quote);
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

void handlers_answer(struct gateway *g)
{
    struct loop_request *q;

    while ((q = loop_request_take(g->asks)))
        take_question(g, q);
}
