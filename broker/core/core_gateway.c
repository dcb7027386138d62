/* core_gateway: reports of gateways, and the lists of gateways and connections. */
#include <msgpack.h>
#include <string.h>

#include "broker/core/core_private.h"
#include "shared/wire/pack.h"

#define PAGE_CONNECTIONS 1000

void core_pack_gateways(struct core *d, struct control_request *q)
{
    struct registry *r = d->registry;

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

static bool read_connection(struct span *c, struct registry_connection *out)
{
    struct span host, protocol;
    uint64_t id, port, since;

    if (!pack_next_array(c, 5) || !pack_next_u(c, &id) || !pack_next_text(c, &host) ||
        !pack_next_u(c, &port) || !pack_next_u(c, &since) || !pack_next_text(c, &protocol) ||
        host.len >= sizeof out->host || port > 65535)
        return false;
    *out =
        (struct registry_connection){.id = id, .since_us = (int64_t)since, .port = (uint16_t)port};
    span_copy(out->protocol, sizeof out->protocol, protocol);
    memcpy(out->host, host.at, host.len);
    return true;
}

static void request_report(struct core *d, struct control_request *q)
{
    msgpack_packer pk;

    answer_begin_op(&d->answers, "who", 0, &pk);
    answer_send_op(&d->answers, q->peer);
}

/*
 * A report gets no answer. But the broker sends the op "who" if it does not know the gateway, or if
 * the gateway's count differs from the registry's.
 */
void core_on_report(struct core *d, struct control_request *q)
{
    struct registry_gateway *g = registry_renew(d->registry, q->peer, d->time.awake);
    struct registry_connection c;
    struct span list;
    uint64_t id;
    uint32_t count;

    if (!g) {
        request_report(d, q);
        return;
    }
    if (pack_find_bool(q->map, "reset", false))
        registry_reset(d->registry, g);
    count = pack_find_list(q->map, "opened", &list);
    d->work -= count;
    for (; count && read_connection(&list, &c); count--)
        if (registry_open(d->registry, g, &c))
            break;
    count = pack_find_list(q->map, "closed", &list);
    d->work -= count;
    for (; count && pack_next_u(&list, &id); count--)
        registry_close(d->registry, g, id);
    if (pack_find_u(q->map, "count", g->count) != g->count)
        request_report(d, q);
}

static void pack_connection(msgpack_packer *pk, const struct registry_gateway *g,
                            const struct registry_connection *c)
{
    msgpack_pack_array(pk, 5);
    pack_text(pk, span_of(g->name));
    pack_text(pk, span_of(c->host));
    msgpack_pack_uint64(pk, c->port);
    msgpack_pack_uint64(pk, (uint64_t)c->since_us);
    pack_text(pk, span_of(c->protocol));
}

void core_on_connections(struct core *d, struct control_request *q)
{
    struct registry *r = d->registry;
    uint64_t skip = pack_find_u(q->map, "offset", 0),
             limit = pack_find_u(q->map, "limit", PAGE_CONNECTIONS), count = 0;
    size_t total = registry_total(r);

    if (limit > PAGE_CONNECTIONS)
        limit = PAGE_CONNECTIONS;
    if (skip < total)
        count = total - skip < limit ? total - skip : limit;
    answer_begin(q, 3);
    pack_kv_u(&q->pk, "total", total);
    core_pack_gateways(d, q);
    pack_key(&q->pk, "connections");
    msgpack_pack_array(&q->pk, (size_t)count);
    for (size_t i = 0; i < registry_gateways(r) && count; i++) {
        const struct registry_gateway *g = registry_at(r, i);

        for (size_t k = skip < g->count ? (size_t)skip : g->count; k < g->count && count;
             k++, count--)
            pack_connection(&q->pk, g, g->connections[k]);
        skip -= skip < g->count ? skip : g->count;
    }
    answer_send(q);
}
