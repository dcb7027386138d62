/*
 * forwarded: the client's address and the host it typed, when a proxy stands between.
 *
 * X-Forwarded-For, -Proto and -Host are believed only from addresses in
 * FORWARDED_ALLOW_IPS: anybody can send them.  The list of hops is walked from the near
 * end while the hops are trusted, so a client cannot put itself in front (as uvicorn
 * does).
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

/* Addresses and networks, or "*".  NULL: *error names the setting, entry and what is
 * allowed. */
struct forwarded_trust *forwarded_trust_new(const char *setting, const char *list,
                                            char error[FORWARDED_ERROR_MAX]);
void forwarded_trust_free(struct forwarded_trust *t);
bool forwarded_is_trusted(const struct forwarded_trust *t, const char *address);

/* As received; NULL: the header was not there.  Repeated headers joined by commas. */
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
    char authority[FORWARDED_AUTHORITY_MAX]; /* host[:port], likewise; may be "" */
    char own_origin[FORWARDED_AUTHORITY_MAX + 10]; /* scheme://authority, or "" */
};

void forwarded_resolve(const struct forwarded_trust *t, const struct forwarded_facts *facts,
                       struct forwarded_client *out);

#endif
