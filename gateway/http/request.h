/*
 * request: the data that handlers need about one HTTP request, read once from its head.
 *
 * Lives on the worker's thread while it answers, within the life of its connection (one request
 * each).  Never shared.
 */
#ifndef GATEWAY_HTTP_REQUEST_H
#define GATEWAY_HTTP_REQUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "gateway/policy/forwarded.h"
#include "gateway/http/front.h"
#include "gateway/http/head.h"
#include "gateway/policy/policy.h"
#include "shared/base/buf.h"

#define REQUEST_PATH_MAX 1024

struct request {
    struct connection *conn;
    const struct head *head;     /* the connection's */
    struct policy *policy;       /* held */
    char path[REQUEST_PATH_MAX]; /* decoded, without ROOT_PATH */
    bool has_path;               /* false: it could not be decoded */
    const char *query;           /* not decoded, "" if none */
    const char *id;              /* of the request, for logs and the answer */
    struct forwarded_client client;
    char client_name[FORWARDED_HOST_MAX + 8]; /* host:port */
    bool is_head;
    bool is_upgrade;      /* Upgrade is websocket: an attempt at a handshake */
    size_t wanted_body;   /* run the handler again with this many bytes of body; 0: no */
    struct buf joined[6]; /* of headers that came more than once */
    struct buf token[2];  /* ?token=, '+' read as a space and as itself */

    bool has_place;    /* in the gate, until the accepted connection takes it along */
    int explain_close; /* admitted only to be closed with this code */
    char explain_reason[124];
    int64_t explain_retry_ms;
};

/* Takes ownership of the reference to the policy. */
void request_init(struct request *r, struct connection *conn, struct policy *policy);
void request_fini(struct request *r);

/* The first value of a header, or NULL. */
const char *request_header(const struct request *r, const char *name);
/* All values of the header, joined by ", "; `room` owns the text. */
const char *request_headers(const struct request *r, const char *name, struct buf *room);

/* The token of "Authorization: Bearer …", or NULL. */
const char *request_bearer(const struct request *r);

/*
 * A query parameter, decoded.  false if it is malformed or does not fit; a missing parameter is ""
 * with *given false.  The router has refused repeated and unknown ones (query_check).
 */
bool request_param(const struct request *r, const char *name, char *out, size_t size, bool *given);
/* A whole number up to `most`.  false if the parameter is present and not such a number. */
bool request_number(const struct request *r, const char *name, uint64_t most, uint64_t *out);

/* "/path?query" as received, without its secrets (see redact.h): for logs. */
void request_target(const struct request *r, struct buf *out);

/* ROOT_PATH may or may not have been taken off by the proxy: take it off. */
void request_strip_root(char *path, const char *root);

/* Percent-decode.  False: a broken escape, a NUL, or it does not fit. */
bool request_decode(struct span text, char *out, size_t size);

#endif
