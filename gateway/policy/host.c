#include "gateway/policy/host.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/mem.h"

struct entry {
    struct entry *next;
    struct host host; /* "*.domain" without its star: ".domain"; "*": "" */
    bool is_pattern;
};

struct host_list {
    struct entry *entries;
};

static bool copy_name(const char *from, size_t len, struct host *out)
{
    if (memmem(from, len, "..", 2))
        return false;
    if (len && from[len - 1] == '.') /* the same name, marked as complete */
        len--;
    if (len == 0 || len > HOST_NAME_LEN)
        return false;
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)from[i];

        if (!isalnum(c) && !strchr("-._~%[]:", c))
            return false;
        out->name[i] = (char)tolower(c);
    }
    out->name[len] = '\0';
    return true;
}

bool host_parse(const char *authority, struct host *out)
{
    const char *end = authority[0] == '[' ? strchr(authority, ']') : NULL;
    struct host h = {.port = 0};
    size_t len = end ? (size_t)(end + 1 - authority) : strcspn(authority, ":");
    const char *port = authority + len;

    if ((authority[0] == '[') != (end != NULL) || !copy_name(authority, len, &h))
        return false;
    if (*port == ':' && port[1]) {
        char *rest;
        unsigned long n = strtoul(port + 1, &rest, 10);

        if (!isdigit((unsigned char)port[1]) || *rest || n < 1 || n > 65535)
            return false;
        h.port = (int)n;
    } else if (*port && *port != ':') {
        return false;
    }
    *out = h;
    return true;
}

static bool ends_with(const char *text, const char *end)
{
    size_t len = strlen(text), end_len = strlen(end);

    return len > end_len && strcmp(text + len - end_len, end) == 0;
}

static bool is_local_name(const char *name)
{
    return strcmp(name, "localhost") == 0 || ends_with(name, ".localhost");
}

bool host_is_loopback(const char *name)
{
    struct in_addr a;

    return is_local_name(name) || strcmp(name, "[::1]") == 0 ||
           (inet_pton(AF_INET, name, &a) == 1 && ntohl(a.s_addr) >> 24 == 127);
}

bool host_is_public(const char *name)
{
    struct in_addr a;

    return name[0] != '[' && strchr(name, '.') && !is_local_name(name) &&
           inet_pton(AF_INET, name, &a) != 1;
}

static bool read_entry(const char *text, struct entry *e)
{
    const char *rest = text;

    if (text[0] == '*') {
        e->is_pattern = true;
        rest++;
        if (!*rest)
            return true; /* any host */
        if (*rest != '.')
            return false;
    }
    return !strchr(rest, '*') && host_parse(rest, &e->host);
}

static void add_entry(void *into, const char *text, const char *setting, char error[LIST_ERROR_MAX])
{
    struct host_list *list = into;
    struct entry *e = mem_zalloc(sizeof *e);

    e->next = list->entries;
    list->entries = e;
    if (!read_entry(text, e))
        snprintf(error, LIST_ERROR_MAX,
                 "%s: entry '%.100s' is no host: allowed are a name or an address, "
                 "*.domain, each perhaps with :port, like quotes.example or "
                 "*.example:8000; or * alone",
                 setting, text);
}

struct host_list *host_list_new(const char *setting, const char *list, char error[HOST_ERROR_MAX])
{
    struct host_list *l = mem_zalloc(sizeof *l);

    error[0] = '\0';
    if (list_read(setting, list, "quotes.example", add_entry, l, error))
        return l;
    host_list_free(l);
    return NULL;
}

void host_list_free(struct host_list *l)
{
    if (!l)
        return;
    while (l->entries) {
        struct entry *e = l->entries;

        l->entries = e->next;
        free(e);
    }
    free(l);
}

bool host_list_is_empty(const struct host_list *l)
{
    return !l->entries;
}

bool host_list_allows(const struct host_list *l, const struct host *host)
{
    for (const struct entry *e = l->entries; e; e = e->next) {
        bool is_default = host->port == 0 && (e->host.port == 80 || e->host.port == 443);

        if (e->host.port && e->host.port != host->port && !is_default)
            continue;
        if (e->is_pattern ? !e->host.name[0] || ends_with(host->name, e->host.name)
                          : strcmp(host->name, e->host.name) == 0)
            return true;
    }
    return false;
}
