/*
 * probe: sends an HTTP server the requests of a browser: pages and real handshakes.
 *
 * libcurl connects (names, TLS) and requests pages.  The probe itself writes and reads a handshake,
 * so that it sees every header, and whether a frame follows the 101.  Blocks for at most the
 * patience given.  Ignores the environment's proxies.  One thread.
 */
#ifndef DOCTOR_PROBE_H
#define DOCTOR_PROBE_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/base/buf.h"
#include "shared/base/language.h"

#define PROBE_ERROR_MAX 300

struct probe_answer {
    int status;                  /* status of the last answer; 0: there was no answer */
    bool is_tls_fault;           /* no answer because of a certificate or the like */
    char error[PROBE_ERROR_MAX]; /* why there is no answer */
    struct buf head, body;       /* as received */
    char local[64];              /* our address and port, as ADDRESS:PORT */
    /* Of a handshake: */
    bool is_followed; /* a frame followed the 101 */
    int close_code;   /* that frame closed the connection at once; else 0 */
    char close_reason[128];
};

struct probe_request {
    const char *base;             /* http(s)://HOST[:PORT][/PREFIX] */
    const char *path;             /* "/cotizaciones/live" */
    const char *origin;           /* NULL: no Origin header */
    const char *token;            /* NULL or "": no bearer */
    enum language language;       /* of the reasons for a refused handshake */
    const char *method, *headers; /* of a preflight, as its Access-Control-Request headers */
    int patience_ms;
};

/* All fill *out, which probe_free must release. */
void probe_preflight(const struct probe_request *q, struct probe_answer *out);
void probe_get(const struct probe_request *q, struct probe_answer *out);
void probe_handshake(const struct probe_request *q, struct probe_answer *out);
void probe_free(struct probe_answer *a);

/* How often the answer has a header; its first value goes into `out` ("" if none). */
int probe_header(const struct probe_answer *a, const char *name, char *out, size_t size);

/* Does the answer come from a gateway of ours, also through a proxy? */
bool probe_is_pregon(const struct probe_answer *a);

/* "scheme://authority" of a URL, lower case, default ports left out; false: not a URL. */
bool probe_origin(const char *url, char out[300]);

#endif
