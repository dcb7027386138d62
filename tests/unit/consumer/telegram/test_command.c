#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "consumer/telegram/command.h"

#define BOT "pregon_bot"

static struct command parsed(const char *text)
{
    struct command c;

    command_parse(span_of(text), BOT, &c);
    return c;
}

static void each_command_has_a_word_in_both_languages(void **state)
{
    static const struct {
        const char *text;
        enum command_kind kind;
        bool is_english;
    } rows[] = {
        {"/start", COMMAND_START, false},
        {"/start ref_123", COMMAND_START, false},
        {"/ayuda", COMMAND_HELP, false},
        {"/help", COMMAND_HELP, true},
        {"/HELP", COMMAND_HELP, true},
        {"  /ayuda \n", COMMAND_HELP, false},
        {"/precio BTC", COMMAND_PRICE, false},
        {"/price BTC", COMMAND_PRICE, true},
        {"/alerta BTC>1", COMMAND_ALERT, false},
        {"/alert BTC>1", COMMAND_ALERT, true},
        {"/alertas", COMMAND_ALERTS, false},
        {"/alerts", COMMAND_ALERTS, true},
        {"/borrar 1", COMMAND_DELETE, false},
        {"/delete 1", COMMAND_DELETE, true},
        {"/ayuda@pregon_bot", COMMAND_HELP, false},
        {"/ayuda@Pregon_Bot", COMMAND_HELP, false},
        {"/ayuda@other_bot", COMMAND_NONE, false},
        {"/ayuda@", COMMAND_NONE, false},
        {"/nada", COMMAND_OTHER, false},
        {"/", COMMAND_OTHER, false},
        {"hola", COMMAND_NONE, false},
        {"", COMMAND_NONE, false},
        {"   ", COMMAND_NONE, false},
        {"x /ayuda", COMMAND_NONE, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct command c = parsed(rows[i].text);

        assert_int_equal(c.kind, rows[i].kind);
        assert_int_equal(c.is_english, rows[i].is_english);
        assert_int_equal(c.fault, COMMAND_FINE);
    }
}

static void an_alert_has_a_symbol_a_comparison_and_a_price(void **state)
{
    static const struct {
        const char *text, *symbol;
        enum alert_comparison comparison;
        const char *price;
    } rows[] = {
        {"/alerta BTC/USD > 50000", "BTC/USD", ALERT_ABOVE, "50000"},
        {"/alerta btc/usd>50000", "BTC/USD", ALERT_ABOVE, "50000"},
        {"/alerta btc/usd< 0.50", "BTC/USD", ALERT_BELOW, "0.50"},
        {"/alerta btc/usd >=1,5", "BTC/USD", ALERT_AT_LEAST, "1.5"},
        {"/alerta\tEURUSD=X  <=  1034.50 ", "EURUSD=X", ALERT_AT_MOST, "1034.50"},
        {"/alerta X \xe2\x89\xa5 1", "X", ALERT_AT_LEAST, "1"},
        {"/alerta X\xe2\x89\xa4 1", "X", ALERT_AT_MOST, "1"},
        {"/alerta\rX > 1\r\n", "X", ALERT_ABOVE, "1"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct command c = parsed(rows[i].text);

        assert_int_equal(c.fault, COMMAND_FINE);
        assert_string_equal(c.symbol, rows[i].symbol);
        assert_int_equal(c.comparison, rows[i].comparison);
        assert_string_equal(c.price, rows[i].price);
    }
    assert_string_equal(parsed("/precio abcdefghijklmnopqrstuvwxyz012345").symbol,
                        "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345");
    assert_int_not_equal(parsed("/precio abcdefghijklmnopqrstuvwxyz0123456").fault, COMMAND_FINE);
    assert_int_equal(parsed("/borrar 12").number, 12);
    assert_int_equal(parsed("/borrar #12").number, 12);
}

static void what_is_missing_or_wrong_is_named(void **state)
{
    static const struct {
        const char *text;
        enum command_fault fault;
    } rows[] = {
        {"/precio", COMMAND_NO_SYMBOL},
        {"/precio ñandú", COMMAND_NO_SYMBOL},
        {"/precio ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFG", COMMAND_NO_SYMBOL},
        {"/precio BTC ETH", COMMAND_TOO_MUCH},
        {"/precio BTC > 1", COMMAND_TOO_MUCH},
        {"/alerta", COMMAND_NO_SYMBOL},
        {"/alerta > 1", COMMAND_NO_SYMBOL},
        {"/alerta BTC", COMMAND_NO_COMPARISON},
        {"/alerta BTC 50", COMMAND_NO_COMPARISON},
        {"/alerta BTC = 50", COMMAND_NO_COMPARISON},
        {"/alerta BTC >", COMMAND_NO_PRICE},
        {"/alerta BTC > --1", COMMAND_NO_PRICE},
        {"/alerta BTC > mucho", COMMAND_NO_PRICE},
        {"/alerta BTC > 1,000.5", COMMAND_NO_PRICE},
        {"/alerta BTC > 1.000,5", COMMAND_NO_PRICE},
        {"/alerta BTC > 1,000,5", COMMAND_NO_PRICE},
        {"/alerta BTC > 1e5", COMMAND_NO_PRICE},
        {"/alerta BTC > 12345678901234567890123456789012345678901", COMMAND_NO_PRICE},
        {"/alerta BTC > 1 2", COMMAND_TOO_MUCH},
        {"/borrar", COMMAND_NO_NUMBER},
        {"/borrar 0", COMMAND_NO_NUMBER},
        {"/borrar x", COMMAND_NO_NUMBER},
        {"/borrar #", COMMAND_NO_NUMBER},
        {"/borrar 12345678901", COMMAND_NO_NUMBER},
        {"/borrar 1 2", COMMAND_TOO_MUCH},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_int_equal(parsed(rows[i].text).fault, rows[i].fault);
}

static void bytes_that_are_no_text_harm_nobody(void **state)
{
    struct command c;

    (void)state;
    command_parse((struct span){"/alerta \0\xff\xfe > 1", 14}, BOT, &c);
    assert_int_equal(c.fault, COMMAND_NO_SYMBOL);
    command_parse((struct span){"/precio BTC\0", 12}, BOT, &c);
    assert_int_equal(c.fault, COMMAND_NO_SYMBOL);
    command_parse((struct span){"/", 1}, "", &c);
    assert_int_equal(c.kind, COMMAND_OTHER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_command_has_a_word_in_both_languages),
        cmocka_unit_test(an_alert_has_a_symbol_a_comparison_and_a_price),
        cmocka_unit_test(what_is_missing_or_wrong_is_named),
        cmocka_unit_test(bytes_that_are_no_text_harm_nobody),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
