/*
 * www: the files that browsers load, as they were when we were built.
 *
 * One list, in www.c: to add a page, a script or a style, add a line there.  No state.
 */
#ifndef GATEWAY_ROUTES_WWW_H
#define GATEWAY_ROUTES_WWW_H

#include <stdbool.h>
#include <stddef.h>

#include "shared/base/buf.h"

struct www_file {
    const char *path;          /* where it is served */
    const char *type;          /* Content-Type */
    bool is_page;              /* comes with www_headers */
    struct span plain, packed; /* the same, as it is and by gzip */
};

struct www_tag {
    char text[16]; /* ETag, with its quotes */
};

/* Content-Security-Policy and the like, for pages. */
extern const char www_headers[];

/* All of them, from 0 on.  False: there are no more. */
bool www_at(size_t index, struct www_file *out);

/* The one of this path.  A slash at the end makes no difference. */
bool www_find(const char *path, struct www_file *out);

struct www_tag www_tag(struct span content);

/* Is this what the browser already has?  `if_none_match` as received, may be NULL. */
bool www_is_fresh(struct www_tag tag, const char *if_none_match);

/* May it be sent packed?  `accept_encoding` as received, may be NULL. */
bool www_takes_gzip(const char *accept_encoding);

#endif
