#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "shared/wire/wire.h"
#include "tests/unit/shared/wire/wire_fixture.h"

static void a_topic_is_the_symbol_and_a_space(void **state)
{
    static const struct {
        const char *topic, *symbol;
    } table[] = {
        {"EUR/USD ", "EUR/USD"},
        {"A ", "A"},
        {"^GSPC ", "^GSPC"},
        {"ABCDEFGHIJKLMNOPQRSTUVWXYZ012345 ", "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"},
        {"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456 ", ""},
        {"", ""},
        {" ", ""},
        {"EUR/USD", ""},
        {"EUR/USD  ", ""},
        {"EUR USD ", ""},
        {"eur/usd ", ""},
        {"BTC*", ""},
        {"BTC* ", ""},
        {WIRE_TOPIC_HEARTBEAT, ""},
        {WIRE_TOPIC_LOST, ""},
        {WIRE_TOPIC_MARK "1234 ", ""},
    };
    char topic[WIRE_TOPIC_MAX];

    (void)state;
    for (size_t i = 0; i < LENGTH(table); i++) {
        struct span symbol = wire_topic_symbol(span_of(table[i].topic));

        assert_int_equal(symbol.len, strlen(table[i].symbol));
        assert_memory_equal(symbol.at, table[i].symbol, symbol.len);
        if (!symbol.len)
            continue;
        assert_int_equal(wire_topic(topic, symbol), symbol.len + 1);
        assert_memory_equal(topic, table[i].topic, symbol.len + 1);
    }
    assert_int_equal(wire_topic_symbol((struct span){NULL, 0}).len, 0);
}

static void no_topic_is_longer_than_its_room(void **state)
{
    char longest[200], topic[WIRE_TOPIC_MAX];

    (void)state;
    memset(longest, 'A', sizeof longest);
    for (size_t len = 0; len <= sizeof longest; len++)
        assert_true(wire_topic(topic, (struct span){longest, len}) <= WIRE_TOPIC_MAX);
}

static void our_own_topics_stand_apart_from_every_symbol(void **state)
{
    (void)state;
    for (int c = 0; c < 256; c++) {
        char first = (char)c;

        if (!quote_is_symbol((struct span){&first, 1}))
            continue;
        assert_true(c > WIRE_TOPIC_HEARTBEAT[0] && c > WIRE_TOPIC_LOST[0]);
        assert_true(c < WIRE_TOPIC_MARK[0]); /* a mark is subscribed to last */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_topic_is_the_symbol_and_a_space),
        cmocka_unit_test(no_topic_is_longer_than_its_room),
        cmocka_unit_test(our_own_topics_stand_apart_from_every_symbol),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
