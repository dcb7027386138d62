/* The values of SOURCE: the kinds, their options, and the bounds of these. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "feeder/source.h"

static char folder[] = "/tmp/test_source_open.XXXXXX", table[64];

static struct source *opened(const char *spec)
{
    struct source_settings set = {.speed = 60, .max_gap_ms = 2000, .rate = 5, .label = NULL};
    struct source *s = (struct source *)&set;

    if (source_open(spec, &set, "feed", &s) == OK)
        return s;
    assert_ptr_equal(s, &set); /* untouched */
    return NULL;
}

static struct source *csv(const char *options)
{
    char spec[256];

    snprintf(spec, sizeof spec, "csv:%s%s", table, options);
    return opened(spec);
}

static void specs_that_name_no_source_are_refused(void **state)
{
    static const char *const wrong[] = {
        "",
        "csv",
        "sim",
        "sim:",
        "sim:0",
        "sim:1000001",
        "sim:1x",
        "sim:x",
        "sim:-1",
        "sim: 1",
        "sim:+1",
        "ndjson:",
        "--",
        "-x",
        "sim:1?",
        "sim:1?rate",
        "sim:1?rate=",
        "sim:1?rate=x",
        "sim:1?rate=1.5",
        "sim:1?rate=-1",
        "sim:1?rate=1&",
        "sim:1?speed=1",
        "sim:1?loop=1",
        "-?rate=1",
        "csv:/no/such/file",
        "sim:18446744073709551617",
    };
    static const char *const right[] = {"sim:1", "sim:1000000", "sim:01", "-"};

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct source *s = opened(wrong[i]);

        if (s)
            fail_msg("%s was taken", wrong[i]);
    }
    for (size_t i = 0; i < sizeof right / sizeof right[0]; i++) {
        struct source *s = opened(right[i]);

        assert_non_null(s);
        source_free(s);
    }
}

/* Opening a pipe would wait for its writer, and the feeder would not even stop. */
static void a_pipe_is_refused_at_once(void **state)
{
    char pipe[80], spec[96];

    (void)state;
    snprintf(pipe, sizeof pipe, "%s/pipe", folder);
    assert_int_equal(mkfifo(pipe, 0600), 0);
    snprintf(spec, sizeof spec, "ndjson:%s", pipe);
    assert_null(opened(spec));
    snprintf(spec, sizeof spec, "csv:%s", pipe);
    assert_null(opened(spec));
    unlink(pipe);
}

static void options_are_taken_within_their_bounds(void **state)
{
    static const char *const right[] = {
        "?rate=0",
        "?rate=100000000",
        "?bytes=8000",
        "?seed=9223372036854775807",
        "?rate=1&bytes=0&seed=0",
    };
    static const char *const wrong[] = {
        "?rate=100000001",
        "?bytes=8001",
        "?seed=9223372036854775808",
        "?seed=99999999999999999999999",
        "?rate=1&rate=x",
        "?rates=1",
        "?rat=1",
    };
    static const char *const csv_right[] = {"?speed=1000000000",  "?speed=0", "?max_gap=86400",
                                            "?max_gap=86400.000", "?loop=0",  "?loop=1"};
    static const char *const csv_wrong[] = {"?speed=1000000001",
                                            "?max_gap=86400.001",
                                            "?max_gap=86401",
                                            "?max_gap=1.2345",
                                            "?max_gap=1.2.3",
                                            "?max_gap=.5",
                                            "?max_gap=",
                                            "?loop=2",
                                            "?rate=1",
                                            "?max_gap=9223372036854775",
                                            "?max_gap=9223372036854775807"};
    char spec[128];

    (void)state;
    for (size_t i = 0; i < sizeof right / sizeof right[0]; i++) {
        struct source *s;

        snprintf(spec, sizeof spec, "sim:1%s", right[i]);
        s = opened(spec);
        assert_non_null(s);
        source_free(s);
    }
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        snprintf(spec, sizeof spec, "sim:1%s", wrong[i]);
        assert_null(opened(spec));
    }
    for (size_t i = 0; i < sizeof csv_right / sizeof csv_right[0]; i++) {
        struct source *s = csv(csv_right[i]);

        assert_non_null(s);
        source_free(s);
    }
    for (size_t i = 0; i < sizeof csv_wrong / sizeof csv_wrong[0]; i++)
        if (csv(csv_wrong[i]))
            fail_msg("%s was taken", csv_wrong[i]);
}

static void options_win_over_the_settings_and_each_sets_its_own(void **state)
{
    struct source *s = csv("");

    (void)state;
    assert_int_equal(s->set.speed, 60);
    assert_int_equal(s->set.max_gap_ms, 2000);
    assert_false(s->set.loop);
    assert_true(s->is_paced);
    assert_string_equal(s->set.label, "recorded data");
    source_free(s);
    s = csv("?speed=0&max_gap=1.25&loop=1");
    assert_int_equal(s->set.speed, 0);
    assert_int_equal(s->set.max_gap_ms, 1250);
    assert_true(s->set.loop);
    assert_false(s->is_paced);
    source_free(s);
    s = csv("?max_gap=7&loop=0");
    assert_int_equal(s->set.max_gap_ms, 7000);
    assert_false(s->set.loop);
    source_free(s);
    s = opened("sim:1?bytes=200&seed=3");
    assert_int_equal(s->set.rate, 5);
    assert_int_equal(s->set.bytes, 200);
    assert_int_equal(s->set.seed, 3);
    assert_string_equal(s->set.label, "feed");
    assert_string_equal(s->name, "sim:1");
    assert_true(s->is_paced);
    source_free(s);
    s = opened("-");
    assert_string_equal(s->name, "standard input");
    assert_string_equal(s->set.label, "feed");
    assert_false(s->is_paced);
    source_free(s);
    source_free(NULL);
}

static void a_label_of_the_settings_wins(void **state)
{
    struct source_settings set = {.label = "mine"};
    struct source *s = NULL;
    char spec[128];

    (void)state;
    snprintf(spec, sizeof spec, "csv:%s", table);
    assert_int_equal(source_open(spec, &set, "feed", &s), OK);
    assert_string_equal(s->set.label, "mine");
    source_free(s);
}

static void refusals_are_counted_by_reason_and_in_all(void **state)
{
    struct source_now now = {0};
    struct source *s = opened("sim:1");
    uint64_t total = 0;

    (void)state;
    assert_int_equal(source_refused(s), 0);
    for (int i = 0; i < QUOTE_REFUSAL_COUNT; i++)
        for (int k = 0; k <= i; k++, total++)
            source_refuse(s, (enum quote_refusal)i, 7, "", &now);
    assert_int_equal(source_refused(s), total);
    for (int i = 0; i < QUOTE_REFUSAL_COUNT; i++)
        assert_int_equal(s->refused[i], i + 1);
    assert_true(s->is_counting); /* after five log lines */
    assert_int_equal(s->logged, 0);
    source_log_refused(s);
    assert_int_equal(s->logged, total);
    source_free(s);
}

static void rules_follow_the_settings(void **state)
{
    struct source_settings set = {.max_future_ms = 3, .allow_crossed = true};
    struct source_now now = {.wall_us = 77};
    struct source *s = NULL;
    struct quote_rules rules;

    (void)state;
    assert_int_equal(source_open("sim:1", &set, "feed", &s), OK);
    rules = source_rules(s, &now);
    assert_int_equal(rules.now_us, 77);
    assert_int_equal(rules.max_future_us, 3000);
    assert_true(rules.allow_crossed && !rules.refuse_negative);
    s->set.allow_crossed = false;
    s->set.refuse_negative = true;
    rules = source_rules(s, &now);
    assert_true(!rules.allow_crossed && rules.refuse_negative);
    source_free(s);
}

static int set_up(void **state)
{
    FILE *f;

    (void)state;
    if (!mkdtemp(folder))
        return -1;
    snprintf(table, sizeof table, "%s/table.csv", folder);
    f = fopen(table, "w");
    fputs("symbol,timestamp,last\nGOLD,2000-01-03,1\n", f);
    return fclose(f);
}

static int tear_down(void **state)
{
    (void)state;
    unlink(table);
    return rmdir(folder);
}

static void a_recording_may_go_on_in_a_new_log_whose_positions_begin_again(void **state)
{
    static const char lines[] = "{\"type\":\"quote\",\"symbol\":\"A\",\"seq\":9,\"last\":\"1\"}\n"
                                "{\"type\":\"reset\",\"epoch\":\"00000000000000ff\",\"seq\":0}\n"
                                "{\"type\":\"quote\",\"symbol\":\"A\",\"seq\":1,\"last\":\"2\"}\n";
    char path[64], spec[80];
    struct source *s;
    FILE *f;

    (void)state;
    snprintf(path, sizeof path, "%s/recording", folder);
    snprintf(spec, sizeof spec, "ndjson:%s", path);
    f = fopen(path, "w");
    assert_non_null(f);
    fputs(lines, f);
    fclose(f);
    s = opened(spec);
    unlink(path);
    assert_non_null(s);
    source_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(specs_that_name_no_source_are_refused),
        cmocka_unit_test(a_pipe_is_refused_at_once),
        cmocka_unit_test(options_are_taken_within_their_bounds),
        cmocka_unit_test(options_win_over_the_settings_and_each_sets_its_own),
        cmocka_unit_test(a_label_of_the_settings_wins),
        cmocka_unit_test(refusals_are_counted_by_reason_and_in_all),
        cmocka_unit_test(rules_follow_the_settings),
        cmocka_unit_test(a_recording_may_go_on_in_a_new_log_whose_positions_begin_again),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
