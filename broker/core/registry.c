#include "broker/core/registry.h"

#include <stdlib.h>
#include <string.h>

#include "shared/base/array.h"
#include "shared/base/mem.h"
#include "shared/wire/wire.h"

struct registry {
    struct registry_gateway *gateways[REGISTRY_GATEWAYS_MAX];
    size_t gateway_count, total;
};

struct registry *registry_new(void)
{
    return mem_zalloc(sizeof(struct registry));
}

static void forget_connections(struct registry *r, struct registry_gateway *g)
{
    r->total -= g->count;
    for (size_t i = 0; i < g->count; i++)
        free(g->connections[i]);
    free(g->connections);
    g->connections = NULL;
    g->count = g->cap = 0;
    table_free(&g->by_id);
}

void registry_remove(struct registry *r, struct registry_gateway *g)
{
    for (size_t i = 0; i < r->gateway_count; i++)
        if (r->gateways[i] == g)
            r->gateways[i] = r->gateways[--r->gateway_count];
    forget_connections(r, g);
    free(g);
}

void registry_free(struct registry *r)
{
    if (!r)
        return;
    while (r->gateway_count)
        registry_remove(r, r->gateways[0]);
    free(r);
}

static struct registry_gateway *find(struct registry *r, struct span peer)
{
    for (size_t i = 0; i < r->gateway_count; i++) {
        struct registry_gateway *g = r->gateways[i];

        if (g->peer_len == peer.len && memcmp(g->peer, peer.at, peer.len) == 0)
            return g;
    }
    return NULL;
}

/* Drop a gateway without connections to make room; if it is still alive, it sends a hello again. */
static bool make_room(struct registry *r)
{
    struct registry_gateway *found = NULL;

    for (size_t i = 0; i < r->gateway_count; i++) {
        struct registry_gateway *g = r->gateways[i];

        if (!g->count && (!found || g->heard_at < found->heard_at))
            found = g;
    }
    if (found)
        registry_remove(r, found);
    return found;
}

enum err registry_hello(struct registry *r, const struct registry_hello *h, int64_t now)
{
    struct registry_gateway *g = find(r, h->peer);

    if (!h->name.len || h->name.len > 64 || h->peer.len > REGISTRY_PEER_MAX)
        return ERR_INVALID;
    /* The same gateway on a new connection: forget the old connection. */
    for (size_t i = 0; !g && i < r->gateway_count; i++)
        if (span_eq(h->name, r->gateways[i]->name) && r->gateways[i]->pid == h->pid &&
            span_eq(h->host, r->gateways[i]->host))
            g = r->gateways[i];
    if (!g) {
        if (r->gateway_count == REGISTRY_GATEWAYS_MAX && !make_room(r))
            return ERR_FULL;
        g = mem_zalloc(sizeof *g);
        g->since_us = h->wall_us;
        r->gateways[r->gateway_count++] = g;
    }
    forget_connections(r, g);
    memcpy(g->peer, h->peer.at, h->peer.len);
    g->peer_len = h->peer.len;
    span_copy(g->name, sizeof g->name, h->name);
    span_copy(g->host, sizeof g->host, h->host);
    span_copy(g->http, sizeof g->http, h->http);
    g->pid = h->pid;
    g->limit = h->limit < REGISTRY_CONNECTIONS_MAX ? h->limit : REGISTRY_CONNECTIONS_MAX;
    g->heard_at = now;
    return OK;
}

struct registry_gateway *registry_renew(struct registry *r, struct span peer, int64_t now)
{
    struct registry_gateway *g = find(r, peer);

    if (g)
        g->heard_at = now;
    return g;
}

void registry_reset(struct registry *r, struct registry_gateway *g)
{
    forget_connections(r, g);
}

static uint32_t hash_id(uint64_t id)
{
    return (uint32_t)(id * 0x9E3779B97F4A7C15u >> 32);
}

static struct registry_connection *find_id(const struct registry_gateway *g, uint64_t id)
{
    for (struct table_node *n = table_first(&g->by_id, hash_id(id)); n; n = table_next(n)) {
        struct registry_connection *c = TABLE_OWNER(n, struct registry_connection, node);

        if (c->id == id)
            return c;
    }
    return NULL;
}

enum err registry_open(struct registry *r, struct registry_gateway *g,
                       const struct registry_connection *c)
{
    struct registry_connection *own = find_id(g, c->id);
    size_t place = own ? own->place : g->count;

    if (!own) {
        if (r->total == REGISTRY_CONNECTIONS_MAX ||
            g->count / 2 >= g->limit + REGISTRY_ABOVE_LIMIT / 2)
            return ERR_FULL;
        own = mem_zalloc(sizeof *own);
        ARRAY_ADD(g->connections, g->cap, g->count, own);
        r->total++;
    } else {
        table_remove(&g->by_id, &own->node);
    }
    *own = *c;
    own->place = place;
    table_add(&g->by_id, &own->node, hash_id(own->id));
    return OK;
}

void registry_close(struct registry *r, struct registry_gateway *g, uint64_t id)
{
    struct registry_connection *c = find_id(g, id);

    if (!c)
        return;
    table_remove(&g->by_id, &c->node);
    g->count--;
    r->total--;
    g->connections[c->place] = g->connections[g->count];
    g->connections[c->place]->place = c->place;
    free(c);
}

struct registry_gateway *registry_expired(struct registry *r, int64_t now)
{
    for (size_t i = 0; i < r->gateway_count; i++)
        if (now - r->gateways[i]->heard_at >= WIRE_GATEWAY_LEASE_MS)
            return r->gateways[i];
    return NULL;
}

size_t registry_total(const struct registry *r)
{
    return r->total;
}

size_t registry_gateways(const struct registry *r)
{
    return r->gateway_count;
}

const struct registry_gateway *registry_at(const struct registry *r, size_t index)
{
    return r->gateways[index];
}
