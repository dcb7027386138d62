#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "gateway/routes/lock_json.h"
#include "tests/unit/packed.h"

static struct buf bytes, out;

static int set_up(void **state)
{
    (void)state;
    bytes = out = (struct buf){0};
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    buf_free(&bytes);
    buf_free(&out);
    return 0;
}

static struct span pack(const char *text)
{
    buf_clear(&bytes);
    packed(&bytes, text);
    return buf_span(&bytes);
}

/* What was written, double quotes as single ones; it must be JSON. */
static const char *written(void)
{
    struct json *j = json_new();
    const struct json_value *root;

    assert_int_equal(json_parse(j, buf_span(&out), &root), OK);
    json_free(j);
    for (size_t i = 0; i < out.len; i++)
        if (out.data[i] == '"')
            out.data[i] = '\'';
    return buf_text(&out);
}

#define HELD                                                                          \
    "{'name':'telegram-bot','state':'held','owner':'bot-1','host':'web1','pid':4711," \
    "'token':1795382003911255,'held_ms':12040,'expires_ms':17960,'ttl_ms':30000,"     \
    "'delay_ms':60000,'closed_ms':0,'waiters':2,'line':['bot-2','bot-3'],"            \
    "'value_bytes':9,'version':4,"                                                    \
    "'last_lost':{'owner':'bot-0','token':1795382003911254,'ago_ms':99,"              \
    "'reason':'expired'},'of_a_newer_broker':1}"

static void an_entry_is_written_in_seconds_with_all_its_members(void **state)
{
    (void)state;
    lock_json_entry(&out, pack(HELD), true);
    assert_string_equal(written(),
                        "{'name':'telegram-bot','state':'held','holder':'bot-1','owner':'bot-1',"
                        "'host':'web1','pid':4711,'token':1795382003911255,'held_for':12.040,"
                        "'expires_in':17.960,'ttl':30.000,'lock_delay':60.000,'closed_for':0.000,"
                        "'waiters':2,'line':['bot-2','bot-3'],'value_bytes':9,'version':4,"
                        "'last_lost':{'owner':'bot-0','token':1795382003911254,'ago':0.099,"
                        "'reason':'expired'}}");
}

static void owners_are_hidden_wherever_they_stand(void **state)
{
    const char *text;

    (void)state;
    lock_json_entry(&out, pack(HELD), false);
    text = written();
    assert_null(strstr(text, "bot-0"));
    assert_null(strstr(text, "bot-1"));
    assert_null(strstr(text, "bot-2"));
    assert_null(strstr(text, "web1"));
    assert_null(strstr(text, "4711"));
    assert_non_null(strstr(text, "'state':'held','holder':'','owner':'','host':''"));
    assert_non_null(strstr(text, "'waiters':2,'line':[]"));
    assert_non_null(strstr(text, "'reason':'expired'"));
}

static void nobody_holds_a_lock_that_is_closed_or_free(void **state)
{
    (void)state;
    lock_json_entry(&out,
                    pack("{'name':'a','state':'closed','owner':'x','closed_ms':1500,'"
                         "last_lost':null}"),
                    true);
    assert_non_null(strstr(written(), "'state':'closed','holder':null,'owner':'x'"));
    assert_non_null(strstr(buf_text(&out), "'closed_for':1.500"));
    assert_non_null(strstr(buf_text(&out), "'last_lost':null"));
}

static void a_list_is_every_entry_in_order(void **state)
{
    struct span answer = pack("{'locks':[{'name':'a'},{'name':'b'}],'total':2}"), entry;

    (void)state;
    assert_int_equal(lock_json_list(&out, answer, true), 2);
    assert_non_null(strstr(written(), "[{'name':'a',"));
    assert_non_null(strstr(buf_text(&out), ",{'name':'b',"));
    assert_true(lock_json_find(answer, SPAN("b"), &entry));
    assert_false(lock_json_find(answer, SPAN("c"), &entry));
    buf_clear(&out);
    lock_json_entry(&out, entry, true);
    assert_int_equal(strncmp(written(), "{'name':'b',", 12), 0);
}

static void odd_answers_are_still_json_and_no_list_is_not_an_empty_one(void **state)
{
    static const char *const odd[] = {
        "{'locks':[1,'x',null,[],{}]}",
        "{'locks':[{'name':1,'state':[],'token':'x','line':7,'last_lost':[1]}]}",
        "{'locks':[{'line':[1,2],'last_lost':{'owner':1},'held_ms':-5,'pid':1.5}]}",
        "{'locks':[{'held_ms':18446744073709551615,'name':'\\u2028\\u0007'}]}",
    };
    static const char *const none[] = {"{}", "{'locks':7}", "{'locks':{}}", "[]", "7"};

    (void)state;
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        buf_clear(&out);
        assert_true(lock_json_list(&out, pack(odd[i]), true) > 0);
        written();
    }
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        assert_int_equal(lock_json_list(&out, pack(none[i]), true), -1);
}

static void a_grant_a_renewal_and_their_refusals_are_answered(void **state)
{
    (void)state;
    lock_json_grant(&out, pack("{'name':'a','owner':'x','token':7,'ttl_ms':30000,"
                               "'delay_ms':500,'expires_ms':29999,'is_new':true,"
                               "'durable':true}"));
    assert_string_equal(written(),
                        "{'name':'a','owner':'x','token':7,'expires_in':29.999,'ttl':30.000,"
                        "'lock_delay':0.500,'is_new':true,'durable':true}");
    buf_clear(&out);
    lock_json_renewal(&out, pack("{'name':'a','token':7,'expires_ms':30000}"), SPAN("x"));
    assert_string_equal(written(), "{'name':'a','owner':'x','token':7,'expires_in':30.000}");
    buf_clear(&out);
    buf_adds(&out, "{\"error\":{}");
    lock_json_held(&out, pack("{'owner':'y','token':6,'expires_ms':1,'place':2,'waiters':3,"
                              "'closed_ms':0}"));
    buf_addc(&out, '}');
    assert_string_equal(written(),
                        "{'error':{},'holder':{'owner':'y','token':6,'expires_in':0.001},"
                        "'closed_for':0.000,'place':2,'waiters':3}");
    buf_clear(&out);
    buf_adds(&out, "{\"error\":{}");
    lock_json_held(&out, pack("{'owner':'','token':6,'closed_ms':4000,'place':1,'waiters':1}"));
    buf_addc(&out, '}');
    assert_string_equal(written(),
                        "{'error':{},'holder':null,'closed_for':4.000,'place':1,'waiters':1}");
    buf_clear(&out);
    buf_adds(&out, "{\"error\":{}");
    lock_json_stale(&out, pack("{'owner':'y','token':9,'reason':'taken'}"));
    buf_addc(&out, '}');
    assert_string_equal(written(), "{'error':{},'owner':'y','token':9,'reason':'taken'}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_entry_is_written_in_seconds_with_all_its_members, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(owners_are_hidden_wherever_they_stand, set_up, tear_down),
        cmocka_unit_test_setup_teardown(nobody_holds_a_lock_that_is_closed_or_free, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_list_is_every_entry_in_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(odd_answers_are_still_json_and_no_list_is_not_an_empty_one,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_grant_a_renewal_and_their_refusals_are_answered, set_up,
                                        tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
