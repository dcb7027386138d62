#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "gateway/policy/cors.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))
#define OWN "https://own.example:8443"
#define VARY "Vary: Origin\r\n"
#define VARY_PREFLIGHT \
    "Vary: Origin, Access-Control-Request-Method, Access-Control-Request-Headers\r\n"
#define SAFE "Accept, Accept-Language, Content-Language, Content-Type"
/* For listed origins, unless CORS_ALLOW_HEADERS names others. */
#define USUAL SAFE ", Authorization, X-Requested-With, Idempotency-Key, Last-Event-ID"
#define ORIGIN(o) "Access-Control-Allow-Origin: " o "\r\n"
#define CREDENTIALS "Access-Control-Allow-Credentials: true\r\n"
#define METHODS(m) "Access-Control-Allow-Methods: " m "\r\n"
#define AGE "Access-Control-Max-Age: 600\r\n"
#define HEADERS(h) "Access-Control-Allow-Headers: " h "\r\n"
#define ALL "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"

struct cell {
    const char *origins, *methods, *headers;
    bool credentials;
    const char *method, *origin, *request_method, *request_headers;
    int status; /* 0: no preflight */
    const char *body, *answer;
};

/* clang-format off */
static const struct cell cells[] = {
    /* plain requests */
    {"http://a", "GET", "", false, "GET", NULL, NULL, NULL, 0, "", VARY},
    {"http://a", "GET", "", false, "GET", "http://a", NULL, NULL, 0, "", VARY ORIGIN("http://a")},
    {"http://a", "GET", "", false, "GET", "http://A:80", NULL, NULL, 0, "",
     VARY ORIGIN("http://A:80")},
    {"http://a", "GET", "", false, "GET", "http://b", NULL, NULL, 0, "", VARY},
    {"http://a", "GET", "", false, "GET", "null", NULL, NULL, 0, "", VARY},
    {"http://a", "GET", "", false, "GET", OWN, NULL, NULL, 0, "", VARY ORIGIN(OWN)},
    {"http://a", "GET", "", false, "GET", "http://own.example:8443", NULL, NULL, 0, "", VARY},
    {"null", "GET", "", false, "GET", "null", NULL, NULL, 0, "", VARY ORIGIN("null")},
    {"*", "GET", "", false, "GET", NULL, NULL, NULL, 0, "", ""},
    {"*", "GET", "", false, "GET", "http://b", NULL, NULL, 0, "", ORIGIN("*")},
    /* credentials only where the origin is allowed */
    {"http://a", "GET", "", true, "GET", "http://a", NULL, NULL, 0, "",
     VARY ORIGIN("http://a") CREDENTIALS},
    {"http://a", "GET", "", true, "GET", "http://b", NULL, NULL, 0, "", VARY},
    {"http://a", "GET", "", true, "GET", NULL, NULL, NULL, 0, "", VARY},
    /* no preflight: OPTIONS without a requested method, a method without OPTIONS, no origin */
    {"http://a", "GET", "", false, "OPTIONS", "http://a", NULL, NULL, 0, "",
     VARY ORIGIN("http://a")},
    {"http://a", "GET", "", false, "GET", "http://a", "GET", NULL, 0, "", VARY ORIGIN("http://a")},
    {"http://a", "GET", "", false, "OPTIONS", NULL, "GET", NULL, 0, "", VARY},
    /* preflights */
    {"http://a", "GET", "", false, "OPTIONS", "http://a", "GET", NULL, 200, "OK",
     VARY_PREFLIGHT ORIGIN("http://a") METHODS("GET") AGE HEADERS(USUAL)},
    {"http://a", "GET, PUT", "X-Token", true, "OPTIONS", "http://a", "PUT",
     "content-type, x-token", 200, "OK",
     VARY_PREFLIGHT ORIGIN("http://a") CREDENTIALS METHODS("GET, PUT")
         AGE HEADERS(SAFE ", X-Token")},
    {"http://a", "GET", "", true, "OPTIONS", "http://b", "GET", NULL, 400,
     "Disallowed CORS origin", VARY_PREFLIGHT},
    {"http://a", "GET", "", false, "OPTIONS", "http://a", "PUT", NULL, 400,
     "Disallowed CORS method",
     VARY_PREFLIGHT ORIGIN("http://a") METHODS("GET") AGE HEADERS(USUAL)},
    {"http://a", "GET", "", false, "OPTIONS", "http://a", "get", NULL, 400,
     "Disallowed CORS method",
     VARY_PREFLIGHT ORIGIN("http://a") METHODS("GET") AGE HEADERS(USUAL)},
    {"http://a", "GET", "", false, "OPTIONS", "http://a", "GET", "X-Token", 400,
     "Disallowed CORS headers",
     VARY_PREFLIGHT ORIGIN("http://a") METHODS("GET") AGE HEADERS(USUAL)},
    {"http://a", "GET", "", false, "OPTIONS", "null", "PUT", "X-Token", 400,
     "Disallowed CORS origin, method, headers", VARY_PREFLIGHT},
    {"http://a", "GET", "", false, "OPTIONS", OWN, "GET", "", 200, "OK",
     VARY_PREFLIGHT ORIGIN(OWN) METHODS("GET") AGE HEADERS(USUAL)},
    {"*", "*", "*", false, "OPTIONS", "http://b", "DELETE", "X-One, X-Two", 200, "OK",
     ORIGIN("*") METHODS(ALL) AGE HEADERS("X-One, X-Two")},
    {"*", "*", "*", false, "OPTIONS", "http://b", "DELETE", NULL, 200, "OK",
     ORIGIN("*") METHODS(ALL) AGE},
    {"*", "*", "*", false, "OPTIONS", "http://b", "E", NULL, 400, "Disallowed CORS method",
     ORIGIN("*") METHODS(ALL) AGE},
    {"*", "*", "*", false, "OPTIONS", "http://b", "GET", "X-One, \"bad\"", 400,
     "Disallowed CORS headers",
     ORIGIN("*") METHODS(ALL) AGE},
};
/* clang-format on */

static void a_refused_preflight_names_the_origin_the_method_or_the_header_and_the_setting(
    void **state)
{
    static const struct {
        const char *methods, *origin, *method, *headers;
        enum cors_fault fault;
        const char *message, *hint;
    } cases[] = {
        {"", "http://b", "PUT", "X-Token", CORS_FAULT_ORIGIN, "http://b", "CORS_ORIGINS"},
        {"", "http://a", "DELETE", NULL, CORS_FAULT_METHOD, "DELETE here, only GET, PUT",
         "CORS_ALLOW_METHODS is not set"},
        {"GET", "http://a", "PUT", NULL, CORS_FAULT_METHOD, "PUT here, only GET",
         "Add PUT to CORS_ALLOW_METHODS"},
        {"", "http://a", "PUT", "authorization, content-type, x-requested-with, x-token",
         CORS_FAULT_HEADER, "'x-token'", "Add x-token to CORS_ALLOW_HEADERS"},
        {"[]", "http://a", "PUT", NULL, CORS_FAULT_METHOD, "PUT here, only simple requests",
         "Add PUT to CORS_ALLOW_METHODS"},
        {"", "http://a", "PUT",
         "authorization, content-type, x-requested-with, idempotency-key, last-event-id",
         CORS_FAULT_NONE, "", ""},
    };
    char error[CORS_ERROR_MAX];

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        const struct cors_settings s = {"http://a", cases[i].methods, "", "", false, 600};
        const struct cors_request r = {
            "OPTIONS", cases[i].origin, cases[i].method, cases[i].headers, "", "GET, PUT"};
        struct cors_policy *policy = cors_policy_new(&s, error);
        struct buf headers = {0};
        struct cors_decision d = cors_decide(policy, &r, &headers);

        assert_int_equal(d.fault, cases[i].fault);
        assert_int_equal(d.status, d.fault ? 400 : 200);
        assert_non_null(strstr(d.message, cases[i].message));
        assert_non_null(strstr(d.hint, cases[i].hint));
        buf_free(&headers);
        cors_policy_free(policy);
    }
}

static void a_list_without_names_allows_no_request_header_but_the_safe_ones(void **state)
{
    const struct cors_settings s = {"http://a", "", "[]", "", false, 600};
    struct cors_request r = {.method = "OPTIONS",
                             .origin = "http://a",
                             .request_method = "HEAD",
                             .request_headers = "content-type"};
    char error[CORS_ERROR_MAX];
    struct cors_policy *p = cors_policy_new(&s, error);
    struct buf headers = {0};

    (void)state;
    assert_int_equal(cors_decide(p, &r, &headers).status, 200);
    r.request_headers = "authorization";
    assert_int_equal(cors_decide(p, &r, &headers).fault, CORS_FAULT_HEADER);
    buf_free(&headers);
    cors_policy_free(p);
}

static void every_cell_of_the_table_is_answered_so(void **state)
{
    char error[CORS_ERROR_MAX];

    (void)state;
    for (size_t i = 0; i < COUNT(cells); i++) {
        const struct cell *c = &cells[i];
        const struct cors_settings s = {c->origins, c->methods,     c->headers,
                                        "",         c->credentials, 600};
        const struct cors_request r = {c->method,          c->origin, c->request_method,
                                       c->request_headers, OWN,       NULL};
        struct cors_policy *p = cors_policy_new(&s, error);
        struct buf headers = {0};
        struct cors_decision d;

        assert_non_null(p);
        d = cors_decide(p, &r, &headers);
        if (d.is_preflight != (c->status != 0) || d.status != c->status ||
            strcmp(d.body, c->body) != 0 || strcmp(buf_text(&headers), c->answer) != 0)
            fail_msg("row %zu: %d '%s'\n%s", i, d.status, d.body, buf_text(&headers));
        buf_free(&headers);
        cors_policy_free(p);
    }
}

static void headers_that_page_code_may_read_come_with_plain_answers(void **state)
{
    const struct cors_settings s = {"http://a", "GET", "", "X-Request-Id, Retry-After", false, 600};
    struct cors_request r = {.method = "GET", .origin = "http://a"};
    char error[CORS_ERROR_MAX];
    struct cors_policy *p = cors_policy_new(&s, error);
    struct buf headers = {0};

    (void)state;
    cors_decide(p, &r, &headers);
    assert_non_null(
        strstr(buf_text(&headers), "Access-Control-Expose-Headers: X-Request-Id, Retry-After\r\n"));
    buf_clear(&headers);
    r.origin = "http://b";
    cors_decide(p, &r, &headers);
    assert_string_equal(buf_text(&headers), VARY);
    buf_free(&headers);
    cors_policy_free(p);
}

static void settings_that_cannot_be_meant_are_refused(void **state)
{
    static const struct {
        struct cors_settings s;
        const char *named;
    } bad[] = {
        {{"*", "GET", "", "", true, 600}, "CORS_ALLOW_CREDENTIALS"},
        {{"http://a, *", "GET", "", "", true, 600}, "CORS_ALLOW_CREDENTIALS"},
        {{"a", "GET", "", "", false, 600}, "CORS_ORIGINS"},
        {{"http://a", "G ET", "", "", false, 600}, "CORS_ALLOW_METHODS"},
        {{"http://a", "GET", "X:Y", "", false, 600}, "CORS_ALLOW_HEADERS"},
        {{"http://a", "GET", "X-*", "", false, 600}, "CORS_ALLOW_HEADERS"},
        {{"http://a", "GET", "", "*", false, 600}, "CORS_EXPOSE_HEADERS"},
        {{"http://a", "[\"GET\"", "", "", false, 600}, "CORS_ALLOW_METHODS"},
    };
    char error[CORS_ERROR_MAX];

    (void)state;
    for (size_t i = 0; i < COUNT(bad); i++) {
        assert_null(cors_policy_new(&bad[i].s, error));
        assert_non_null(strstr(error, bad[i].named));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_cell_of_the_table_is_answered_so),
        cmocka_unit_test(a_list_without_names_allows_no_request_header_but_the_safe_ones),
        cmocka_unit_test(
            a_refused_preflight_names_the_origin_the_method_or_the_header_and_the_setting),
        cmocka_unit_test(headers_that_page_code_may_read_come_with_plain_answers),
        cmocka_unit_test(settings_that_cannot_be_meant_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
