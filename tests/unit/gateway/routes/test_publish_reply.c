#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "gateway/routes/publish_reply.h"
#include "tests/unit/packed.h"

static bool add(struct publish_reply *p, const char *answer)
{
    struct buf bytes = {0};
    bool ok;

    packed(&bytes, answer);
    ok = publish_reply_add(p, buf_span(&bytes));
    buf_free(&bytes);
    return ok;
}

static void answers_to_parts_are_one_answer(void **state)
{
    struct publish_reply p = {0};
    struct buf out = {0};

    (void)state;
    assert_true(add(&p, "{'epoch':255,'count':3,'first':7,'repeated':true,'stored':true,"
                        "'refused':[[1,'bad_price','bid']]}"));
    assert_true(add(&p, "{'epoch':255,'count':1,'first':0,'repeated':false,'stored':true,"
                        "'refused':[[0,'unheard_of','']]}"));
    assert_true(add(&p, "{'epoch':255,'count':1,'first':12,'refused':[]}"));
    publish_reply_members(&p, SPAN("web"), &out);
    assert_string_equal(
        buf_text(&out),
        ",\"feed\":\"web\",\"epoch\":\"00000000000000ff\",\"accepted\":3,\"refused\":2,"
        "\"repeated\":false,\"stored\":false,\"quotes\":[{\"index\":0,\"seq\":7},"
        "{\"index\":1,\"code\":\"bad_price\",\"field\":\"bid\",\"message\":\"a price or size must "
        "be a decimal number, a size not negative\"},{\"index\":2,\"seq\":8},"
        "{\"index\":3,\"code\":\"unheard_of\",\"field\":\"\",\"message\":\"refused by the "
        "broker\"},{\"index\":4,\"seq\":12}]");
    publish_reply_free(&p);
    buf_free(&out);
}

static void all_is_stored_if_the_last_part_is(void **state)
{
    struct publish_reply p = {0};

    (void)state;
    assert_true(add(&p, "{'epoch':255,'count':1,'first':7,'stored':false,'refused':[]}"));
    assert_false(p.is_stored);
    assert_true(add(&p, "{'epoch':255,'count':1,'first':8,'stored':true,'refused':[]}"));
    assert_true(p.is_stored);
    assert_true(add(&p, "{'epoch':255,'count':1,'first':9,'stored':false,'refused':[]}"));
    assert_false(p.is_stored);
    publish_reply_free(&p);
}

static void it_is_repeated_if_each_part_is(void **state)
{
    static const char *const parts[] = {
        "{'epoch':255,'count':1,'first':7,'repeated':false,'refused':[]}",
        "{'epoch':255,'count':1,'first':8,'repeated':true,'refused':[]}",
    };

    (void)state;
    for (unsigned which = 0; which < 4; which++) {
        struct publish_reply p = {0};

        assert_true(add(&p, parts[which & 1]));
        assert_int_equal(p.is_repeated, which & 1);
        assert_true(add(&p, parts[which >> 1]));
        assert_int_equal(p.is_repeated, which == 3);
        publish_reply_free(&p);
    }
}

static void an_answer_that_makes_no_sense_is_none(void **state)
{
    static const char *const odd[] = {
        "{}",
        "{'count':1}",
        "{'count':1,'first':0,'refused':[]}",
        "{'count':-1,'first':1,'refused':[]}",
        "{'count':99999999,'first':1,'refused':[]}",
        "{'count':1,'first':1,'refused':[[5,'bad_price','']]}",
        "{'count':2,'first':1,'refused':[[1,'bad_price',''],[0,'bad_price','']]}",
        "{'count':2,'first':1,'refused':[[0,'bad_price']]}",
        "{'count':1,'first':1,'refused':[[0,'a',''],[0,'b','']]}",
    };

    (void)state;
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        struct publish_reply p = {0};

        if (add(&p, odd[i]))
            fail_msg("taken: %s", odd[i]);
        publish_reply_free(&p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_to_parts_are_one_answer),
        cmocka_unit_test(all_is_stored_if_the_last_part_is),
        cmocka_unit_test(it_is_repeated_if_each_part_is),
        cmocka_unit_test(an_answer_that_makes_no_sense_is_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
