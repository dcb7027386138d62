/*
 * request: what we need to know of one HTTP request, read once from civetweb.
 *
 * Lives in the worker's thread from the first byte to the end of the connection
 * (keep-alive is off: one request each), and carries what a WebSocket handshake holds
 * on its way: the place in the gate and the arrival.  Never shared.
 */
#ifndef GATEWAY_REQUEST_H
#define GATEWAY_REQUEST_H

#include <civetweb.h>
#include <stdbool.h>
#include <stdint.h>

#include "gateway/arrival.h"
#include "gateway/forwarded.h"
#include "gateway/policy.h"
#include "shared/buf.h"

#define REQUEST_PATH_MAX 1024
#define REQUEST_ID_MAX 24

struct request {
    struct mg_connection *conn;
    const struct mg_request_info *info;
    struct policy *policy; /* held */
    char id[REQUEST_ID_MAX];
    char path[REQUEST_PATH_MAX]; /* decoded, without ROOT_PATH */
    bool has_path;               /* false: it could not be decoded */
    const char *query;           /* undecoded, "" if none */
    struct forwarded_client client;
    char client_name[FORWARDED_HOST_MAX + 8]; /* host:port */
    bool is_head;
    bool is_upgrade;      /* Upgrade says websocket: an attempt at a handshake */
    bool has_body_read;   /* whole, so that nothing is left on the socket */
    struct buf joined[3]; /* of headers that came more than once */
    struct buf token[2];  /* ?token=, '+' read as a space and as itself */

    bool has_place; /* in the gate, until the arrival takes it along */
    int socket;     /* of a handshake let in; -1: none, or its client is gone */
    struct arrival *arrival; /* the socket is taken, and on its way to the loop */
    int explain_close;       /* admitted only to be told why not */
    char explain_reason[124];
};

/* Takes over the reference to the policy. */
void request_init(struct request *r, struct mg_connection *conn, struct policy *policy,
                  const char *id);
void request_fini(struct request *r);

/* The one value of a header, or NULL. */
const char *request_header(const struct request *r, const char *name);
/* All of them, joined by ", "; `room` owns the text. */
const char *request_headers(const struct request *r, const char *name,
                            struct buf *room);

/* The token of "Authorization: Bearer …", or NULL. */
const char *request_bearer(const struct request *r);

/*
 * A query parameter, decoded.  False if it is malformed or does not fit; a missing one is
 * "" with *given false.  The router has refused repeated and unknown ones (query_check).
 */
bool request_param(const struct request *r, const char *name, char *out, size_t size,
                   bool *given);
/* A whole number up to `most`.  False if it is there and is none. */
bool request_number(const struct request *r, const char *name, uint64_t most,
                    uint64_t *out);

/* "/path?query" as received, without its secrets (see redact.h): for logs. */
void request_target(const struct request *r, struct buf *out);

/* ROOT_PATH may or may not have been taken off by the proxy: take it off. */
void request_strip_root(char *path, const char *root);

/* Percent-decode.  False: a broken escape, a NUL, or it does not fit. */
bool request_decode(struct span text, char *out, size_t size);

#endif
