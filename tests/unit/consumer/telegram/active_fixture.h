/*
 * active_fixture: the active instance of the bot with a simulated broker and a simulated Telegram.
 *
 * The functions of libpregon, of the Bot API and of the loop that active*.c calls are defined here,
 * in place of those in the libraries: they record the requests, and a test answers them.
 * Include it after <cmocka.h>, in one file of a program.
 */
#ifndef TESTS_UNIT_CONSUMER_TELEGRAM_ACTIVE_FIXTURE_H
#define TESTS_UNIT_CONSUMER_TELEGRAM_ACTIVE_FIXTURE_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "consumer/telegram/active.h"
#include "shared/base/log.h"
#include "shared/base/mem.h"

#define TTL 30000
#define SEND_MS (TTL / 4)
#define POLL_S 50
#define MARGIN_MS 10000
#define LEAVE_MS 5000
#define CALLS_MAX 64

enum call_kind { CALL_GET_ME, CALL_POLL, CALL_SEND };

struct call {
    enum call_kind kind;
    bool is_over; /* answered or aborted */
    bool is_aborted;
    uint64_t offset;
    int limit, wait_s;
    int64_t chat, thread, timeout_ms;
    char text[512];
};

struct pregon {
    struct pregon_options options;
    char subscribed[200];
    struct pregon_position position;
};

struct pregon_lock {
    struct pregon_lock_options options;
    char name[PREGON_LOCK_NAME_MAX + 1];
};

struct botapi {
    struct call calls[CALLS_MAX]; /* ticket - 1 */
    unsigned count;
    struct botapi_answer answer;
    bool has_answer;
};

static struct active active;
static struct botapi *api;
static struct pregon_lock *lock, *alarm_lock;
static struct json *json;
static int64_t now, lease_until;
static uint64_t granted;
static bool is_ready;
static char ready_text[80];

/* The value of the lock: the requests in progress, and the value that the broker has. */
static struct {
    pregon_value_fn *get, *put;
    void *get_ctx, *put_ctx;
    struct buf putting, kept;
    unsigned puts;
} value;

/* --- the loop --------------------------------------------------------------------------- */

int64_t loop_now(const struct loop *l)
{
    (void)l;
    return now;
}

enum err loop_watch(struct loop *l, struct loop_watch *w, uint32_t events)
{
    (void)l, (void)w, (void)events;
    return OK;
}

void loop_unwatch(struct loop *l, struct loop_watch *w)
{
    (void)l, (void)w;
}

void loop_ready(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(ready_text, sizeof ready_text, format, args);
    va_end(args);
    assert_false(is_ready); /* once */
    is_ready = true;
}

/* --- libpregon -------------------------------------------------------------------------- */

enum pregon_error pregon_open(const struct pregon_options *options, struct pregon **out)
{
    *out = mem_zalloc(sizeof **out);
    (*out)->options = *options;
    return PREGON_OK;
}

void pregon_close(struct pregon **p)
{
    free(*p);
    *p = NULL;
}

int pregon_fd(const struct pregon *p)
{
    (void)p;
    return 0;
}

int pregon_turn(struct pregon *p)
{
    return p == active.tape ? 700 : 900;
}

enum pregon_error pregon_subscribe(struct pregon *p, const char *pattern)
{
    size_t len = strlen(p->subscribed);

    snprintf(p->subscribed + len, sizeof p->subscribed - len, "+%s", pattern);
    return PREGON_OK;
}

enum pregon_error pregon_unsubscribe(struct pregon *p, const char *pattern)
{
    size_t len = strlen(p->subscribed);

    snprintf(p->subscribed + len, sizeof p->subscribed - len, "-%s", pattern);
    return PREGON_OK;
}

struct pregon_position pregon_position(const struct pregon *p)
{
    return p->position;
}

/* The body is the price. */
const char *pregon_quote_text(const struct pregon_quote *q, const char *name, char *out,
                              size_t size)
{
    bool is_known = strcmp(name, "last") == 0;

    snprintf(out, size, "%.*s", is_known ? (int)q->body.len : 0, is_known ? q->body.at : "");
    return out;
}

enum pregon_error pregon_lock_open(struct pregon *p, const char *name,
                                   const struct pregon_lock_options *options,
                                   struct pregon_lock **out)
{
    assert_ptr_equal(p, active.link);
    *out = mem_zalloc(sizeof **out);
    (*out)->options = *options;
    snprintf((*out)->name, sizeof(*out)->name, "%s", name);
    if (!lock)
        lock = *out;
    else
        alarm_lock = *out;
    return PREGON_OK;
}

void pregon_lock_close(struct pregon_lock **l)
{
    assert_ptr_equal(*l, alarm_lock);
    free(alarm_lock);
    *l = alarm_lock = NULL;
}

uint64_t pregon_lock_token(const struct pregon_lock *l)
{
    return l == lock && now < lease_until ? granted : 0;
}

int64_t pregon_lock_remaining_ms(const struct pregon_lock *l)
{
    return l == lock && now < lease_until ? lease_until - now : 0;
}

const char *pregon_lost_reason_name(enum pregon_lost_reason r)
{
    (void)r;
    return "lost";
}

enum pregon_error pregon_value_get(struct pregon *p, const char *name, pregon_value_fn *fn,
                                   void *ctx)
{
    assert_ptr_equal(p, active.link);
    assert_string_equal(name, lock->name);
    assert_null(value.get);
    value.get = fn;
    value.get_ctx = ctx;
    return PREGON_OK;
}

enum pregon_error pregon_value_put(struct pregon_lock *l, const void *data, size_t len,
                                   pregon_value_fn *fn, void *ctx)
{
    assert_ptr_equal(l, lock);
    assert_null(value.put);
    if (now >= lease_until)
        return PREGON_ERROR_STALE;
    buf_clear(&value.putting);
    buf_add(&value.putting, data, len);
    value.put = fn;
    value.put_ctx = ctx;
    value.puts++;
    return PREGON_OK;
}

/* --- the Bot API ------------------------------------------------------------------------ */

struct botapi *botapi_open(struct loop *loop, const char *base_url, const char *token)
{
    (void)loop, (void)base_url, (void)token;
    return api = mem_zalloc(sizeof *api);
}

void botapi_close(struct botapi *a)
{
    free(a);
}

static inline unsigned begin_call(struct botapi *a, struct call call)
{
    assert_true(a->count < CALLS_MAX);
    a->calls[a->count] = call;
    return ++a->count;
}

unsigned botapi_get_me(struct botapi *a, int64_t timeout_ms)
{
    return begin_call(a, (struct call){.kind = CALL_GET_ME, .timeout_ms = timeout_ms});
}

unsigned botapi_get_updates(struct botapi *a, uint64_t offset, int wait_s, int limit,
                            int64_t timeout_ms)
{
    return begin_call(a, (struct call){.kind = CALL_POLL,
                                       .offset = offset,
                                       .wait_s = wait_s,
                                       .limit = limit,
                                       .timeout_ms = timeout_ms});
}

unsigned botapi_send(struct botapi *a, int64_t chat, int64_t thread, struct span text,
                     int64_t timeout_ms)
{
    struct call call = {
        .kind = CALL_SEND, .chat = chat, .thread = thread, .timeout_ms = timeout_ms};

    snprintf(call.text, sizeof call.text, "%.*s", (int)text.len, text.at);
    return begin_call(a, call);
}

void botapi_abort(struct botapi *a, unsigned ticket)
{
    if (!ticket)
        return;
    a->calls[ticket - 1].is_over = a->calls[ticket - 1].is_aborted = true;
}

void botapi_turn(struct botapi *a, int64_t at)
{
    (void)a;
    assert_int_equal(at, now);
}

bool botapi_take(struct botapi *a, struct botapi_answer *out)
{
    if (!a->has_answer)
        return false;
    *out = a->answer;
    a->has_answer = false;
    return true;
}

int64_t botapi_wait(const struct botapi *a, int64_t at)
{
    (void)a, (void)at;
    return -1;
}

/* --- what tests call -------------------------------------------------------------------- */

static inline void turn(void)
{
    active_turn(&active);
}

/* The one call of that kind in progress; NULL: there is none. */
static inline struct call *under_way(enum call_kind kind)
{
    struct call *found = NULL;

    for (unsigned i = 0; i < api->count; i++) {
        struct call *c = &api->calls[i];

        if (c->kind != kind || c->is_over)
            continue;
        assert_null(found);
        found = c;
    }
    return found;
}

/* Telegram answers the call of that kind with this body; then comes a turn. */
static inline void telegram_answers(enum call_kind kind, const char *body, int status)
{
    struct call *c = under_way(kind);

    assert_non_null(c);
    c->is_over = true;
    api->answer = (struct botapi_answer){
        .ticket = (unsigned)(c - api->calls) + 1, .code = status, .body = span_of(body)};
    if (status)
        botapi_judge(json, &api->answer);
    else
        api->answer.verdict = *body ? BOTAPI_UNKNOWN : BOTAPI_NO_CONTACT;
    api->has_answer = true;
    turn();
}

static inline void ok(enum call_kind kind, const char *result)
{
    char body[600];

    snprintf(body, sizeof body, "{\"ok\":true,\"result\":%s}", result);
    telegram_answers(kind, body, 200);
}

static inline void refused(enum call_kind kind, int code, const char *description)
{
    char body[400];

    snprintf(body, sizeof body, "{\"ok\":false,\"error_code\":%d,\"description\":\"%s\"}", code,
             description);
    telegram_answers(kind, body, code);
}

static inline void lock_is_held(uint64_t token)
{
    granted = token;
    lease_until = now + TTL * 2 / 3;
    lock->options.on_held(lock->options.ctx, lock, token);
    turn();
}

/* The broker answers the request for the value with the value that it has; then a turn runs. */
static inline void value_is_read(void)
{
    pregon_value_fn *fn = value.get;
    struct pregon_value v = {.data = {value.kept.data, value.kept.len}, .version = 1};

    assert_non_null(fn);
    value.get = NULL;
    fn(value.get_ctx, value.kept.len ? PREGON_OK : PREGON_ERROR_NOT_FOUND, "there is none", &v);
    turn();
}

/* The broker answers the put; then comes a turn. */
static inline void value_is_put(enum pregon_error error)
{
    pregon_value_fn *fn = value.put;
    struct pregon_value v = {0};

    assert_non_null(fn);
    value.put = NULL;
    if (!error) {
        buf_clear(&value.kept);
        buf_add(&value.kept, value.putting.data, value.putting.len);
    }
    fn(value.put_ctx, error, "no", &v);
    turn();
}

static inline void prices_are_there(void)
{
    active.link->options.on_synced(active.link->options.ctx);
    turn();
}

static inline int set_up(void **state)
{
    static const struct active_settings settings = {
        .publish = "tcp://b:1",
        .control = "tcp://b:2",
        .base_url = "https://api",
        .token = "42:secret",
        .ttl_ms = TTL,
        .poll_margin_ms = MARGIN_MS,
        .leave_ms = LEAVE_MS,
        .poll_s = POLL_S,
        .bot = {.language = BOT_ENGLISH, .margin = 100000, .alerts_per_chat = 3}};

    (void)state;
    log_init("test", "critical", "text");
    now = 1000000;
    lease_until = 0;
    is_ready = false;
    json = json_new();
    active = (struct active){0};
    memset(&value, 0, sizeof value);
    assert_true(active_open(&active, NULL, &settings));
    return 0;
}

static inline int tear_down(void **state)
{
    struct pregon_value v = {0};

    (void)state;
    if (value.put)
        value.put(value.put_ctx, PREGON_ERROR_CLOSED, "closed", &v);
    active_close(&active);
    free(lock);
    free(alarm_lock);
    lock = alarm_lock = NULL;
    buf_free(&value.putting);
    buf_free(&value.kept);
    json_free(json);
    return 0;
}

#define NAMED "{\"username\":\"pregon_bot\"}"

static inline void greeted(void)
{
    turn();
    ok(CALL_GET_ME, NAMED);
}

/* Active with an empty ledger, under token 5, polling. */
static inline void on_air(void)
{
    greeted();
    lock_is_held(5);
    value_is_read();
    prices_are_there();
    value_is_put(PREGON_OK); /* under the new token */
    value.puts = 0;
    assert_int_equal(active.phase, ACTIVE_ON);
}

static inline void writes(unsigned update, int64_t chat, const char *text)
{
    char result[300];

    snprintf(result, sizeof result,
             "[{\"update_id\":%u,\"message\":{\"message_id\":1,\"date\":1,"
             "\"from\":{\"id\":1,\"is_bot\":false},"
             "\"chat\":{\"id\":%lld,\"type\":\"private\"},\"text\":\"%s\"}}]",
             update, (long long)chat, text);
    ok(CALL_POLL, result);
}

#endif
