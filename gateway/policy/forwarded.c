#include "gateway/policy/forwarded.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/buf.h"
#include "shared/base/mem.h"

/* Every address as 16 bytes, IPv4 as ::ffff:a.b.c.d, so that one comparison is enough. */
struct address {
    uint8_t bytes[16];
};

struct network {
    struct address address;
    unsigned bits; /* of 128 */
    struct network *next;
};

struct forwarded_trust {
    struct network *networks;
    bool is_any;
};

static bool parse_address(const char *text, struct address *out)
{
    struct in_addr v4;

    if (inet_pton(AF_INET6, text, out->bytes) == 1)
        return true;
    if (inet_pton(AF_INET, text, &v4) != 1)
        return false;
    memset(out->bytes, 0, 10);
    out->bytes[10] = out->bytes[11] = 0xff;
    memcpy(out->bytes + 12, &v4, 4);
    return true;
}

static bool contains(const struct network *n, const struct address *a)
{
    unsigned whole = n->bits / 8, rest = n->bits % 8;

    if (memcmp(n->address.bytes, a->bytes, whole) != 0)
        return false;
    return rest == 0 ||
           ((n->address.bytes[whole] ^ a->bytes[whole]) & (0xff00u >> rest) & 0xffu) == 0;
}

static bool parse_network(const char *text, struct network *out)
{
    char address[INET6_ADDRSTRLEN + 1];
    const char *slash = strchr(text, '/');
    size_t len = slash ? (size_t)(slash - text) : strlen(text);
    bool is_v4 = !memchr(text, ':', len);
    unsigned most = is_v4 ? 32 : 128, bits = most;

    if (len >= sizeof address)
        return false;
    memcpy(address, text, len);
    address[len] = '\0';
    if (!parse_address(address, &out->address))
        return false;
    if (slash) {
        char *end;
        unsigned long n;

        if (!isdigit((unsigned char)slash[1]))
            return false;
        n = strtoul(slash + 1, &end, 10);
        if (*end || n > most)
            return false;
        bits = (unsigned)n;
    }
    out->bits = bits + (is_v4 ? 96 : 0);
    return true;
}

static void add_entry(void *into, const char *entry, const char *setting,
                      char error[LIST_ERROR_MAX])
{
    struct forwarded_trust *trust = into;
    struct network n = {0}, *copy;

    if (strcmp(entry, "*") == 0) {
        trust->is_any = true;
        return;
    }
    if (!parse_network(entry, &n)) {
        snprintf(error, LIST_ERROR_MAX,
                 "%s: entry '%.100s' is neither an address nor a network.  Allowed: "
                 "addresses (10.1.2.3, ::1), networks (10.0.0.0/8), or * for all",
                 setting, entry);
        return;
    }
    copy = mem_alloc(sizeof *copy);
    *copy = n;
    copy->next = trust->networks;
    trust->networks = copy;
}

struct forwarded_trust *forwarded_trust_new(const char *setting, const char *list,
                                            char error[FORWARDED_ERROR_MAX])
{
    struct forwarded_trust *t = mem_zalloc(sizeof *t);

    error[0] = '\0';
    if (list_read(setting, list, NULL, add_entry, t, error))
        return t;
    forwarded_trust_free(t);
    return NULL;
}

void forwarded_trust_free(struct forwarded_trust *t)
{
    if (!t)
        return;
    while (t->networks) {
        struct network *n = t->networks;

        t->networks = n->next;
        free(n);
    }
    free(t);
}

bool forwarded_is_trusted(const struct forwarded_trust *t, const char *address)
{
    struct address a;

    if (t->is_any)
        return true;
    if (!parse_address(address, &a))
        return false;
    for (const struct network *n = t->networks; n; n = n->next)
        if (contains(n, &a))
            return true;
    return false;
}

/* "1.2.3.4", "1.2.3.4:5", "::1", "[::1]:5", each perhaps in quotes. */
static bool parse_hop(struct span text, char host[FORWARDED_HOST_MAX + 1], int *port)
{
    char copy[FORWARDED_HOST_MAX + 10], *at = copy, *end, *colon = NULL;
    struct address ignored;

    if (text.len >= 2 && text.at[0] == '"' && text.at[text.len - 1] == '"')
        text = (struct span){text.at + 1, text.len - 2};
    if (text.len == 0 || text.len >= sizeof copy)
        return false;
    memcpy(copy, text.at, text.len);
    copy[text.len] = '\0';
    if (*at == '[') {
        end = strchr(++at, ']');
        if (!end)
            return false;
        *end++ = '\0';
        if (*end == ':')
            colon = end;
        else if (*end)
            return false;
    } else if ((colon = strchr(at, ':')) && strchr(colon + 1, ':')) {
        colon = NULL; /* a bare IPv6 address */
    }
    *port = 0;
    if (colon) {
        unsigned long n;

        *colon = '\0';
        if (!isdigit((unsigned char)colon[1]))
            return false;
        n = strtoul(colon + 1, &end, 10);
        if (*end || n > 65535)
            return false;
        *port = (int)n;
    }
    if (strlen(at) > FORWARDED_HOST_MAX || !parse_address(at, &ignored))
        return false;
    strcpy(host, at);
    return true;
}

/* Walk from the nearest hop on, as long as the proxies are trusted. */
static void walk_hops(const struct forwarded_trust *t, const char *hops,
                      struct forwarded_client *out)
{
    size_t end = strlen(hops);

    while (forwarded_is_trusted(t, out->host)) {
        size_t start = end;
        char host[FORWARDED_HOST_MAX + 1];
        int port;

        while (start && hops[start - 1] != ',')
            start--;
        if (!parse_hop(list_trim((struct span){hops + start, end - start}), host, &port))
            return;
        strcpy(out->host, host);
        out->port = port;
        if (start == 0)
            return;
        end = start - 1;
    }
}

static bool is_secure(struct span scheme)
{
    return (scheme.len == 5 && strncasecmp(scheme.at, "https", 5) == 0) ||
           (scheme.len == 3 && strncasecmp(scheme.at, "wss", 3) == 0);
}

static void copy_authority(struct span from, char to[FORWARDED_AUTHORITY_MAX])
{
    if (from.len < FORWARDED_AUTHORITY_MAX)
        span_copy(to, FORWARDED_AUTHORITY_MAX, from);
}

void forwarded_resolve(const struct forwarded_trust *t, const struct forwarded_facts *facts,
                       struct forwarded_client *out)
{
    memset(out, 0, sizeof *out);
    snprintf(out->host, sizeof out->host, "%s", facts->peer);
    out->port = facts->peer_port;
    strcpy(out->scheme, "http");
    if (facts->host)
        copy_authority(list_trim(span_of(facts->host)), out->authority);
    out->peer_is_trusted = forwarded_is_trusted(t, facts->peer);
    if (out->peer_is_trusted) {
        out->is_proxied = facts->x_for || facts->x_proto || facts->x_host;
        if (facts->x_for)
            walk_hops(t, facts->x_for, out);
        if (facts->x_proto && is_secure(list_first(facts->x_proto)))
            strcpy(out->scheme, "https");
        if (facts->x_host && list_first(facts->x_host).len)
            copy_authority(list_first(facts->x_host), out->authority);
    }
    if (out->authority[0])
        snprintf(out->own_origin, sizeof out->own_origin, "%s://%s", out->scheme, out->authority);
}
