/* The policy that HTTP reads for each request, made from the settings. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "gateway/policy/policy.h"
#include "shared/base/log.h"
#include "shared/base/mem.h"
#include "tests/unit/gateway/default_config.h"

static struct gateway_config config;
static struct policy *policy;
static char error[POLICY_ERROR_MAX];

static void set(char **setting, const char *value)
{
    free(*setting);
    *setting = mem_strdup(value);
}

static void load(void)
{
    policy_drop(policy);
    policy = policy_new(&config, error);
    assert_non_null(policy);
}

static void each_setting_has_its_member(void **state)
{
    (void)state;
    set(&config.websocket_token, "w");
    set(&config.status_token, "s");
    set(&config.locks_token, "l");
    config.websocket_explain = true;
    config.access_log = true;
    config.websocket_enabled = true;
    config.websocket_max_connections = 7;
    config.http_query_rate = 8;
    config.http_query_rate_total = 9;
    load();
    assert_string_equal(policy->admission.token, "w");
    assert_string_equal(policy->status_token, "s");
    assert_string_equal(policy->locks_token, "l");
    assert_true(policy->is_explaining && policy->has_access_log && policy->admission.is_enabled);
    assert_int_equal(policy->max_connections, 7);
    assert_int_equal(policy->query_rate, 8);
    assert_int_equal(policy->query_rate_total, 9);
    config.websocket_explain = config.access_log = config.websocket_enabled = false;
    load();
    assert_false(policy->is_explaining || policy->has_access_log || policy->admission.is_enabled);
}

static void a_root_path_has_one_slash_in_front_and_none_behind(void **state)
{
    static const struct {
        const char *text, *root;
    } rows[] = {{"", ""},         {"/", ""},        {"//", ""},          {"a", "/a"},
                {"api/", "/api"}, {"/api", "/api"}, {"//api//", "/api"}, {"a/b", "/a/b"}};

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        set(&config.root_path, rows[i].text);
        load();
        assert_string_equal(policy->root_path, rows[i].root);
    }
}

static void names_are_judged_by_the_list_or_by_where_it_listens(void **state)
{
    static const struct {
        const char *host, *allowed;
        enum admission_hosts rule;
    } rows[] = {{"127.0.0.1", "", ADMISSION_HOSTS_LOCAL},
                {"localhost", "", ADMISSION_HOSTS_LOCAL},
                {"0.0.0.0", "", ADMISSION_HOSTS_ANY},
                {"192.0.2.1", "", ADMISSION_HOSTS_ANY},
                {"127.0.0.1", "quotes.example", ADMISSION_HOSTS_LISTED},
                {"0.0.0.0", "quotes.example", ADMISSION_HOSTS_LISTED}};

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        set(&config.host, rows[i].host);
        set(&config.allowed_hosts, rows[i].allowed);
        load();
        assert_int_equal(policy->admission.host_rule, rows[i].rule);
    }
}

static void a_wrong_list_is_named_and_nothing_is_made(void **state)
{
    char **const lists[] = {&config.cors_origins, &config.forwarded_allow_ips,
                            &config.allowed_hosts};
    static const char *const names[] = {"CORS_ORIGINS", "FORWARDED_ALLOW_IPS", "ALLOWED_HOSTS"};

    (void)state;
    config.proxy_headers = true;
    for (size_t i = 0; i < 3; i++) {
        char *before = mem_strdup(*lists[i]);

        set(lists[i], "/nothing/");
        assert_null(policy_new(&config, error));
        assert_non_null(strstr(error, names[i]));
        set(lists[i], before);
        free(before);
    }
    config.proxy_headers = false; /* then no address is trusted, whatever is listed */
    set(&config.forwarded_allow_ips, "127.0.0.1");
    load();
    assert_false(forwarded_is_trusted(policy->trust, "127.0.0.1"));
    config.proxy_headers = true;
    load();
    assert_true(forwarded_is_trusted(policy->trust, "127.0.0.1"));
}

static void a_policy_lives_as_long_as_it_is_held(void **state)
{
    struct policy *held;

    (void)state;
    set(&config.root_path, "/a");
    load();
    held = policy_hold(policy);
    set(&config.root_path, "/b");
    load();
    assert_string_equal(held->root_path, "/a"); /* a request that began with the old policy */
    assert_string_equal(policy->root_path, "/b");
    policy_drop(held);
    policy_drop(NULL);
}

static int set_up(void **state)
{
    (void)state;
    load_default_config(&config);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    policy_drop(policy);
    policy = NULL;
    config_free(&gateway_program, &config);
    return 0;
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(each_setting_has_its_member),
        TEST(a_root_path_has_one_slash_in_front_and_none_behind),
        TEST(names_are_judged_by_the_list_or_by_where_it_listens),
        TEST(a_wrong_list_is_named_and_nothing_is_made),
        TEST(a_policy_lives_as_long_as_it_is_held),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
