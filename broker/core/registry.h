/*
 * registry: the gateways that the broker knows, and their connections.
 *
 * Gateways report a reset with all connections, then each one that opened or closed, and a
 * heartbeat with their number.  If the number differs from the registry's, a report was lost, and
 * the broker requests a full report.  When a gateway is silent for WIRE_GATEWAY_LEASE_MS, the
 * registry drops it and its connections.
 *
 * `now` is the loop's awake clock in ms.  Owned by the broker's loop; no I/O.
 */
#ifndef BROKER_CORE_REGISTRY_H
#define BROKER_CORE_REGISTRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/base/buf.h"
#include "shared/base/err.h"
#include "shared/base/table.h"

#define REGISTRY_GATEWAYS_MAX 256
#define REGISTRY_CONNECTIONS_MAX 250000 /* in all */
/*
 * A gateway may report this many connections above twice its stated limit: a limit that was lowered
 * closes no connection.
 */
#define REGISTRY_ABOVE_LIMIT 1024
#define REGISTRY_PEER_MAX 64

struct registry_connection {
    uint64_t id; /* unique within its gateway */
    int64_t since_us;
    uint16_t port;
    char protocol[8]; /* as its gateway states it: "json" */
    char host[47];    /* textual address */
    /* private to the registry */
    size_t place; /* in its gateway's connections */
    struct table_node node;
};

struct registry_gateway {
    char name[65], host[65], http[80];
    uint64_t pid, limit;
    char peer[REGISTRY_PEER_MAX];
    size_t peer_len;
    int64_t heard_at;
    int64_t since_us;
    struct registry_connection **connections; /* dense, in no order */
    size_t count, cap;
    struct table by_id; /* private */
};

struct registry;

struct registry *registry_new(void);
void registry_free(struct registry *r);

struct registry_hello {
    struct span peer, name, host, http;
    uint64_t pid, limit;
    int64_t wall_us;
};

/*
 * A gateway sent a hello; the registry drops its connections until it reports them.  In a full
 * table, the gateway without connections that is silent longest makes room.  ERR_FULL: all gateways
 * have connections.
 */
MUST_CHECK enum err registry_hello(struct registry *r, const struct registry_hello *h, int64_t now);
/* The gateway of this peer; renews its lease.  NULL: unknown, the gateway must send a hello. */
struct registry_gateway *registry_renew(struct registry *r, struct span peer, int64_t now);

void registry_reset(struct registry *r, struct registry_gateway *g);
/*
 * A second report of the same id replaces the first.  ERR_FULL: too many, of this gateway or in
 * all.
 */
enum err registry_open(struct registry *r, struct registry_gateway *g,
                       const struct registry_connection *c);
void registry_close(struct registry *r, struct registry_gateway *g, uint64_t id);

void registry_remove(struct registry *r, struct registry_gateway *g);
/* A gateway whose lease has expired, or NULL.  The caller logs it and calls registry_remove. */
struct registry_gateway *registry_expired(struct registry *r, int64_t now);

size_t registry_total(const struct registry *r); /* connections */
size_t registry_gateways(const struct registry *r);
const struct registry_gateway *registry_at(const struct registry *r, size_t index);

#endif
