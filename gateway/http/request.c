#include "gateway/http/request.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "gateway/http/query.h"
#include "gateway/policy/list.h"
#include "shared/base/percent.h"
#include "shared/base/redact.h"

bool request_decode(struct span text, char *out, size_t size)
{
    size_t len = 0;
    char c;

    while (text.len) {
        if (!percent_take(&text, &c) || c == '\0' || len + 1 >= size)
            return false;
        out[len++] = c;
    }
    out[len] = '\0';
    return true;
}

const char *request_header(const struct request *r, const char *name)
{
    return head_value(r->head, name);
}

const char *request_headers(const struct request *r, const char *name, struct buf *room)
{
    return head_values(r->head, name, room);
}

const char *request_bearer(const struct request *r)
{
    const char *value = request_header(r, "Authorization");

    if (!value || strncasecmp(value, "Bearer ", 7) != 0)
        return NULL;
    return value + 7 + strspn(value + 7, " ");
}

void request_strip_root(char *path, const char *root)
{
    size_t len = strlen(root);

    if (len == 0 || strncmp(path, root, len) != 0)
        return;
    if (path[len] == '/')
        memmove(path, path + len, strlen(path + len) + 1);
    else if (path[len] == '\0')
        strcpy(path, "/");
}

void request_init(struct request *r, struct connection *conn, struct policy *policy)
{
    const struct head *head = &conn->head;
    const char *upgrade;
    struct forwarded_facts facts;

    memset(r, 0, sizeof *r);
    r->conn = conn;
    r->head = head;
    r->id = conn->id;
    r->policy = policy;
    r->query = head->query;
    r->is_head = strcmp(head->method, "HEAD") == 0;
    r->has_path = request_decode(span_of(head->path), r->path, sizeof r->path);
    if (r->has_path)
        request_strip_root(r->path, policy->root_path);
    else
        r->path[0] = '\0';
    upgrade = request_headers(r, "Upgrade", &r->joined[3]);
    r->is_upgrade = upgrade && list_has(upgrade, "websocket");
    facts = (struct forwarded_facts){
        .peer = conn->peer,
        .peer_port = conn->port,
        .host = head->host,
        .x_for = request_headers(r, "X-Forwarded-For", &r->joined[0]),
        .x_proto = request_header(r, "X-Forwarded-Proto"),
        .x_host = request_header(r, "X-Forwarded-Host"),
    };
    forwarded_resolve(policy->trust, &facts, &r->client);
    snprintf(r->client_name, sizeof r->client_name, "%s:%d", r->client.host, r->client.port);
}

void request_fini(struct request *r)
{
    policy_drop(r->policy);
    for (size_t i = 0; i < sizeof r->joined / sizeof *r->joined; i++)
        buf_free(&r->joined[i]);
    for (size_t i = 0; i < sizeof r->token / sizeof *r->token; i++)
        buf_free(&r->token[i]);
    memset(r, 0, sizeof *r);
}

bool request_param(const struct request *r, const char *name, char *out, size_t size, bool *given)
{
    struct buf value = {0};
    enum query_value found = query_get(r->query, name, QUERY_PLUS_IS_SPACE, &value);
    bool fits = found != QUERY_MALFORMED && value.len < size;

    *given = found != QUERY_ABSENT;
    span_copy(out, size, fits ? buf_span(&value) : SPAN(""));
    buf_free(&value);
    return fits;
}

bool request_number(const struct request *r, const char *name, uint64_t most, uint64_t *out)
{
    char text[24];
    uint64_t n = 0;
    bool given;

    if (!request_param(r, name, text, sizeof text, &given))
        return false;
    if (!given)
        return true;
    if (!text[0])
        return false;
    for (const char *c = text; *c; c++) {
        if (!isdigit((unsigned char)*c) || n > (UINT64_MAX - 9) / 10)
            return false;
        n = n * 10 + (uint64_t)(*c - '0');
    }
    if (n > most)
        return false;
    *out = n;
    return true;
}

void request_target(const struct request *r, struct buf *out)
{
    redact_address(span_of(r->head->path), out);
    if (!r->query[0])
        return;
    buf_addc(out, '?');
    redact_address(span_of(r->query), out);
}
