/*
 * origin: where a page comes from, and a list of allowed origins.
 *
 * Origins are compared as scheme, lower-case host and effective port
 * ("https://A.example" is "https://a.example:443"), never as text.  A list entry may
 * hold one '*': in the scheme, the host or the port, never across them.  "*" alone
 * allows every origin; "null" (sandboxed frames, files) is allowed only if listed or by
 * "*".
 *
 * No I/O.  A list is immutable once made: any thread may read it.
 */
#ifndef GATEWAY_POLICY_ORIGIN_H
#define GATEWAY_POLICY_ORIGIN_H

#include <stdbool.h>

#include "gateway/policy/list.h"

#define ORIGIN_HOST_MAX 253
#define ORIGIN_SCHEME_MAX 31
#define ORIGIN_ERROR_MAX LIST_ERROR_MAX

struct origin {
    char scheme[ORIGIN_SCHEME_MAX + 1]; /* lower case */
    char host[ORIGIN_HOST_MAX + 1];     /* lower case; IPv6 with its brackets */
    int port;     /* the effective port; 0: the scheme has no default and the origin has no port */
    bool is_null; /* the origin "null": nothing else is set */
};

/* "scheme://host[:port]", a final slash forgiven.  False: not an origin, *out
 * untouched. */
bool origin_parse(const char *text, struct origin *out);
bool origin_equals(const struct origin *a, const struct origin *b);

struct origin_list;

/*
 * A list from a setting (comma or JSON list).  NULL: *error names the setting, the entry and the
 * permitted form.
 */
struct origin_list *origin_list_new(const char *setting, const char *list,
                                    char error[ORIGIN_ERROR_MAX]);
void origin_list_free(struct origin_list *l);

bool origin_list_is_any(const struct origin_list *l); /* it holds "*" */
/* Does an entry have this host (lower case), with any scheme and port? */
bool origin_list_names(const struct origin_list *l, const char *host);
bool origin_list_allows(const struct origin_list *l, const char *origin);

#endif
