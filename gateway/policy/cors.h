/*
 * cors: decides what a page of another origin may read, and sets the headers for its browser.
 *
 * Statuses and texts are those of Starlette, which its users know, with two differences: every
 * answer that depends on the origin has Vary: Origin (otherwise a shared cache gives one page's
 * answer to another page), and Allow-Credentials is sent only to allowed origins.  Source:
 * github.com/encode/starlette starlette/middleware/cors.py, github.com/rs/cors.  "*" with
 * credentials is refused when the policy is made, so Starlette's special case for cookies cannot
 * arise.
 *
 * Pure: any thread, no I/O.
 */
#ifndef GATEWAY_POLICY_CORS_H
#define GATEWAY_POLICY_CORS_H

#include <stdbool.h>

#include "gateway/policy/list.h"
#include "gateway/policy/origin.h"
#include "shared/base/buf.h"

#define CORS_ERROR_MAX LIST_ERROR_MAX

struct cors_settings {
    const char *origins, *methods, *headers, *expose; /* lists; methods, headers "": not set */
    bool allow_credentials;
    int max_age; /* seconds */
};

struct cors_policy;

/* NULL: *error names the setting, its value and the permitted values. */
struct cors_policy *cors_policy_new(const struct cors_settings *settings,
                                    char error[CORS_ERROR_MAX]);
void cors_policy_free(struct cors_policy *p);
const struct origin_list *cors_policy_origins(const struct cors_policy *p);

/* Texts as received; NULL: the header was not there. */
struct cors_request {
    const char *method, *origin;
    const char *request_method, *request_headers; /* Access-Control-Request-… */
    const char *own_origin;    /* the gateway's own origin, always allowed; "" if unknown */
    const char *route_methods; /* of the path: "GET, HEAD, PUT"; NULL: "GET, HEAD" */
};

enum cors_fault { CORS_FAULT_NONE, CORS_FAULT_ORIGIN, CORS_FAULT_METHOD, CORS_FAULT_HEADER };

struct cors_decision {
    bool is_preflight; /* answer it with status and body; else only add the headers */
    bool is_allowed;   /* the origin is */
    int status;        /* of a preflight: 200 or 400 */
    char body[64];     /* "OK", or "Disallowed CORS origin, method, headers" */
    /* of a preflight: what it is refused for first, a sentence about it, and what to change */
    enum cors_fault fault;
    char message[320], hint[320];
};

/* Decide, and append the headers to send, each "Name: value\r\n". */
struct cors_decision cors_decide(const struct cors_policy *p, const struct cors_request *r,
                                 struct buf *headers);

#endif
