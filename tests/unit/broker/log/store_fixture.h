/*
 * store_fixture: a real store in a new folder, and a naive log to compare it with, for tests.
 *
 * publish() puts a record into a batch and into `published`, the naive log; write_batch()
 * stores the batch.  Include it after <cmocka.h>.
 */
#ifndef TESTS_UNIT_BROKER_LOG_STORE_FIXTURE_H
#define TESTS_UNIT_BROKER_LOG_STORE_FIXTURE_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <msgpack.h>

#include "broker/log/store.h"
#include "shared/wire/pack.h"
#include "tests/unit/folder.h"

#define LENGTH(array) (sizeof(array) / sizeof(array)[0])
#define EPOCH 0xFEEDFACE12345678u /* negative as SQLite's integer */
#define WALL_US 1640995200000000u
#define SYMBOLS 300

/* One record of the naive log, by position; .frame.len 0: a gap. */
struct published {
    struct buf topic, frame;
    uint64_t accepted_us;
    bool is_lost, is_pruned;
};

static char folder[64], path[128], error[STORE_ERROR_MAX];
static struct store *store;
static struct store_batch *batch;
static struct published *published; /* [1 … head] */
static uint64_t head, last_seqs[SYMBOLS], last_loss, now_us, epoch;

/* Fails the test with the store's error. */
#define assert_ok(call)            \
    do {                           \
        error[0] = '\0';           \
        if (call)                  \
            fail_msg("%s", error); \
    } while (0)

static inline void open_store(enum store_mode mode)
{
    assert_ok(store_open(path, mode, &store, error));
}

static inline void close_store(void)
{
    store_close(store);
    store = NULL;
}

static inline struct store_state state_now(void)
{
    struct store_state s;

    assert_ok(store_state(store, &s, error));
    return s;
}

static inline int set_up(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/test-store-XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/log.db", folder);
    batch = store_batch_new();
    head = last_loss = 0;
    now_us = WALL_US;
    epoch = EPOCH;
    memset(last_seqs, 0, sizeof last_seqs);
    return 0;
}

static inline int tear_down(void **state)
{
    (void)state;
    close_store();
    store_batch_free(batch);
    for (uint64_t seq = 1; seq <= head; seq++) {
        buf_free(&published[seq].topic);
        buf_free(&published[seq].frame);
    }
    free(published);
    published = NULL;
    return folder_remove(folder);
}

static inline struct published *next_published(void)
{
    if (!(head & (head + 1))) { /* it doubles at 2^n - 1 */
        published = realloc(published, (size_t)(head + 1) * 2 * sizeof *published);
        assert_non_null(published);
    }
    published[++head] = (struct published){.accepted_us = now_us};
    return &published[head];
}

static inline void publish_body(enum wire_kind kind, unsigned symbol, struct span body)
{
    struct published *p = next_published();
    struct wire_record r = {.kind = kind,
                            .epoch = epoch,
                            .seq = head,
                            .sent_us = now_us - 2000,
                            .accepted_us = now_us,
                            .body = body};

    r.prev = kind == WIRE_LOST ? last_loss : last_seqs[symbol];
    if (kind == WIRE_LOST) {
        buf_adds(&p->topic, WIRE_TOPIC_LOST);
        last_loss = head;
    } else {
        buf_printf(&p->topic, "S%u ", symbol);
        last_seqs[symbol] = head;
    }
    p->is_lost = kind == WIRE_LOST;
    wire_put(&p->frame, &r);
    store_batch_add(batch, head, 0, buf_span(&p->topic), buf_span(&p->frame));
}

static inline void publish(enum wire_kind kind, unsigned symbol)
{
    struct buf body = {0};
    char price[24];
    msgpack_packer pk;

    msgpack_packer_init(&pk, &body, buf_pack_write);
    msgpack_pack_map(&pk, 2);
    if (kind == WIRE_QUOTE) {
        snprintf(price, sizeof price, "%llu.50", (unsigned long long)head + 1);
        pack_kv_text(&pk, "last", span_of(price));
        pack_kv_text(&pk, "bid", SPAN("1.00"));
    } else {
        pack_kv_text(&pk, "state", SPAN("stale"));
        pack_kv_text(&pk, "feed", SPAN("sim"));
    }
    publish_body(kind, symbol, buf_span(&body));
    buf_free(&body);
}

/* Positions that are not stored. */
static inline void publish_gap(uint64_t count)
{
    uint64_t first = head + 1;

    for (uint64_t i = 0; i < count; i++) {
        struct published *p = next_published();

        /* The symbols continue meanwhile: their chains lead into the gap. */
        last_seqs[i % SYMBOLS] = head;
        p->frame.len = 0;
    }
    store_batch_gap(batch, first, head, "ring overrun", now_us);
}

static inline void write_batch(void)
{
    store_batch_feed(batch, 0, SPAN("sim"), SPAN("owner-1"), 77, head, false);
    assert_ok(store_write(store, batch, error));
    store_batch_clear(batch);
}

static inline void begin_epoch(void)
{
    assert_ok(store_begin_epoch(store, epoch, head + 1, "test", now_us, error));
}

/* A store with one epoch and `count` quotes of S0, S1, S2 in turn. */
static inline void make_store(unsigned count)
{
    open_store(STORE_WRITE);
    begin_epoch();
    for (unsigned i = 0; i < count; i++)
        publish(WIRE_QUOTE, i % 3);
    write_batch();
}

static inline void write_file(const char *file, const char *text)
{
    FILE *f = fopen(file, "w");

    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

/* The first line of the sqlite3 tool's output for an SQL statement. */
static inline const char *sqlite_says(const char *database, const char *sql)
{
    static char line[300];
    char command[600];
    FILE *pipe;

    snprintf(command, sizeof command, "sqlite3 '%s' \"%s\" 2>&1", database, sql);
    pipe = popen(command, "r");
    assert_non_null(pipe);
    line[0] = '\0';
    if (!fgets(line, sizeof line, pipe))
        line[0] = '\0';
    line[strcspn(line, "\n")] = '\0';
    while (fgetc(pipe) != EOF)
        ;
    pclose(pipe);
    return line;
}

/* The next [topic, frame] of a page must be this position of the naive log. */
static inline void check_record(struct span *records, uint64_t seq)
{
    struct pack_value v;

    assert_true(pack_next(records, &v) && v.type == PACK_ARRAY && v.count == 2);
    assert_true(pack_next(records, &v) && v.type == PACK_STR);
    assert_int_equal(v.text.len, published[seq].topic.len);
    assert_memory_equal(v.text.at, published[seq].topic.data, v.text.len);
    assert_true(pack_next(records, &v) && v.type == PACK_BIN);
    assert_int_equal(v.text.len, published[seq].frame.len);
    assert_memory_equal(v.text.at, published[seq].frame.data, v.text.len);
}

#endif
