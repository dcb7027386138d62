#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "gateway/fanout/window.h"
#include "shared/base/buf.h"

static struct hub_symbol symbol = {.name = "X", .name_len = 1};
static char body[] = {(char)0x81, (char)0xa3, 'b', 'i', 'd', (char)0xa1, '1'};

static void add(struct window *w, uint64_t seq, uint64_t prev)
{
    struct window_record r = {.seq = seq,
                              .prev = prev,
                              .symbol = &symbol,
                              .kind = MESSAGE_QUOTE,
                              .state = SYMBOL_LIVE,
                              .body = body,
                              .body_len = sizeof body};

    window_add(w, &r);
}

static void what_was_added_is_found_by_position(void **state)
{
    struct window *w = window_new(0);

    (void)state;
    assert_int_equal(window_after(w, 0), 0);
    for (uint64_t seq = 10; seq <= 1000; seq += 10)
        add(w, seq, seq - 10);
    assert_int_equal(window_count(w), 100);
    assert_int_equal(window_floor(w), 0);
    assert_int_equal(window_at(w, window_after(w, 0))->seq, 10);
    assert_int_equal(window_at(w, window_after(w, 500))->seq, 510);
    assert_int_equal(window_at(w, window_after(w, 505))->seq, 510);
    assert_int_equal(window_after(w, 1000), 100);
    window_free(w);
}

static void the_oldest_go_first_and_the_floor_tells(void **state)
{
    struct window *w = window_new(10000);
    uint64_t floor;

    (void)state;
    for (uint64_t seq = 1; seq <= 1000; seq++)
        add(w, seq, seq - 1);
    floor = window_floor(w);
    assert_in_range(floor, 500, 999);
    assert_int_equal(window_at(w, 0)->seq, floor + 1);
    assert_int_equal(window_count(w), 1000 - floor);
    window_free(w);
}

static void one_that_is_not_newer_breaks_the_window(void **state)
{
    struct window *w = window_new(0);

    (void)state;
    add(w, 10, 0);
    add(w, 20, 10);
    add(w, 15, 10);
    assert_int_equal(window_count(w), 0);
    assert_int_equal(window_floor(w), 20);
    add(w, 30, 20);
    assert_int_equal(window_at(w, window_after(w, 20))->seq, 30);
    window_clear(w, 44);
    assert_int_equal(window_floor(w), 44);
    window_free(w);
}

static void a_record_is_sent_as_it_was_when_it_came(void **state)
{
    struct window *w = window_new(0);
    struct frame *f;
    const char expected[] = "{\"type\":\"quote\",\"symbol\":\"X\",\"seq\":7,\"prev\":3,"
                            "\"bid\":\"1\"}";

    (void)state;
    add(w, 7, 3);
    symbol.seq = 99; /* it has moved on since */
    f = window_frame(w, 0, ENCODING_JSON, MESSAGE_QUOTE);
    assert_int_equal(f->len, 2 + strlen(expected));
    assert_memory_equal(f->bytes + 2, expected, strlen(expected));
    assert_int_equal(f->seq, 7);
    assert_ptr_equal(window_frame(w, 0, ENCODING_JSON, MESSAGE_QUOTE), f);
    assert_ptr_equal(f->symbol, &symbol);
    window_free(w);
}

/* Frames that were made count, too. */
static size_t kept_with_frames(enum symbol_message kind)
{
    struct window *w = window_new(10000);
    size_t count;

    for (uint64_t seq = 1; seq <= 1000; seq++) {
        add(w, seq, seq - 1);
        if (kind != MESSAGE_COUNT)
            (void)window_frame(w, window_count(w) - 1, ENCODING_JSON, kind);
    }
    count = window_count(w);
    window_free(w);
    return count;
}

static void a_window_holds_as_many_bytes_as_it_may(void **state)
{
    size_t record = sizeof(struct window_record) + sizeof body, count, with_frames;
    struct window *w = window_new(10 * record);
    struct frame *f;

    (void)state;
    for (uint64_t seq = 1; seq <= 10; seq++)
        add(w, seq, seq - 1);
    assert_int_equal(window_count(w), 10);
    f = window_frame(w, 9, ENCODING_JSON, MESSAGE_QUOTE);
    assert_int_equal(window_frame(w, window_count(w) - 1, ENCODING_JSON, MESSAGE_QUOTE)->seq, 10);
    assert_ptr_equal(window_frame(w, window_count(w) - 1, ENCODING_JSON, MESSAGE_QUOTE), f);
    add(w, 11, 10);
    assert_true(window_count(w) < 10); /* the frame is in place of a record */
    window_free(w);
    count = kept_with_frames(MESSAGE_COUNT);
    with_frames = kept_with_frames(MESSAGE_QUOTE);
    assert_int_equal(count, 10000 / record);
    assert_true(with_frames < count);
    assert_true(kept_with_frames(MESSAGE_TRACED) < with_frames);
}

static void a_quote_carries_its_trace_for_clients_that_asked_for_traces(void **state)
{
    struct window *w = window_new(0);
    struct window_record r = {.seq = 7,
                              .sent_us = 1795382037000001,
                              .accepted_us = 1795382037000002,
                              .symbol = &symbol,
                              .kind = MESSAGE_QUOTE,
                              .body = body,
                              .body_len = sizeof body};
    struct frame *plain, *traced;
    const char *trace = ",\"trace\":{\"sent\":1795382037000001,"
                        "\"accepted\":1795382037000002,\"written\":";

    (void)state;
    window_add(w, &r);
    traced = window_frame(w, 0, ENCODING_JSON, MESSAGE_TRACED);
    plain = window_frame(w, 0, ENCODING_JSON, MESSAGE_QUOTE);
    assert_ptr_not_equal(plain, traced);
    assert_ptr_equal(window_frame(w, 0, ENCODING_JSON, MESSAGE_TRACED), traced);
    assert_non_null(memmem(traced->bytes, traced->len, trace, strlen(trace)));
    assert_null(memmem(plain->bytes, plain->len, "trace", 5));
    assert_int_equal(plain->stamp_at, 0);
    assert_true(traced->stamp_at > 0);
    r.seq = 8;
    r.kind = MESSAGE_STATE;
    window_add(w, &r);
    assert_ptr_equal(window_frame(w, 1, ENCODING_JSON, MESSAGE_TRACED),
                     window_frame(w, 1, ENCODING_JSON, MESSAGE_QUOTE));
    window_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_added_is_found_by_position),
        cmocka_unit_test(the_oldest_go_first_and_the_floor_tells),
        cmocka_unit_test(one_that_is_not_newer_breaks_the_window),
        cmocka_unit_test(a_record_is_sent_as_it_was_when_it_came),
        cmocka_unit_test(a_window_holds_as_many_bytes_as_it_may),
        cmocka_unit_test(a_quote_carries_its_trace_for_clients_that_asked_for_traces),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
