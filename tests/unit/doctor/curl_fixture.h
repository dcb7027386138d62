/*
 * curl_fixture: libcurl without a network, for the doctor's probe.
 *
 * The functions of libcurl that connect, send and receive are defined here, and poll() too; its
 * lists and URLs are the real ones.  A simulated server sends `incoming`, at most `piece` bytes at
 * a time and each only after a wait, and then ends the connection, or falls silent.  Include it
 * after <cmocka.h>, in one file of a program.
 */
#ifndef TESTS_UNIT_DOCTOR_CURL_FIXTURE_H
#define TESTS_UNIT_DOCTOR_CURL_FIXTURE_H

#include <curl/curl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "shared/base/buf.h"

#define SOCKET 1234
#define PATIENCE 5000

struct {
    CURLcode code;     /* of connecting, or of the whole transfer */
    const char *error; /* in the buffer of errors */
    const char *ip;
    long port, status;
    const char *heads[5], *body; /* for a page; heads end with NULL */
    size_t body_times;
    struct buf incoming; /* for a handshake */
    size_t piece, taken;
    bool is_silent;   /* instead of an end */
    bool is_deaf;     /* nothing can be sent */
    bool was_refused; /* a callback wanted no more */
    CURLcode receive_code, send_code;
} server;

static struct {
    char url[500], no_proxy[10], protocols[40], user_agent[60];
    long no_signal, version, timeout_ms, connect_only;
    char headers[1000]; /* a line each */
    char method[20];
    char *error;
    size_t (*on_head)(char *, size_t, size_t, void *);
    size_t (*on_body)(char *, size_t, size_t, void *);
    void *head_ctx, *body_ctx;
} option;

static struct buf sent;
static int handles;
bool has_waited;
static char handle;

CURL *curl_easy_init(void)
{
    handles++;
    return &handle;
}

void curl_easy_cleanup(CURL *e)
{
    assert_ptr_equal(e, &handle);
    handles--;
}

static inline void copy_headers(const struct curl_slist *list)
{
    option.headers[0] = '\0';
    for (; list; list = list->next) {
        strcat(option.headers, list->data);
        strcat(option.headers, "\n");
    }
}

static inline void keep(char *to, size_t size, va_list args)
{
    snprintf(to, size, "%s", va_arg(args, const char *));
}

#undef curl_easy_setopt
CURLcode curl_easy_setopt(CURL *e, CURLoption o, ...)
{
    typedef size_t callback(char *, size_t, size_t, void *);
    va_list args;

    assert_ptr_equal(e, &handle);
    va_start(args, o);
    if (o == CURLOPT_URL)
        keep(option.url, sizeof option.url, args);
    else if (o == CURLOPT_NOPROXY)
        keep(option.no_proxy, sizeof option.no_proxy, args);
    else if (o == CURLOPT_PROTOCOLS_STR)
        keep(option.protocols, sizeof option.protocols, args);
    else if (o == CURLOPT_USERAGENT)
        keep(option.user_agent, sizeof option.user_agent, args);
    else if (o == CURLOPT_ERRORBUFFER)
        option.error = va_arg(args, char *);
    else if (o == CURLOPT_NOSIGNAL)
        option.no_signal = va_arg(args, long);
    else if (o == CURLOPT_HTTP_VERSION)
        option.version = va_arg(args, long);
    else if (o == CURLOPT_TIMEOUT_MS)
        option.timeout_ms = va_arg(args, long);
    else if (o == CURLOPT_CONNECT_ONLY)
        option.connect_only = va_arg(args, long);
    else if (o == CURLOPT_CUSTOMREQUEST)
        keep(option.method, sizeof option.method, args);
    else if (o == CURLOPT_HTTPHEADER)
        copy_headers(va_arg(args, struct curl_slist *));
    else if (o == CURLOPT_HEADERFUNCTION)
        option.on_head = va_arg(args, callback *);
    else if (o == CURLOPT_HEADERDATA)
        option.head_ctx = va_arg(args, void *);
    else if (o == CURLOPT_WRITEFUNCTION)
        option.on_body = va_arg(args, callback *);
    else if (o == CURLOPT_WRITEDATA)
        option.body_ctx = va_arg(args, void *);
    else
        fail_msg("option %d", (int)o);
    va_end(args);
    return CURLE_OK;
}

#undef curl_easy_getinfo
CURLcode curl_easy_getinfo(CURL *e, CURLINFO info, ...)
{
    va_list args;

    assert_ptr_equal(e, &handle);
    va_start(args, info);
    if (info == CURLINFO_LOCAL_IP)
        *va_arg(args, const char **) = server.ip;
    else if (info == CURLINFO_LOCAL_PORT)
        *va_arg(args, long *) = server.port;
    else if (info == CURLINFO_RESPONSE_CODE)
        *va_arg(args, long *) = server.status;
    else if (info == CURLINFO_ACTIVESOCKET)
        *va_arg(args, curl_socket_t *) = SOCKET;
    else
        fail_msg("info %d", (int)info);
    va_end(args);
    return CURLE_OK;
}

static inline bool gives(size_t (*callback)(char *, size_t, size_t, void *), const char *data,
                         void *ctx)
{
    struct buf copy = {0};
    size_t len = strlen(data), taken;

    buf_adds(&copy, data);
    taken = callback(copy.data, 1, len, ctx);
    buf_free(&copy);
    server.was_refused = taken != len;
    return taken == len;
}

CURLcode curl_easy_perform(CURL *e)
{
    assert_ptr_equal(e, &handle);
    assert_string_equal(option.error, ""); /* the former content is not used */
    if (server.error)
        snprintf(option.error, CURL_ERROR_SIZE, "%s", server.error);
    if (option.connect_only || server.code)
        return server.code;
    for (int i = 0; server.heads[i]; i++)
        if (!gives(option.on_head, server.heads[i], option.head_ctx))
            return CURLE_WRITE_ERROR;
    for (size_t i = 0; server.body && i < server.body_times; i++)
        if (!gives(option.on_body, server.body, option.body_ctx))
            return CURLE_WRITE_ERROR;
    return CURLE_OK;
}

int poll(struct pollfd *items, nfds_t count, int ms)
{
    assert_int_equal(count, 1);
    assert_int_equal(items->fd, SOCKET);
    assert_in_range(ms, 1, PATIENCE);
    if (items->events == POLLOUT ? server.is_deaf : server.taken == server.incoming.len)
        return 0;
    has_waited = true;
    return 1;
}

CURLcode curl_easy_recv(CURL *e, void *data, size_t size, size_t *n)
{
    size_t left = server.incoming.len - server.taken;

    assert_ptr_equal(e, &handle);
    *n = 0;
    if (server.receive_code)
        return server.receive_code;
    if (left ? !has_waited : server.is_silent)
        return CURLE_AGAIN;
    has_waited = false;
    *n = left < server.piece ? left : server.piece;
    *n = *n < size ? *n : size;
    if (*n)
        memcpy(data, server.incoming.data + server.taken, *n);
    server.taken += *n;
    return CURLE_OK;
}

CURLcode curl_easy_send(CURL *e, const void *data, size_t size, size_t *n)
{
    assert_ptr_equal(e, &handle);
    *n = 0;
    if (server.send_code)
        return server.send_code;
    if (!has_waited)
        return CURLE_AGAIN;
    has_waited = false;
    *n = size < server.piece ? size : server.piece;
    buf_add(&sent, data, *n);
    return CURLE_OK;
}

/* A server that sends these bytes in pieces of that size, and then ends. */
static inline void serve(const char *bytes, size_t len, size_t piece)
{
    buf_free(&server.incoming);
    memset(&server, 0, sizeof server);
    memset(&option, 0, sizeof option);
    buf_add(&server.incoming, bytes, len);
    buf_free(&sent);
    has_waited = false;
    server.piece = piece;
    server.ip = "192.0.2.7";
    server.port = 4711;
}

#endif
