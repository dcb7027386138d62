/*
 * redact: removes secrets from an address before the address is logged or shown.
 *
 * In a path, a query or a whole URL, "***" replaces the value of every parameter whose name
 * contains a word like "token" or "password". That holds whatever the name's case, for
 * percent-encoded names, for repeated parameters, and also where a '?', '&' or ';' is encoded or in
 * the wrong place. A value ends at '&', '#' or white space. Userinfo in front of a host
 * (https://name:word@host) is replaced, too.
 *
 * Pure: no I/O, no clock. Any thread. The work is linear in the length of the text.
 */
#ifndef SHARED_BASE_REDACT_H
#define SHARED_BASE_REDACT_H

#include "shared/base/buf.h"

/* Append `address` without its secrets. */
void redact_address(struct span address, struct buf *out);

#endif
