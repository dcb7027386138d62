#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/gateway/policy/admission_fixture.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))

static void a_proper_handshake_is_admitted(void **state)
{
    (void)state;
    assert_int_equal(check(), ADMISSION_ADMITTED);
    assert_int_equal(verdict.status, 101);
    request.origin = NULL; /* not a browser */
    assert_int_equal(check(), ADMISSION_ADMITTED);
    request.origin = "https://OWN.example:443";
    assert_int_equal(check(), ADMISSION_ADMITTED);
    request.upgrade = "WebSocket";
    request.connection = "upgrade";
    request.subprotocols = "graphql-ws, pregon.v1.msgpack";
    assert_int_equal(check(), ADMISSION_ADMITTED);
}

static void a_path_without_a_websocket_is_404(void **state)
{
    (void)state;
    request.is_stream = false;
    request.path = "/ws/nope";
    assert_int_equal(check(), ADMISSION_no_such_path);
    assert_int_equal(verdict.status, 404);
    assert_non_null(strstr(verdict.message, "/ws/nope"));
    request.is_http = true;
    assert_int_equal(check(), ADMISSION_no_such_path);
    assert_non_null(strstr(verdict.message, "plain HTTP only"));
}

static void a_get_without_upgrade_is_426_and_asks_after_the_proxy(void **state)
{
    (void)state;
    request.upgrade = NULL;
    assert_int_equal(check(), ADMISSION_upgrade_required);
    assert_int_equal(verdict.status, 426);
    assert_non_null(strstr(verdict.hint, "proxy forwarding Upgrade"));
    request.upgrade = "h2c";
    assert_int_equal(check(), ADMISSION_upgrade_required);
    request.upgrade = "websocket";
    request.connection = "close";
    assert_int_equal(check(), ADMISSION_upgrade_required);
    request.connection = NULL;
    assert_int_equal(check(), ADMISSION_upgrade_required);
}

static void another_version_is_426(void **state)
{
    (void)state;
    request.version = "8";
    assert_int_equal(check(), ADMISSION_bad_version);
    request.version = NULL;
    assert_int_equal(check(), ADMISSION_bad_version);
    assert_int_equal(verdict.status, 426);
}

static void a_key_that_is_not_16_bytes_is_400(void **state)
{
    static const char *const bad[] = {
        "",
        "dGhlIHNhbXBsZSBub25jZQ",
        "dGhlIHNhbXBsZSBub25jZQ=",
        "dGhlIHNhbXBsZSBub25jZQ===",
        "dGhlIHNhbXBsZSBub25jZQAA",
        "dGhlIHNhbXBsZSBub25j Q==",
        "dGhlIHNhbXBsZSBub25jZQdGhlIHNhbXBsZSBub25jZQ==",
        "dGhlIHNhbXBsZSBub25j\xc3\xa9==",
    };

    (void)state;
    for (size_t i = 0; i < COUNT(bad); i++) {
        request.key = bad[i];
        assert_int_equal(check(), ADMISSION_malformed);
        assert_int_equal(verdict.status, 400);
    }
    request.key = NULL;
    assert_int_equal(check(), ADMISSION_malformed);
    request.key = "+/+/+/+/+/+/+/+/+/+/+w==";
    assert_int_equal(check(), ADMISSION_ADMITTED);
    request.method = "POST";
    assert_int_equal(check(), ADMISSION_malformed);
}

static void subprotocols_none_of_which_we_speak_are_400_with_both_lists(void **state)
{
    (void)state;
    request.subprotocols = "graphql-ws, pregon.v2.json";
    assert_int_equal(check(), ADMISSION_no_common_subprotocol);
    assert_non_null(strstr(verdict.message, "graphql-ws, pregon.v2.json"));
    assert_non_null(strstr(verdict.hint, ADMISSION_SUBPROTOCOL_JSON));
    assert_non_null(strstr(verdict.hint, ADMISSION_SUBPROTOCOL_MSGPACK));
    request.subprotocols = "";
    assert_int_equal(check(), ADMISSION_no_common_subprotocol);
    assert_string_equal(admission_subprotocol("x,pregon.v1.msgpack,pregon.v1.json"),
                        ADMISSION_SUBPROTOCOL_MSGPACK);
    assert_null(admission_subprotocol("pregon.v1.jsonx"));
    assert_null(admission_subprotocol("pregon.v1.jso"));
}

static void a_foreign_origin_is_403_and_named_with_the_setting(void **state)
{
    (void)state;
    request.origin = "https://evil.example";
    assert_int_equal(check(), ADMISSION_origin_not_allowed);
    assert_int_equal(verdict.status, 403);
    assert_non_null(strstr(verdict.hint, "Add https://evil.example to CORS_ORIGINS"));
    request.origin = "null";
    assert_int_equal(check(), ADMISSION_origin_not_allowed);
    request.origin = "";
    assert_int_equal(check(), ADMISSION_origin_not_allowed);
    request.own_origin = NULL;
    request.origin = "https://own.example";
    assert_int_equal(check(), ADMISSION_origin_not_allowed);
}

static void a_page_of_another_site_gets_no_events_without_an_origin(void **state)
{
    static const char *const sites[] = {"cross-site", "same-site", "same-origin", "none", NULL};
    struct origin_list *listed = (struct origin_list *)(uintptr_t)policy.origins;
    char error[ORIGIN_ERROR_MAX];

    (void)state;
    request.origin = NULL;
    request.is_page = true;
    for (size_t i = 0; i < sizeof sites / sizeof *sites; i++) {
        request.fetch_site = sites[i];
        assert_int_equal(check(), i < 2 ? ADMISSION_origin_not_allowed : ADMISSION_ADMITTED);
    }
    request.fetch_site = "cross-site";
    request.is_page = false; /* a WebSocket of a page always has an Origin */
    assert_int_equal(check(), ADMISSION_ADMITTED);
    request.is_page = true;
    policy.origins = origin_list_new("CORS_ORIGINS", "*", error);
    assert_int_equal(check(), ADMISSION_ADMITTED);
    origin_list_free((struct origin_list *)(uintptr_t)policy.origins);
    policy.origins = listed;
}

/* A page of a domain whose name was made to point at us: Host and Origin are the same. */
static void what_is_no_origin_is_reported_to_be_none(void **state)
{
    static const char *const texts[] = {"", "my.page", "https//my.page", "https://", " "};

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        request.origin = texts[i];
        assert_int_equal(check(), ADMISSION_origin_not_allowed);
        assert_non_null(strstr(verdict.message, "is no origin"));
        assert_null(strstr(verdict.hint, "CORS_ORIGINS"));
        assert_non_null(strstr(verdict.hint, "https://my.page"));
    }
}

static void rebind(const char *host, const char *origin)
{
    request.host = request.authority = host;
    request.origin = request.own_origin = origin;
}

static void on_loopback_a_page_must_ask_for_a_name_no_foreign_domain_can_be(void **state)
{
    const char *const local[] = {"localhost:8000",
                                 "127.0.0.1:8000",
                                 "[::1]:8000",
                                 "192.168.7.7",
                                 "a.localhost",
                                 "gateway:8000",
                                 ""};

    (void)state;
    policy.host_rule = ADMISSION_HOSTS_LOCAL;
    rebind("evil.example:8000", "http://evil.example:8000");
    assert_int_equal(check(), ADMISSION_host_not_allowed);
    assert_int_equal(verdict.status, 403);
    assert_non_null(strstr(verdict.message, "evil.example:8000"));
    assert_non_null(strstr(verdict.hint, "ALLOWED_HOSTS"));
    assert_string_equal(admission_setting(verdict.rule), "ALLOWED_HOSTS");
    rebind("127.0.0.1.evil.example", "http://127.0.0.1.evil.example");
    assert_int_equal(check(), ADMISSION_host_not_allowed);
    rebind("localhost.evil.example", "http://localhost.evil.example");
    assert_int_equal(check(), ADMISSION_host_not_allowed);
    for (size_t i = 0; i < sizeof local / sizeof *local; i++) {
        rebind(local[i], "http://own.example");
        assert_int_equal(check(), ADMISSION_ADMITTED);
    }
}

static void on_loopback_programs_listed_pages_and_a_proxy_s_clients_pass(void **state)
{
    (void)state;
    policy.host_rule = ADMISSION_HOSTS_LOCAL;
    rebind("quotes.example", "http://localhost:3000");
    assert_int_equal(check(), ADMISSION_ADMITTED);
    rebind("quotes.example", "https://quotes.example");
    request.is_proxied = true;
    assert_int_equal(check(), ADMISSION_ADMITTED);
    rebind("quotes.example", NULL);
    request.is_proxied = false;
    assert_int_equal(check(), ADMISSION_ADMITTED);
    request.is_page = true; /* no handshake: a browser may leave Origin out */
    assert_int_equal(check(), ADMISSION_host_not_allowed);
    request.is_proxied = true; /* a page's fetch may set X-Forwarded-For */
    assert_int_equal(check(), ADMISSION_host_not_allowed);
    request.is_proxied = false;
    rebind("quotes.example", "https://foreign.example");
    request.is_page = false;
    request.own_origin = "http://quotes.example";
    assert_int_equal(check(), ADMISSION_origin_not_allowed);
}

static void a_list_of_hosts_binds_everybody(void **state)
{
    (void)state;
    policy.host_rule = ADMISSION_HOSTS_LISTED;
    policy.hosts = hosts;
    rebind("quotes.example:81", NULL);
    assert_int_equal(check(), ADMISSION_ADMITTED);
    rebind("a.QUOTES.example.:8000", NULL);
    assert_int_equal(check(), ADMISSION_ADMITTED);
    rebind("127.0.0.1:8000", NULL);
    assert_int_equal(check(), ADMISSION_ADMITTED);
    rebind("a.quotes.example:81", NULL);
    assert_int_equal(check(), ADMISSION_host_not_allowed);
    rebind("evil.example", "http://localhost:3000");
    request.is_proxied = true;
    assert_int_equal(check(), ADMISSION_host_not_allowed);
    rebind("127.0.0.1:8000", NULL);
    request.authority = "evil.example"; /* X-Forwarded-Host */
    assert_int_equal(check(), ADMISSION_host_not_allowed);
    rebind("evil.example", NULL);
    request.authority = "quotes.example"; /* any program on this machine may send this */
    assert_int_equal(check(), ADMISSION_host_not_allowed);
    rebind(NULL, NULL);
    assert_int_equal(check(), ADMISSION_host_not_allowed);
}

static void a_missing_or_wrong_token_is_401(void **state)
{
    (void)state;
    policy.token = "secret";
    assert_int_equal(check(), ADMISSION_unauthorized);
    assert_non_null(strstr(verdict.message, "needed"));
    request.token = "secreT";
    assert_int_equal(check(), ADMISSION_unauthorized);
    assert_non_null(strstr(verdict.message, "wrong"));
    assert_null(strstr(verdict.message, "secre"));
    request.token = "secret";
    assert_int_equal(check(), ADMISSION_ADMITTED);
    assert_false(admission_is_token("secretx", "secret"));
    assert_false(admission_is_token("secre", "secret"));
    assert_false(admission_is_token("", "secret"));
    assert_false(admission_is_token(NULL, "secret"));
}

static void what_passes_with_time_is_503_with_retry_after(void **state)
{
    (void)state;
    live.active = 100;
    assert_int_equal(check(), ADMISSION_max_connections);
    assert_int_equal(verdict.status, 503);
    assert_int_equal(verdict.retry_after, 5);
    assert_non_null(strstr(verdict.message, "100 of 100"));
    assert_non_null(strstr(verdict.hint, "WEBSOCKET_MAX_CONNECTIONS"));
    live.is_started = false;
    assert_int_equal(check(), ADMISSION_starting);
    assert_int_equal(verdict.retry_after, 1);
    live.is_draining = true;
    assert_int_equal(check(), ADMISSION_draining);
    assert_int_equal(verdict.retry_after, 2);
    policy.is_enabled = false;
    assert_int_equal(check(), ADMISSION_websocket_disabled);
    assert_int_equal(verdict.retry_after, 60);
}

static void when_descriptors_are_the_limit_it_says_so(void **state)
{
    (void)state;
    live.active = live.limit = 50;
    assert_int_equal(check(), ADMISSION_max_connections);
    assert_non_null(strstr(verdict.hint, "descriptors are the limit"));
}

/* A request with every fault: correcting one fault after the other meets the rules in order. */
static void the_first_rule_that_fails_decides(void **state)
{
    (void)state;
    request = (struct admission_request){.path = "/x", .method = "GET"};
    request.subprotocols = "x";
    request.origin = "http://b";
    policy = (struct admission_policy){
        .host_rule = ADMISSION_HOSTS_LISTED, .hosts = hosts, .origins = origins, .token = "secret"};
    request.host = "evil.example";
    live = (struct admission_live){.is_draining = true};
    assert_int_equal(check(), ADMISSION_no_such_path);
    request.is_stream = true;
    assert_int_equal(check(), ADMISSION_upgrade_required);
    request.upgrade = "websocket";
    request.connection = "upgrade";
    assert_int_equal(check(), ADMISSION_bad_version);
    request.version = "13";
    assert_int_equal(check(), ADMISSION_malformed);
    request.key = "dGhlIHNhbXBsZSBub25jZQ==";
    assert_int_equal(check(), ADMISSION_no_common_subprotocol);
    request.subprotocols = NULL;
    assert_int_equal(check(), ADMISSION_host_not_allowed);
    request.host = "quotes.example";
    assert_int_equal(check(), ADMISSION_origin_not_allowed);
    request.origin = NULL;
    assert_int_equal(check(), ADMISSION_unauthorized);
    request.token = "secret";
    assert_int_equal(check(), ADMISSION_websocket_disabled);
    policy.is_enabled = true;
    assert_int_equal(check(), ADMISSION_draining);
    live.is_draining = false;
    assert_int_equal(check(), ADMISSION_starting);
    live.is_started = true;
    assert_int_equal(check(), ADMISSION_max_connections);
    live.limit = 1;
    assert_int_equal(check(), ADMISSION_ADMITTED);
}

static void one_rule_can_be_asked_alone(void **state)
{
    (void)state;
    request.is_stream = false;
    live.active = 100;
    assert_true(admission_judge(ADMISSION_origin_not_allowed, &policy, &request, &live, &verdict));
    assert_false(admission_judge(ADMISSION_max_connections, &policy, &request, &live, &verdict));
    assert_int_equal(verdict.rule, ADMISSION_max_connections);
}

static void only_refusals_of_a_sound_handshake_may_be_explained_in_a_close(void **state)
{
    (void)state;
    for (int i = ADMISSION_ADMITTED; i < ADMISSION_RULE_END; i++) {
        int status = admission_status((enum admission_rule)i);

        assert_int_equal(admission_is_explainable((enum admission_rule)i),
                         status == 401 || status == 503);
        if (i != ADMISSION_ADMITTED)
            assert_in_range(admission_close((enum admission_rule)i), 4000, 4999);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_proper_handshake_is_admitted),
        TEST(a_path_without_a_websocket_is_404),
        TEST(a_get_without_upgrade_is_426_and_asks_after_the_proxy),
        TEST(another_version_is_426),
        TEST(a_key_that_is_not_16_bytes_is_400),
        TEST(subprotocols_none_of_which_we_speak_are_400_with_both_lists),
        TEST(a_foreign_origin_is_403_and_named_with_the_setting),
        TEST(a_page_of_another_site_gets_no_events_without_an_origin),
        TEST(what_is_no_origin_is_reported_to_be_none),
        TEST(on_loopback_a_page_must_ask_for_a_name_no_foreign_domain_can_be),
        TEST(on_loopback_programs_listed_pages_and_a_proxy_s_clients_pass),
        TEST(a_list_of_hosts_binds_everybody),
        TEST(a_missing_or_wrong_token_is_401),
        TEST(what_passes_with_time_is_503_with_retry_after),
        TEST(when_descriptors_are_the_limit_it_says_so),
        TEST(the_first_rule_that_fails_decides),
        TEST(one_rule_can_be_asked_alone),
        TEST(only_refusals_of_a_sound_handshake_may_be_explained_in_a_close),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
