#include "gateway/routes/handlers_private.h"

#include "gateway/fanout/framing.h"
#include "gateway/limits/gate.h"
#include "shared/wire/pack.h"

#define STATE_CONNECTED 1 /* as Starlette's WebSocketState, which the first page showed */

/* --- websocket_status ------------------------------------------------------------------ */

static void put_connection(struct buf *b, const struct loop_request *q, bool is_first,
                           struct span gateway, struct span host, uint64_t port, uint64_t since_us,
                           struct span protocol)
{
    buf_adds(b, is_first ? "{\"host\":" : ",{\"host\":");
    buf_json(b, q->privileged ? host : SPAN(""));
    member_u(b, "port", q->privileged ? port : 0);
    member_u(b, "state", STATE_CONNECTED);
    member_text(b, "gateway", gateway);
    member_time(b, "since", since_us);
    member_text(b, "protocol", protocol);
    buf_addc(b, '}');
}

static uint32_t put_all_connections(struct loop_request *q, struct span answer)
{
    struct span c;
    uint32_t count = pack_find_list(answer, "connections", &c);

    for (uint32_t i = 0; i < count; i++) {
        struct span gateway, host, protocol;
        uint64_t port, since;

        if (!pack_next_array(&c, 5) || !pack_next_text(&c, &gateway) ||
            !pack_next_text(&c, &host) || !pack_next_u(&c, &port) || !pack_next_u(&c, &since) ||
            !pack_next_text(&c, &protocol))
            return i;
        put_connection(&q->body, q, i == 0, gateway, host, port, since, protocol);
    }
    return count;
}

/*
 * Used while the broker is away.  A page begins at the client with this number and looks at no
 * client before it.  Clients without a place, which stay only briefly, are numbered too: a page may
 * repeat a connection of the previous page, but omits none.
 */
static uint32_t put_own_connections(struct handlers *h, struct loop_request *q)
{
    uint32_t count = 0;

    for (uint64_t i = q->offset; i < h->sessions->count && count < q->limit; i++) {
        const struct session *s = h->sessions->list[i];

        if (!s->has_place)
            continue;
        put_connection(&q->body, q, count++ == 0, span_of(h->name), span_of(s->host), s->port,
                       (uint64_t)s->since_us, span_of(framing_protocol(s->sub.encoding)));
    }
    return count;
}

static void put_gateways(struct handlers *h, struct buf *b, struct span answer)
{
    struct span c;
    uint32_t count = pack_find_list(answer, "gateways", &c);

    buf_adds(b, ",\"gateways\":[");
    for (uint32_t i = 0; i < count; i++) {
        struct span gateway = pack_next_raw(&c);

        buf_adds(b, i ? ",{\"name\":" : "{\"name\":");
        buf_json(b, pack_find_text(gateway, "name"));
        member_text(b, "http", pack_find_text(gateway, "http"));
        member_u(b, "active_connections", pack_find_u(gateway, "connections", 0));
        member_u(b, "max_connections", pack_find_u(gateway, "limit", 0));
        member_time(b, "since", pack_find_u(gateway, "since", 0));
        buf_addc(b, '}');
    }
    if (!answer.len) {
        buf_adds(b, "{\"name\":");
        buf_jsons(b, h->name);
        member_text(b, "http", span_of(h->http_address));
        member_u(b, "active_connections", h->sessions->place_count);
        member_u(b, "max_connections", (uint64_t)gate_limit(h->gate));
        member_time(b, "since", (uint64_t)h->started_us);
        buf_addc(b, '}');
    }
    buf_addc(b, ']');
}

static void answer_status(void *ctx, struct span answer)
{
    struct loop_request *q = ctx;
    struct handlers *h = q->handlers;
    uint64_t total = answer.len ? pack_find_u(answer, "total", 0) : h->sessions->place_count;
    struct buf *b = &q->body;
    uint32_t shown;

    buf_adds(b, "{\"active_connections\":");
    buf_addu(b, total);
    buf_adds(b, ",\"connections\":[");
    shown = answer.len ? put_all_connections(q, answer) : put_own_connections(h, q);
    buf_addc(b, ']');
    member_u(b, "offset", q->offset);
    member_u(b, "limit", q->limit);
    member_flag(b, "truncated", q->offset + shown < total);
    member_flag(b, "complete", answer.len > 0);
    member_flag(b, "websocket_enabled", h->config->websocket_enabled);
    put_gateways(h, b, answer);
    buf_adds(b, ",\"gateway\":{\"name\":");
    buf_jsons(b, h->name);
    member_u(b, "active_connections", h->sessions->place_count);
    member_u(b, "max_connections", (uint64_t)gate_limit(h->gate));
    buf_printf(b, ",\"timeout\":%lld.%03lld", (long long)h->config->websocket_timeout / 1000,
               (long long)h->config->websocket_timeout % 1000);
    member_u(b, "symbols", hub_symbol_count(h->hub));
    member_u(b, "bytes_sent", h->sessions->counters->bytes_out);
    member_u(b, "merged", hub_merged(h->hub));
    member_u(b, "upstream_gaps", upstream_gaps(h->upstream));
    buf_adds(b, ",\"refusals\":");
    gate_refusals_json(h->gate, b);
    buf_addc(b, '}');
    handlers_put_timestamp(h, b);
    loop_request_answer(h->requests, q, 200);
}

/* --- what workers ask of the broker itself -------------------------------------------------- */

static void answer_forwarded(void *ctx, struct span answer)
{
    struct loop_request *q = ctx;

    buf_add(&q->body, answer.at, answer.len);
    loop_request_answer(q->handlers->requests, q, answer.len ? 200 : 503);
}

static void take_request(struct handlers *h, struct loop_request *q)
{
    q->handlers = h;
    switch (q->kind) {
    case LOOP_REQUEST_LIVE:
        loop_request_answer(h->requests, q, 200);
        break;
    case LOOP_REQUEST_HEALTH:
        upstream_request(h->upstream, "status", 0, SPAN(""), q, handlers_answer_health);
        break;
    case LOOP_REQUEST_METRICS:
        upstream_request(h->upstream, "status", 0, SPAN(""), q, handlers_answer_metrics);
        break;
    case LOOP_REQUEST_WEBSOCKET_STATUS:
        handlers_ask_page(q, "connections", NULL, "offset", answer_status);
        break;
    case LOOP_REQUEST_QUOTES:
        handlers_ask_quotes(q);
        break;
    case LOOP_REQUEST_QUOTE:
        handlers_ask_quote(q);
        break;
    case LOOP_REQUEST_HISTORY:
        handlers_ask_history(q);
        break;
    case LOOP_REQUEST_BROKER:
        q->is_sent = upstream_is_here(h->upstream);
        upstream_forward(h->upstream, q->op, q->members, buf_span(&q->arguments), q,
                         answer_forwarded);
        break;
    }
}

void handlers_answer(struct handlers *h)
{
    struct loop_request *q;

    while ((q = loop_request_take(h->requests)))
        take_request(h, q);
}
