/*
 * query: the parameters of a URL's query string.
 *
 * The format of HTML forms and URLSearchParams: name=value pairs separated by '&', percent-encoded,
 * '+' for a space.  Names are compared decoded, and their case matters.  Only QUERY_LIST may be
 * repeated, and then its values are joined by commas.  An unknown, repeated or badly encoded
 * parameter is an error that names it, so that a misspelt one is never ignored.
 *
 * Work is one pass over the query per call; the query is bounded by the limit of a request's
 * target (HEAD_TARGET_MAX).  Pure: no I/O, no clock.  Any thread.
 */
#ifndef GATEWAY_HTTP_QUERY_H
#define GATEWAY_HTTP_QUERY_H

#include <stdbool.h>

#include "shared/base/buf.h"

#define QUERY_LIST "symbols" /* may be repeated on every path that accepts it */
#define QUERY_TEXT_MAX 240

struct query_fault {
    char message[QUERY_TEXT_MAX]; /* a sentence that names the parameter */
    char hint[QUERY_TEXT_MAX];    /* the permitted values */
};

/*
 * Is every parameter of `query` one of `known` ("symbols,limit"; "" for none), at most once, and
 * well encoded?  false: *fault has the error; otherwise *fault is unchanged.
 */
bool query_check(const char *query, const char *known, struct query_fault *fault);

/* How a '+' is read: as a space, or (in secrets, times) as itself. */
enum query_plus { QUERY_PLUS_IS_SPACE, QUERY_PLUS_IS_PLUS };

enum query_value { QUERY_ABSENT, QUERY_GIVEN, QUERY_MALFORMED };

/* The decoded value of a parameter, appended to *out; untouched unless QUERY_GIVEN. */
enum query_value query_get(const char *query, const char *name, enum query_plus plus,
                           struct buf *out);

#endif
