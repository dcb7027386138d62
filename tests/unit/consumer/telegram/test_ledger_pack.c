#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "consumer/telegram/ledger.h"
#include "tests/unit/packed.h"

/* symbol chat number comparison spanish armed threshold pending next attempts sending seen */
#define ALERT "'A',7,3,1,1,0,'1.5','2','',1,true,9"
#define ALERT_2 "'B',7,4,0,0,1,'1','','',0,false,1"
#define ANSWER "500,-7,1,2,false,'hola'" /* update chat spanish attempts sending text */
#define ANSWER_2 "502,8,0,0,false,'x'"
#define VALUE(alerts, answers)                      \
    "{'v':1,'next_update':501,'epoch':77,'seq':12," \
    "'alerts':[" alerts "],'answers':[" answers "]}"

static enum err unpack(struct ledger *l, const char *text)
{
    struct buf value = {0};
    enum err e;

    packed(&value, text);
    ledger_init(l);
    e = ledger_unpack(l, buf_span(&value));
    buf_free(&value);
    return e;
}

static void every_field_of_a_value_is_read(void **state)
{
    struct ledger l;
    struct alert *a;

    (void)state;
    assert_int_equal(unpack(&l, VALUE("[" ALERT ",88,1]", "[" ANSWER ",89]")), OK);
    assert_int_equal(l.next_update, 501);
    assert_int_equal(l.epoch, 77);
    assert_int_equal(l.seq, 12);
    a = ledger_find_alert(&l, 7, 3);
    assert_non_null(a);
    assert_string_equal(a->symbol, "A");
    assert_int_equal(a->comparison, 1);
    assert_true(a->is_spanish && !a->is_armed && a->delivery.is_sending && a->is_paused);
    assert_string_equal(a->threshold, "1.5");
    assert_string_equal(a->pending, "2");
    assert_string_equal(a->next, "");
    assert_int_equal(a->delivery.attempts, 1);
    assert_int_equal(a->seen, 9);
    assert_int_equal(a->thread, 88);
    assert_int_equal(l.answer_count, 1);
    assert_int_equal(l.answers[0].update, 500);
    assert_int_equal(l.answers[0].chat, -7);
    assert_true(l.answers[0].is_spanish && !l.answers[0].delivery.is_sending);
    assert_int_equal(l.answers[0].delivery.attempts, 2);
    assert_int_equal(l.answers[0].thread, 89);
    assert_string_equal(l.answers[0].text, "hola");
    ledger_fini(&l);
}

/* An earlier version wrote no thread and no pause; a later one may write more. */
static void fields_of_an_earlier_and_of_a_later_version_do_no_harm(void **state)
{
    struct ledger l;

    (void)state;
    assert_int_equal(unpack(&l, VALUE("[" ALERT "]", "[" ANSWER "]")), OK);
    assert_int_equal(l.alerts[0].thread, 0);
    assert_false(l.alerts[0].is_paused);
    assert_int_equal(l.answers[0].thread, 0);
    ledger_fini(&l);
    assert_int_equal(unpack(&l, VALUE("[" ALERT ",88,1,'new',[1,2],{}],[" ALERT_2 "]",
                                      "[" ANSWER ",89,{'k':1},null],[" ANSWER_2 "]")),
                     OK);
    assert_int_equal(l.alert_count, 2);
    assert_int_equal(l.alerts[0].thread, 88);
    assert_int_equal(l.answer_count, 2);
    assert_int_equal(l.answers[0].thread, 89);
    assert_int_equal(l.answers[1].update, 502);
    ledger_fini(&l);
}

static void a_value_with_one_wrong_field_is_refused_as_a_whole(void **state)
{
    static const char *const alerts[] = {
        "['A',7,3,1,1,0,'1.5','2','',1,true]",     /* too few */
        "[7,7,3,1,1,0,'1.5','2','',1,true,9]",     /* a number as symbol */
        "['',7,3,1,1,0,'1.5','2','',1,true,9]",    /* no symbol */
        "['A B',7,3,1,1,0,'1.5','2','',1,true,9]", /* no symbol, either */
        "['A','7',3,1,1,0,'1.5','2','',1,true,9]", /* a text as chat */
        "['A',7.5,3,1,1,0,'1.5','2','',1,true,9]", /* a float as chat */
        "['A',18446744073709551615,3,1,1,0,'1.5','2','',1,true,9]",
        "['A',7,0,1,1,0,'1.5','2','',1,true,9]", /* numbers begin at 1 */
        "['A',7,-3,1,1,0,'1.5','2','',1,true,9]",
        "['A',7,4294967296,1,1,0,'1.5','2','',1,true,9]",
        "['A',7,3,4,1,0,'1.5','2','',1,true,9]", /* four comparisons: 0 to 3 */
        "['A',7,3,1,2,0,'1.5','2','',1,true,9]", /* 0 or 1 */
        "['A',7,3,1,1,2,'1.5','2','',1,true,9]",
        "['A',7,3,1,1,0,'','2','',1,true,9]", /* a threshold must be there */
        "['A',7,3,1,1,0,'x','2','',1,true,9]",
        "['A',7,3,1,1,0,'1.5','x','',1,true,9]",
        "['A',7,3,1,1,0,'1.5','2','x',1,true,9]",
        "['A',7,3,1,1,0,'1.5','2','',3,true,9]", /* two attempts at most */
        "['A',7,3,1,1,0,'1.5','2','',1,1,9]",    /* a number as boolean */
        "['A',7,3,1,1,0,'1.5','2','',1,true,-9]",
        "['A',7,3,1,1,0,'1.5','2','',1,true,9,'88',1]", /* a text as thread */
        "['A',7,3,1,1,0,'1.5','2','',1,true,9,88,2]",
        "[" ALERT "],[" ALERT "]", /* the same number twice */
        "['A',7,3,1,1,0,'1.5','2','',1,true,9],['A',7,4,1,1,0,'1.5','2','',1,true,9]",
        "{}",
        "7",
    };
    static const char *const answers[] = {
        "[500,-7,1,2,false]",          "[-500,-7,1,2,false,'hola']",
        "[500,'-7',1,2,false,'hola']", "[500,-7,2,2,false,'hola']",
        "[500,-7,1,3,false,'hola']",   "[500,-7,1,2,0,'hola']",
        "[500,-7,1,2,false,7]",        "[500,-7,1,2,false,'hola','x']",
        "[" ANSWER "],[" ANSWER "]",   "7",
    };
    char text[400];
    struct ledger l;

    (void)state;
    for (size_t i = 0; i < sizeof alerts / sizeof *alerts; i++) {
        snprintf(text, sizeof text, VALUE("%s", "[" ANSWER "]"), alerts[i]);
        if (unpack(&l, text) != ERR_MALFORMED || l.alert_count || l.answer_count)
            fail_msg("taken: %s", alerts[i]);
    }
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        snprintf(text, sizeof text, VALUE("[" ALERT "]", "%s"), answers[i]);
        if (unpack(&l, text) != ERR_MALFORMED || l.alert_count || l.answer_count)
            fail_msg("taken: %s", answers[i]);
    }
    assert_int_equal(unpack(&l, "{'v':1,'alerts':[]}"), ERR_MALFORMED);
    assert_int_equal(unpack(&l, "{'v':1,'answers':[]}"), ERR_MALFORMED);
    assert_int_equal(unpack(&l, "{'v':0,'alerts':[],'answers':[]}"), ERR_MALFORMED);
    assert_int_equal(unpack(&l, "{'alerts':[],'answers':[]}"), ERR_MALFORMED);
    assert_int_equal(unpack(&l, "{'v':1,'alerts':[],'answers':[]}"), OK);
    assert_int_equal(l.next_update, 0);
    assert_int_equal(l.epoch, 0);
    assert_int_equal(l.seq, 0);
}

/* The largest texts and numbers that are allowed. */
static void values_at_their_bounds_are_read(void **state)
{
    struct ledger l;

    (void)state;
    assert_int_equal(
        unpack(&l, VALUE("['ABCDEFGHIJKLMNOPQRSTUVWXYZ012345',-9223372036854775808,4294967295,3,"
                         "0,1,'1234567890123456789012345678901234567890','','',2,false,"
                         "18446744073709551615,9223372036854775807,0]",
                         "[18446744073709551615,9223372036854775807,0,0,true,'']")),
        OK);
    assert_int_equal(l.alerts[0].chat, INT64_MIN);
    assert_int_equal(l.alerts[0].number, UINT32_MAX);
    assert_int_equal(strlen(l.alerts[0].threshold), QUOTE_DECIMAL_MAX);
    assert_int_equal(strlen(l.alerts[0].symbol), QUOTE_SYMBOL_MAX);
    assert_int_equal(l.alerts[0].seen, UINT64_MAX);
    assert_int_equal(l.answers[0].chat, INT64_MAX);
    ledger_fini(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_field_of_a_value_is_read),
        cmocka_unit_test(fields_of_an_earlier_and_of_a_later_version_do_no_harm),
        cmocka_unit_test(a_value_with_one_wrong_field_is_refused_as_a_whole),
        cmocka_unit_test(values_at_their_bounds_are_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
