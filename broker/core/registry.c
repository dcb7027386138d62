#include "broker/core/registry.h"

#include <stdlib.h>
#include <string.h>

#include "shared/base/mem.h"
#include "shared/wire/wire.h"

/* Open addressing, place 0 means empty; deletions shift back, so there are no tombstones. */
struct registry_slot {
    uint64_t id;
    uint32_t place; /* 1 + index into connections */
};

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
    free(g->connections);
    free(g->index);
    g->connections = NULL;
    g->index = NULL;
    g->count = g->cap = g->index_cap = 0;
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

/* One that serves nobody goes; a real one says hello again. */
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
    /* The same gateway behind a new connection: the old one is gone. */
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
    g->limit =
        h->limit < REGISTRY_CONNECTIONS_MAX ? h->limit : REGISTRY_CONNECTIONS_MAX;
    g->heard_at = now;
    return OK;
}

struct registry_gateway *registry_hear(struct registry *r, struct span peer,
                                       int64_t now)
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

static size_t home_of(const struct registry_gateway *g, uint64_t id)
{
    return (size_t)(id * 0x9E3779B97F4A7C15u >> 20) & (g->index_cap - 1);
}

static struct registry_slot *slot_of(const struct registry_gateway *g, uint64_t id)
{
    size_t i = home_of(g, id);

    while (g->index[i].place && g->index[i].id != id)
        i = (i + 1) & (g->index_cap - 1);
    return &g->index[i];
}

static void grow(struct registry_gateway *g)
{
    g->cap = g->cap ? g->cap * 2 : 64;
    g->connections = mem_resize(g->connections, g->cap * sizeof *g->connections);
    free(g->index);
    g->index_cap = g->cap * 2;
    g->index = mem_zalloc(g->index_cap * sizeof *g->index);
    for (size_t i = 0; i < g->count; i++)
        *slot_of(g, g->connections[i].id) =
            (struct registry_slot){g->connections[i].id, (uint32_t)i + 1};
}

enum err registry_open(struct registry *r, struct registry_gateway *g,
                       const struct registry_connection *c)
{
    struct registry_slot *s;

    if (g->count == g->cap)
        grow(g);
    s = slot_of(g, c->id);
    if (s->place) {
        g->connections[s->place - 1] = *c;
        return OK;
    }
    if (r->total == REGISTRY_CONNECTIONS_MAX ||
        g->count / 2 >= g->limit + REGISTRY_ABOVE_LIMIT / 2)
        return ERR_FULL;
    g->connections[g->count++] = *c;
    *s = (struct registry_slot){c->id, (uint32_t)g->count};
    r->total++;
    return OK;
}

static void remove_slot(struct registry_gateway *g, struct registry_slot *s)
{
    size_t mask = g->index_cap - 1, hole = (size_t)(s - g->index), i = hole;

    for (;;) {
        size_t home;

        i = (i + 1) & mask;
        if (!g->index[i].place)
            break;
        home = home_of(g, g->index[i].id);
        if (((i - home) & mask) >= ((i - hole) & mask)) {
            g->index[hole] = g->index[i];
            hole = i;
        }
    }
    g->index[hole].place = 0;
}

void registry_close(struct registry *r, struct registry_gateway *g, uint64_t id)
{
    struct registry_slot *s = g->index ? slot_of(g, id) : NULL;
    size_t place;

    if (!s || !s->place)
        return;
    place = s->place - 1;
    remove_slot(g, s);
    g->count--;
    r->total--;
    if (place != g->count) {
        g->connections[place] = g->connections[g->count];
        slot_of(g, g->connections[place].id)->place = (uint32_t)place + 1;
    }
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
