#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "gateway/routes/exposition.h"

static void check(struct exposition *e, const char *expected)
{
    assert_string_equal(buf_text(e->out), expected);
    buf_free(e->out);
    exposition_end(e);
}

static void numbers_are_exact_and_times_are_decimal_seconds(void **state)
{
    struct buf b = {0};
    struct exposition e = {.out = &b};

    (void)state;
    exposition_one(&e, "pregon_a_total", "A.", EXPOSITION_PLAIN, UINT64_MAX);
    exposition_one(&e, "pregon_b_seconds", "B.", EXPOSITION_MICROSECONDS, 1);
    check(&e, "# HELP pregon_a_total A.\n# TYPE pregon_a_total counter\n"
              "pregon_a_total 18446744073709551615\n"
              "# HELP pregon_b_seconds B.\n# TYPE pregon_b_seconds gauge\n"
              "pregon_b_seconds 0.000001\n");
}

static void labels_belong_to_one_sample_and_are_escaped(void **state)
{
    struct buf b = {0};
    struct exposition e = {.out = &b};

    (void)state;
    exposition_begin(&e, "pregon_a", "A.");
    exposition_label(&e, "feed", SPAN("a\"b\\c\nd\xff"));
    exposition_label(&e, "reason", SPAN("\xc3\xb1"));
    exposition_sample(&e, EXPOSITION_PLAIN, 1);
    exposition_sample(&e, EXPOSITION_PLAIN, 2);
    check(&e, "# HELP pregon_a A.\n# TYPE pregon_a gauge\n"
              "pregon_a{feed=\"a\\\"b\\\\c\\nd?\",reason=\"\xc3\xb1\"} 1\n"
              "pregon_a 2\n");
}

static void a_histogram_has_rising_buckets_sum_and_count(void **state)
{
    static const struct histogram_scale scale = {{50, 1000000}, 2};
    struct histogram h;
    struct buf b = {0};
    struct exposition e = {.out = &b};

    (void)state;
    histogram_init(&h, &scale);
    histogram_add(&h, 50);
    histogram_add(&h, 51);
    histogram_add(&h, 2000000);
    exposition_begin_histogram(&e, "pregon_a_seconds", "A.");
    exposition_label(&e, "since", SPAN("sent"));
    exposition_histogram(&e, EXPOSITION_MICROSECONDS, &h);
    exposition_histogram(&e, EXPOSITION_PLAIN, &h);
    check(&e, "# HELP pregon_a_seconds A.\n# TYPE pregon_a_seconds histogram\n"
              "pregon_a_seconds_bucket{since=\"sent\",le=\"0.00005\"} 1\n"
              "pregon_a_seconds_bucket{since=\"sent\",le=\"1.0\"} 2\n"
              "pregon_a_seconds_bucket{since=\"sent\",le=\"+Inf\"} 3\n"
              "pregon_a_seconds_sum{since=\"sent\"} 2.000101\n"
              "pregon_a_seconds_count{since=\"sent\"} 3\n"
              "pregon_a_seconds_bucket{le=\"50\"} 1\n"
              "pregon_a_seconds_bucket{le=\"1000000\"} 2\n"
              "pregon_a_seconds_bucket{le=\"+Inf\"} 3\n"
              "pregon_a_seconds_sum 2000101\n"
              "pregon_a_seconds_count 3\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_exact_and_times_are_decimal_seconds),
        cmocka_unit_test(labels_belong_to_one_sample_and_are_escaped),
        cmocka_unit_test(a_histogram_has_rising_buckets_sum_and_count),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
