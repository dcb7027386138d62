#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "consumer/telegram/ledger.h"
#include "tests/unit/dice.h"

static struct ledger ledger;

static int set_up(void **state)
{
    (void)state;
    ledger_init(&ledger);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    ledger_fini(&ledger);
    return 0;
}

static struct alert alert(int64_t chat, const char *symbol, const char *threshold)
{
    struct alert a = {.chat = chat, .is_armed = true};

    span_copy(a.symbol, sizeof a.symbol, span_of(symbol));
    span_copy(a.threshold, sizeof a.threshold, span_of(threshold));
    return a;
}

static struct alert *added(int64_t chat, const char *symbol, const char *threshold)
{
    struct alert a = alert(chat, symbol, threshold), *out = NULL;

    assert_int_equal(ledger_add_alert(&ledger, &a, &out), OK);
    return out;
}

static void numbers_are_the_lowest_free_of_their_chat(void **state)
{
    (void)state;
    assert_int_equal(added(7, "B", "1")->number, 1);
    assert_int_equal(added(7, "A", "1")->number, 2);
    assert_int_equal(added(8, "A", "1")->number, 1);
    ledger_remove_alert(&ledger, ledger_find_alert(&ledger, 7, 1));
    assert_null(ledger_find_alert(&ledger, 7, 1));
    assert_int_equal(added(7, "C", "1")->number, 1);
    assert_int_equal(ledger_alerts_of(&ledger, 7), 2);
}

static void the_same_alert_is_not_set_twice(void **state)
{
    struct alert a = alert(7, "A", "1.50"), *out = NULL, *first;

    (void)state;
    first = added(7, "A", "1.5");
    assert_int_equal(ledger_add_alert(&ledger, &a, &out), ERR_DUPLICATE_KEY);
    assert_ptr_equal(out, first);
    a.comparison = ALERT_BELOW;
    assert_int_equal(ledger_add_alert(&ledger, &a, &out), OK);
}

static void the_alerts_of_a_symbol_stand_together(void **state)
{
    static const char *const symbols[] = {"M", "A", "Z", "MM", "M", "L", "M"};
    struct alert *first;

    (void)state;
    for (int i = 0; i < 7; i++)
        added(i, symbols[i], "1");
    assert_int_equal(ledger_alerts_on(&ledger, "M", &first), 3);
    for (int i = 0; i < 3; i++)
        assert_string_equal(first[i].symbol, "M");
    assert_int_equal(ledger_alerts_on(&ledger, "A", &first), 1);
    assert_int_equal(ledger_alerts_on(&ledger, "N", &first), 0);
    assert_null(first);
}

static void check_same(const struct ledger *a, const struct ledger *b)
{
    assert_int_equal(a->next_update, b->next_update);
    assert_int_equal(a->epoch, b->epoch);
    assert_int_equal(a->seq, b->seq);
    assert_int_equal(a->alert_count, b->alert_count);
    assert_int_equal(a->alert_bytes, b->alert_bytes);
    assert_int_equal(a->answer_count, b->answer_count);
    assert_int_equal(a->answer_bytes, b->answer_bytes);
    for (size_t i = 0; i < a->alert_count; i++) {
        const struct alert *x = &a->alerts[i];
        const struct alert *y = ledger_find_alert(b, x->chat, x->number);

        assert_non_null(y);
        assert_string_equal(x->symbol, y->symbol);
        assert_string_equal(x->threshold, y->threshold);
        assert_string_equal(x->pending, y->pending);
        assert_string_equal(x->next, y->next);
        assert_int_equal(x->comparison, y->comparison);
        assert_int_equal(x->is_armed, y->is_armed);
        assert_int_equal(x->is_spanish, y->is_spanish);
        assert_int_equal(x->seen, y->seen);
        assert_int_equal(x->delivery.attempts, y->delivery.attempts);
        assert_int_equal(x->delivery.is_sending, y->delivery.is_sending);
    }
    for (size_t i = 0; i < a->answer_count; i++) {
        assert_int_equal(a->answers[i].update, b->answers[i].update);
        assert_int_equal(a->answers[i].chat, b->answers[i].chat);
        assert_string_equal(a->answers[i].text, b->answers[i].text);
        assert_int_equal(a->answers[i].is_spanish, b->answers[i].is_spanish);
        assert_int_equal(a->answers[i].delivery.attempts, b->answers[i].delivery.attempts);
    }
}

static void fill(void)
{
    struct alert *a = added(-1001234567890123, "BTC/USD", "50000.50");

    a->is_armed = false;
    a->is_spanish = true;
    a->comparison = ALERT_AT_MOST;
    a->seen = UINT64_MAX;
    memcpy(a->pending, "49999", 6);
    memcpy(a->next, "49998", 6);
    a->delivery = (struct delivery){2, true};
    added(7, "A", "0");
    assert_int_equal(
        ledger_add_answer(&ledger, 500, -1, 77, true, SPAN("ñandú \"\n\xf0\x9f\x94\x94")), OK);
    ledger.answers[0].delivery.attempts = 1;
    assert_int_equal(ledger_add_answer(&ledger, 501, 7, 0, false, SPAN("x")), OK);
    ledger.next_update = 502;
    ledger.epoch = 0xfedcba9876543210;
    ledger.seq = 12345;
}

static void what_is_packed_is_unpacked_the_same(void **state)
{
    struct buf value = {0};
    struct ledger other;

    (void)state;
    fill();
    ledger_pack(&ledger, &value);
    ledger_init(&other);
    assert_int_equal(ledger_unpack(&other, buf_span(&value)), OK);
    check_same(&ledger, &other);
    ledger_fini(&other);
    buf_free(&value);
}

static void an_unpacked_ledger_has_the_alerts_in_the_same_order(void **state)
{
    static const char *const thresholds[] = {"3", "1", "2", "4"};
    struct buf value = {0}, again = {0};
    struct ledger other;

    (void)state;
    for (size_t i = 0; i < sizeof thresholds / sizeof *thresholds; i++)
        assert_string_equal(added(7, "M", thresholds[i])->threshold, thresholds[i]);
    for (size_t i = 0; i < ledger.alert_count; i++)
        assert_string_equal(ledger.alerts[i].threshold, thresholds[i]);
    ledger_pack(&ledger, &value);
    ledger_init(&other);
    assert_int_equal(ledger_unpack(&other, buf_span(&value)), OK);
    ledger_pack(&other, &again);
    assert_int_equal(again.len, value.len);
    assert_memory_equal(again.data, value.data, value.len);
    ledger_fini(&other);
    buf_free(&value);
    buf_free(&again);
}

static void a_value_that_was_cut_or_changed_is_refused_or_read_but_never_crashes(void **state)
{
    struct buf value = {0};
    struct ledger other;

    (void)state;
    dice_seed();
    fill();
    ledger_pack(&ledger, &value);
    for (size_t len = 0; len < value.len; len++) {
        char *cut = malloc(len ? len : 1);

        memcpy(cut, value.data, len);
        ledger_init(&other);
        assert_int_equal(ledger_unpack(&other, (struct span){cut, len}), ERR_MALFORMED);
        assert_int_equal(other.alert_count, 0);
        free(cut);
    }
    for (int i = 0; i < 20000; i++) {
        size_t at = dice((unsigned)value.len);
        char before = value.data[at];

        value.data[at] = (char)dice(256);
        ledger_init(&other);
        if (ledger_unpack(&other, buf_span(&value)))
            assert_int_equal(other.alert_count + other.answer_count, 0);
        ledger_fini(&other);
        value.data[at] = before;
    }
    buf_free(&value);
}

static void a_newer_version_is_named_as_that(void **state)
{
    struct ledger other;

    (void)state;
    ledger_init(&other);
    assert_int_equal(ledger_unpack(&other, SPAN("\x81\xa1v\x02")), ERR_VERSION);
    assert_int_equal(ledger_unpack(&other, SPAN("\x81\xa1v\x01")), ERR_MALFORMED);
}

static void a_chat_that_moves_takes_its_alerts_and_answers_along(void **state)
{
    struct alert a = alert(-300, "X", "10"), b = alert(-300, "X", "20"),
                 there = alert(-100300, "X", "20"), *out;

    (void)state;
    ledger_fini(&ledger);
    assert_int_equal(ledger_add_alert(&ledger, &a, &out), OK);
    assert_int_equal(ledger_add_alert(&ledger, &b, &out), OK);
    assert_int_equal(ledger_add_alert(&ledger, &there, &out), OK);
    assert_int_equal(ledger_add_answer(&ledger, 5, -300, 0, true, SPAN("x")), OK);
    ledger_move_chat(&ledger, -300, -100300);
    assert_int_equal(ledger_alerts_of(&ledger, -300), 0);
    assert_int_equal(ledger_alerts_of(&ledger, -100300), 2);
    assert_string_equal(ledger_find_alert(&ledger, -100300, 1)->threshold, "20");
    assert_string_equal(ledger_find_alert(&ledger, -100300, 2)->threshold, "10");
    assert_int_equal(ledger_find_answer(&ledger, 5)->chat, -100300);
    ledger_move_chat(&ledger, -100300, -100300);
    assert_int_equal(ledger_alerts_of(&ledger, -100300), 2);
}

static void threads_and_pauses_are_kept(void **state)
{
    struct alert a = alert(-300, "X", "10"), *out;
    struct ledger other;
    struct buf value = {0};

    (void)state;
    a.thread = 77;
    ledger_fini(&ledger);
    assert_int_equal(ledger_add_alert(&ledger, &a, &out), OK);
    memcpy(out->pending, "11", 3);
    assert_int_equal(ledger_add_answer(&ledger, 5, -300, 78, true, SPAN("x")), OK);
    assert_true(ledger_pause_chat(&ledger, -300, true));
    assert_false(ledger_pause_chat(&ledger, -300, true));
    assert_string_equal(out->pending, "");
    ledger_pack(&ledger, &value);
    ledger_init(&other);
    assert_int_equal(ledger_unpack(&other, buf_span(&value)), OK);
    assert_int_equal(other.alerts[0].thread, 77);
    assert_true(other.alerts[0].is_paused);
    assert_int_equal(other.answers[0].thread, 78);
    ledger_forget_thread(&other, -300, 78);
    assert_int_equal(other.answers[0].thread, 0);
    assert_int_equal(other.alerts[0].thread, 77);
    ledger_forget_thread(&other, -301, 78);
    assert_int_equal(ledger_add_answer(&other, 6, -300, 79, true, SPAN("y")), OK);
    ledger_forget_thread(&other, -300, 77777);
    assert_int_equal(other.answers[1].thread, 79);
    assert_int_equal(ledger_add_answer(&other, 7, -301, 77, true, SPAN("z")), OK);
    ledger_forget_thread(&other, -301, 77);
    ledger_forget_thread(&other, -300, 76);
    assert_int_equal(other.alerts[0].thread, 77);
    ledger_forget_thread(&other, -300, 77);
    assert_int_equal(other.alerts[0].thread, 0);
    ledger_fini(&other);
    buf_free(&value);
}

/*
 * Every text with its largest length, every alert with a pending price, the permitted number of
 * them with two.
 */
static void a_full_ledger_fits_into_the_value(void **state)
{
    static char longest[LEDGER_TEXT_MAX];
    struct buf value = {0};
    size_t alerts = 0;
    enum err e = OK;

    (void)state;
    for (int64_t i = 0; !e; i++) {
        char price[QUOTE_DECIMAL_MAX + 1];
        struct alert a, *out;

        snprintf(price, sizeof price, "%040lld", (long long)i);
        a = alert(INT64_MIN, i % 2 ? "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345" : "A", price);
        a.seen = UINT64_MAX;
        a.thread = INT64_MIN;
        e = ledger_add_alert(&ledger, &a, &out);
        alerts += !e;
        if (!e)
            memcpy(out->pending, price, sizeof price);
    }
    assert_int_equal(e, ERR_FULL);
    assert_true(alerts > 250);
    for (size_t i = 0; i < LEDGER_SENDING_MAX; i++)
        memcpy(ledger.alerts[i].next, ledger.alerts[i].pending, QUOTE_DECIMAL_MAX + 1);
    for (uint64_t i = 0; ledger_has_room(&ledger); i++)
        assert_int_equal(ledger_add_answer(&ledger, UINT64_MAX - i, INT64_MIN, INT64_MIN, true,
                                           (struct span){longest, sizeof longest}),
                         OK);
    while (!ledger_add_answer(&ledger, 1, INT64_MIN, INT64_MIN, true, SPAN("x")))
        ;
    ledger_pack(&ledger, &value);
    assert_in_range(value.len, LEDGER_BYTES_MAX * 8 / 10, LEDGER_BYTES_MAX);
    buf_free(&value);
}

static void room_is_given_back(void **state)
{
    (void)state;
    fill();
    while (ledger.alert_count)
        ledger_remove_alert(&ledger, &ledger.alerts[ledger.alert_count - 1]);
    while (ledger.answer_count)
        ledger_remove_answer(&ledger, &ledger.answers[0]);
    assert_int_equal(ledger.alert_bytes, 0);
    assert_int_equal(ledger.answer_bytes, 0);
}

static void every_change_is_a_new_revision(void **state)
{
    uint64_t before = ledger.revision;

    (void)state;
    ledger_remove_alert(&ledger, added(7, "A", "1"));
    assert_int_equal(ledger.revision, before + 2);
    assert_int_equal(ledger_add_answer(&ledger, 1, 7, 0, true, SPAN("x")), OK);
    ledger_remove_answer(&ledger, ledger_find_answer(&ledger, 1));
    assert_int_equal(ledger.revision, before + 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
        T(numbers_are_the_lowest_free_of_their_chat),
        T(the_same_alert_is_not_set_twice),
        T(the_alerts_of_a_symbol_stand_together),
        T(what_is_packed_is_unpacked_the_same),
        T(an_unpacked_ledger_has_the_alerts_in_the_same_order),
        T(a_value_that_was_cut_or_changed_is_refused_or_read_but_never_crashes),
        T(a_newer_version_is_named_as_that),
        T(a_chat_that_moves_takes_its_alerts_and_answers_along),
        T(threads_and_pauses_are_kept),
        T(a_full_ledger_fits_into_the_value),
        T(room_is_given_back),
        T(every_change_is_a_new_revision),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
