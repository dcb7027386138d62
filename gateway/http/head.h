/*
 * head: parses the head of an HTTP/1 request by RFC 9110 and RFC 9112.
 *
 * head_scan() finds the end of the head while its bytes arrive, and refuses an invalid head as
 * early as possible.  head_parse() splits the complete head in place.  Both are strict: two readers
 * of one request must not interpret it differently, so the parser guesses, repairs and ignores
 * nothing.  Line ends are CR LF; a folded header, a space before a colon, a control character, a
 * second Host, a length that is not one whole number and a 65th header are refused.  Accepted are
 * spaces and tabs around a header's value, repeated list headers, empty lines before the request
 * line, and a target in absolute form, whose authority then replaces Host.
 *
 * Pure: no I/O, no clock, no memory of its own.  One owner, one thread.
 */
#ifndef GATEWAY_HTTP_HEAD_H
#define GATEWAY_HTTP_HEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/base/buf.h"

#define HEAD_MAX 24576        /* bytes of the head with its last line end */
#define HEAD_TARGET_MAX 16384 /* bytes of the request target */
#define HEAD_FIELDS_MAX 64    /* headers */

/* name, HTTP status, code, message, hint */
#define HEAD_FAULTS(X)                                                                            \
    X(tls, 400, "bad_request", "The request is TLS, and this port speaks plain HTTP.",            \
      "Use http:// and ws:// here; TLS ends at a proxy in front.")                                \
    X(control, 400, "bad_request", "The request's head has a control character.",                 \
      "Send visible characters, spaces and tabs only, each line ended by CR LF.")                 \
    X(bare_cr, 400, "bad_request", "A carriage return stands alone in the request's head.",       \
      "End each line with CR LF.")                                                                \
    X(bare_lf, 400, "bad_request", "A line of the request's head ends without CR.",               \
      "End each line with CR LF.")                                                                \
    X(folded, 400, "bad_request", "A header is continued on a second line.",                      \
      "Send each header on one line: RFC 9112 has withdrawn folding.")                            \
    X(line, 400, "bad_request", "The first line is not a method, a target and a version.",        \
      "Send it like 'GET /path HTTP/1.1', with one space between the parts.")                     \
    X(method, 400, "bad_request", "The method is none of HTTP's.",                                \
      "GET, HEAD, POST, PUT, DELETE, CONNECT, OPTIONS, TRACE or PATCH, in capitals.")             \
    X(target, 400, "bad_request",                                                                 \
      "The request target is neither a path nor an http:// address of visible ASCII.",            \
      "Start it with '/', and percent-encode what is not ASCII, spaces and '#'.")                 \
    X(target_too_long, 414, "too_large", "The request target is too long.",                       \
      "At most 16384 bytes; over a WebSocket, subscribe by message instead.")                     \
    X(version, 400, "bad_request", "The version is not like 'HTTP/1.1'.", "Send HTTP/1.1.")       \
    X(other_version, 505, "bad_http_version", "Only HTTP/1.1 and HTTP/1.0 are spoken here.",      \
      "Send HTTP/1.1.")                                                                           \
    X(too_large, 431, "too_large", "The request's head is too large.",                            \
      "At most 24576 bytes; usually a cookie has grown.")                                         \
    X(too_many, 431, "too_large", "The request has too many headers.", "At most 64.")             \
    X(no_colon, 400, "bad_request", "A line among the headers has no colon.",                     \
      "Send 'Name: value'.")                                                                      \
    X(name, 400, "bad_request",                                                                   \
      "A header's name is empty or has a character that a name may not have.",                    \
      "Letters, digits and !#$%&'*+-.^_`|~ only, and no space before the colon.")                 \
    X(repeated, 400, "bad_request", "A header that may come only once came twice.",               \
      "Send it once: Host, Origin, Authorization, Content-Length, -Type, -Encoding, "             \
      "Idempotency-Key, X-Feed, Sec-WebSocket-Key, -Version, Access-Control-Request-Method.")     \
    X(no_host, 400, "bad_request", "The Host header is missing.",                                 \
      "HTTP/1.1 demands it: 'Host: name:port' as in the address.")                                \
    X(host, 400, "bad_request", "The Host header is not a host and perhaps a port.",              \
      "Send 'Host: name' or 'Host: name:port'.")                                                  \
    X(length, 400, "bad_request", "Content-Length is not one whole number.",                      \
      "Send it once, in digits.")                                                                 \
    X(length_and_encoding, 400, "bad_request",                                                    \
      "The request has Content-Length and Transfer-Encoding.", "Send Content-Length only.")       \
    X(encoding, 400, "bad_request", "The Transfer-Encoding is not 'chunked', or not HTTP/1.1's.", \
      "Send Content-Length instead.")

enum head_fault {
    HEAD_FINE,
#define X(name, status, code, message, hint) HEAD_FAULT_##name,
    HEAD_FAULTS(X)
#undef X
        HEAD_FAULT_END
};

struct head_explanation {
    int status;
    const char *code, *message, *hint;
};
/* The text for a fault; not for HEAD_FINE. */
struct head_explanation head_explain(enum head_fault fault);

/* How far a head has been looked at.  Zeroed at the start of a connection. */
struct head_scan {
    size_t start; /* of the request line */
    size_t size;  /* of the whole head once it is complete, else 0 */
    /* private */
    size_t at, line; /* the next byte; where its line begins */
    int lines;       /* that are complete, the request line among them */
};

/*
 * Continue with all bytes that have arrived: `bytes` begins with the connection's first byte, and
 * earlier calls saw a prefix of it.  HEAD_FINE: size states whether the head is complete.
 */
enum head_fault head_scan(struct head_scan *s, const char *bytes, size_t len);

struct head_field {
    const char *name, *value; /* the value without spaces and tabs around it */
};

/* Texts lie in the bytes that were parsed. */
struct head {
    const char *method;
    const char *path;    /* of the target: undecoded, begins with '/', or is "*" */
    const char *query;   /* not decoded; "" if there is none */
    const char *version; /* "1.1" or "1.0" */
    const char *host;    /* the target's authority, or Host; NULL: neither (HTTP/1.0) */
    bool has_length;     /* Content-Length was there */
    bool is_chunked;     /* the length of the body is unknown */
    uint64_t length;     /* of the body; at most 18 digits */
    int count;
    struct head_field fields[HEAD_FIELDS_MAX];
};

/* Split a complete head, the bytes from scan.start to scan.size, in place. */
enum head_fault head_parse(char *bytes, size_t size, struct head *out);

/* The value of the first header of that name, in any case, or NULL. */
const char *head_value(const struct head *h, const char *name);
/* All values of that name, joined by ", "; `room` owns the joined text.  NULL: no such header. */
const char *head_values(const struct head *h, const char *name, struct buf *room);

#endif
