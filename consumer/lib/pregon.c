#include "consumer/lib/pregon_private.h"

#include <errno.h>
#include <msgpack.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "shared/wire/bus.h"
#include "shared/base/clock.h"
#include "shared/base/mem.h"
#include "shared/wire/pack.h"

#define BURST 256
#define TURN_MAX_MS 1000
#define CLOSE_MS 200

/* --- requests ------------------------------------------------ */

static void send_hello(struct pregon *p)
{
    struct pregon_position known = pregon_position(p);
    struct buf b = {0};
    msgpack_packer pk;

    pregon_request_begin(p, REQUEST_HELLO, "hello", 7, &b, &pk);
    pack_kv_u(&pk, "known_epoch", known.epoch);
    pack_kv_u(&pk, "known_seq", known.seq);
    pack_kv_text(&pk, "role", SPAN("consumer"));
    pack_kv_text(&pk, "host", span_of(p->host));
    pack_kv_u(&pk, "pid", (uint64_t)getpid());
    pack_kv_u(&pk, "oldest", WIRE_VERSION_OLDEST);
    pack_kv_u(&pk, "newest", WIRE_VERSION);
    pregon_request_send(p, &b);
    p->hello_at = p->now + ANSWER_MS;
}

static void on_hello(struct pregon *p, struct span answer)
{
    struct span error = pack_find_text(answer, "error"),
                message = pack_find_text(answer, "message");
    char text[256];

    if (!error.len) {
        p->is_known = p->is_greeted = true;
        return;
    }
    snprintf(text, sizeof text, "The broker refuses us: %.*s (%.*s).", (int)error.len, error.at,
             (int)message.len, message.at);
    pregon_note(p, text);
}

static void on_answer(struct pregon *p, struct span answer)
{
    struct request *r;
    uint64_t id;

    if (pack_check(answer))
        return;
    id = pack_find_u(answer, "id", 0);
    HASH_FIND(hh, p->requests, &id, sizeof id, r);
    if (!r) { /* the request was given up, or the broker sent a notification */
        pregon_lock_answered_late(p, answer);
        return;
    }
    switch (r->kind) {
    case REQUEST_HELLO:
        on_hello(p, answer);
        break;
    case REQUEST_PING: /* the answer's arrival is all that matters */
        break;
    case REQUEST_RECEIVER:
        receiver_on_answer(p->receiver, r->number, answer, p->now);
        break;
    case REQUEST_LOCK:
        pregon_lock_answered(p, r, answer);
        break;
    case REQUEST_VALUE:
        pregon_value_answered(p, r, answer, PREGON_OK);
        break;
    }
    pregon_request_end(p, r);
}

static void give_up(struct pregon *p)
{
    struct request *r, *next;

    HASH_ITER(hh, p->requests, r, next)
    {
        if (p->now < r->give_up_at)
            continue;
        HASH_DEL(p->requests, r);
        if (r->kind == REQUEST_VALUE)
            pregon_value_answered(p, r, SPAN(""), PREGON_ERROR_AWAY);
        free(r);
    }
}

/* --- open and close ------------------------------------------------ */

static void free_all(struct pregon *p)
{
    struct request *r, *next;
    int error = errno;

    pregon_feeds_free(p, true);
    pregon_locks_free(p);
    HASH_ITER(hh, p->requests, r, next)
    pregon_request_end(p, r);
    subscription_free(p->subscription);
    pregon_link_close(p);
    if (p->context)
        zmq_ctx_term(p->context);
    if (p->fd >= 0)
        close(p->fd);
    if (p->wake >= 0)
        close(p->wake);
    buf_free(&p->json);
    free(p);
    errno = error;
}

enum pregon_error pregon_open(const struct pregon_options *options, struct pregon **out)
{
    struct pregon *p;
    enum pregon_error e = PREGON_ERROR_SYSTEM;

    if (!options || !options->size)
        return PREGON_ERROR_INVALID;
    p = mem_zalloc(sizeof *p);
    memcpy(&p->options, options, options->size < sizeof *options ? options->size : sizeof *options);
    p->now = clock_boot_ms();
    gethostname(p->host, sizeof p->host - 1);
    p->fd = epoll_create1(EPOLL_CLOEXEC);
    p->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    p->context = bus_context();
    if (!p->context || p->fd < 0 || p->wake < 0)
        goto fail;
    if (!pregon_link_open(p)) {
        e = pregon_link_error(errno);
        goto fail;
    }
    /* the caller owns these two texts */
    p->options.publish = p->options.control = NULL;
    if (!pregon_link_watch(p, p->wake))
        goto fail;
    pregon_follow(p);
    *out = p;
    return PREGON_OK;

fail:
    free_all(p);
    return e;
}

static void take_answers(struct pregon *p)
{
    struct bus_message m;
    enum err e = OK;

    for (int i = 0; i < BURST && e != ERR_AGAIN; i++) {
        if (receiver_is_paused(p->receiver))
            return;
        e = bus_recv(p->control, &m);
        if (e)
            continue;
        p->control_at = p->now;
        on_answer(p, bus_frame(&m, m.count - 1));
        bus_message_close(&m);
    }
}

/* Waits until the locks are released, so that the next holder gets them at once. */
static void wait_for_locks(struct pregon *p, int64_t until)
{
    zmq_pollitem_t item = {.socket = p->control, .events = ZMQ_POLLIN};

    p->now = clock_boot_ms();
    while (p->is_known && pregon_locks_are_leaving(p) && p->now < until) {
        pregon_locks_request(p);
        zmq_poll(&item, 1, (long)(until - p->now));
        take_answers(p);
        p->now = clock_boot_ms();
    }
}

void pregon_close(struct pregon **pp)
{
    struct pregon *p = *pp;
    struct request *r, *next;
    struct buf b = {0};
    msgpack_packer pk;
    int64_t until = clock_boot_ms() + CLOSE_MS;

    *pp = NULL;
    if (!p)
        return;
    p->is_closing = true;
    receiver_resume(p->receiver);
    pregon_locks_leave(p);
    HASH_ITER(hh, p->requests, r, next)
    if (r->kind == REQUEST_VALUE) {
        pregon_value_answered(p, r, SPAN(""), PREGON_ERROR_CLOSED);
        pregon_request_end(p, r);
    }
    wait_for_locks(p, until);
    if (p->is_known) {
        pregon_request_begin(p, REQUEST_HELLO, "goodbye", 0, &b, &pk);
        pregon_request_send(p, &b);
        bus_set_linger(p->control, until > p->now ? (int)(until - p->now) : 0);
    }
    free_all(p);
}

/* --- turns ------------------------------------------------ */

static void take_record(struct pregon *p, struct span topic, struct span message)
{
    struct wire_record r;

    if (!wire_read(message, &r, NULL))
        receiver_on_record(p->receiver, topic, message, &r, p->now);
}

/* Returns false if there may be more. */
static bool take_records(struct pregon *p)
{
    struct bus_message m;
    enum err e = OK;

    for (int i = 0; i < BURST && e != ERR_AGAIN; i++) {
        if (receiver_is_paused(p->receiver))
            return false;
        e = bus_recv(p->records, &m);
        if (e)
            continue;
        if (m.count == 2)
            take_record(p, bus_frame(&m, 0), bus_frame(&m, 1));
        else if (m.count == 1 && span_eq(bus_frame(&m, 0), WIRE_TOPIC_WELCOME)) {
            receiver_on_welcome(p->receiver);
            p->is_greeted = false; /* it may be another broker: send hello again */
            p->hello_at = p->now;
        }
        bus_message_close(&m);
    }
    return e == ERR_AGAIN;
}

static int64_t earliest(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

int pregon_turn(struct pregon *p)
{
    uint64_t wakes;
    int64_t due, feeds_wait = 0;
    bool is_drained;

    (void)!read(p->wake, &wakes, sizeof wakes);
    p->now = clock_boot_ms();
    receiver_resume(p->receiver);
    /* first: the callbacks that follow may rely on a lock being held */
    pregon_locks_check(p);
    take_answers(p);
    if (!receiver_is_paused(p->receiver))
        feeds_wait = pregon_feeds_turn(p);
    if (!receiver_is_paused(p->receiver))
        subscription_flush(p->subscription); /* records left over by pregon_stop */
    is_drained = take_records(p);
    if (receiver_is_paused(p->receiver))
        return 0;
    p->now = clock_boot_ms();
    if (!p->is_greeted && p->now >= p->hello_at)
        send_hello(p);
    receiver_tick(p->receiver, is_drained, p->now);
    subscription_flush(p->subscription);
    pregon_link_tick(p, is_drained);
    pregon_locks_request(p);
    give_up(p);
    if (receiver_is_paused(p->receiver) || bus_is_readable(p->records) ||
        bus_is_readable(p->control))
        return 0;
    due = earliest(receiver_deadline(p->receiver), pregon_locks_deadline(p));
    due = earliest(due - clock_boot_ms(), TURN_MAX_MS);
    due = earliest(due < 0 ? 0 : due, feeds_wait);
    pregon_feeds_wait(p, due);
    return (int)due;
}

void pregon_run(struct pregon *p, int timeout_ms)
{
    int64_t until = timeout_ms < 0 ? INT64_MAX : clock_boot_ms() + timeout_ms;

    for (;;) {
        struct pollfd item = {.fd = p->fd, .events = POLLIN};
        int wait = pregon_turn(p);
        int64_t left = until - clock_boot_ms();

        if (receiver_is_paused(p->receiver) || left <= 0)
            return;
        if (wait && poll(&item, 1, (int)earliest(wait, left)) < 0)
            return; /* a signal came */
    }
}

void pregon_stop(struct pregon *p)
{
    receiver_pause(p->receiver);
}

int pregon_fd(const struct pregon *p)
{
    return p->fd;
}

bool pregon_is_up(const struct pregon *p)
{
    return receiver_is_up(p->receiver);
}

enum pregon_error pregon_subscribe(struct pregon *p, const char *pattern)
{
    if (!pattern || receiver_add(p->receiver, span_of(pattern)))
        return PREGON_ERROR_INVALID;
    pregon_wake(p);
    return PREGON_OK;
}

enum pregon_error pregon_unsubscribe(struct pregon *p, const char *pattern)
{
    if (!pattern || subscription_remove(p->subscription, span_of(pattern)))
        return PREGON_ERROR_NOT_FOUND;
    pregon_wake(p);
    return PREGON_OK;
}

struct pregon_position pregon_position(const struct pregon *p)
{
    uint64_t seq = subscription_position(p->subscription);

    return (struct pregon_position){seq ? receiver_epoch(p->receiver) : 0, seq};
}
