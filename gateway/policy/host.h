/*
 * host: under which names the gateway may be addressed (ALLOWED_HOSTS).
 *
 * A page of evil.example whose name is made to point at 127.0.0.1 (DNS rebinding) is a page of the
 * gateway's own origin to the browser: Origin and Host are the same.  Only a list of the gateway's
 * names distinguishes it from a real one.  An entry is a name, an address, "*.domain" (not the
 * domain itself) or "*", each perhaps with a port; without one any port will do.
 *
 * Pure: no I/O.  A list is immutable once made: any thread may read it.
 */
#ifndef GATEWAY_POLICY_HOST_H
#define GATEWAY_POLICY_HOST_H

#include <stdbool.h>

#include "gateway/policy/list.h"

#define HOST_ERROR_MAX LIST_ERROR_MAX
#define HOST_NAME_LEN 253

struct host {
    char name[HOST_NAME_LEN + 1]; /* lower case, no dot at the end; IPv6 with its brackets */
    int port;                     /* 0: the authority has no port */
};

/* "name", "name:port", "[::1]:port".  false: invalid, *out unchanged. */
bool host_parse(const char *authority, struct host *out);

/* Does only this machine have it: localhost, *.localhost, 127.0.0.0/8, [::1]? */
bool host_is_loopback(const char *name);

/*
 * Can the owner of a foreign domain point this name at the gateway?  Not if it is an address, a
 * name without a dot (public DNS has none) or *.localhost.
 */
bool host_is_public(const char *name);

struct host_list;

/*
 * A list from a setting (comma or JSON list).  NULL: *error names the setting, the entry and the
 * permitted form.
 */
struct host_list *host_list_new(const char *setting, const char *list, char error[HOST_ERROR_MAX]);
void host_list_free(struct host_list *l);

bool host_list_is_empty(const struct host_list *l);
bool host_list_allows(const struct host_list *l, const struct host *host);

#endif
