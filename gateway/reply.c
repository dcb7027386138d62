#include "gateway/reply.h"

#include <string.h>
#include <time.h>

#include "shared/log.h"

void reply_fini(struct reply *p)
{
    buf_free(&p->headers);
    buf_free(&p->body);
}

void reply_json(struct reply *p, int status)
{
    p->status = status;
    p->type = "application/json";
}

static void error_body(struct buf *b, const char *code, const char *message,
                       const char *hint, const char *id)
{
    buf_printf(b, "{\"error\":{\"code\":\"%s\",\"message\":", code);
    buf_jsons(b, message);
    buf_adds(b, ",\"hint\":");
    buf_jsons(b, hint);
    buf_printf(b, ",\"request_id\":\"%s\"}}", id);
}

void reply_error(struct reply *p, const struct request *r, int status, const char *code,
                 const char *message, const char *hint)
{
    reply_json(p, status);
    buf_clear(&p->body);
    buf_printf(&p->headers, "X-Reject-Reason: %s\r\n", code);
    error_body(&p->body, code, message, hint, r->id);
}

void reply_error_add(struct reply *p, struct span members)
{
    p->body.len--; /* the brace that ends the object */
    buf_add(&p->body, members.at, members.len);
    buf_addc(&p->body, '}');
}

static void add_head(struct buf *b, struct mg_connection *conn, int status,
                     const char *id)
{
    char date[40];
    struct tm tm;
    time_t now = time(NULL);

    gmtime_r(&now, &tm);
    strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", &tm);
    buf_printf(b,
               "HTTP/1.1 %d %s\r\n"
               "Date: %s\r\n"
               "Server: pregon\r\n"
               "X-Request-Id: %s\r\n"
               "X-Content-Type-Options: nosniff\r\n",
               status, mg_get_response_code_text(conn, status), date, id);
}

static void log_reply(const struct reply *p, const struct request *r)
{
    struct buf target = {0};

    if (!r->policy->has_access_log)
        return;
    request_target(r, &target);
    log_access(r->client_name, r->info->request_method, buf_text(&target),
               r->info->http_version, p->status,
               mg_get_response_code_text(r->conn, p->status));
    buf_free(&target);
}

int reply_send(struct reply *p, const struct request *r)
{
    struct buf b = {0};
    bool has_body = p->type && p->status != 304;

    if (p->type && strcmp(p->type, "application/json") == 0 && !p->is_exact &&
        p->body.len && p->body.data[p->body.len - 1] != '\n')
        buf_addc(&p->body, '\n');
    add_head(&b, r->conn, p->status, r->id);
    buf_adds(&b, p->keeps_upgrade
                     ? "Upgrade: websocket\r\nConnection: Upgrade, close\r\n"
                     : "Connection: close\r\n");
    buf_printf(&b, "Cache-Control: %s\r\n", p->cache ? p->cache : "no-store");
    if (has_body)
        buf_printf(&b, "Content-Type: %s\r\nContent-Length: %zu\r\n", p->type,
                   p->body.len);
    else if (p->status != 304)
        buf_adds(&b, "Content-Length: 0\r\n");
    buf_add(&b, p->headers.data, p->headers.len);
    buf_adds(&b, "\r\n");
    if (has_body && !r->is_head)
        buf_add(&b, p->body.data, p->body.len);
    /* A client that has gone is civetweb's to notice. */
    (void)mg_write(r->conn, b.data, b.len);
    buf_free(&b);
    log_reply(p, r);
    return p->status;
}

/* What may be said without knowing the request. */
static const char *bare_code(int status)
{
    switch (status) {
    case 404:
        return "no_such_path";
    case 408:
        return "timed_out";
    case 413:
    case 414:
    case 431:
        return "too_large";
    case 505:
        return "bad_http_version";
    default:
        return status < 500 ? "bad_request" : "internal";
    }
}

void reply_send_bare(struct mg_connection *conn, int status, const char *id)
{
    struct buf b = {0}, body = {0};
    const char *code = bare_code(status);

    error_body(&body, code,
               status < 500 ? "The request is not HTTP as it is spoken here."
                            : "The request could not be answered.",
               status < 500 ? "HTTP/1.1 with headers of at most 16 KiB." : "", id);
    buf_addc(&body, '\n');
    add_head(&b, conn, status, id);
    buf_printf(&b,
               "Connection: close\r\n"
               "Cache-Control: no-store\r\n"
               "X-Reject-Reason: %s\r\n"
               "Content-Type: application/json\r\n"
               "Content-Length: %zu\r\n\r\n",
               code, body.len);
    buf_add(&b, body.data, body.len);
    (void)mg_write(conn, b.data, b.len);
    buf_free(&b);
    buf_free(&body);
}
