/* www: the quote board, gateway/www/index.html, as it was when we were built. */
#ifndef GATEWAY_WWW_H
#define GATEWAY_WWW_H

#include <stdbool.h>

#include "shared/buf.h"

struct span www_page(void);

/* Append the page's headers: Content-Security-Policy and ETag. */
void www_headers(struct buf *out);
/* Is this what the browser already has?  `if_none_match` as received. */
bool www_is_fresh(const char *if_none_match);

#endif
