/* www: the quote board's files, gateway/www, as they were when we were built. */
#ifndef GATEWAY_WWW_H
#define GATEWAY_WWW_H

#include <stdbool.h>

#include "shared/buf.h"

enum www_name { WWW_PAGE, WWW_STYLE, WWW_SCRIPT };

struct www_file {
    struct span content;
    const char *type; /* Content-Type */
    char tag[24];     /* ETag, with its quotes */
};

struct www_file www_file(enum www_name name);

/* Content-Security-Policy and the like, for the page. */
extern const char www_headers[];

/* Is this what the browser already has?  `if_none_match` as received, may be NULL. */
bool www_is_fresh(const struct www_file *f, const char *if_none_match);

#endif
