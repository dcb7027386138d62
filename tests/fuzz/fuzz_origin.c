/* Origin and the headers of a preflight, one a line; then CORS_ORIGINS. */
#include "gateway/policy/cors.h"
#include "gateway/policy/origin.h"
#include "tests/fuzz/fuzz.h"

static void check_round(const struct origin *o)
{
    char text[ORIGIN_SCHEME_MAX + ORIGIN_HOST_MAX + 16];
    struct origin again = {0};

    if (o->is_null)
        return;
    if (o->port)
        snprintf(text, sizeof text, "%s://%s:%d", o->scheme, o->host, o->port);
    else
        snprintf(text, sizeof text, "%s://%s", o->scheme, o->host);
    MUST(origin_parse(text, &again) && origin_equals(o, &again));
}

static void check_cors(const char *list, const struct cors_request *r)
{
    struct cors_settings settings = {list, "GET,PUT", "Authorization", "X-Request-Id", false, 60};
    char error[CORS_ERROR_MAX] = "";
    struct cors_policy *p = cors_policy_new(&settings, error);
    struct cors_decision d;
    struct buf headers = {0};

    MUST(p || error[0]);
    if (p) {
        d = cors_decide(p, r, &headers);
        MUST(!d.is_preflight || d.status == 200 || d.status == 400);
        MUST(headers.len == 0 || headers.data[headers.len - 1] == '\n');
    }
    buf_free(&headers);
    cors_policy_free(p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span rest = fuzz_span(data, size);
    char *origin = fuzz_line(&rest), *method = fuzz_line(&rest), *headers = fuzz_line(&rest),
         *list = fuzz_line(&rest);
    char error[ORIGIN_ERROR_MAX] = "";
    struct origin_list *l = origin_list_new("CORS_ORIGINS", list, error);
    struct origin o = {0};

    MUST(l || error[0]);
    if (origin_parse(origin, &o)) {
        check_round(&o);
        if (l)
            (void)origin_list_names(l, o.host);
    }
    if (l)
        (void)origin_list_allows(l, origin);
    check_cors(list, &(struct cors_request){.method = "OPTIONS",
                                            .origin = origin,
                                            .request_method = method[0] ? method : NULL,
                                            .request_headers = headers[0] ? headers : NULL,
                                            .own_origin = "https://own.example"});
    origin_list_free(l);
    free(origin);
    free(method);
    free(headers);
    free(list);
    return 0;
}
