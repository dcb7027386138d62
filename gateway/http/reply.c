#include "gateway/http/reply.h"

#include <string.h>
#include <time.h>

#include "gateway/http/reply_text.h"
#include "shared/base/log.h"

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

static void error_body(struct buf *b, enum language l, const char *code, const char *message,
                       const char *hint, const char *id)
{
    buf_printf(b, "{\"error\":{\"code\":\"%s\",\"message\":", code);
    reply_text_json(b, l, message);
    buf_adds(b, ",\"hint\":");
    reply_text_json(b, l, hint);
    buf_printf(b, ",\"request_id\":\"%s\"}}", id);
}

enum language reply_language(struct reply *p, const struct request *r)
{
    enum language l = reply_text_language(r);

    buf_printf(&p->headers, "Content-Language: %s\r\nVary: Accept-Language\r\n", language_code(l));
    return l;
}

void reply_error(struct reply *p, const struct request *r, int status, const char *code,
                 const char *message, const char *hint)
{
    reply_json(p, status);
    buf_clear(&p->body);
    buf_printf(&p->headers, "X-Reject-Reason: %s\r\n", code);
    error_body(&p->body, reply_language(p, r), code, message, hint, r->id);
}

void reply_error_add(struct reply *p, struct span members)
{
    p->body.len--; /* the brace that ends the object */
    buf_add(&p->body, members.at, members.len);
    buf_addc(&p->body, '}');
}

static const char *status_text(int status)
{
    static const struct {
        int status;
        const char *text;
    } all[] = {
        {101, "Switching Protocols"},
        {200, "OK"},
        {201, "Created"},
        {202, "Accepted"},
        {204, "No Content"},
        {304, "Not Modified"},
        {308, "Permanent Redirect"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {410, "Gone"},
        {411, "Length Required"},
        {412, "Precondition Failed"},
        {413, "Content Too Large"},
        {414, "URI Too Long"},
        {415, "Unsupported Media Type"},
        {416, "Range Not Satisfiable"},
        {422, "Unprocessable Content"},
        {426, "Upgrade Required"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {502, "Bad Gateway"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
        {505, "HTTP Version Not Supported"},
        {507, "Insufficient Storage"},
    };

    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i].status == status)
            return all[i].text;
    return "Answer"; /* the number counts */
}

static void add_head(struct buf *b, int status, const char *id)
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
               status, status_text(status), date, id);
}

static void log_reply(const struct reply *p, const struct request *r)
{
    struct buf target = {0};

    if (!r->policy->has_access_log)
        return;
    request_target(r, &target);
    log_access(r->client_name, r->head->method, buf_text(&target), r->head->version, p->status,
               status_text(p->status));
    buf_free(&target);
}

void reply_write(struct reply *p, const struct request *r, struct buf *out)
{
    bool has_body = p->type && p->status != 304;

    if (p->type && strcmp(p->type, "application/json") == 0 && !p->is_exact && p->body.len &&
        p->body.data[p->body.len - 1] != '\n')
        buf_addc(&p->body, '\n');
    add_head(out, p->status, r->id);
    buf_adds(out, p->keeps_upgrade ? "Upgrade: websocket\r\nConnection: Upgrade, close\r\n"
                                   : "Connection: close\r\n");
    buf_printf(out, "Cache-Control: %s\r\n", p->cache ? p->cache : "no-store");
    if (p->is_stream)
        buf_printf(out, "Content-Type: %s\r\n", p->type);
    else if (has_body)
        buf_printf(out, "Content-Type: %s\r\nContent-Length: %zu\r\n", p->type, p->body.len);
    else if (p->status != 304)
        buf_adds(out, "Content-Length: 0\r\n");
    buf_add(out, p->headers.data, p->headers.len);
    buf_adds(out, "\r\n");
    if (has_body && !r->is_head)
        buf_add(out, p->body.data, p->body.len);
    log_reply(p, r);
}

void reply_bare(struct buf *out, const struct head_explanation *why, const char *id)
{
    struct buf body = {0};

    error_body(&body, LANGUAGE_EN, why->code, why->message, why->hint, id);
    buf_addc(&body, '\n');
    add_head(out, why->status, id);
    buf_printf(out,
               "Connection: close\r\n"
               "Cache-Control: no-store\r\n"
               "X-Reject-Reason: %s\r\n"
               "Content-Type: application/json\r\n"
               "Content-Length: %zu\r\n\r\n",
               why->code, body.len);
    buf_add(out, body.data, body.len);
    buf_free(&body);
}
