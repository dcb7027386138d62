#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "shared/feed/stored.h"

#define LATE STORED_LATE_MS

static struct stored s;

static int set_up(void **state)
{
    (void)state;
    memset(&s, 0, sizeof s);
    return 0;
}

static void check(enum stored_news want, uint64_t received, uint64_t line, int64_t now)
{
    assert_int_equal(stored_judge(&s, received, line, now), want);
}

static void a_store_that_is_always_a_moment_behind_is_no_news(void **state)
{
    (void)state;
    for (int64_t now = 0; now < 20 * LATE; now += 500)
        check(STORED_NO_NEWS, (uint64_t)now + 1000, (uint64_t)now + 900, now);
    assert_true(s.is_known);
    assert_false(s.is_behind);
}

static void a_store_that_stands_still_is_reported_once_and_once_when_it_is_over(void **state)
{
    (void)state;
    check(STORED_NO_NEWS, 100, 100, 0);
    check(STORED_NO_NEWS, 200, 100, 1000);
    check(STORED_NO_NEWS, 900, 100, 1000 + LATE - 1);
    check(STORED_BEHIND, 1000, 100, 1000 + LATE);
    assert_int_equal(s.line, 100);
    for (int64_t now = 1001 + LATE; now < 9 * LATE; now += 500)
        check(STORED_NO_NEWS, 2000, 199, now);
    check(STORED_CAUGHT_UP, 2000, 2000, 9 * LATE);
    check(STORED_NO_NEWS, 2000, 2000, 10 * LATE);
    check(STORED_NO_NEWS, 2000, 2000, 20 * LATE);
}

static void a_quiet_feed_is_behind_too(void **state)
{
    (void)state;
    check(STORED_NO_NEWS, 1, 0, 0);
    check(STORED_BEHIND, 1, 0, LATE);
    check(STORED_CAUGHT_UP, 1, 1, LATE + 500);
}

static void one_that_moves_on_but_stays_too_late_has_not_caught_up(void **state)
{
    enum stored_news last = STORED_NO_NEWS;
    unsigned reports = 0;

    (void)state;
    /* A line per ms, stored twelve seconds after it came. */
    for (int64_t now = 0; now <= 203000; now += 500) {
        enum stored_news news =
            stored_judge(&s, (uint64_t)now + 1, now < 12000 ? 0 : (uint64_t)now - 12000 + 1, now);

        reports += news != STORED_NO_NEWS;
        last = news ? news : last;
    }
    assert_int_equal(reports, 1);
    assert_int_equal(last, STORED_BEHIND);
    /* Now within the second: the mark that was missed is passed, the next one in time. */
    check(STORED_NO_NEWS, 300000, 299000, 203001);
    check(STORED_CAUGHT_UP, 301000, 300000, 204001);
}

static void while_the_broker_is_away_no_time_passes(void **state)
{
    (void)state;
    check(STORED_NO_NEWS, 100, 50, 0);
    stored_pause(&s);
    check(STORED_NO_NEWS, 100, 50, 5 * LATE);
    check(STORED_NO_NEWS, 100, 50, 6 * LATE - 1);
    check(STORED_BEHIND, 100, 50, 6 * LATE);
    stored_pause(&s);
    check(STORED_CAUGHT_UP, 100, 100, 7 * LATE);
}

static void a_broker_that_keeps_nothing_is_never_behind(void **state)
{
    (void)state;
    check(STORED_NO_NEWS, 100, 50, 0);
    check(STORED_BEHIND, 100, 50, LATE);
    stored_forget(&s);
    assert_false(s.is_known);
    assert_false(s.is_behind);
    check(STORED_NO_NEWS, 100, 50, 9 * LATE);
}

static void more_cannot_be_stored_than_was_received(void **state)
{
    (void)state;
    check(STORED_NO_NEWS, 100, UINT64_MAX, 0);
    assert_int_equal(s.line, 100);
    check(STORED_NO_NEWS, 0, 0, LATE);
    assert_int_equal(s.line, 0);
    assert_int_equal(s.mark, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, set_up)
    const struct CMUnitTest tests[] = {
        TEST(a_store_that_is_always_a_moment_behind_is_no_news),
        TEST(a_store_that_stands_still_is_reported_once_and_once_when_it_is_over),
        TEST(a_quiet_feed_is_behind_too),
        TEST(one_that_moves_on_but_stays_too_late_has_not_caught_up),
        TEST(while_the_broker_is_away_no_time_passes),
        TEST(a_broker_that_keeps_nothing_is_never_behind),
        TEST(more_cannot_be_stored_than_was_received),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
