#include "doctor/probe.h"

#include <curl/curl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/clock.h"
#include "shared/base/version.h"

#define BODY_MAX (1 << 20)
#define HEAD_MAX (1 << 16)
#define OPCODE_CLOSE 8

static size_t on_head(char *data, size_t size, size_t count, void *ctx)
{
    struct probe_answer *a = ctx;

    if (size * count > 5 && memcmp(data, "HTTP/", 5) == 0)
        buf_clear(&a->head); /* the head of an interim answer */
    if (a->head.len + size * count > HEAD_MAX)
        return 0;
    buf_add(&a->head, data, size * count);
    return size * count;
}

static size_t on_body(char *data, size_t size, size_t count, void *ctx)
{
    struct probe_answer *a = ctx;

    if (a->body.len + size * count > BODY_MAX)
        return 0;
    buf_add(&a->body, data, size * count);
    return size * count;
}

static CURL *open_easy(const struct probe_request *q, const char *url, char error[CURL_ERROR_SIZE])
{
    CURL *e = curl_easy_init();

    error[0] = '\0';
    curl_easy_setopt(e, CURLOPT_URL, url);
    curl_easy_setopt(e, CURLOPT_ERRORBUFFER, error);
    curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(e, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(e, CURLOPT_TIMEOUT_MS, (long)q->patience_ms);
    curl_easy_setopt(e, CURLOPT_USERAGENT, "pregon-doctor/" PREGON_VERSION);
    return e;
}

static void note_end(CURL *e, CURLcode code, const char *error, struct probe_answer *out)
{
    char *ip = NULL;
    long port = 0;

    curl_easy_getinfo(e, CURLINFO_LOCAL_IP, &ip);
    curl_easy_getinfo(e, CURLINFO_LOCAL_PORT, &port);
    snprintf(out->local, sizeof out->local, "%.45s:%ld", ip ? ip : "", port);
    if (!code)
        return;
    out->is_tls_fault = code == CURLE_SSL_CONNECT_ERROR || code == CURLE_PEER_FAILED_VERIFICATION ||
                        code == CURLE_SSL_CACERT_BADFILE;
    snprintf(out->error, sizeof out->error, "%s", error[0] ? error : curl_easy_strerror(code));
}

/* base and path, with one slash between them. */
static void join(const struct probe_request *q, struct buf *url)
{
    size_t len = strlen(q->base);

    while (len && q->base[len - 1] == '/')
        len--;
    buf_add(url, q->base, len);
    buf_adds(url, q->path);
}

static void add_header(struct curl_slist **list, const char *name, const char *value)
{
    char line[600];

    snprintf(line, sizeof line, "%s%.500s", name, value);
    *list = curl_slist_append(*list, line);
}

static void request(const struct probe_request *q, struct probe_answer *out)
{
    char error[CURL_ERROR_SIZE];
    struct curl_slist *headers = NULL;
    struct buf url = {0};
    long status = 0;
    CURLcode code;
    CURL *e;

    *out = (struct probe_answer){0};
    join(q, &url);
    e = open_easy(q, buf_text(&url), error);
    if (q->origin)
        add_header(&headers, "Origin: ", q->origin);
    if (q->token && q->token[0])
        add_header(&headers, "Authorization: Bearer ", q->token);
    if (q->method) {
        add_header(&headers, "Access-Control-Request-Method: ", q->method);
        add_header(&headers, "Access-Control-Request-Headers: ", q->headers);
        curl_easy_setopt(e, CURLOPT_CUSTOMREQUEST, "OPTIONS");
    }
    curl_easy_setopt(e, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, on_head);
    curl_easy_setopt(e, CURLOPT_HEADERDATA, out);
    curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(e, CURLOPT_WRITEDATA, out);
    code = curl_easy_perform(e);
    curl_easy_getinfo(e, CURLINFO_RESPONSE_CODE, &status);
    out->status = code ? 0 : (int)status;
    note_end(e, code, error, out);
    curl_easy_cleanup(e);
    curl_slist_free_all(headers);
    buf_free(&url);
}

void probe_get(const struct probe_request *q, struct probe_answer *out)
{
    struct probe_request get = *q;

    get.method = NULL;
    request(&get, out);
}

void probe_preflight(const struct probe_request *q, struct probe_answer *out)
{
    request(q, out);
}

/* --- a handshake ---------------------------------------------------------------------- */

/* Read more bytes, until `until` (monotonic).  False: none arrived, or the peer closed. */
static bool read_more(CURL *e, struct buf *in, int64_t until)
{
    curl_socket_t fd = CURL_SOCKET_BAD;
    char bytes[4096];
    size_t n;

    curl_easy_getinfo(e, CURLINFO_ACTIVESOCKET, &fd);
    for (;;) {
        CURLcode code = curl_easy_recv(e, bytes, sizeof bytes, &n);
        int64_t left = until - clock_mono_ms();
        struct pollfd item = {.fd = fd, .events = POLLIN};

        if (code == CURLE_OK && n) {
            buf_add(in, bytes, n);
            return true;
        }
        if (code != CURLE_AGAIN || left <= 0 || poll(&item, 1, (int)left) <= 0)
            return false;
    }
}

static const char *end_of_head(struct buf *in)
{
    const char *end = memmem(in->data, in->len, "\r\n\r\n", 4);

    return end ? end + 4 : NULL;
}

/* Read the first frame after a 101: is there one, and does it close the connection? */
static void read_frame(CURL *e, struct buf *in, size_t at, int64_t until, struct probe_answer *out)
{
    unsigned char *frame;
    size_t len;

    while (in->len < at + 2)
        if (!read_more(e, in, until))
            return;
    out->is_followed = true;
    frame = (unsigned char *)in->data + at;
    len = frame[1] & 0x7f;
    if ((frame[0] & 0xf) != OPCODE_CLOSE || len < 2 || len > 125)
        return;
    while (in->len < at + 2 + len)
        if (!read_more(e, in, until))
            return;
    frame = (unsigned char *)in->data + at;
    out->close_code = frame[2] << 8 | frame[3];
    span_copy(out->close_reason, sizeof out->close_reason,
              (struct span){(char *)frame + 4, len - 2});
}

static void read_answer(CURL *e, int64_t until, struct probe_answer *out)
{
    struct buf in = {0};
    const char *body;
    size_t head;

    while (!(body = in.len ? end_of_head(&in) : NULL) && in.len < HEAD_MAX)
        if (!read_more(e, &in, until))
            break;
    if (!body) {
        snprintf(out->error, sizeof out->error, "%s",
                 in.len ? "the answer is no HTTP" : "the connection ended without an answer");
        buf_free(&in);
        return;
    }
    head = (size_t)(body - in.data);
    buf_add(&out->head, in.data, head);
    if (sscanf(buf_text(&out->head), "HTTP/%*d.%*d %d", &out->status) != 1)
        snprintf(out->error, sizeof out->error, "the answer is no HTTP");
    if (out->status == 101) {
        read_frame(e, &in, head, until, out);
    } else {
        char length[32];
        size_t size = 0;

        if (probe_header(out, "Content-Length", length, sizeof length))
            size = strtoul(length, NULL, 10);
        size = size < BODY_MAX ? size : BODY_MAX;
        while (in.len < head + size && read_more(e, &in, until))
            ;
        buf_add(&out->body, in.data + head, in.len - head);
    }
    buf_free(&in);
}

static bool send_all(CURL *e, struct buf *bytes, int64_t until)
{
    size_t sent = 0, n;
    curl_socket_t fd = CURL_SOCKET_BAD;

    curl_easy_getinfo(e, CURLINFO_ACTIVESOCKET, &fd);
    while (sent < bytes->len) {
        CURLcode code = curl_easy_send(e, bytes->data + sent, bytes->len - sent, &n);
        int64_t left = until - clock_mono_ms();
        struct pollfd item = {.fd = fd, .events = POLLOUT};

        if (code == CURLE_OK)
            sent += n;
        else if (code != CURLE_AGAIN || left <= 0 || poll(&item, 1, (int)left) <= 0)
            return false;
    }
    return true;
}

/* Send a close frame, so that the place is free again and no log reports a lost connection. */
static void say_goodbye(CURL *e, int64_t until)
{
    /* A close frame with 1000, masked by zeros. */
    static char frame[] = "\x88\x82\0\0\0\0\x03\xe8";
    struct buf bytes = {.data = frame, .len = sizeof frame - 1}, ignored = {0};

    if (send_all(e, &bytes, until))
        while (ignored.len < BODY_MAX && read_more(e, &ignored, until))
            ;
    buf_free(&ignored);
}

/* "Host: …" and the target of the request line, from the URL. */
static bool take_apart(const char *url, char host[300], struct buf *target)
{
    CURLU *u = curl_url();
    char *name = NULL, *port = NULL, *path = NULL, *query = NULL;
    bool is_url = !curl_url_set(u, CURLUPART_URL, url, 0) &&
                  !curl_url_get(u, CURLUPART_HOST, &name, 0) &&
                  !curl_url_get(u, CURLUPART_PATH, &path, 0);

    if (is_url) {
        curl_url_get(u, CURLUPART_PORT, &port, CURLU_NO_DEFAULT_PORT);
        curl_url_get(u, CURLUPART_QUERY, &query, 0);
        snprintf(host, 300, "%s%s%s", name, port ? ":" : "", port ? port : "");
        buf_printf(target, "%s%s%s", path, query ? "?" : "", query ? query : "");
    }
    curl_free(name);
    curl_free(port);
    curl_free(path);
    curl_free(query);
    curl_url_cleanup(u);
    return is_url;
}

void probe_handshake(const struct probe_request *q, struct probe_answer *out)
{
    int64_t until = clock_mono_ms() + q->patience_ms;
    struct buf url = {0}, target = {0}, request = {0};
    char error[CURL_ERROR_SIZE], host[300];
    CURLcode code;
    CURL *e;

    *out = (struct probe_answer){0};
    join(q, &url);
    e = open_easy(q, buf_text(&url), error);
    curl_easy_setopt(e, CURLOPT_CONNECT_ONLY, 1L);
    code = curl_easy_perform(e);
    note_end(e, code, error, out);
    if (!code && take_apart(buf_text(&url), host, &target)) {
        buf_printf(&request,
                   "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: pregon-doctor/" PREGON_VERSION
                   "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                   "Sec-WebSocket-Version: 13\r\n"
                   "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
                   buf_text(&target), host);
        if (q->origin)
            buf_printf(&request, "Origin: %s\r\n", q->origin);
        if (q->token && q->token[0])
            buf_printf(&request, "Authorization: Bearer %s\r\n", q->token);
        buf_printf(&request, "Accept-Language: %s\r\n\r\n", language_code(q->language));
        if (send_all(e, &request, until))
            read_answer(e, until, out);
        else
            snprintf(out->error, sizeof out->error, "the handshake could not be sent");
        if (out->is_followed && !out->close_code)
            say_goodbye(e, clock_mono_ms() + q->patience_ms);
    }
    curl_easy_cleanup(e);
    buf_free(&url);
    buf_free(&target);
    buf_free(&request);
}
