/* The sentences of the bot, in both languages. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "consumer/telegram/phrase.h"

static struct buf phrase;

static const char *text(void)
{
    const char *all = buf_text(&phrase);

    buf_clear(&phrase);
    return all;
}

static void each_fault_of_a_command_says_what_is_wrong_and_how_it_is_right(void **state)
{
    static const struct {
        enum command_kind kind;
        enum command_fault fault;
        const char *spanish, *english;
    } rows[] = {
        {COMMAND_PRICE, COMMAND_NO_SYMBOL, "Falta el símbolo", "The symbol is missing"},
        {COMMAND_ALERT, COMMAND_NO_COMPARISON, "Tras el símbolo falta >", "After the symbol one"},
        {COMMAND_ALERT, COMMAND_NO_PRICE, "Falta el precio", "The price is missing"},
        {COMMAND_DELETE, COMMAND_NO_NUMBER, "Falta el número", "The alert's number is missing"},
        {COMMAND_ALERTS, COMMAND_TOO_MUCH, "Sobran palabras", "There are words too many"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct command c = {.kind = rows[i].kind, .fault = rows[i].fault};

        phrase_fault(&phrase, true, &c);
        assert_non_null(strstr(buf_text(&phrase), rows[i].spanish));
        assert_non_null(strstr(text(), " Por ejemplo: /"));
        phrase_fault(&phrase, false, &c);
        assert_non_null(strstr(buf_text(&phrase), rows[i].english));
        assert_non_null(strstr(text(), " For example: /"));
    }
}

static void a_price_comes_with_its_sides_currency_time_and_silence(void **state)
{
    struct lastprice p = {.last = "2", .bid = "1", .ask = "3", .currency = "EUR", .time_s = 86399};

    (void)state;
    phrase_price(&phrase, true, "A", &p);
    assert_string_equal(text(), "A 2 (compra 1, venta 3) EUR, 23:59:59 UTC");
    p.is_stale = true;
    p.time_s = 0;
    phrase_price(&phrase, false, "A", &p);
    assert_string_equal(text(), "A 2 (bid 1, ask 3) EUR. No news: its feed is silent.");
    p.last[0] = p.bid[0] = '\0';
    phrase_price(&phrase, true, "A", &p);
    assert_string_equal(text(), "A venta 3 EUR. Sin novedades: la fuente calla.");
}

static int tear_down(void **state)
{
    (void)state;
    buf_free(&phrase);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_fault_of_a_command_says_what_is_wrong_and_how_it_is_right),
        cmocka_unit_test(a_price_comes_with_its_sides_currency_time_and_silence),
    };

    return cmocka_run_group_tests(tests, NULL, tear_down);
}
