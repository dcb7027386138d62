/*
 * session_fixture: sessions without sockets, so that tests read like conversations.
 *
 * A peer is the other end of a session: writes() sends a message, receives() checks the next
 * message that has arrived (MessagePack is shown as JSON).  Time passes only in pass().  The
 * broker is a switch and a list of requests.  Include it after <cmocka.h>, in one file of a
 * program.
 */
#ifndef TESTS_UNIT_GATEWAY_SESSION_SESSION_FIXTURE_H
#define TESTS_UNIT_GATEWAY_SESSION_SESSION_FIXTURE_H

#include <msgpack.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/session/session_private.h"
#include "gateway/session/sessions.h"
#include "shared/base/log.h"
#include "shared/base/mem.h"
#include "shared/wire/pack.h"
#include "shared/wire/replay.h"

#define EPOCH 0xabc
#define EPOCH_TEXT "0000000000000abc"
#define WALL_US 1600000000250000
#define UNLIMITED SIZE_MAX
#define REQUESTS_MAX 32

static struct gateway_config config;
static struct counters counters;
static struct sessions *all;
static int64_t now;
static bool is_broker_here;
static uint64_t head; /* of the log: the last position that was published */

/*
 * The other end of a session.  The session's memory is its own, so that sanitizers see late uses.
 */
struct peer {
    struct session *s;     /* NULL: it has ended and been freed */
    struct buf to, from;   /* bytes under way to the session, and those that it sent */
    size_t read_at;        /* of `from` */
    size_t chunk;          /* the session reads at most this many bytes at once */
    size_t room;           /* the socket accepts this many more bytes */
    bool reads, writes;    /* what the session watches its socket for */
    size_t unacknowledged; /* bytes sent that its machine has not acknowledged */
    bool has_ended;        /* this end is closed */
    bool has_failed;
    bool has_end;                 /* the session sends no more */
    bool is_closed;               /* the session's end */
    struct buf text;              /* of the message heard last */
    unsigned last_opcode, places; /* opened and not closed */
};

struct link {
    struct session session;
    struct peer *peer;
};

static struct peer_list {
    struct peer *list[64];
    size_t count;
} peers;

/* Requests to the broker that are not answered yet. */
static struct {
    struct buf body;
    char op[16];
    void *ctx;
    session_answer *on_answer;
} requests[REQUESTS_MAX];
static size_t request_count;

/* --- the connection ------------------------------------------------------------------- */

static inline struct peer *peer_of(struct session *s)
{
    return ((struct link *)(void *)s)->peer;
}

static inline ssize_t io_recv(struct session *s, void *to, size_t size)
{
    struct peer *p = peer_of(s);
    size_t len = p->to.len < size ? p->to.len : size;

    assert_false(p->is_closed);
    len = len < p->chunk ? len : p->chunk;
    if (!len)
        return p->has_ended || p->has_failed ? -1 : 0;
    memcpy(to, p->to.data, len);
    memmove(p->to.data, p->to.data + len, p->to.len - len);
    p->to.len -= len;
    return (ssize_t)len;
}

static inline ssize_t io_send(struct session *s, const void *bytes, size_t len)
{
    struct peer *p = peer_of(s);

    assert_false(p->is_closed || p->has_end);
    if (p->has_failed)
        return -1;
    len = len < p->room ? len : p->room;
    buf_add(&p->from, bytes, len);
    p->room -= p->room == UNLIMITED ? 0 : len;
    return (ssize_t)len;
}

static inline bool io_watch(struct session *s)
{
    struct peer *p = peer_of(s);

    assert_false(p->is_closed);
    p->reads = session_reads(s);
    p->writes = s->is_blocked;
    return true;
}

static inline size_t io_unacknowledged(struct session *s)
{
    return peer_of(s)->unacknowledged;
}

static inline void io_end_output(struct session *s)
{
    peer_of(s)->has_end = true;
}

static inline void io_close(struct session *s)
{
    assert_false(peer_of(s)->is_closed);
    assert_int_equal(peer_of(s)->places, 0); /* the place is free before the peer sees the end */
    peer_of(s)->is_closed = true;
}

static inline void io_free(struct session *s)
{
    peer_of(s)->s = NULL;
    free(s);
}

static inline int64_t io_wall_us(void *ctx)
{
    (void)ctx;
    return WALL_US + now * 1000;
}

/* --- the rest of the gateway ------------------------------------------------------------- */

static inline void on_opened(void *ctx, const struct session *s)
{
    (void)ctx;
    peer_of((struct session *)(uintptr_t)s)->places++;
}

static inline void on_closed(void *ctx, const struct session *s)
{
    (void)ctx;
    peer_of((struct session *)(uintptr_t)s)->places--;
}

static inline bool broker_is_here(void *ctx)
{
    (void)ctx;
    return is_broker_here;
}

static inline void on_request(void *ctx, const char *op, uint32_t members, struct span body,
                              void *answer_ctx, session_answer *on_answer)
{
    struct buf *map;
    msgpack_packer pk;

    (void)ctx;
    assert_true(request_count < REQUESTS_MAX);
    snprintf(requests[request_count].op, sizeof requests[0].op, "%s", op);
    map = &requests[request_count].body;
    buf_clear(map);
    msgpack_packer_init(&pk, map, buf_pack_write);
    msgpack_pack_map(&pk, members);
    buf_add(map, body.at, body.len);
    assert_int_equal(pack_check(buf_span(map)), OK);
    requests[request_count].ctx = answer_ctx;
    requests[request_count++].on_answer = on_answer;
}

static inline uint64_t requested(const char *key)
{
    assert_int_equal(request_count, 1);
    return pack_find_u(buf_span(&requests[0].body), key, UINT64_MAX);
}

static inline void answer_request(struct span answer)
{
    assert_true(request_count > 0);
    request_count--;
    requests[request_count].on_answer(requests[request_count].ctx, answer);
}

/* --- turns ---------------------------------------------------------------------------------- */

static inline void make_ready(struct peer *p)
{
    bool may_read = p->to.len || p->has_ended;
    unsigned events = (p->writes && p->room ? SESSION_WRITABLE : 0) |
                      (may_read && p->reads ? SESSION_READABLE : 0) |
                      (p->has_ended ? SESSION_PEER_ENDED : 0) |
                      (p->has_failed ? SESSION_FAILED : 0);

    if (events)
        session_on_ready(p->s, events);
}

/* One turn of the loop, without a sweep. */
static inline void turn(void)
{
    sessions_set_time(all, now, now, WALL_US + now * 1000);
    sessions_unthrottle(all);
    for (size_t i = 0; i < peers.count; i++)
        if (peers.list[i]->s && !peers.list[i]->is_closed)
            make_ready(peers.list[i]);
    hub_fan_out(all->hub);
    sessions_settle(all);
    sessions_flush_deferred(all);
    sessions_flush_due(all, SIZE_MAX, UINT64_MAX / 2, false);
    sessions_reap(all);
    hub_tidy(all->hub, SIZE_MAX);
}

/*
 * Milliseconds, each with a turn of its own; sweeps look at every session in each tenth of a
 * second.
 */
static inline void pass(int64_t ms)
{
    for (; ms > 0; ms--) {
        now++;
        sessions_set_time(all, now, now, WALL_US + now * 1000);
        if (now % SESSIONS_SWEEP_MS == 0)
            sessions_sweep(all);
        turn();
    }
}

/* --- records --------------------------------------------------------------------------------- */

/* Every topic is live, with what was published so far. */
static inline void sync_topics(void)
{
    for (struct hub_topic *t = hub_topic_first(all->hub); t; t = t->next)
        hub_topic_synced(t, head);
}

static inline struct span body_of(const char *last)
{
    static struct buf body;
    msgpack_packer pk;

    buf_clear(&body);
    msgpack_packer_init(&pk, &body, buf_pack_write);
    msgpack_pack_map(&pk, 1);
    pack_kv_text(&pk, "last", span_of(last));
    return buf_span(&body);
}

/* A quote that the gateway applies; it is sent in the next turn. */
static inline void quote(const char *symbol, const char *last)
{
    struct wire_record r = {.kind = WIRE_QUOTE, .epoch = EPOCH, .seq = ++head};
    const struct hub_symbol *s = hub_find(all->hub, span_of(symbol));

    r.prev = s ? s->seq : 0;
    r.body = body_of(last);
    assert_true(hub_apply(all->hub, hub_know(all->hub, span_of(symbol)), &r));
    hub_set_seq(all->hub, head);
}

/* --- the peer -------------------------------------------------------------------------------- */

static inline struct peer *arrive(const char *query, enum encoding encoding,
                                  void (*change)(struct accepted *a))
{
    struct peer *p = mem_zalloc(sizeof *p);
    struct link *l = mem_zalloc(sizeof *l);
    char path[] = "/ws/cotizaciones", *copy = mem_strdup(query);
    struct accepted a = {
        .host = "192.0.2.7", .port = 40000, .path = path, .query = copy, .encoding = encoding};

    if (change)
        change(&a);
    p->s = &l->session;
    p->chunk = p->room = UNLIMITED;
    p->reads = true;
    l->peer = p;
    peers.list[peers.count++] = p;
    session_open(all, p->s, &a);
    session_begin(p->s, &a);
    free(copy);
    return p;
}

/* A client connects.  The query is that of its URL. */
static inline struct peer *come(const char *query)
{
    return arrive(query, ENCODING_JSON, NULL);
}

/* One frame of the client, masked with zeros. */
static inline void send_frame(struct peer *p, unsigned first_byte, const void *data, size_t len)
{
    buf_addc(&p->to, (char)first_byte);
    if (len < 126) {
        buf_addc(&p->to, (char)(0x80 | len));
    } else {
        buf_addc(&p->to, (char)(0x80 | 126));
        buf_addc(&p->to, (char)(len >> 8));
        buf_addc(&p->to, (char)len);
    }
    buf_add(&p->to, "\0\0\0\0", 4);
    buf_add(&p->to, data, len);
}

#define FINAL 0x80u

static inline void writes(struct peer *p, const char *text)
{
    send_frame(p, FINAL | OPCODE_TEXT, text, strlen(text));
    turn();
}

/* The client's close frame. */
static inline void writes_close(struct peer *p, unsigned code)
{
    const char data[2] = {(char)(code >> 8), (char)code};

    send_frame(p, FINAL | OPCODE_CLOSE, data, 2);
    turn();
}

/* Take the next frame; false: none has come whole. */
static inline bool take_frame(struct peer *p)
{
    const unsigned char *b = (const unsigned char *)p->from.data + p->read_at;
    size_t have = p->from.len - p->read_at, len, from = 2;

    if (have < 2)
        return false;
    len = b[1];
    assert_true(b[0] & FINAL && len < 127);
    if (len == 126) {
        if (have < 4)
            return false;
        len = (size_t)b[2] << 8 | b[3];
        from = 4;
    }
    if (have < from + len)
        return false;
    p->last_opcode = b[0] & 15;
    buf_clear(&p->text);
    if (p->last_opcode == OPCODE_BINARY) {
        struct span message = {(const char *)b + from, len};

        assert_int_equal(pack_check(message), OK);
        pack_to_json(&message, &p->text);
    } else {
        buf_add(&p->text, b + from, len);
    }
    p->read_at += from + len;
    return true;
}

/* The next message begins so. */
static inline void receives(struct peer *p, const char *begin)
{
    if (!take_frame(p))
        fail_msg("nothing came instead of %s", begin);
    if (strncmp(buf_text(&p->text), begin, strlen(begin)) != 0)
        fail_msg("%s came instead of %s", buf_text(&p->text), begin);
}

/* The message heard last contains it. */
static inline void with(struct peer *p, const char *part)
{
    if (!strstr(buf_text(&p->text), part))
        fail_msg("%s has no %s", buf_text(&p->text), part);
}

static inline void without(struct peer *p, const char *part)
{
    if (strstr(buf_text(&p->text), part))
        fail_msg("%s has %s", buf_text(&p->text), part);
}

static inline void receives_nothing(struct peer *p)
{
    if (take_frame(p))
        fail_msg("%s came instead of nothing", buf_text(&p->text));
    assert_int_equal(p->read_at, p->from.len);
}

/* The next frame closes, with this code and reason. */
static inline void receives_close(struct peer *p, unsigned code, const char *reason)
{
    const unsigned char *b;

    assert_true(take_frame(p));
    b = (const unsigned char *)p->text.data;
    assert_int_equal(p->last_opcode, OPCODE_CLOSE);
    assert_int_equal(b[0] << 8 | b[1], code);
    if (strncmp((const char *)b + 2, reason, strlen(reason)) != 0)
        fail_msg("closed with %s", buf_text(&p->text) + 2);
}

/* Read all messages that have arrived. */
static inline void receives_all(struct peer *p)
{
    while (take_frame(p))
        ;
}

/* --- life ------------------------------------------------------------------------------------- */

static inline int set_up(void **state)
{
    const struct session_out out = {NULL, on_opened, on_closed, broker_is_here, on_request};
    char name[] = "test", *arguments[] = {name, NULL};

    (void)state;
    log_init("test", "critical", "text");
    assert_int_equal(config_load(&gateway_program, arguments, &config), CONFIG_RUN);
    counters_init(&counters);
    now = 100000;
    head = 0;
    is_broker_here = true;
    request_count = 0;
    all = sessions_new(&config, "gw", hub_new((size_t)config.client_queue), &counters, &out);
    all->io = (struct session_io){.recv = io_recv,
                                  .send = io_send,
                                  .watch = io_watch,
                                  .unacknowledged = io_unacknowledged,
                                  .end_output = io_end_output,
                                  .close = io_close,
                                  .free = io_free,
                                  .wall_us = io_wall_us};
    sessions_set_time(all, now, now, WALL_US + now * 1000);
    hub_set_window(all->hub, 1 << 20);
    hub_reset(all->hub, EPOCH);
    hub_thaw(all->hub);
    return 0;
}

static inline int tear_down(void **state)
{
    (void)state;
    sessions_drop_all(all, "end of the test");
    assert_int_equal(all->place_count, 0);
    assert_int_equal(all->traced_count, 0);
    assert_int_equal(all->blocked_count, 0);
    for (size_t i = 0; i < peers.count; i++) {
        struct peer *p = peers.list[i];

        assert_true(!p->s && p->is_closed && !p->places);
        buf_free(&p->to);
        buf_free(&p->from);
        buf_free(&p->text);
        free(p);
    }
    peers.count = 0;
    while (request_count)
        answer_request(SPAN(""));
    for (size_t i = 0; i < REQUESTS_MAX; i++)
        buf_free(&requests[i].body);
    hub_free(all->hub);
    sessions_free(all);
    config_free(&gateway_program, &config);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

/* Another peer subscribes to these patterns, so that their topics are live. */
static inline void follow(const char *patterns)
{
    char query[200];

    snprintf(query, sizeof query, "symbols=%s", patterns);
    come(query);
    turn();
    sync_topics();
    turn();
}

#endif
