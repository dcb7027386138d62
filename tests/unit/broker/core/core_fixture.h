/*
 * core_fixture: a broker's core without sockets, for tests.
 *
 * A recorder replaces the sockets; requests and answers are written as JSON (packed.h), so that a
 * test reads like a conversation.  Include it after <cmocka.h>.
 */
#ifndef TESTS_UNIT_BROKER_CORE_CORE_FIXTURE_H
#define TESTS_UNIT_BROKER_CORE_CORE_FIXTURE_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/core/core.h"
#include "shared/base/log.h"
#include "tests/unit/packed.h"

#define LENGTH(array) (sizeof(array) / sizeof(array)[0])
#define LOG_EPOCH 7777
#define WALL_US 1640995200000000
#define FIRST_FEED_EPOCH (WALL_US + 1)
#define FEED_EPOCH "1640995200000001" /* the same as text */

struct sent {
    struct buf to, message; /* topic or peer; record or message */
};

static struct broker_config config;
static struct core core;
static struct sent *published, *replies;
static size_t published_count, published_cap, reply_count, reply_cap;
static struct buf text; /* of the last answer looked at */

static inline void record_sent(struct sent **list, size_t *count, size_t *cap, struct span to,
                               struct span message)
{
    if (*count == *cap) {
        *cap = *cap ? *cap * 2 : 64;
        *list = realloc(*list, *cap * sizeof **list);
        assert_non_null(*list);
    }
    (*list)[*count] = (struct sent){0};
    buf_add(&(*list)[*count].to, to.at, to.len);
    buf_add(&(*list)[*count].message, message.at, message.len);
    ++*count;
}

static inline void on_publish(void *ctx, struct span topic, struct span record)
{
    assert_ptr_equal(ctx, &core);
    record_sent(&published, &published_count, &published_cap, topic, record);
}

static inline void on_reply(void *ctx, struct span peer, struct span message)
{
    assert_ptr_equal(ctx, &core);
    assert_int_equal(pack_check(message), OK);
    record_sent(&replies, &reply_count, &reply_cap, peer, message);
}

static inline void forget_sent(struct sent *list, size_t *count)
{
    while (*count) {
        --*count;
        buf_free(&list[*count].to);
        buf_free(&list[*count].message);
    }
}

static inline int set_up(void **state)
{
    (void)state;
    log_init("test", "critical", "text");
    config = (struct broker_config){.journal_bytes = 1 << 20,
                                    .max_symbols_total = 100000,
                                    .max_future = 60000,
                                    .publish_timeout = 60000,
                                    .publish_keys = 1000,
                                    .lock_ttl_max = 600000,
                                    .lock_delay_max = 600000,
                                    .lock_count_max = 1000};
    core = (struct core){.config = &config,
                         .out = {.ctx = &core, .publish = on_publish, .send = on_reply},
                         .time = {5000, 5000, WALL_US}};
    core_init(&core, LOG_EPOCH);
    return 0;
}

static inline int tear_down(void **state)
{
    (void)state;
    core_fini(&core);
    forget_sent(published, &published_count);
    forget_sent(replies, &reply_count);
    free(published);
    free(replies);
    published = replies = NULL;
    published_cap = reply_cap = 0;
    buf_free(&text);
    return 0;
}

static inline void pass_time(int64_t ms)
{
    core.time.now += ms;
    core.time.awake += ms;
    core.time.wall_us += ms * 1000;
}

/* Let time pass, and call the core as often as it requests. */
static inline void live_on(int64_t ms)
{
    int64_t wait = core_tick(&core);

    while (ms > 0) {
        wait = wait < 1 ? 1 : wait < ms ? wait : ms;
        pass_time(wait);
        ms -= wait;
        wait = core_tick(&core);
    }
}

static void (*between_slices)(void); /* called between two slices, if set */

/* Work until all waiting requests are answered; returns the number of turns. */
static inline unsigned work(void)
{
    unsigned turns = 1;

    for (; core_work(&core); turns++)
        if (between_slices)
            between_slices();
    return turns;
}

/* Send a request to control; returns the answer as JSON, "" if there was none. */
static inline const char *answer_to(const char *peer, const char *json)
{
    size_t before = reply_count;
    struct buf message = {0};

    packed(&message, json);
    core_control(&core, span_of(peer), buf_span(&message));
    buf_free(&message);
    work();
    if (reply_count == before)
        return "";
    assert_int_equal(reply_count, before + 1);
    assert_true(span_eq(buf_span(&replies[before].to), peer));
    return unpacked(&text, buf_span(&replies[before].message));
}

static inline struct span last_answer(void)
{
    assert_true(reply_count > 0);
    return buf_span(&replies[reply_count - 1].message);
}

/* The messages to a feeder since the last call, one after the other. */
static inline const char *heard(const char *peer)
{
    struct buf one = {0};

    buf_clear(&text);
    for (size_t i = 0; i < reply_count; i++) {
        assert_true(span_eq(buf_span(&replies[i].to), peer));
        buf_adds(&text, i ? " " : "");
        buf_adds(&text, unpacked(&one, buf_span(&replies[i].message)));
    }
    buf_free(&one);
    forget_sent(replies, &reply_count);
    return buf_text(&text);
}

/* Pass a message to the core as main.c does; forward it if the core returns true. */
static inline bool ingest(struct span topic, struct span message)
{
    struct buf copy = {0};
    bool is_forwarded;

    buf_add(&copy, message.at, message.len);
    is_forwarded = core_ingest(&core, topic, buf_span(&copy));
    if (is_forwarded)
        on_publish(&core, topic, buf_span(&copy));
    buf_free(&copy);
    return is_forwarded;
}

static inline void line_of_kind(enum wire_kind kind, uint64_t epoch, uint64_t number,
                                const char *topic, const char *body)
{
    struct buf bytes = {0}, message = {0};
    struct wire_record r = {.kind = kind, .epoch = epoch, .seq = number, .sent_us = number + 100};

    if (body)
        packed(&bytes, body);
    r.body = buf_span(&bytes);
    wire_put(&message, &r);
    ingest(span_of(topic), buf_span(&message));
    buf_free(&bytes);
    buf_free(&message);
}

static inline void line(uint64_t epoch, uint64_t number, const char *topic, const char *last)
{
    char body[200];

    snprintf(body, sizeof body, "{'last':'%s','timestamp':1640995200.0}", last);
    line_of_kind(WIRE_QUOTE, epoch, number, topic, body);
}

static inline struct wire_record published_record(size_t i)
{
    struct wire_record r;

    assert_true(i < published_count);
    assert_int_equal(wire_read(buf_span(&published[i].message), &r, NULL), OK);
    return r;
}

/* A published record in short: "EUR/USD quote 3<1 {…}". */
static inline const char *published_text(size_t i)
{
    static const char *const kinds[] = {"", "quote", "state", "lost", "heartbeat", "mark", "lock"};
    struct wire_record r = published_record(i);
    struct buf body = {0};

    assert_int_equal(r.epoch, LOG_EPOCH);
    unpacked(&body, r.body);
    buf_clear(&text);
    buf_printf(&text, "%s%s %llu<%llu %s", buf_text(&published[i].to), kinds[r.kind],
               (unsigned long long)r.seq, (unsigned long long)r.prev, buf_text(&body));
    buf_free(&body);
    return buf_text(&text);
}

static inline const char *quote_text(const char *symbol, uint64_t seq, uint64_t prev,
                                     const char *last)
{
    static char want[200];

    snprintf(want, sizeof want, "%s quote %llu<%llu {'last':'%s','timestamp':1640995200.0}", symbol,
             (unsigned long long)seq, (unsigned long long)prev, last);
    return want;
}

#define HELLO_AS(name, owner)                                                \
    "{'op':'hello','id':1,'role':'feeder','name':'" name "','owner':'" owner \
    "','oldest':1,'newest':1,'acked':0,'host':'h','pid':9}"

static inline void grant(void)
{
    assert_string_equal(answer_to("peer", HELLO_AS("sim", "one")),
                        "{'re':'hello','id':1,'version':1,'epoch':" FEED_EPOCH
                        ",'received':0,'lease_ms':900}");
    forget_sent(replies, &reply_count);
}

#endif
