#include "consumer/telegram/botapi.h"

#include <assert.h>
#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/log.h"
#include "shared/base/mem.h"
#include "shared/base/version.h"

#define URL_MAX 512
/* a message that replies to a message with a poll is nested deeply */
#define JSON_DEPTH 32
#define CONNECT_TIMEOUT_MS 10000L

struct call {
    unsigned ticket; /* 0: free */
    CURL *easy;      /* reused for every call */
    struct buf request, answer;
    bool is_too_large;
};

/* A socket of libcurl. */
struct curl_socket {
    struct loop_watch watch; /* must be first: on_ready casts it */
    curl_socket_t fd;
    int ready; /* CURL_CSELECT_… since the last turn */
    struct curl_socket *next;
};

struct botapi {
    struct loop *loop;
    CURLM *multi;
    struct curl_slist *headers;
    struct json *json;
    struct call calls[BOTAPI_CALLS_MAX];
    struct curl_socket *sockets;
    unsigned last_ticket;
    int64_t due; /* when libcurl's timer is due; -1: none */
    int64_t now; /* time of the last turn */
    char base[URL_MAX];
    char host[128]; /* with the port, if base_url has one: for messages */
};

static void on_ready(struct loop_watch *w, uint32_t events)
{
    struct curl_socket *s = (struct curl_socket *)w;

    if (events & (EPOLLIN | EPOLLHUP))
        s->ready |= CURL_CSELECT_IN;
    if (events & EPOLLOUT)
        s->ready |= CURL_CSELECT_OUT;
    if (events & EPOLLERR)
        s->ready |= CURL_CSELECT_ERR;
}

static void drop_socket(struct botapi *a, struct curl_socket *s)
{
    struct curl_socket **at = &a->sockets;

    while (*at != s)
        at = &(*at)->next;
    *at = s->next;
    loop_unwatch(a->loop, &s->watch);
    free(s);
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *ctx, void *of_fd)
{
    struct botapi *a = ctx;
    struct curl_socket *s = of_fd;
    uint32_t events = (what & CURL_POLL_IN ? EPOLLIN : 0u) | (what & CURL_POLL_OUT ? EPOLLOUT : 0u);

    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        if (s)
            drop_socket(a, s);
        return 0;
    }
    if (s)
        return loop_rewatch(a->loop, &s->watch, events) ? -1 : 0;
    s = mem_zalloc(sizeof *s);
    s->watch = (struct loop_watch){.fd = fd, .on_ready = on_ready};
    s->fd = fd;
    s->next = a->sockets;
    a->sockets = s;
    curl_multi_assign(a->multi, fd, s);
    return loop_watch(a->loop, &s->watch, events) ? -1 : 0;
}

static int on_timer(CURLM *multi, long timeout_ms, void *ctx)
{
    struct botapi *a = ctx;

    (void)multi;
    a->due = timeout_ms < 0 ? -1 : a->now + timeout_ms;
    return 0;
}

static size_t on_body(char *data, size_t size, size_t count, void *ctx)
{
    struct call *c = ctx;

    if (c->answer.len + size * count > BOTAPI_ANSWER_MAX) {
        c->is_too_large = true;
        return 0;
    }
    buf_add(&c->answer, data, size * count);
    return size * count;
}

static void prepare(struct botapi *a, struct call *c)
{
    CURL *e = c->easy;

    curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
    /*
     * A thread resolves the name. Without this option the end of a call waits for that thread, and
     * the loop with it: the lease would run out.
     */
    curl_easy_setopt(e, CURLOPT_QUICK_EXIT, 1L);
    curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(e, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(e, CURLOPT_HTTPHEADER, a->headers);
    curl_easy_setopt(e, CURLOPT_USERAGENT, "pregon/" PREGON_VERSION);
    curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(e, CURLOPT_WRITEDATA, c);
    curl_easy_setopt(e, CURLOPT_PRIVATE, c);
    curl_easy_setopt(e, CURLOPT_TCP_KEEPALIVE, 1L);
}

static void take_host(const char *url, char *out, size_t size)
{
    const char *host = strstr(url, "://");

    host = host ? host + 3 : url;
    span_copy(out, size, (struct span){host, strcspn(host, "/")});
}

struct botapi *botapi_open(struct loop *loop, const char *base_url, const char *token)
{
    struct botapi *a;

    if (curl_global_init(CURL_GLOBAL_DEFAULT)) {
        log_critical("libcurl cannot be initialised");
        return NULL;
    }
    a = mem_zalloc(sizeof *a);
    a->loop = loop;
    a->due = -1;
    a->now = loop_now(loop);
    a->json = json_new();
    json_set_depth(a->json, JSON_DEPTH);
    snprintf(a->base, sizeof a->base, "%s/bot%s", base_url, token);
    take_host(base_url, a->host, sizeof a->host);
    a->headers = curl_slist_append(NULL, "Content-Type: application/json");
    a->headers = curl_slist_append(a->headers, "Expect:");
    a->multi = curl_multi_init();
    curl_multi_setopt(a->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(a->multi, CURLMOPT_SOCKETDATA, a);
    curl_multi_setopt(a->multi, CURLMOPT_TIMERFUNCTION, on_timer);
    curl_multi_setopt(a->multi, CURLMOPT_TIMERDATA, a);
    for (size_t i = 0; i < BOTAPI_CALLS_MAX; i++) {
        a->calls[i].easy = curl_easy_init();
        prepare(a, &a->calls[i]);
    }
    return a;
}

void botapi_close(struct botapi *a)
{
    if (!a)
        return;
    for (size_t i = 0; i < BOTAPI_CALLS_MAX; i++) {
        botapi_abort(a, a->calls[i].ticket);
        curl_easy_cleanup(a->calls[i].easy);
        buf_free(&a->calls[i].request);
        buf_free(&a->calls[i].answer);
    }
    curl_multi_cleanup(a->multi);
    while (a->sockets)
        drop_socket(a, a->sockets);
    curl_slist_free_all(a->headers);
    json_free(a->json);
    explicit_bzero(a->base, sizeof a->base);
    free(a);
    curl_global_cleanup();
}

static struct call *find(struct botapi *a, unsigned ticket)
{
    for (size_t i = 0; i < BOTAPI_CALLS_MAX; i++)
        if (a->calls[i].ticket == ticket)
            return &a->calls[i];
    return NULL;
}

/* Returns a free call with an empty request. */
static struct call *new_call(struct botapi *a)
{
    struct call *c = find(a, 0);

    assert(c);
    if (++a->last_ticket == 0)
        a->last_ticket = 1;
    c->ticket = a->last_ticket;
    c->is_too_large = false;
    curl_easy_setopt(c->easy, CURLOPT_FRESH_CONNECT, 0L);
    curl_easy_setopt(c->easy, CURLOPT_FORBID_REUSE, 0L);
    buf_clear(&c->request);
    buf_clear(&c->answer);
    return c;
}

static unsigned begin(struct botapi *a, struct call *c, const char *method, int64_t timeout_ms)
{
    char url[URL_MAX + 32];
    long connect_ms = timeout_ms < CONNECT_TIMEOUT_MS ? (long)timeout_ms : CONNECT_TIMEOUT_MS;

    snprintf(url, sizeof url, "%s/%s", a->base, method);
    curl_easy_setopt(c->easy, CURLOPT_URL, url); /* libcurl copies it */
    explicit_bzero(url, sizeof url);
    curl_easy_setopt(c->easy, CURLOPT_POSTFIELDS, buf_text(&c->request));
    curl_easy_setopt(c->easy, CURLOPT_POSTFIELDSIZE, (long)c->request.len);
    curl_easy_setopt(c->easy, CURLOPT_TIMEOUT_MS, (long)timeout_ms);
    curl_easy_setopt(c->easy, CURLOPT_CONNECTTIMEOUT_MS, connect_ms);
    curl_multi_add_handle(a->multi, c->easy);
    return c->ticket;
}

unsigned botapi_get_me(struct botapi *a, int64_t timeout_ms)
{
    struct call *c = new_call(a);

    buf_adds(&c->request, "{}");
    return begin(a, c, "getMe", timeout_ms);
}

unsigned botapi_get_updates(struct botapi *a, uint64_t offset, int wait_s, int limit,
                            int64_t timeout_ms)
{
    struct call *c = new_call(a);

    buf_printf(&c->request, "{\"timeout\":%d,\"limit\":%d,\"allowed_updates\":[\"message\"]",
               wait_s, limit);
    if (offset)
        buf_printf(&c->request, ",\"offset\":%llu", (unsigned long long)offset);
    buf_addc(&c->request, '}');
    return begin(a, c, "getUpdates", timeout_ms);
}

unsigned botapi_send(struct botapi *a, int64_t chat, int64_t thread, struct span text,
                     int64_t timeout_ms)
{
    struct call *c = new_call(a);

    /*
     * On a reused connection libcurl would itself send a request again when the connection closes
     * without an answer; a message must not be sent twice unnoticed.
     */
    curl_easy_setopt(c->easy, CURLOPT_FRESH_CONNECT, 1L);
    curl_easy_setopt(c->easy, CURLOPT_FORBID_REUSE, 1L);
    buf_printf(&c->request, "{\"chat_id\":%lld,", (long long)chat);
    if (thread)
        buf_printf(&c->request, "\"message_thread_id\":%lld,", (long long)thread);
    buf_adds(&c->request, "\"text\":");
    buf_json(&c->request, text);
    buf_adds(&c->request, ",\"disable_web_page_preview\":true}");
    return begin(a, c, "sendMessage", timeout_ms);
}

void botapi_abort(struct botapi *a, unsigned ticket)
{
    struct call *c = ticket ? find(a, ticket) : NULL;

    if (!c)
        return;
    curl_multi_remove_handle(a->multi, c->easy);
    c->ticket = 0;
}

/* libcurl may change the list during a call: search again after each. */
static struct curl_socket *next_ready(const struct botapi *a)
{
    struct curl_socket *s = a->sockets;

    while (s && !s->ready)
        s = s->next;
    return s;
}

void botapi_turn(struct botapi *a, int64_t now)
{
    struct curl_socket *s;
    int running;

    a->now = now;
    while ((s = next_ready(a))) {
        int ready = s->ready;

        s->ready = 0;
        curl_multi_socket_action(a->multi, s->fd, ready, &running);
    }
    if (a->due >= 0 && a->due <= now) {
        a->due = -1;
        curl_multi_socket_action(a->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    }
}

int64_t botapi_wait(const struct botapi *a, int64_t now)
{
    if (a->due < 0)
        return -1;
    return a->due > now ? a->due - now : 0;
}

/* --- answers ---------------------------------------------------------------------- */

static void judge_failure(const struct botapi *a, CURLcode code, const struct call *c,
                          struct botapi_answer *out)
{
    long sent = 0;

    /* If nothing of a request was written, it cannot have arrived. */
    curl_easy_getinfo(c->easy, CURLINFO_REQUEST_SIZE, &sent);
    out->verdict = sent ? BOTAPI_UNKNOWN : BOTAPI_NO_CONTACT;
    snprintf(out->why, sizeof out->why, "%s: %s", a->host,
             c->is_too_large ? "the answer is too large" : curl_easy_strerror(code));
}

bool botapi_take(struct botapi *a, struct botapi_answer *out)
{
    CURLMsg *m;
    int left;

    while ((m = curl_multi_info_read(a->multi, &left))) {
        CURLcode code = m->data.result;
        CURL *easy = m->easy_handle;
        struct call *c;
        long status = 0;
        char *private;

        if (m->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(easy, CURLINFO_PRIVATE, &private);
        c = (struct call *)private;
        *out = (struct botapi_answer){.ticket = c->ticket, .body = buf_span(&c->answer)};
        curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
        out->code = (int)status;
        if (code)
            judge_failure(a, code, c, out);
        else
            botapi_judge(a->json, out);
        curl_multi_remove_handle(a->multi, easy);
        c->ticket = 0;
        return true;
    }
    return false;
}
