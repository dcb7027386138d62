#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "feeder/csv.h"
#include "feeder/source.h"
#include "tests/unit/feeder/source_csv_fixture.h"

static void cells_are_split_as_rfc_4180_says(void **state)
{
    char plain[] = "a, b ,,d", quoted[] = "\"a,\"\"b\"\"\",c", open[] = "a,\"b",
         after[] = "\"a\"b,c";
    struct csv_row row;

    (void)state;
    assert_true(csv_split(plain, strlen(plain), &row));
    assert_int_equal(row.count, 4);
    assert_true(span_eq(row.cells[1], "b"));
    assert_int_equal(row.cells[2].len, 0);
    assert_true(csv_split(quoted, strlen(quoted), &row));
    assert_int_equal(row.count, 2);
    assert_true(span_eq(row.cells[0], "a,\"b\""));
    assert_false(csv_split(open, strlen(open), &row));
    assert_false(csv_split(after, strlen(after), &row));
}

static void a_table_with_our_own_words_needs_no_description(void **state)
{
    struct source *s = open_table("\xEF\xBB\xBF"
                                  "Symbol,DATE,Close,Volume,venue\r\n"
                                  "ABC,2020-01-01,1469.250000,12,X1\r\n",
                                  NULL, "");

    (void)state;
    assert_non_null(s);
    assert_string_equal(next_at(s, 0),
                        "ABC,\"recorded_at\":1577836800.0,\"last\":\"1469.250000\","
                        "\"volume\":\"12\",\"venue\":\"X1\",\"timestamp\":1640995200.0,"
                        "\"source\":\"recorded data\"");
    assert_string_equal(next_at(s, 0), "ended");
    source_free(s);
}

static void prices_stay_the_text_of_the_file_but_an_exponent_is_written_out(void **state)
{
    struct source *s = open_table("symbol,time,bid,ask,volume\n"
                                  "A,1,1.10,1.1000,1e+05\n"
                                  "A,1,1.2.3e4,2,1\n",
                                  NULL, "");
    const char *got;

    (void)state;
    got = next_at(s, 0);
    check_has(got, "\"bid\":\"1.10\",\"ask\":\"1.1000\",\"volume\":\"100000\"");
    assert_string_equal(next_at(s, 0), "ended");
    assert_int_equal(s->refused[QUOTE_BAD_PRICE], 1);
    source_free(s);
}

static void bad_lines_are_refused_by_reason_and_the_rest_goes_on(void **state)
{
    struct source *s = open_table("symbol,time,bid,ask\n"
                                  "A,1,1.0,0\n"
                                  "A,soon,1,2\n"
                                  "A,1,1\n"
                                  "a,1,1,2\n"
                                  "A,1,--1,2\n"
                                  "A,1,,NA\n"
                                  "A,1,\"1,2\n"
                                  "\n"
                                  "A,99999999999,1,2\n"
                                  "A,2,1,2",
                                  NULL, "?speed=0");

    (void)state;
    s->set.tape_time = true;
    check_has(next_at(s, 0), "\"bid\":\"1\",\"ask\":\"2\"");
    assert_string_equal(next_at(s, 0), "ended");
    assert_int_equal(s->refused[QUOTE_CROSSED], 1);
    assert_int_equal(s->refused[QUOTE_BAD_TIME], 1);
    assert_int_equal(s->refused[QUOTE_MALFORMED], 2);
    assert_int_equal(s->refused[QUOTE_BAD_SYMBOL], 1);
    assert_int_equal(s->refused[QUOTE_BAD_PRICE], 1);
    assert_int_equal(s->refused[QUOTE_NO_PRICE], 1);
    assert_int_equal(s->refused[QUOTE_FUTURE], 1);
    assert_int_equal(s->quotes, 1);
    source_free(s);
}

static void a_row_longer_than_the_limit_is_skipped_to_its_end(void **state)
{
    struct buf table = {0};
    struct source *s;

    (void)state;
    buf_adds(&table, "symbol,time,last\nA,1,");
    memset(buf_room(&table, 300000), '1', 300000);
    buf_adds(&table, "\nA,1,5\n");
    s = open_table(buf_text(&table), NULL, "");
    check_has(next_at(s, 0), "\"last\":\"5\"");
    assert_int_equal(s->refused[QUOTE_OVERSIZED], 1);
    source_free(s);
    buf_free(&table);
}

static void a_description_says_what_the_columns_are(void **state)
{
    struct source *s = open_table("XDATE,DELAY,WHO,BID,ASK\n199706011928,1,ANZM,24.8,25\n",
                                  "# a comment\n\n"
                                  "symbol = USD/THB\n"
                                  "time = XDATE\n"
                                  "time_format = %Y%m%d%H%M\n"
                                  "field.bid = BID\n"
                                  "field.ask = ASK\n"
                                  "field.contributor = WHO\n"
                                  "constant.currency = THB\n",
                                  "");

    (void)state;
    assert_non_null(s);
    assert_string_equal(next_at(s, 0),
                        "USD/THB,\"recorded_at\":865193280.0,\"bid\":\"24.8\","
                        "\"ask\":\"25\",\"contributor\":\"ANZM\",\"currency\":\"THB\","
                        "\"timestamp\":1640995200.0,\"source\":\"recorded data\"");
    source_free(s);
}

static void a_wide_table_is_a_quote_of_each_symbol_per_row(void **state)
{
    struct source *s = open_table("t,DAX,SMI\n1991.5,1628.75,1678.1\n1991.6,,1690\n",
                                  "time = t\ntime_format = decimal_year\n"
                                  "wide.DAX = DAX\nwide.^SSMI = SMI\n",
                                  "?speed=0");

    (void)state;
    assert_non_null(s);
    check_has(next_at(s, 0), "DAX,");
    check_has(next_at(s, 0), "\"last\":\"1678.1\"");
    check_has(next_at(s, 0), "^SSMI,");
    assert_string_equal(next_at(s, 0), "ended");
    assert_int_equal(s->quotes, 3);
    source_free(s);
}

static void prices_may_be_negative_but_no_size(void **state)
{
    struct source *s = open_table("time,symbol,last,volume\n"
                                  "2020-04-20T18:00:00Z,CL=F,0.01,1\n"
                                  "2020-04-20T18:08:00Z,CL=F,-0.06,1\n"
                                  "2020-04-20T18:30:00Z,CL=F,-3.763e1,1\n"
                                  "2020-04-20T18:31:00Z,POWER.DE,-83.94,-5\n",
                                  NULL, "?speed=0");

    (void)state;
    check_has(next_at(s, 0), "\"last\":\"0.01\"");
    check_has(next_at(s, 0), "\"last\":\"-0.06\"");
    check_has(next_at(s, 0), "\"last\":\"-37.63\"");
    assert_string_equal(next_at(s, 0), "ended");
    assert_int_equal(s->refused[QUOTE_BAD_PRICE], 1);
    source_free(s);
}

static void what_stands_for_no_number_is_no_field(void **state)
{
    static const char *const words[] = {
        "",    "NA",   "null", "NaN", "nan",    "N/A",     "n/a",     "NULL",
        "Nil", "None", "-",    "--",  "#N/A",   "-nan",    "n.a.",    "#N/A N/A",
        "#NA", "<NA>", ".",    "\\N", "1.#IND", "-1.#IND", "1.#QNAN", "-1.#QNAN"};
    struct buf table = {0};
    struct source *s;

    (void)state;
    buf_adds(&table, "symbol,date,open,high,low,close\n");
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        buf_printf(&table, "A,2021-05-16,0.5,%s,%s,0.51\n", words[i], words[i]);
    s = open_table(buf_text(&table), NULL, "?speed=0");
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        const char *got = next_at(s, 0);

        check_has(got, "\"open\":\"0.5\",\"last\":\"0.51\"");
        assert_null(strstr(got, "high"));
    }
    assert_int_equal(source_refused(s), 0);
    source_free(s);
    buf_free(&table);
}

static void numbers_are_written_out_as_decimals(void **state)
{
    static const struct {
        const char *cell, *last;
    } cells[] = {
        {".5", "0.5"},
        {"-.5", "-0.5"},
        {"+1.50", "1.50"},
        {"5.", "5"},
        {"1E-7", "0.0000001"},
        {"-1.25e+3", "-1250"},
        {"0e9", "0"},
        {"0.00e-9", "0"},
        {"-0e1", "0"},
        {"00012e-2", "0.12"},
        {"1e39", "1000000000000000000000000000000000000000"},
        {"1e40", NULL},
        {"1e-39", NULL},
        {"1e", NULL},
        {"e5", NULL},
        {"1e+", NULL},
        {"1e5.5", NULL},
        {"1e99999999999", NULL},
        {"0x10", NULL},
        {"inf", NULL},
        {"1.2.3", NULL},
        {"1,5", NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cells / sizeof *cells; i++) {
        char table[200], wanted[80];
        struct source *s;

        snprintf(table, sizeof table, "symbol,time,last\nA,1,\"%s\"\n", cells[i].cell);
        snprintf(wanted, sizeof wanted, "\"last\":\"%s\"", cells[i].last);
        s = open_table(table, NULL, "");
        check_has(next_at(s, 0), cells[i].last ? wanted : "ended");
        assert_int_equal(s->refused[QUOTE_BAD_PRICE], !cells[i].last);
        source_free(s);
    }
}

static void a_date_and_a_time_of_day_are_one_time(void **state)
{
    static const char *const headers[] = {
        "symbol,Date,Time,Bid,Ask\nX,2026-11-27,10:00:01.5,1.1,1.2\n",
        "Time,Bid,symbol,Ask,DATE\n10:00:01.5,1.1,X,1.2,2026-11-27\n",
        "symbol,Date,Time,Bid,Ask\nX,20261127,10:00:01.5,1.1,1.2\n",
    };
    struct source *s;

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        const char *got;

        s = open_table(headers[i], NULL, "");
        got = next_at(s, 0);
        check_has(got, "\"recorded_at\":1795773601.5,");
        assert_null(strstr(got, "\"time\""));
        source_free(s);
    }
    s = open_table(headers[2], NULL, "");
    assert_string_equal(next_at(s, 0), "ended"); /* and not at midnight */
    assert_int_equal(s->refused[QUOTE_BAD_TIME], 1);
    source_free(s);
    s = open_table("d;t,d,b\n10:00,27.11.2026,1\n",
                   "symbol = X\ndate = d\ntime = d;t\nfield.bid = b\n"
                   "time_format = %d.%m.%Y %H:%M\n",
                   "");
    check_has(next_at(s, 0), "\"recorded_at\":1795773600.0,");
    source_free(s);
}

static void a_column_with_a_name_of_the_record_passes_under_another(void **state)
{
    struct source *s = open_table("symbol,time,last,type,seq,State,prev,recorded_at\n"
                                  "A,1,1,trade,7,NY,0,5\n",
                                  NULL, "");

    (void)state;
    check_has(next_at(s, 0), "\"type_\":\"trade\",\"seq_\":\"7\",\"State\":\"NY\","
                             "\"prev_\":\"0\",\"recorded_at_\":\"5\"");
    source_free(s);
}

static void two_columns_for_the_time_or_the_symbol_are_refused(void **state)
{
    (void)state;
    assert_null(open_table("symbol,timestamp,datetime,last\nA,1,1,1\n", NULL, ""));
    assert_null(open_table("symbol,ticker,time,last\nA,B,1,1\n", NULL, ""));
}

static void a_table_whose_newest_row_comes_first_is_refused(void **state)
{
    struct buf one = {0}, by_day = {0}, by_symbol = {0}, fine = {0};
    struct source *s;

    (void)state;
    buf_adds(&one, "date,symbol,last\n");
    buf_adds(&by_day, "date,symbol,last\n");
    buf_adds(&by_symbol, "date,symbol,last\n");
    buf_adds(&fine, "date,symbol,last\n");
    for (int day = 28; day > 0; day--) {
        buf_printf(&one, "2026-02-%02d,IDX,%d\n", day, day);
        for (char name = 'A'; name < 'E'; name++)
            buf_printf(&by_day, "2026-02-%02d,%c,%d\n", day, name, day);
    }
    for (char name = 'A'; name < 'Z'; name++)
        for (int day = 1; day < 10; day++) {
            buf_printf(&by_symbol, "2026-02-%02d,%c,%d\n", 29 - day, name, day);
            buf_printf(&fine, "2026-02-%02d,%c,%d\n", day, name, day);
        }
    assert_null(open_table(buf_text(&one), NULL, ""));
    assert_null(open_table(buf_text(&by_day), NULL, ""));
    assert_null(open_table(buf_text(&by_symbol), NULL, ""));
    s = open_table(buf_text(&fine), NULL, "?speed=0"); /* one symbol after the other */
    assert_non_null(s);
    while (strcmp(next_at(s, 0), "ended") != 0)
        ;
    assert_int_equal(s->quotes, 25 * 9);
    source_free(s);
    buf_free(&one);
    buf_free(&by_day);
    buf_free(&by_symbol);
    buf_free(&fine);
}

static void a_table_in_another_encoding_is_refused(void **state)
{
    (void)state;
    assert_null(open_table("\xFF\xFEs", NULL, ""));
    assert_null(open_table("\xFE\xFF", NULL, ""));
    assert_null(open_table("symbol,time,last\rA,1,1\r", NULL, ""));
}

static void a_wrong_description_or_table_is_refused_at_start(void **state)
{
    static const struct {
        const char *table, *map;
    } cases[] = {
        {"", NULL},
        {"symbol,bid\nA,1\n", NULL},
        {"time,bid\n1,1\n", NULL},
        {"symbol,time,foo\nA,1,1\n", NULL},
        {"symbol,time,last,close\nA,1,1,1\n", NULL},
        {"t,b\n", "symbol = A\ntime = t\nfield.bid = BID\n"},
        {"t,b\n", "symbol = A\ntime = T\nfield.bid = b\n"},
        {"t,b\n", "symbol = a\ntime = t\nfield.bid = b\n"},
        {"t,b\n", "symbol = A\ntime = t\nfield.bid = b\ncolour = red\n"},
        {"t,b\n", "symbol = A\ntime = t\nfield.bid = b\nfield.bid = b\n"},
        {"t,b\n", "symbol = A\ntime = t\nfield.bid = b\ntime_format = local\n"},
        {"t,b\n", "symbol = A\ntime = t\nfield.bid = b\nfield.seq = b\n"},
        {"t,b\n", "symbol = A\nsymbol_column = b\ntime = t\nfield.bid = b\n"},
        {"t,b\n", "symbol = A\ntime = t\n"},
        {"t,b\n", "time = t\nfield.bid = b\n"},
        {"t,b\n", "symbol\n"},
        {"t,b\n", "symbol = A\ntime = t\ndate = t\nfield.bid = b\n"},
        {"t,b\n", "symbol = A\ntime = t\ndate = d\nfield.bid = b\n"},
        {"t,b\n", "time = t\nwide.B = b\nwide.B = b\n"},
        {"t,b\n", "time = t\nwide.B = b\nfield.last = b\n"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        if (open_table(cases[i].table, cases[i].map, ""))
            fail_msg("case %zu was taken", i);
    assert_null(open_table(TWO_ROWS, NULL, "?rate=5"));
    assert_null(open_table(TWO_ROWS, NULL, "?speed=fast"));
    assert_null(open_table(TWO_ROWS, NULL, "?speed"));
    assert_null(open_table(TWO_ROWS, NULL, "?max_gap=1.2345"));
}

/* Counts of shipped data, so that a changed file or map is noticed. */
static void the_recorded_tables_play_with_their_descriptions(void **state)
{
    static const struct {
        const char *spec;
        uint64_t quotes, crossed;
    } tables[] = {
        {"csv:feeder/data/usdthb.csv", 2983, 1},
        {"csv:feeder/data/usdchf.csv", 62496, 0},
        {"csv:feeder/data/EuStockMarkets.csv", 7440, 0},
        {"csv:feeder/data/sp500_daily.csv", 5105, 0},
    };
    struct source_settings set = {.speed = 0};

    (void)state;
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++) {
        struct source *s = NULL;
        uint64_t refused = 0;

        assert_int_equal(source_open(tables[i].spec, &set, "test", &s), OK);
        while (strcmp(next_at(s, 0), "ended") != 0)
            ;
        for (int r = 0; r < QUOTE_REFUSAL_COUNT; r++)
            refused += s->refused[r];
        assert_int_equal(s->quotes, tables[i].quotes);
        assert_int_equal(s->refused[QUOTE_CROSSED], tables[i].crossed);
        assert_int_equal(refused, tables[i].crossed);
        source_free(s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cells_are_split_as_rfc_4180_says),
        cmocka_unit_test(a_table_with_our_own_words_needs_no_description),
        cmocka_unit_test(prices_stay_the_text_of_the_file_but_an_exponent_is_written_out),
        cmocka_unit_test(bad_lines_are_refused_by_reason_and_the_rest_goes_on),
        cmocka_unit_test(a_row_longer_than_the_limit_is_skipped_to_its_end),
        cmocka_unit_test(a_description_says_what_the_columns_are),
        cmocka_unit_test(a_wide_table_is_a_quote_of_each_symbol_per_row),
        cmocka_unit_test(prices_may_be_negative_but_no_size),
        cmocka_unit_test(what_stands_for_no_number_is_no_field),
        cmocka_unit_test(numbers_are_written_out_as_decimals),
        cmocka_unit_test(a_date_and_a_time_of_day_are_one_time),
        cmocka_unit_test(a_column_with_a_name_of_the_record_passes_under_another),
        cmocka_unit_test(two_columns_for_the_time_or_the_symbol_are_refused),
        cmocka_unit_test(a_table_whose_newest_row_comes_first_is_refused),
        cmocka_unit_test(a_table_in_another_encoding_is_refused),
        cmocka_unit_test(a_wrong_description_or_table_is_refused_at_start),
        cmocka_unit_test(the_recorded_tables_play_with_their_descriptions),
    };

    return cmocka_run_group_tests_name("source_csv", tests, set_up, tear_down);
}
