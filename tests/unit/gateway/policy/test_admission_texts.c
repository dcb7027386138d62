/* Every refusal of a handshake states the cause and what to change. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/gateway/policy/admission_fixture.h"

/* The refusal by that rule has this message and this hint. */
static void refuses(enum admission_rule rule, const char *message, const char *hint)
{
    assert_int_equal(check(), rule);
    assert_string_equal(verdict.message, message);
    if (!strstr(verdict.hint, hint))
        fail_msg("'%s' has no '%s'", verdict.hint, hint);
}

static void what_is_wrong_with_a_handshake_is_said(void **state)
{
    const struct admission_request sound = request;

    (void)state;
    request.upgrade = NULL;
    refuses(ADMISSION_upgrade_required,
            "This path is a WebSocket, and the request has no Upgrade header.", "Is your proxy");
    request.upgrade = "h2c";
    refuses(ADMISSION_upgrade_required,
            "This path is a WebSocket, and the request's Upgrade header says 'h2c'.", "nginx");
    request = sound;
    request.connection = "close";
    refuses(
        ADMISSION_upgrade_required,
        "The request has 'Upgrade: websocket', but its Connection header does not say 'Upgrade'.",
        "Connection");
    request = sound;
    request.version = "8";
    refuses(ADMISSION_bad_version, "Sec-WebSocket-Version is '8'; only 13 is spoken here.",
            "RFC 6455");
    request.version = NULL;
    refuses(ADMISSION_bad_version,
            "The Sec-WebSocket-Version header is missing; only 13 is spoken here.", "RFC 6455");
    request = sound;
    request.upgrade = "websocket/13";
    refuses(ADMISSION_malformed,
            "The Upgrade header says 'websocket/13', which is not 'websocket'.", "RFC 6455");
    request = sound;
    request.method = "POST";
    refuses(ADMISSION_malformed, "A WebSocket handshake is a GET, not a POST.", "RFC 6455");
    request = sound;
    request.http_version = "1.1";
    assert_int_equal(check(), ADMISSION_ADMITTED);
    request.http_version = "1.0";
    refuses(ADMISSION_malformed, "A WebSocket handshake is HTTP/1.1, not HTTP/1.0.", "RFC 6455");
    request = sound;
    request.key = NULL;
    refuses(ADMISSION_malformed, "The Sec-WebSocket-Key header is missing.", "RFC 6455");
    request.key = "x";
    refuses(ADMISSION_malformed, "Sec-WebSocket-Key is not the base64 of 16 bytes.", "RFC 6455");
    request = sound;
    request.has_body = true;
    refuses(ADMISSION_malformed, "A WebSocket handshake has no body.", "RFC 6455");
    request = sound;
    request.query_fault = "The parameter 'x' does not exist here.";
    request.query_hint = "The parameters are: y.";
    refuses(ADMISSION_malformed, request.query_fault, request.query_hint);
    request = sound;
    request.upgrade = NULL; /* one rule alone */
    assert_false(admission_judge(ADMISSION_malformed, &policy, &request, &live, &verdict));
    assert_string_equal(verdict.message, "The Upgrade header says '', which is not 'websocket'.");
}

static void what_is_not_let_in_is_said_with_its_setting(void **state)
{
    (void)state;
    request.origin = "null";
    refuses(ADMISSION_origin_not_allowed, "Pages of the origin null may not connect.",
            "The page is sandboxed or a local file.");
    request.origin = "https://evil.example";
    refuses(ADMISSION_origin_not_allowed,
            "Pages of the origin https://evil.example may not connect.", "FORWARDED_ALLOW_IPS");
    request.origin = NULL;
    policy.host_rule = ADMISSION_HOSTS_LISTED;
    policy.hosts = hosts;
    request.host = "x";
    refuses(ADMISSION_host_not_allowed, "'x' is not a name of this gateway.",
            "If it is one, add x to ALLOWED_HOSTS");
    request.host = NULL;
    refuses(ADMISSION_host_not_allowed, "'' is not a name of this gateway.",
            "If it is one, add it to ALLOWED_HOSTS");
    policy.host_rule = ADMISSION_HOSTS_ANY;
    policy.token = "se+cret";
    request.token = "";
    refuses(ADMISSION_unauthorized, "A token is needed.", "WEBSOCKET_TOKEN");
    request.token = "x";
    refuses(ADMISSION_unauthorized, "The token is wrong.", "WEBSOCKET_TOKEN");
    request.token_plain = "y";
    refuses(ADMISSION_unauthorized, "The token is wrong.", "WEBSOCKET_TOKEN");
    request.token_plain = "se+cret"; /* '+' may stand for itself */
    assert_int_equal(check(), ADMISSION_ADMITTED);
    live.active = live.limit = live.configured = 1;
    refuses(ADMISSION_max_connections, "1 of 1 places are taken.",
            "Raise WEBSOCKET_MAX_CONNECTIONS, or");
    live.configured = 2;
    refuses(ADMISSION_max_connections, "1 of 1 places are taken.",
            "WEBSOCKET_MAX_CONNECTIONS is 2, but descriptors are the limit");
    live.active = live.limit = 0;
    refuses(ADMISSION_max_connections, "The limit of connections is 0: nobody is let in.", "");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(what_is_wrong_with_a_handshake_is_said),
        TEST(what_is_not_let_in_is_said_with_its_setting),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
