#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "feeder/source.h"
#include "tests/unit/feeder/source_csv_fixture.h"

static void the_tape_time_is_kept_beside_now_or_instead_of_it(void **state)
{
    struct source *s = open_table(TWO_ROWS, NULL, "");
    const char *got;

    (void)state;
    s->set.allow_crossed = true;
    got = next_at(s, 0);
    check_has(got, "\"recorded_at\":1577836800.0");
    check_has(got, "\"timestamp\":1640995200.0");
    source_free(s);
    s = open_table(TWO_ROWS, NULL, "");
    s->set.allow_crossed = s->set.tape_time = true;
    got = next_at(s, 0);
    check_has(got, "\"timestamp\":1577836800.0");
    assert_null(strstr(got, "recorded_at"));
    source_free(s);
}

static void rows_come_at_the_pace_of_their_own_times(void **state)
{
    struct source *s =
        open_table("symbol,time,last\nA,100,1\nA,110,2\nA,110.5,3\n", NULL, "?speed=10&max_gap=5");

    (void)state;
    check_has(next_at(s, 5000), "\"last\":\"1\"");
    assert_string_equal(next_at(s, 5000), "later");
    assert_int_equal(s->due_ms, 6000);
    assert_string_equal(next_at(s, 5999), "later");
    check_has(next_at(s, 6000), "\"last\":\"2\"");
    assert_string_equal(next_at(s, 6000), "later");
    assert_int_equal(s->due_ms, 6050);
    check_has(next_at(s, 6050), "\"last\":\"3\"");
    source_free(s);
}

static void a_long_silence_is_cut_and_speed_0_never_waits(void **state)
{
    const char *table = "symbol,time,last\nA,100,1\nA,100000,2\n";
    struct source *s = open_table(table, NULL, "?max_gap=1.5");

    (void)state;
    check_has(next_at(s, 0), "\"last\":\"1\"");
    assert_string_equal(next_at(s, 0), "later");
    assert_int_equal(s->due_ms, 1500);
    source_free(s);
    s = open_table(table, NULL, "?speed=0");
    check_has(next_at(s, 0), "\"last\":\"1\"");
    check_has(next_at(s, 0), "\"last\":\"2\"");
    assert_false(s->is_paced);
    source_free(s);
}

static void a_row_out_of_order_is_played_without_waiting(void **state)
{
    struct source *s = open_table("symbol,time,last\nA,100,1\nA,40,2\nA,41,3\nA,101,4\n", NULL, "");

    (void)state;
    check_has(next_at(s, 0), "\"last\":\"1\"");
    check_has(next_at(s, 0), "\"last\":\"2\"");
    check_has(next_at(s, 0), "\"last\":\"3\"");
    assert_string_equal(next_at(s, 0), "later");
    assert_int_equal(s->due_ms, 1000);
    source_free(s);
}

static void a_row_from_the_far_future_does_not_end_the_pace(void **state)
{
    struct buf table = {0};
    struct source *s;
    int64_t ms = 0;

    (void)state;
    buf_adds(&table, "symbol,time,last\nA,1,1\nA,9999999999,1\n");
    for (int i = 2; i < 100; i++)
        buf_printf(&table, "A,%d,1\n", i);
    s = open_table(buf_text(&table), NULL, "");
    for (; strcmp(next_at(s, ms), "ended") != 0; ms++)
        ;
    assert_in_range(ms, 60000, 100000);
    source_free(s);
    buf_free(&table);
}

static void a_tape_held_up_goes_on_at_its_pace_and_does_not_rush(void **state)
{
    struct source *s = open_table("symbol,time,last\nA,1,1\nA,2,2\nA,3,3\nA,4,4\n", NULL, "");

    (void)state;
    check_has(next_at(s, 0), "\"last\":\"1\"");
    assert_string_equal(next_at(s, 0), "later");
    check_has(next_at(s, 60000), "\"last\":\"2\"");
    assert_string_equal(next_at(s, 60000), "later");
    assert_int_equal(s->due_ms, 61000);
    source_free(s);
}

static void a_looped_tape_begins_again_after_the_longest_silence(void **state)
{
    struct source *s =
        open_table("symbol,time,last\nA,100,1\nA,101,2\n", NULL, "?loop=1&max_gap=3");

    (void)state;
    for (int64_t pass = 0; pass < 3; pass++) {
        check_has(next_at(s, pass * 4000), "\"last\":\"1\"");
        check_has(next_at(s, pass * 4000 + 1000), "\"last\":\"2\"");
        assert_string_equal(next_at(s, pass * 4000 + 1000), "later");
        assert_int_equal(s->due_ms, (pass + 1) * 4000);
    }
    source_free(s);
}

static void a_looped_tape_without_a_single_quote_ends(void **state)
{
    struct source *s = open_table("symbol,time,last\nA,100,x\n", NULL, "?loop=1&max_gap=0");

    (void)state;
    assert_string_equal(next_at(s, 0), "ended");
    assert_int_equal(s->refused[QUOTE_BAD_PRICE], 1);
    source_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_tape_time_is_kept_beside_now_or_instead_of_it),
        cmocka_unit_test(rows_come_at_the_pace_of_their_own_times),
        cmocka_unit_test(a_long_silence_is_cut_and_speed_0_never_waits),
        cmocka_unit_test(a_row_out_of_order_is_played_without_waiting),
        cmocka_unit_test(a_row_from_the_far_future_does_not_end_the_pace),
        cmocka_unit_test(a_tape_held_up_goes_on_at_its_pace_and_does_not_rush),
        cmocka_unit_test(a_looped_tape_begins_again_after_the_longest_silence),
        cmocka_unit_test(a_looped_tape_without_a_single_quote_ends),
    };

    return cmocka_run_group_tests_name("source_csv", tests, set_up, tear_down);
}
