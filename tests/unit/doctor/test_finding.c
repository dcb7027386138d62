#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "doctor/finding.h"

static struct finding_list list;
static struct buf out;

static int set_up(void **state)
{
    (void)state;
    finding_add(&list, FINDING_port_taken, "env", "end it", "PORT=8001", "%s is held", "8000");
    finding_add(&list, FINDING_store_in_memory, "", "name a \"file\"", NULL, "\x1b[1mno\x7f store");
    finding_add(&list, FINDING_feed_ended, "feed a", "", NULL, "ended");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    finding_free(&list);
    assert_int_equal(list.count, 0);
    buf_free(&out);
    return 0;
}

static void a_list_knows_what_was_found_and_how_bad_it_is(void **state)
{
    (void)state;
    assert_int_equal(list.count, 3);
    assert_true(finding_has(&list, FINDING_port_taken));
    assert_true(finding_has(&list, FINDING_feed_ended));
    assert_false(finding_has(&list, FINDING_port_privileged));
    finding_add(&list, FINDING_feed_ended, "feed b", "", NULL, "ended");
    assert_int_equal(finding_count(&list, FINDING_ERROR), 1);
    assert_int_equal(finding_count(&list, FINDING_WARNING), 2);
    assert_int_equal(finding_count(&list, FINDING_NOTE), 1);
}

static void a_finding_is_shown_as_lines_of_which_empty_ones_are_left_out(void **state)
{
    static const char *const want[] = {
        ("error    port_taken  at env\n"
         "         8000 is held\n"
         "         do:     end it\n"
         "         .env:   PORT=8001\n"),
        ("note     store_in_memory\n"
         "         ?[1mno? store\n" /* no terminal obeys what a peer wrote */
         "         do:     name a \"file\"\n"),
        ("warning  feed_ended  at feed a\n"
         "         ended\n"),
    };

    (void)state;
    for (size_t i = 0; i < list.count; i++) {
        buf_clear(&out);
        finding_put_text(&list.items[i], LANGUAGE_EN, &out);
        assert_string_equal(buf_text(&out), want[i]);
    }
}

static void a_finding_in_spanish_keeps_its_name_its_values_and_its_change(void **state)
{
    struct finding_list one = {0};

    (void)state;
    buf_clear(&out);
    finding_add(&one, FINDING_ports_collide, "the environment (PORT)",
                "give each a port of its own", "PORT=8001", "%s and %s both name port %d.", "PORT",
                "BROKER_PUBLISH", 8000);
    finding_put_text(&one.items[0], LANGUAGE_ES, &out);
    assert_string_equal(buf_text(&out),
                        "error    ports_collide  en el entorno (PORT)\n"
                        "         PORT y BROKER_PUBLISH nombran el mismo puerto, 8000.\n"
                        "         hacer:  da a cada uno un puerto propio\n"
                        "         .env:   PORT=8001\n");
    buf_clear(&out);
    finding_put_json(&one.items[0], LANGUAGE_ES, &out);
    assert_non_null(strstr(buf_text(&out), "\"do\":\"da a cada uno un puerto propio\""));
    assert_non_null(strstr(buf_text(&out), "\"severity\":\"error\""));
    finding_free(&one);
}

static void a_finding_as_json_has_all_members(void **state)
{
    (void)state;
    finding_put_json(&list.items[0], LANGUAGE_EN, &out);
    assert_string_equal(buf_text(&out), "{\"name\":\"port_taken\",\"severity\":\"error\","
                                        "\"seen\":\"8000 is held\",\"where\":\"env\","
                                        "\"do\":\"end it\",\"change\":\"PORT=8001\"}");
    buf_clear(&out);
    finding_put_json(&list.items[1], LANGUAGE_EN, &out);
    assert_string_equal(buf_text(&out), "{\"name\":\"store_in_memory\",\"severity\":\"note\","
                                        "\"seen\":\"\\u001b[1mno\\u007f store\",\"where\":\"\","
                                        "\"do\":\"name a \\\"file\\\"\",\"change\":\"\"}");
}

static void the_codes_of_refused_handshakes_are_errors_among_the_names(void **state)
{
    (void)state;
    assert_string_equal(finding_text(FINDING_origin_not_allowed), "origin_not_allowed");
    assert_int_equal(finding_severity(FINDING_origin_not_allowed), FINDING_ERROR);
    assert_ptr_equal(strstr(finding_meaning(FINDING_origin_not_allowed), "handshakes are refused"),
                     finding_meaning(FINDING_origin_not_allowed));
    assert_string_equal(finding_meaning(FINDING_port_taken), "another program holds a port");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(a_list_knows_what_was_found_and_how_bad_it_is),
        TEST(a_finding_is_shown_as_lines_of_which_empty_ones_are_left_out),
        TEST(a_finding_in_spanish_keeps_its_name_its_values_and_its_change),
        TEST(a_finding_as_json_has_all_members),
        TEST(the_codes_of_refused_handshakes_are_errors_among_the_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
