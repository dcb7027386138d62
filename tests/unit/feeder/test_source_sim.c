#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "feeder/source.h"
#include "shared/wire/pack.h"

static struct buf body, text;
static char symbol[QUOTE_SYMBOL_MAX + 1];

static struct source *opened(const char *spec, const char *feed)
{
    struct source_settings set = {0};
    struct source *s = NULL;

    assert_int_equal(source_open(spec, &set, feed, &s), OK);
    return s;
}

static enum source_outcome next(struct source *s, int64_t ms)
{
    struct source_now now = {ms, 1640995200250000};

    buf_clear(&body);
    return source_next(s, &now, symbol, &body);
}

/* The next quote: "SYMBOL,…" with the fields as a receiver gets them. */
static const char *quote(struct source *s)
{
    struct span bytes;

    assert_int_equal(next(s, 0), SOURCE_QUOTE);
    bytes = buf_span(&body);
    assert_int_equal(pack_check(bytes), OK);
    buf_clear(&text);
    buf_adds(&text, symbol);
    buf_addc(&text, ' ');
    pack_to_json(&bytes, &text);
    assert_int_equal(bytes.len, 0);
    return buf_text(&text);
}

static int64_t hundredths(const char *field)
{
    struct span value = pack_find_text(buf_span(&body), field);
    int64_t n = 0;

    assert_true(value.len > 3 && value.at[value.len - 3] == '.');
    for (size_t i = 0; i < value.len; i++)
        if (value.at[i] != '.')
            n = n * 10 + value.at[i] - '0';
    return n;
}

/* These are the quotes of seed 1 and of seed 0 on every machine: benchmarks compare them. */
static void the_quotes_of_a_seed_are_the_same_on_every_machine(void **state)
{
    static const char *const one[] = {
        "SIM00001 "
        "{\"bid\":\"1000.01\",\"ask\":\"1000.08\",\"source\":\"test\",\"timestamp\":1640995200.25,"
        "\"n\":1}",
        "SIM00002 "
        "{\"bid\":\"999.99\",\"ask\":\"1000.07\",\"source\":\"test\",\"timestamp\":1640995200.25,"
        "\"n\":1}",
        "SIM00001 "
        "{\"bid\":\"1000.01\",\"ask\":\"1000.04\",\"source\":\"test\",\"timestamp\":1640995200.25,"
        "\"n\":2}",
        "SIM00002 "
        "{\"bid\":\"1000.00\",\"ask\":\"1000.04\",\"source\":\"test\",\"timestamp\":1640995200.25,"
        "\"n\":2}",
        "SIM00001 "
        "{\"bid\":\"999.98\",\"ask\":\"1000.01\",\"source\":\"test\",\"timestamp\":1640995200.25,"
        "\"n\":3}",
        "SIM00002 "
        "{\"bid\":\"999.98\",\"ask\":\"1000.00\",\"source\":\"test\",\"timestamp\":1640995200.25,"
        "\"n\":3}",
        "SIM00001 "
        "{\"bid\":\"999.98\",\"ask\":\"1000.01\",\"source\":\"test\",\"timestamp\":1640995200.25,"
        "\"n\":4}",
    };
    static const char *const zero[] = {
        "SIM00001 "
        "{\"bid\":\"1000.01\",\"ask\":\"1000.04\",\"source\":\"test\",\"timestamp\":1640995200.25,"
        "\"n\":1}",
        "SIM00002 "
        "{\"bid\":\"1000.02\",\"ask\":\"1000.04\",\"source\":\"test\",\"timestamp\":1640995200.25,"
        "\"n\":1}",
        "SIM00001 "
        "{\"bid\":\"1000.06\",\"ask\":\"1000.09\",\"source\":\"test\",\"timestamp\":1640995200.25,"
        "\"n\":2}",
    };
    struct source *s = opened("sim:2?seed=1", "test");

    (void)state;
    for (size_t i = 0; i < sizeof one / sizeof one[0]; i++)
        assert_string_equal(quote(s), one[i]);
    source_free(s);
    s = opened("sim:2", "test");
    for (size_t i = 0; i < sizeof zero / sizeof zero[0]; i++)
        assert_string_equal(quote(s), zero[i]);
    source_free(s);
}

static void each_symbol_walks_by_itself_and_counts_its_quotes(void **state)
{
    struct source *s = opened("sim:3?seed=5", "test");
    int64_t bid[3] = {100000, 100000, 100000}, steps[11] = {0}, spreads[9] = {0};

    (void)state;
    for (int i = 0; i < 3000; i++) {
        int64_t moved, spread;
        char name[16];

        assert_int_equal(next(s, 0), SOURCE_QUOTE);
        snprintf(name, sizeof name, "SIM%05d", i % 3 + 1);
        assert_string_equal(symbol, name);
        assert_int_equal(pack_find_u(buf_span(&body), "n", 0), i / 3 + 1);
        moved = hundredths("bid") - bid[i % 3];
        spread = hundredths("ask") - hundredths("bid");
        assert_in_range(moved + 5, 0, 10);
        assert_in_range(spread, 1, 8);
        bid[i % 3] += moved;
        steps[moved + 5]++;
        spreads[spread]++;
    }
    for (int i = 0; i < 11; i++) /* all are as likely: about 273 */
        assert_in_range(steps[i], 180, 370);
    for (int i = 1; i < 9; i++) /* about 375 */
        assert_in_range(spreads[i], 260, 490);
    assert_int_equal(s->quotes, 3000);
    source_free(s);
}

static void symbols_have_five_digits_or_more(void **state)
{
    struct source *s = opened("sim:100001", "test");

    (void)state;
    for (int i = 0; i < 99999; i++)
        assert_int_equal(next(s, 0), SOURCE_QUOTE);
    assert_string_equal(symbol, "SIM99999");
    next(s, 0);
    assert_string_equal(symbol, "SIM100000");
    next(s, 0);
    assert_string_equal(symbol, "SIM100001");
    next(s, 0);
    assert_string_equal(symbol, "SIM00001");
    source_free(s);
}

static void a_label_of_any_length_is_msgpack(void **state)
{
    char label[65] = "";

    (void)state;
    for (size_t len = 1; len < sizeof label; len++) {
        struct source *s;
        struct span source;

        label[len - 1] = 'a';
        s = opened("sim:1", label);
        quote(s);
        source = pack_find_text(buf_span(&body), "source");
        assert_int_equal(source.len, len);
        assert_memory_equal(source.at, label, len);
        source_free(s);
    }
}

static void a_quote_is_padded_to_about_the_size_that_was_requested(void **state)
{
    char spec[64];

    (void)state;
    for (size_t bytes = 0; bytes <= 8000; bytes += bytes < 300 ? 1 : 700) {
        struct source *s;
        size_t size;

        snprintf(spec, sizeof spec, "sim:1?bytes=%zu", bytes);
        s = opened(spec, "sim");
        size = strlen(quote(s)) - strlen("SIM00001 ") + strlen("\"symbol\":\"SIM00001\",");
        assert_int_equal(pack_find_text(buf_span(&body), "pad").len, bytes > 118 ? bytes - 117 : 0);
        if (bytes > 118)
            assert_in_range(bytes - size, 0, 20); /* n and the time have fewer digits here */
        source_free(s);
    }
}

/* --- the rate ------------------------------------------------------------------------------- */

static void quotes_come_at_their_rate_and_the_source_says_when_the_next_is_due(void **state)
{
    struct source *s = opened("sim:2?rate=4", "test");

    (void)state;
    assert_true(s->is_paced);
    assert_int_equal(next(s, 5000), SOURCE_QUOTE); /* the schedule begins */
    assert_int_equal(next(s, 5000), SOURCE_LATER);
    assert_int_equal(s->due_ms, 5250);
    assert_int_equal(next(s, 5249), SOURCE_LATER);
    for (int i = 1; i < 4001; i++) {
        assert_int_equal(next(s, 5000 + i * 250 - 1), SOURCE_LATER);
        assert_int_equal(s->due_ms, 5000 + i * 250);
        assert_int_equal(next(s, 5000 + i * 250), SOURCE_QUOTE);
    }
    assert_int_equal(s->skipped, 0);
    assert_int_equal(s->quotes, 4001);
    source_free(s);
}

static void a_rate_that_does_not_divide_a_second_stays_exact(void **state)
{
    struct source *s = opened("sim:1?rate=3", "test");

    (void)state;
    for (int second = 0; second < 100; second++) {
        assert_int_equal(next(s, second * 1000), SOURCE_QUOTE);
        assert_int_equal(next(s, second * 1000 + 333), SOURCE_QUOTE);
        assert_int_equal(next(s, second * 1000 + 665), SOURCE_LATER);
        assert_int_equal(next(s, second * 1000 + 666), SOURCE_QUOTE);
        assert_int_equal(next(s, second * 1000 + 999), SOURCE_LATER);
    }
    source_free(s);
}

static int drained(struct source *s, int64_t ms)
{
    int count = 0;

    while (next(s, ms) == SOURCE_QUOTE)
        count++;
    return count;
}

static void up_to_a_second_is_caught_up_and_what_is_older_is_skipped(void **state)
{
    struct source *s = opened("sim:1?rate=10", "test");

    (void)state;
    assert_int_equal(drained(s, 0), 1);
    assert_int_equal(drained(s, 1100), 11); /* the oldest was due a second ago */
    assert_int_equal(s->skipped, 0);
    assert_int_equal(drained(s, 5100), 11);
    assert_int_equal(s->skipped, 29); /* 40 were due */
    assert_int_equal(s->due_ms, 5200);
    assert_int_equal(drained(s, 5200), 1);
    source_free(s);
}

static void without_a_rate_a_quote_is_always_due(void **state)
{
    struct source *s = opened("sim:1", "test");

    (void)state;
    assert_false(s->is_paced);
    assert_int_equal(s->fd, -1);
    for (int i = 0; i < 100; i++)
        assert_int_equal(next(s, 0), SOURCE_QUOTE);
    source_free(s);
}

/* `body` is appended to. */
static void what_the_buffer_held_before_stays(void **state)
{
    struct source_now now = {0, 1640995200250000};
    struct source *s = opened("sim:1", "test");
    struct buf b = {0};

    (void)state;
    buf_adds(&b, "before");
    assert_int_equal(source_next(s, &now, symbol, &b), SOURCE_QUOTE);
    assert_memory_equal(b.data, "before", 6);
    assert_int_equal(pack_check((struct span){b.data + 6, b.len - 6}), OK);
    buf_free(&b);
    source_free(s);
}

static int tear_down(void **state)
{
    (void)state;
    buf_free(&body);
    buf_free(&text);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_quotes_of_a_seed_are_the_same_on_every_machine),
        cmocka_unit_test(each_symbol_walks_by_itself_and_counts_its_quotes),
        cmocka_unit_test(symbols_have_five_digits_or_more),
        cmocka_unit_test(a_label_of_any_length_is_msgpack),
        cmocka_unit_test(a_quote_is_padded_to_about_the_size_that_was_requested),
        cmocka_unit_test(quotes_come_at_their_rate_and_the_source_says_when_the_next_is_due),
        cmocka_unit_test(a_rate_that_does_not_divide_a_second_stays_exact),
        cmocka_unit_test(up_to_a_second_is_caught_up_and_what_is_older_is_skipped),
        cmocka_unit_test(without_a_rate_a_quote_is_always_due),
        cmocka_unit_test(what_the_buffer_held_before_stays),
    };

    return cmocka_run_group_tests(tests, NULL, tear_down);
}
