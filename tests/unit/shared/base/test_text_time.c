#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

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
    };

    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        int64_t got = when(table[i].format, table[i].text);

        if (got != table[i].us)
            fail_msg("%s as %s is %lld", table[i].text, table[i].format, (long long)got);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times_of_all_formats_are_understood),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
