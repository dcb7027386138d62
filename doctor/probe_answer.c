/* probe_answer: reading an answer; probe.c sends the requests. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "doctor/probe.h"
#include "gateway/policy/origin.h"

void probe_free(struct probe_answer *a)
{
    buf_free(&a->head);
    buf_free(&a->body);
}

int probe_header(const struct probe_answer *a, const char *name, char *out, size_t size)
{
    const char *at = a->head.data, *end = at ? at + a->head.len : NULL;
    size_t len = strlen(name);
    int count = 0;

    out[0] = '\0';
    while (at && at < end) {
        const char *eol = memchr(at, '\n', (size_t)(end - at));
        size_t line = (size_t)((eol ? eol : end) - at);

        if (line > len && at[len] == ':' && strncasecmp(at, name, len) == 0 && !count++) {
            struct span value = {at + len + 1, line - len - 1};

            while (value.len && isspace((unsigned char)value.at[0]))
                value = (struct span){value.at + 1, value.len - 1};
            while (value.len && isspace((unsigned char)value.at[value.len - 1]))
                value.len--;
            span_copy(out, size, value);
        }
        at = eol ? eol + 1 : end;
    }
    return count;
}

bool probe_is_pregon(const struct probe_answer *a)
{
    char server[40], id[40];

    /* A proxy may overwrite Server, but passes on headers that it does not know. */
    if (probe_header(a, "Server", server, sizeof server) && strcmp(server, "pregon") == 0)
        return true;
    return probe_header(a, "X-Request-Id", id, sizeof id) == 1 && strlen(id) == 16 &&
           strspn(id, "0123456789abcdef") == 16 &&
           probe_header(a, "X-Content-Type-Options", server, sizeof server);
}

bool probe_origin(const char *url, char out[300])
{
    const char *rest = strstr(url, "://");
    char text[300];
    struct origin o = {0};
    int usual;

    if (!rest)
        return false;
    snprintf(text, sizeof text, "%.*s", (int)(rest + 3 - url + (int)strcspn(rest + 3, "/?#")), url);
    if (!origin_parse(text, &o) ||
        (strcmp(o.scheme, "http") != 0 && strcmp(o.scheme, "https") != 0))
        return false;
    usual = strcmp(o.scheme, "http") == 0 ? 80 : 443;
    if (o.port == usual)
        snprintf(out, 300, "%.31s://%.253s", o.scheme, o.host);
    else
        snprintf(out, 300, "%.31s://%.253s:%d", o.scheme, o.host, o.port);
    return true;
}
