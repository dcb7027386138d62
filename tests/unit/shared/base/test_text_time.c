#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "shared/base/text_time.h"

static int64_t when(const char *format, const char *text)
{
    int64_t us = -1;

    return text_time_parse(format, span_of(text), &us) ? us : -1;
}

static void times_of_all_formats_are_understood(void **state)
{
    static const struct {
        const char *format, *text;
        int64_t us; /* -1: refused */
    } table[] = {
        {"auto", "2000-01-03", 946857600000000},
        {"auto", "2000-01-03 00:00:01", 946857601000000},
        {"auto", "2000-01-03T01:00:01.25+01:00", 946857601250000},
        {"auto", "2000-01-03T00:00:01Z", 946857601000000},
        {"auto", "2000-01-02T23:30-0030", 946857600000000},
        {"auto", "20000103", 946857600000000},
        {"auto", "200001030001", 946857660000000},
        {"auto", "20000103000102", 946857662000000},
        {"auto", "946857600", 946857600000000},
        {"auto", "946857600.5", 946857600500000},
        {"auto", "946857600500", -1}, /* would be the month 50 */
        {"auto", "1640995200123", 1640995200123000},
        {"auto", "2000-02-30", -1},
        {"auto", "2000-01-03 25:00", -1},
        {"auto", "2000-01-03 00:00 +1", -1},
        {"auto", "", -1},
        {"auto", "soon", -1},
        {"auto", "-5", -1},
        {"unix", "12.345678", 12345678},
        {"unix", "12x", -1},
        {"unix", "99999999999999999999999", -1},
        {"unix_ms", "12", 12000},
        {"unix_ms", "12.5", 12500},
        {"decimal_year", "1991.5", 678456000000000},
        {"decimal_year", "1969.5", -1},
        {"decimal_year", "1991.5x", -1},
        {"%Y%m%d%H%M", "199706011928", 865193280000000},
        {"%d.%m.%Y", "03.01.2000", 946857600000000},
        {"%d.%m.%Y", "03.01.2000 ", -1},
        {"%d.%m.%Y", "x", -1},
        {"%d.%m.%Y", "30.02.2000", -1},
        {"%Y", "2000", 946684800000000}, /* what is not given is the first */
        {"%Y-%m-%d %H:%M:%S %z", "2000-01-03 01:00:00 +0100", 946857600000000},
        {"%Y-%m-%d %z", "1970-01-01 +0001", -1}, /* before 1970 */
        {"%Y-%m-%d %z", "1970-01-01 -0001", 60000000},
        {"%d.%m.%Y", "01.01.1970", 0},
        {"%d.%m.%Y", "31.12.1969", -1},
        /* The first and the last second, and those beyond. */
        {"auto", "1970-01-01", 0},
        {"auto", "1969-12-31T23:59:59", -1},
        {"auto", "1970-01-01T00:00+00:01", -1},
        {"auto", "9999-12-31T23:59:59", 253402300799000000},
        {"auto", "9999-12-31T23:59:59-00:01", -1},
        {"unix", "253402300799", 253402300799000000},
        {"unix", "253402300800", -1},
        {"unix_ms", "253402300799999", 253402300799999000},
        {"unix_ms", "253402300800000", -1},
        {"decimal_year", "1970", 0},
        {"decimal_year", "1969.9999", -1},
        {"decimal_year", "9998", 253339228800000000},
        {"decimal_year", "9999", -1},
        {"decimal_year", "2000.25", 954590400000000}, /* of a leap year */
        {"decimal_year", "x", -1},
        {"decimal_year", "nan", -1},
        /* Fractions: each digit of six, and more. */
        {"unix", "1.654321", 1654321},
        {"unix", "1.9999999", 1999999},
        {"unix", "1.", 1000000},
        {"unix", ".5", -1},
        {"unix", "1.5.5", -1},
        {"unix", " 1", -1},
        {"unix", "+1", -1},
        {"unix", "0", 0},
        {"unix_ms", "1.25", 1250},
        {"unix_ms", "1.000999", 1000},
        /* The number of digits decides what they are: 8, 12, 13, 14, or seconds. */
        {"auto", "1234567", 1234567000000},
        {"auto", "123456789", 123456789000000},
        {"auto", "1234567890", 1234567890000000},
        {"auto", "12345678901", 12345678901000000},
        {"auto", "0000000000123", 123000},
        {"auto", "20000230", -1},
        {"auto", "200001032460", -1},
        {"auto", "12345678.5", 12345678500000},
        /* Zones. */
        {"auto", "2000-01-03T00:00z", -1},
        {"auto", "2000-01-03T00:00Zx", -1},
        {"auto", "2000-01-03T00:00x", -1},
        {"auto", "2000-01-03T00:00-01", 946861200000000},
        {"auto", "2000-01-03T00:00+0130", 946852200000000},
        {"auto", "2000-01-03T00:00-01:30", 946863000000000},
        {"auto", "2000-01-03T00:00+23:59", 946771260000000},
        {"auto", "2000-01-03T00:00+24:00", -1},
        {"auto", "2000-01-03T00:00+00:60", -1},
        {"auto", "2000-01-03T00:00+", -1},
        {"auto", "2000-01-03T00:00+010", -1},
        {"auto", "2000-01-03T00:00+01000", -1},
        {"auto", "2000-01-03T00:00+0:100", -1},
        {"auto", "2000-01-03T00:00+010:0", -1},
        {"auto", "2000-01-03T00:00+01:", 946854000000000},
        {"auto", "2000-01-03T00:00+01x", -1},
        {"auto", "2000-01-03T00:00:01.5-00:01", 946857661500000},
        {"auto", "2000-01-03x", -1},
        {"auto", "2000-01-03Tx", -1},
        {"auto", "2000-13-03", -1},
        {"auto", "2000-01-03T00:00:01.5.5", -1},
    };
    int wrong = 0;

    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        int64_t got = when(table[i].format, table[i].text);

        if (got != table[i].us) {
            print_error("%s as %s is %lld\n", table[i].text, table[i].format, (long long)got);
            wrong++;
        }
    }
    assert_int_equal(wrong, 0);
}

static void a_text_has_at_most_sixty_three_bytes_and_no_nul(void **state)
{
    char text[65];
    int64_t us = -5;

    (void)state;
    memset(text, '0', sizeof text);
    assert_true(text_time_parse("unix", (struct span){text, 63}, &us));
    assert_int_equal(us, 0);
    us = -5;
    assert_false(text_time_parse("unix", (struct span){text, 64}, &us));
    assert_false(text_time_parse("unix", (struct span){text, 0}, &us));
    assert_false(text_time_parse("unix", (struct span){"12\0", 3}, &us));
    assert_false(text_time_parse("auto", SPAN("soon"), &us));
    assert_int_equal(us, -5); /* untouched */
}

static void a_format_is_one_of_four_words_or_has_letters_of_strptime(void **state)
{
    static const char *const right[] = {"auto", "unix", "unix_ms", "decimal_year", "%Y", "x%d"};
    static const char *const wrong[] = {"", "Auto", "unix_us", "year", "dd.mm.yyyy"};

    (void)state;
    for (size_t i = 0; i < sizeof right / sizeof right[0]; i++)
        assert_true(text_time_is_format(right[i]));
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_false(text_time_is_format(wrong[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times_of_all_formats_are_understood),
        cmocka_unit_test(a_text_has_at_most_sixty_three_bytes_and_no_nul),
        cmocka_unit_test(a_format_is_one_of_four_words_or_has_letters_of_strptime),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
