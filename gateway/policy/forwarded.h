/*
 * forwarded: the client's address and the host that it requested, if a proxy is in between.
 *
 * The gateway uses X-Forwarded-For, -Proto and -Host only from addresses in FORWARDED_ALLOW_IPS,
 * because any client can send them.  It walks the list of hops from the nearest one as long as the
 * hops are trusted, as uvicorn does, so a client cannot forge its address.
 *
 * No I/O.  The trust is immutable once made: any thread may read it.
 */
#ifndef GATEWAY_POLICY_FORWARDED_H
#define GATEWAY_POLICY_FORWARDED_H

#include <stdbool.h>

#include "gateway/policy/list.h"

#define FORWARDED_ERROR_MAX LIST_ERROR_MAX
#define FORWARDED_HOST_MAX 63
#define FORWARDED_AUTHORITY_MAX 270

struct forwarded_trust;

/*
 * Addresses and networks, or "*".  NULL: *error names the setting, the entry and the permitted
 * form.
 */
struct forwarded_trust *forwarded_trust_new(const char *setting, const char *list,
                                            char error[FORWARDED_ERROR_MAX]);
void forwarded_trust_free(struct forwarded_trust *t);
bool forwarded_is_trusted(const struct forwarded_trust *t, const char *address);

/* The headers as received, repeated ones joined by commas; NULL: there was no such header. */
struct forwarded_facts {
    const char *peer; /* address of the other end of the connection */
    int peer_port;
    const char *host; /* the Host header */
    const char *x_for, *x_proto, *x_host;
};

struct forwarded_client {
    bool peer_is_trusted;                    /* so that the headers, if there, were believed */
    bool is_proxied;                         /* and one was there */
    char host[FORWARDED_HOST_MAX + 1];       /* the client's address */
    int port;                                /* 0: behind a proxy that does not send it */
    char scheme[8];                          /* "http" or "https", as the client typed it */
    char authority[FORWARDED_AUTHORITY_MAX]; /* host[:port] from these headers; may be "" */
    char own_origin[FORWARDED_AUTHORITY_MAX + 10]; /* scheme://authority, or "" */
};

void forwarded_resolve(const struct forwarded_trust *t, const struct forwarded_facts *facts,
                       struct forwarded_client *out);

#endif
