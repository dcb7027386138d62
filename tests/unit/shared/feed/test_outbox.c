#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "shared/feed/outbox.h"
#include "shared/wire/wire.h"

/* A body of `len` bytes made of its number: a msgpack bin, filled with it. */
static struct span body_of(uint64_t number, size_t len)
{
    static char bytes[QUOTE_BYTES_MAX];

    assert_true(len >= 11 && len <= sizeof bytes);
    memset(bytes, (int)(number & 0x7F), len);
    bytes[0] = (char)0xC5;
    bytes[1] = (char)((len - 3) >> 8);
    bytes[2] = (char)(len - 3);
    memcpy(bytes + 3, &number, sizeof number);
    return (struct span){bytes, len};
}

static uint64_t add(struct outbox *l, uint64_t tag, size_t len)
{
    return outbox_add(l, SPAN("EUR/USD"), body_of(tag, len), 1000 + tag);
}

/* The next line to send must be `number` of `epoch` with the body made for `tag`. */
static void check_next(struct outbox *l, uint64_t epoch, uint64_t number, uint64_t tag, size_t len)
{
    struct span topic, record, body = body_of(tag, len);
    struct wire_record r;
    bool stampable;

    assert_true(outbox_peek(l, &topic, &record));
    assert_true(span_eq(topic, "EUR/USD "));
    assert_int_equal(wire_read(record, &r, &stampable), OK);
    assert_true(stampable);
    assert_int_equal(r.kind, WIRE_QUOTE);
    assert_int_equal(r.epoch, epoch);
    assert_int_equal(r.seq, number);
    assert_int_equal(r.sent_us, 1000 + tag);
    assert_int_equal(r.body.len, body.len);
    assert_memory_equal(r.body.at, body.at, body.len);
}

static void send_all(struct outbox *l)
{
    struct span topic, record;

    while (outbox_peek(l, &topic, &record))
        outbox_advance(l);
}

static void lines_are_numbered_from_one_without_a_hole(void **state)
{
    struct outbox *l = outbox_new(8, 1 << 20);

    (void)state;
    outbox_grant(l, 7, 0);
    for (uint64_t n = 1; n <= 5; n++)
        assert_int_equal(add(l, n, 20), n);
    for (uint64_t n = 1; n <= 5; n++) {
        check_next(l, 7, n, n, 20);
        outbox_advance(l);
    }
    assert_int_equal(outbox_sent(l), 5);
    outbox_free(l);
}

static void a_line_is_kept_until_it_is_received(void **state)
{
    struct outbox *l = outbox_new(8, 1 << 20);

    (void)state;
    outbox_grant(l, 7, 0);
    for (uint64_t n = 1; n <= 5; n++)
        add(l, n, 20);
    send_all(l);
    assert_int_equal(outbox_kept(l), 5);
    outbox_receive(l, 3);
    assert_int_equal(outbox_kept(l), 2);
    assert_int_equal(outbox_received(l), 3);
    outbox_receive(l, 2);  /* an old word changes nothing */
    outbox_receive(l, 99); /* nor one about lines that do not exist */
    assert_int_equal(outbox_received(l), 3);
    outbox_free(l);
}

static void a_resend_sends_everything_from_there_again_in_order(void **state)
{
    struct outbox *l = outbox_new(8, 1 << 20);
    struct outbox_range lost;

    (void)state;
    outbox_grant(l, 7, 0);
    for (uint64_t n = 1; n <= 5; n++)
        add(l, n, 20);
    send_all(l);
    outbox_receive(l, 1);
    assert_true(outbox_rewind(l, 2, &lost));
    assert_int_equal(lost.count, 0);
    for (uint64_t n = 2; n <= 5; n++) {
        check_next(l, 7, n, n, 20);
        outbox_advance(l);
    }
    outbox_free(l);
}

static void what_was_never_sent_cannot_be_missing(void **state)
{
    struct outbox *l = outbox_new(8, 1 << 20);
    struct outbox_range lost;

    (void)state;
    outbox_grant(l, 7, 0);
    add(l, 1, 20);
    add(l, 2, 20);
    outbox_advance(l);
    assert_false(outbox_rewind(l, 2, &lost));
    assert_false(outbox_rewind(l, 50, &lost));
    assert_false(outbox_rewind(l, 0, &lost));
    check_next(l, 7, 2, 2, 20);
    outbox_free(l);
}

static void a_full_ring_has_no_room_and_the_next_line_pushes_the_oldest_out(void **state)
{
    struct outbox *l = outbox_new(4, 1 << 20);
    struct outbox_range lost;

    (void)state;
    outbox_grant(l, 7, 0);
    for (uint64_t n = 1; n <= 4; n++) {
        assert_true(outbox_has_room(l));
        add(l, n, 20);
    }
    assert_false(outbox_has_room(l));
    send_all(l);
    assert_int_equal(add(l, 5, 20), 5);
    assert_int_equal(add(l, 6, 20), 6);
    assert_int_equal(outbox_overflowed(l), 2);
    assert_true(outbox_rewind(l, 1, &lost));
    assert_int_equal(lost.first, 1);
    assert_int_equal(lost.last, 2);
    assert_int_equal(lost.count, 2);
    check_next(l, 7, 3, 3, 20);
    outbox_free(l);
}

static void the_ring_is_bounded_in_bytes_too(void **state)
{
    struct outbox *l = outbox_new(1000, 100000);
    int added = 0;

    (void)state;
    outbox_grant(l, 7, 0);
    while (outbox_has_room(l)) {
        add(l, 1, QUOTE_BYTES_MAX);
        added++;
    }
    assert_in_range(added, 10, 13);
    for (int i = 0; i < 100; i++)
        add(l, 1, QUOTE_BYTES_MAX);
    assert_in_range(outbox_kept(l), 10, 13);
    outbox_free(l);
}

/* 1,024 lines of 256 bytes are exactly the memory a ring begins with. */
static void a_ring_filled_to_its_last_byte_keeps_every_line(void **state)
{
    size_t len = 256 - strlen("EUR/USD ") - WIRE_HEADER_SIZE;
    struct outbox *l = outbox_new(4000, 1 << 20);
    struct outbox_range lost;
    uint64_t n = 1;

    (void)state;
    outbox_grant(l, 7, 0);
    for (; n <= 1024; n++)
        add(l, n, len);
    outbox_receive(l, 1); /* room for exactly one, at the start */
    add(l, n++, len);
    outbox_receive(l, 512);
    for (; n <= 1024 + 512; n++)
        add(l, n, len);
    add(l, n, len);
    send_all(l);
    assert_true(outbox_rewind(l, 513, &lost));
    for (uint64_t i = 513; i <= n; i++) {
        check_next(l, 7, i, i, len);
        outbox_advance(l);
    }
    outbox_free(l);
}

static void a_new_grant_restamps_what_is_kept_and_begins_after_received(void **state)
{
    struct outbox *l = outbox_new(8, 1 << 20);

    (void)state;
    outbox_grant(l, 7, 0);
    for (uint64_t n = 1; n <= 5; n++)
        add(l, n, 20);
    send_all(l);
    outbox_grant(l, 9, 3);
    check_next(l, 9, 4, 4, 20);
    outbox_advance(l);
    check_next(l, 9, 5, 5, 20);
    outbox_advance(l);
    assert_int_equal(add(l, 6, 20), 6);
    check_next(l, 9, 6, 6, 20);
    outbox_free(l);
}

static void a_broker_that_knows_of_more_lines_than_we_moves_our_numbers_above(void **state)
{
    struct outbox *l = outbox_new(8, 1 << 20);

    (void)state;
    outbox_grant(l, 7, 100);
    assert_int_equal(outbox_last(l), 100);
    assert_int_equal(outbox_received(l), 100);
    assert_int_equal(add(l, 1, 20), 101);
    outbox_grant(l, 8, 500);
    check_next(l, 8, 501, 1, 20);
    outbox_grant(l, 9, 502); /* by one line */
    check_next(l, 9, 503, 1, 20);
    outbox_free(l);
}

static void lines_that_a_broker_acknowledged_and_forgot_are_reported_to_it_as_lost(void **state)
{
    struct outbox *l = outbox_new(8, 1 << 20);
    struct outbox_range lost;

    (void)state;
    outbox_grant(l, 7, 0);
    for (uint64_t n = 1; n <= 5; n++)
        add(l, n, 20);
    send_all(l);
    outbox_receive(l, 4);
    outbox_grant(l, 8, 2);
    assert_true(outbox_rewind(l, 3, &lost));
    assert_int_equal(lost.first, 3);
    assert_int_equal(lost.last, 4);
    assert_true(lost.was_received);
    check_next(l, 8, 5, 5, 20);
    outbox_free(l);
}

static void what_was_received_once_and_what_never_was_are_lost_for_different_reasons(void **state)
{
    struct outbox *l = outbox_new(4, 1 << 20);
    struct outbox_range lost;

    (void)state;
    outbox_grant(l, 7, 0);
    for (uint64_t n = 1; n <= 3; n++)
        add(l, n, 20);
    send_all(l);
    outbox_receive(l, 2);
    outbox_grant(l, 8, 0);
    for (uint64_t n = 4; n <= 7; n++) /* pushes 3 out */
        add(l, n, 20);
    send_all(l);
    assert_true(outbox_rewind(l, 1, &lost));
    assert_true(lost.first == 1 && lost.last == 2 && lost.count == 2);
    assert_true(lost.was_received);
    send_all(l);
    assert_true(outbox_rewind(l, 3, &lost));
    assert_true(lost.first == 3 && lost.last == 3 && lost.count == 1);
    assert_false(lost.was_received);
    check_next(l, 8, 4, 4, 20);
    outbox_free(l);
}

/* The model: every line ever added, in an array, and four numbers. */
#define MODEL_MAX 60000

struct model {
    struct {
        uint64_t tag;
        size_t len;
    } lines[MODEL_MAX];
    uint64_t first, next, cursor, received, epoch;
    size_t bytes, lines_max, bytes_max;
};

static size_t cost(size_t len)
{
    return strlen("EUR/USD ") + WIRE_HEADER_SIZE + len;
}

static void model_drop(struct model *m)
{
    m->bytes -= cost(m->lines[m->first++].len);
}

static void model_add(struct model *m, uint64_t tag, size_t len)
{
    while (m->next - m->first == m->lines_max || m->bytes + cost(len) > m->bytes_max)
        model_drop(m);
    m->lines[m->next].tag = tag;
    m->lines[m->next++].len = len;
    m->bytes += cost(len);
    if (m->cursor < m->first)
        m->cursor = m->first;
}

static void model_receive(struct model *m, uint64_t n)
{
    if (n <= m->received || n >= m->next)
        return;
    m->received = n;
    while (m->first < m->next && m->first <= n)
        model_drop(m);
    if (m->cursor < m->first)
        m->cursor = m->first;
}

static void compare(struct outbox *l, struct model *m)
{
    struct span topic, record;

    assert_int_equal(outbox_last(l), m->next - 1);
    assert_int_equal(outbox_sent(l), m->cursor - 1);
    assert_int_equal(outbox_received(l), m->received);
    assert_int_equal(outbox_kept(l), m->next - m->first);
    assert_int_equal(outbox_has_room(l),
                     m->next - m->first < m->lines_max &&
                         m->bytes + WIRE_TOPIC_MAX + WIRE_RECORD_MAX <= m->bytes_max);
    if (m->cursor == m->next)
        assert_false(outbox_peek(l, &topic, &record));
    else
        check_next(l, m->epoch, m->cursor, m->lines[m->cursor].tag, m->lines[m->cursor].len);
}

static size_t random_len(void)
{
    return rand() % 8 ? 11 + (size_t)(rand() % 200)
                      : 11 + (size_t)(rand() % (QUOTE_BYTES_MAX - 11));
}

static void one_step(struct outbox *l, struct model *m)
{
    uint64_t from, n;
    struct outbox_range lost;
    size_t len;

    switch (rand() % 12) {
    default:
        len = random_len();
        assert_int_equal(add(l, m->next, len), m->next);
        model_add(m, m->next, len);
        break;
    case 5:
    case 6:
    case 7:
    case 8:
        for (int i = rand() % 4; i >= 0 && m->cursor < m->next; i--) {
            outbox_advance(l);
            m->cursor++;
        }
        break;
    case 9:
        n = m->received + (uint64_t)(rand() % 40);
        outbox_receive(l, n);
        model_receive(m, n);
        break;
    case 10:
        from = m->first + (uint64_t)(rand() % 40) - (uint64_t)(rand() % 10);
        if (outbox_rewind(l, from, &lost)) {
            assert_true(from && from < m->cursor);
            n = from > m->received ? m->first - 1 : m->received;
            n = from < m->first ? n - from + 1 : 0;
            assert_int_equal(lost.count, n);
            assert_int_equal(lost.was_received, n && from <= m->received);
            m->cursor = from < m->first ? m->first : from;
        } else {
            assert_true(!from || from >= m->cursor);
        }
        break;
    case 11:
        if (rand() % 20)
            break;
        m->epoch++;
        n = m->received + (uint64_t)(rand() % 3);
        n = n < m->next ? n : m->next - 1;
        outbox_grant(l, m->epoch, n);
        model_receive(m, n);
        m->cursor = m->first;
        break;
    }
}

static void random_operations_agree_with_a_naive_model(void **state)
{
    const char *given = getenv("TEST_SEED");
    unsigned seed = given ? (unsigned)strtoul(given, NULL, 10) : (unsigned)time(NULL);
    static struct model m;

    (void)state;
    print_message("seed %u\n", seed);
    srand(seed);
    for (int round = 0; round < 12; round++) {
        size_t lines_max = 1 + (size_t)(rand() % 200);
        size_t bytes_max = (size_t)20000 << (rand() % 7);
        struct outbox *l = outbox_new(lines_max, bytes_max);

        m = (struct model){.first = 1, .next = 1, .cursor = 1, .lines_max = lines_max, .epoch = 1};
        m.bytes_max = bytes_max;
        outbox_grant(l, 1, 0);
        for (int i = 0; i < 8000; i++) {
            one_step(l, &m);
            compare(l, &m);
        }
        outbox_free(l);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_numbered_from_one_without_a_hole),
        cmocka_unit_test(a_line_is_kept_until_it_is_received),
        cmocka_unit_test(a_resend_sends_everything_from_there_again_in_order),
        cmocka_unit_test(what_was_never_sent_cannot_be_missing),
        cmocka_unit_test(a_full_ring_has_no_room_and_the_next_line_pushes_the_oldest_out),
        cmocka_unit_test(the_ring_is_bounded_in_bytes_too),
        cmocka_unit_test(a_ring_filled_to_its_last_byte_keeps_every_line),
        cmocka_unit_test(a_new_grant_restamps_what_is_kept_and_begins_after_received),
        cmocka_unit_test(a_broker_that_knows_of_more_lines_than_we_moves_our_numbers_above),
        cmocka_unit_test(lines_that_a_broker_acknowledged_and_forgot_are_reported_to_it_as_lost),
        cmocka_unit_test(what_was_received_once_and_what_never_was_are_lost_for_different_reasons),
        cmocka_unit_test(random_operations_agree_with_a_naive_model),
    };

    return cmocka_run_group_tests_name("line", tests, NULL, NULL);
}
