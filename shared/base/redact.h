/*
 * redact: secrets in addresses, blotted out before an address is logged or shown.
 *
 * In a path, a query or a whole URL, "***" replaces the value of every parameter whose name holds a
 * word like "token" or "password": whatever the name's case, percent-encoded or not, however often,
 * and also where a '?', '&' or ';' stands encoded or in the wrong place.  A value ends at '&', '#' or
 * white space.  Userinfo in front of a host (https://name:word@host) is blotted out too.
 *
 * Pure: no I/O, no clock.  Any thread.  Work is linear in the length of the text.
 */
#ifndef SHARED_BASE_REDACT_H
#define SHARED_BASE_REDACT_H

#include "shared/base/buf.h"

/* Append `address` without its secrets. */
void redact_address(struct span address, struct buf *out);

#endif
