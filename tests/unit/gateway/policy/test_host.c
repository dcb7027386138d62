#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "gateway/policy/host.h"

static void an_authority_is_a_name_and_perhaps_a_port(void **state)
{
    const struct {
        const char *text, *name;
        int port;
    } rows[] = {
        {"a", "a", 0},
        {"A.Example:80", "a.example", 80},
        {"a.example.", "a.example", 0},
        {"a:", "a", 0},
        {"[::1]", "[::1]", 0},
        {"[2001:DB8::1]:8000", "[2001:db8::1]", 8000},
        {"127.0.0.1:1", "127.0.0.1", 1},
    };
    const char *const wrong[] = {"",    ":80", "a:b", "a:0", "a:65536", "a:1:2", "[::1", "[::1]x",
                                 "a b", "a/b", "u@a", ".",   "a,b",     "::1",   "a..",  "a..b"};
    struct host h;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_true(host_parse(rows[i].text, &h));
        assert_string_equal(h.name, rows[i].name);
        assert_int_equal(h.port, rows[i].port);
    }
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        if (host_parse(wrong[i], &h))
            fail_msg("%s", wrong[i]);
}

static void a_name_has_at_most_253_characters(void **state)
{
    char name[HOST_NAME_LEN + 2];
    struct host h;

    (void)state;
    memset(name, 'a', sizeof name);
    name[HOST_NAME_LEN] = '\0';
    assert_true(host_parse(name, &h));
    assert_string_equal(h.name, name);
    name[HOST_NAME_LEN] = 'a';
    name[HOST_NAME_LEN + 1] = '\0';
    assert_false(host_parse(name, &h));
}

static void names_of_this_machine_are_distinguished_from_names_that_others_may_use(void **state)
{
    const char *const loopback[] = {"localhost", "a.localhost", "127.0.0.1", "127.9.9.9", "[::1]"};
    const char *const private[] = {"gateway", "192.168.1.1", "10.0.0.1", "[fe80::1]"};
    const char *const public[] = {"evil.example", "localhost.evil.example",
                                  "127.0.0.1.evil.example", "127.0.1", "xlocalhost.x"};

    (void)state;
    for (size_t i = 0; i < sizeof loopback / sizeof *loopback; i++)
        assert_true(host_is_loopback(loopback[i]) && !host_is_public(loopback[i]));
    for (size_t i = 0; i < sizeof private / sizeof *private; i++)
        assert_false(host_is_loopback(private[i]) || host_is_public(private[i]));
    for (size_t i = 0; i < sizeof public / sizeof *public; i++)
        assert_true(host_is_public(public[i]) && !host_is_loopback(public[i]));
}

static bool allows(const struct host_list *l, const char *authority)
{
    struct host h;

    assert_true(host_parse(authority, &h));
    return host_list_allows(l, &h);
}

static void a_list_allows_names_domains_and_ports(void **state)
{
    char error[HOST_ERROR_MAX];
    struct host_list *l =
        host_list_new("ALLOWED_HOSTS", "A.example, *.b.example, c.example:8000,d:443", error);

    (void)state;
    assert_non_null(l);
    assert_false(host_list_is_empty(l));
    assert_true(allows(l, "a.example") && allows(l, "a.example:9"));
    assert_true(allows(l, "x.b.example") && allows(l, "x.y.b.example:1"));
    assert_true(allows(l, "c.example:8000") && allows(l, "d") && allows(l, "d:443"));
    assert_false(allows(l, "b.example") || allows(l, "xb.example"));
    assert_false(allows(l, "c.example") || allows(l, "c.example:80") || allows(l, "d:80"));
    assert_false(allows(l, "a.example.evil") || allows(l, "evil"));
    host_list_free(l);
    l = host_list_new("ALLOWED_HOSTS", "[\"*\"]", error);
    assert_true(allows(l, "anything.example:1"));
    host_list_free(l);
    l = host_list_new("ALLOWED_HOSTS", "", error);
    assert_true(host_list_is_empty(l));
    assert_false(allows(l, "a"));
    host_list_free(l);
}

static void what_is_no_host_is_named_with_the_setting(void **state)
{
    const char *const wrong[] = {"http://a", "a/b", "*a", "a.*", "*.*", "a:x", "*:80", "[1"};
    char error[HOST_ERROR_MAX];

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        if (host_list_new("ALLOWED_HOSTS", wrong[i], error))
            fail_msg("%s", wrong[i]);
        assert_non_null(strstr(error, "ALLOWED_HOSTS"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_authority_is_a_name_and_perhaps_a_port),
        cmocka_unit_test(a_name_has_at_most_253_characters),
        cmocka_unit_test(names_of_this_machine_are_distinguished_from_names_that_others_may_use),
        cmocka_unit_test(a_list_allows_names_domains_and_ports),
        cmocka_unit_test(what_is_no_host_is_named_with_the_setting),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
