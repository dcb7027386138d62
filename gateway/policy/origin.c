#include "gateway/policy/origin.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/buf.h"
#include "shared/base/mem.h"

#define ANY_PORT (-1) /* a pattern's "*" */

struct pattern {
    struct origin origin; /* may hold one '*' in scheme or host; port may be ANY_PORT */
    struct pattern *next;
};

struct origin_list {
    struct pattern *patterns;
    bool is_any;
};

static int default_port(const char *scheme)
{
    if (strcmp(scheme, "http") == 0)
        return 80;
    if (strcmp(scheme, "https") == 0)
        return 443;
    return 0;
}

/* Copy in lower case if every byte is a letter, digit or one of `more`. */
static bool copy_lower(struct span from, const char *more, char *to, size_t size)
{
    if (from.len >= size)
        return false;
    for (size_t i = 0; i < from.len; i++) {
        unsigned char c = (unsigned char)from.at[i];

        if (c >= 0x80 || (!isalnum(c) && (c == '\0' || !strchr(more, c))))
            return false;
        to[i] = (char)tolower(c);
    }
    to[from.len] = '\0';
    return true;
}

static bool parse_port(struct span text, bool star_allowed, int *port)
{
    long n = 0;

    if (star_allowed && span_eq(text, "*")) {
        *port = ANY_PORT;
        return true;
    }
    if (text.len == 0 || text.len > 5)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (!isdigit((unsigned char)text.at[i]))
            return false;
        n = n * 10 + (text.at[i] - '0');
    }
    if (n < 1 || n > 65535)
        return false;
    *port = (int)n;
    return true;
}

/* The length of the host in "host[:port]"; IPv6 addresses are in brackets. */
static size_t host_length(struct span authority)
{
    const char *end;

    if (authority.len && authority.at[0] == '[') {
        end = memchr(authority.at, ']', authority.len);
        return end ? (size_t)(end - authority.at) + 1 : authority.len;
    }
    end = memchr(authority.at, ':', authority.len);
    return end ? (size_t)(end - authority.at) : authority.len;
}

static bool parse(const char *text, bool is_pattern, struct origin *out)
{
    const char *colon = strstr(text, "://");
    struct span scheme, authority, host;
    struct origin o = {0};

    if (strcmp(text, "null") == 0) {
        out->is_null = true;
        return true;
    }
    if (!colon || colon == text)
        return false;
    scheme = (struct span){text, (size_t)(colon - text)};
    authority = span_of(colon + 3);
    if (authority.len && authority.at[authority.len - 1] == '/')
        authority.len--;
    host = (struct span){authority.at, host_length(authority)};
    if (!copy_lower(scheme, is_pattern ? "+-.*" : "+-.", o.scheme, sizeof o.scheme))
        return false;
    if (host.len && host.at[0] == '[') {
        if (host.at[host.len - 1] != ']' || !copy_lower(host, "[]:.", o.host, sizeof o.host))
            return false;
    } else if (!copy_lower(host, is_pattern ? "-._*" : "-._", o.host, sizeof o.host)) {
        return false;
    }
    if (host.len == 0 && strcmp(o.scheme, "file") != 0)
        return false;
    o.port = default_port(o.scheme);
    if (host.len < authority.len) {
        struct span port = {host.at + host.len + 1, authority.len - host.len - 1};

        if (host.at[host.len] != ':' || !parse_port(port, is_pattern, &o.port))
            return false;
    }
    *out = o;
    return true;
}

bool origin_parse(const char *text, struct origin *out)
{
    struct origin o = {0};

    if (!parse(text, false, &o))
        return false;
    *out = o;
    return true;
}

bool origin_equals(const struct origin *a, const struct origin *b)
{
    if (a->is_null || b->is_null)
        return a->is_null && b->is_null;
    return a->port == b->port && strcmp(a->scheme, b->scheme) == 0 && strcmp(a->host, b->host) == 0;
}

static bool matches(const char *pattern, const char *text)
{
    const char *star = strchr(pattern, '*');
    size_t before, after, len = strlen(text);

    if (!star)
        return strcmp(pattern, text) == 0;
    before = (size_t)(star - pattern);
    after = strlen(star + 1);
    return len >= before + after && memcmp(text, pattern, before) == 0 &&
           memcmp(text + len - after, star + 1, after) == 0;
}

/* A pattern without a scheme matches the default port of each scheme. */
static bool port_matches(const struct origin *pattern, const struct origin *o)
{
    if (pattern->port == ANY_PORT || pattern->port == o->port)
        return true;
    return pattern->port == 0 && strchr(pattern->scheme, '*') && o->port == default_port(o->scheme);
}

bool origin_list_is_any(const struct origin_list *l)
{
    return l->is_any;
}

bool origin_list_names(const struct origin_list *l, const char *host)
{
    for (const struct pattern *p = l->patterns; p; p = p->next)
        if (!p->origin.is_null && matches(p->origin.host, host))
            return true;
    return false;
}

bool origin_list_allows(const struct origin_list *l, const char *origin)
{
    struct origin o = {0};

    if (l->is_any)
        return true;
    if (!parse(origin, false, &o))
        return false;
    for (const struct pattern *p = l->patterns; p; p = p->next) {
        if (o.is_null || p->origin.is_null) {
            if (o.is_null && p->origin.is_null)
                return true;
            continue;
        }
        if (matches(p->origin.scheme, o.scheme) && matches(p->origin.host, o.host) &&
            port_matches(&p->origin, &o))
            return true;
    }
    return false;
}

static const char *complaint(const char *entry, struct origin *o)
{
    size_t stars = 0;

    for (const char *c = entry; *c; c++) {
        if ((unsigned char)*c >= 0x80)
            return "write the name as browsers send it (xn--…)";
        stars += *c == '*';
    }
    if (stars > 1)
        return "at most one '*' may stand in an entry";
    if (strncasecmp(entry, "ws://", 5) == 0 || strncasecmp(entry, "wss://", 6) == 0)
        return "browsers send http:// or https:// as the origin of a WebSocket too";
    if (!strstr(entry, "://") && strcmp(entry, "null") != 0)
        return "the scheme is missing: http:// or https://";
    if (!parse(entry, true, o))
        return "only a scheme, a host and a port (1 to 65535) may be written, no path";
    return NULL;
}

static void add_entry(void *into, const char *entry, const char *setting,
                      char error[LIST_ERROR_MAX])
{
    struct origin_list *list = into;
    struct origin o = {0};
    const char *wrong;
    struct pattern *p;

    if (strcmp(entry, "*") == 0) {
        list->is_any = true;
        return;
    }
    wrong = complaint(entry, &o);
    if (wrong) {
        snprintf(error, LIST_ERROR_MAX,
                 "%s: entry '%.100s' is no origin: %s.  Allowed: scheme://host[:port] with "
                 "at most one '*', like https://app.example or http://localhost:*; null; "
                 "or * alone",
                 setting, entry, wrong);
        return;
    }
    p = mem_zalloc(sizeof *p);
    p->origin = o;
    p->next = list->patterns;
    list->patterns = p;
}

struct origin_list *origin_list_new(const char *setting, const char *list,
                                    char error[ORIGIN_ERROR_MAX])
{
    struct origin_list *l = mem_zalloc(sizeof *l);

    error[0] = '\0';
    if (list_read(setting, list, "https://app.example", add_entry, l, error))
        return l;
    origin_list_free(l);
    return NULL;
}

void origin_list_free(struct origin_list *l)
{
    if (!l)
        return;
    while (l->patterns) {
        struct pattern *p = l->patterns;

        l->patterns = p->next;
        free(p);
    }
    free(l);
}
