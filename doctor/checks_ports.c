/* checks_ports: ports and their holders, descriptors, and the folder of the store. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "doctor/checks.h"
#include "doctor/holder.h"
#include "gateway/limits/descriptors.h"

#define OWN_DESCRIPTORS 40 /* of a gateway without clients, roughly */

/* Could our program listen there?  Call only if no program does. */
static int try_to_listen(const char *host, int port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int fd, one = 1, reason = 0;

    if (strcmp(host, "localhost") == 0)
        a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    else if (inet_pton(AF_INET, host, &a.sin_addr) != 1)
        return EADDRNOTAVAIL;
    fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return 0;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&a, sizeof a))
        reason = errno;
    close(fd);
    return reason;
}

/* No program listens there: could one of ours listen? */
static bool can_listen(struct checks *x, const char *setting, const char *host, int port)
{
    char where[CHECKS_WHERE_MAX];

    switch (try_to_listen(host, port)) {
    case EADDRNOTAVAIL:
        finding_add(&x->found, FINDING_host_not_here,
                    checks_where(x, strcmp(setting, "PORT") == 0 ? "HOST" : setting, where),
                    "give an address of this machine: 127.0.0.1 for this machine alone, "
                    "0.0.0.0 for all",
                    strcmp(setting, "PORT") == 0 ? "HOST=127.0.0.1" : NULL,
                    "%.100s is no IPv4 address of this machine.", host);
        return false;
    case EACCES:
        finding_add(&x->found, FINDING_port_privileged, checks_where(x, setting, where),
                    "take one above 1023, and let a proxy have that one",
                    strcmp(setting, "PORT") == 0 ? "PORT=8000" : NULL,
                    "User %u may not listen on port %d.", (unsigned)geteuid(), port);
        return false;
    default:
        return true;
    }
}

/* Does another program hold it?  A process that the kernel does not show is checked later. */
static bool is_taken(struct checks *x, const char *setting, const char *program,
                     const struct holder *h, const char *address)
{
    char text[100], change[100], where[CHECKS_WHERE_MAX];

    if (!h->pid || strcmp(h->program, program) == 0)
        return false;
    snprintf(change, sizeof change, "PORT=%d", (int)x->gateway.port + 1);
    finding_add(&x->found, FINDING_port_taken, checks_where(x, setting, where),
                "end that program, or take another port",
                strcmp(setting, "PORT") == 0 ? change : NULL, "%s is held by %s, not by %s.",
                address, holder_text(h, text), program);
    return true;
}

static void look_at_gateway(struct checks *x)
{
    const char *host = x->gateway.host;
    int port = (int)x->gateway.port;
    char address[100], where[CHECKS_WHERE_MAX];
    struct holder h;

    snprintf(x->url, sizeof x->url, "http://%s:%d",
             strcmp(host, "0.0.0.0") == 0 ? "127.0.0.1" : host, port);
    snprintf(address, sizeof address, "%.64s:%d", host, port);
    if (holder_find(host, port, &h)) {
        holder_text(&h, x->holder);
        x->is_gateway_there = !is_taken(x, "PORT", "pregon-gateway", &h, address);
        x->gateway_pid = x->is_gateway_there ? h.pid : 0;
    } else if (can_listen(x, "PORT", host, port)) {
        finding_add(&x->found, FINDING_gateway_not_running, checks_where(x, "PORT", where),
                    port ? "start pregon-gateway and read its first lines; if it runs "
                           "on another "
                           "port, say so: PORT=… pregon-doctor"
                         : "PORT 0 takes a free port: give --gateway-url",
                    NULL, "No program listens on %s.", address);
    }
}

struct address {
    const char *setting, *endpoint;
};

/* A missing broker is one finding, not three. */
static void look_at_broker(struct checks *x)
{
    enum { CONTROL, INGEST, PUBLISH };
    const struct address addresses[] = {
        [CONTROL] = {"BROKER_CONTROL", x->broker.broker_control},
        [INGEST] = {"BROKER_INGEST", x->broker.broker_ingest},
        [PUBLISH] = {"BROKER_PUBLISH", x->broker.broker_publish},
    };
    char host[256], text[300], where[CHECKS_WHERE_MAX];
    struct holder h;
    int port;

    x->is_broker_there = true;
    if (!checks_endpoint(x->broker.broker_control, host, &port) || !checks_is_local(host))
        return; /* on another machine, whose ports are not visible */
    for (int i = 0; i < 3; i++) {
        if (!checks_endpoint(addresses[i].endpoint, host, &port) || !port)
            continue;
        snprintf(text, sizeof text, "%s:%d", host, port);
        if (holder_find(host, port, &h)) {
            if (is_taken(x, addresses[i].setting, "pregon-broker", &h, text))
                x->is_broker_there = false;
        } else if (!can_listen(x, addresses[i].setting, host, port)) {
            x->is_broker_there = false;
        } else if (x->is_broker_there && i != PUBLISH) { /* checked later by listening to it */
            x->is_broker_there = i != CONTROL;
            finding_add(&x->found, FINDING_broker_not_running,
                        checks_where(x, addresses[i].setting, where),
                        "start pregon-broker and read its first lines; if it runs elsewhere, "
                        "set BROKER_INGEST, BROKER_PUBLISH and BROKER_CONTROL to those of its "
                        "ready line",
                        NULL, "No program listens on %s (%s).", text, addresses[i].setting);
        }
    }
}

static void look_at_descriptors(struct checks *x)
{
    long limit = x->gateway_pid ? holder_descriptors(x->gateway_pid) : 0;
    int wanted = (int)x->gateway.websocket_max_connections;
    struct descriptors b = {0};
    char where[CHECKS_WHERE_MAX], change[80];
    struct rlimit own;

    if (!limit && x->config.gateway_url[0])
        return; /* it is on another machine */
    if (!limit && getrlimit(RLIMIT_NOFILE, &own) == 0)
        limit = own.rlim_max > INT32_MAX ? INT32_MAX : (long)own.rlim_max;
    if (descriptors_divide((int)(limit > INT32_MAX ? INT32_MAX : limit), OWN_DESCRIPTORS,
                           (int)x->gateway.http_max_connections, &b) == OK &&
        b.capacity >= wanted)
        return;
    snprintf(change, sizeof change, "WEBSOCKET_MAX_CONNECTIONS=%d", b.capacity);
    finding_add(&x->found, FINDING_descriptors_too_few,
                checks_where(x, "WEBSOCKET_MAX_CONNECTIONS", where),
                "raise the hard limit (ulimit -Hn, LimitNOFILE= in the unit, ulimits: in the "
                "compose file) and start the gateway again, start more gateways, or lower "
                "the number",
                change,
                "WEBSOCKET_MAX_CONNECTIONS is %d, but of %ld descriptors (the hard limit of "
                "%s) "
                "only about %d are left for WebSockets.",
                wanted, limit, x->gateway_pid ? "the running gateway" : "this shell", b.capacity);
}

/* --- the folder of the store ------------------------------------------------------------- */

static void folder_of(const char *path, char out[4000])
{
    const char *slash = strrchr(path, '/');

    if (!slash)
        snprintf(out, 4000, ".");
    else
        snprintf(out, 4000, "%.*s", slash == path ? 1 : (int)(slash - path), path);
}

static void look_at_disk(struct checks *x)
{
    const char *path = broker_config_store(&x->broker);
    char folder[4000], where[CHECKS_WHERE_MAX];
    unsigned long long left;
    struct statvfs s;
    int port;

    if (!path || !path[0] || !checks_endpoint(x->broker.broker_control, folder, &port) ||
        !checks_is_local(folder))
        return;
    folder_of(path, folder);
    if (access(folder, W_OK) != 0) {
        /* A running broker may have another user and folder; its status is checked instead. */
        if (finding_has(&x->found, FINDING_broker_not_running))
            finding_add(&x->found, FINDING_store_folder_missing, checks_where(x, "STORE", where),
                        "make the folder, owned by the broker's user; a path without / at its "
                        "beginning counts from where the broker is started",
                        NULL, "%.300s: %s.", folder, strerror(errno));
        return;
    }
    if (statvfs(folder, &s) != 0)
        return;
    left = (unsigned long long)s.f_bavail * s.f_frsize;
    if (left < (unsigned long long)x->config.disk_free_min)
        finding_add(&x->found, FINDING_disk_low, checks_where(x, "STORE", where),
                    "make room, keep less (RETENTION_COUNT, RETENTION_AGE), or put "
                    "STORE elsewhere",
                    NULL, "%.300s has %llu MiB free, less than %lld MiB (DISK_FREE_MIN).", folder,
                    left >> 20, (long long)x->config.disk_free_min >> 20);
}

void checks_ports(struct checks *x)
{
    if (x->config.gateway_url[0]) {
        snprintf(x->url, sizeof x->url, "%s", x->config.gateway_url);
        x->is_gateway_there = true;
    } else {
        look_at_gateway(x);
    }
    look_at_broker(x);
    look_at_descriptors(x);
    look_at_disk(x);
}
