/* checks_preflight: may pages of a listed origin use the methods and headers of the routes? */
#include <stdio.h>
#include <string.h>

#include "doctor/checks.h"
#include "doctor/probe.h"
#include "gateway/policy/cors.h"

/* What the gateway's routes read, and what HTTP libraries add. */
#define HEADERS "authorization, content-type, x-requested-with"

static const struct {
    const char *method, *path;
} routes[] = {
    {"GET", "/cotizaciones/quotes"},          {"HEAD", "/cotizaciones/quotes"},
    {"POST", "/cotizaciones/quotes"},         {"PUT", "/cotizaciones/locks/doctor"},
    {"DELETE", "/cotizaciones/locks/doctor"},
};

/* What the gateway would answer with the settings as the doctor reads them. */
static struct cors_decision decide(const struct checks *x, const char *origin, size_t i)
{
    const struct cors_settings settings = {.origins = x->gateway.cors_origins,
                                           .methods = x->gateway.cors_allow_methods,
                                           .headers = x->gateway.cors_allow_headers,
                                           .expose = ""};
    const struct cors_request q = {.method = "OPTIONS",
                                   .origin = origin,
                                   .request_method = routes[i].method,
                                   .request_headers = HEADERS,
                                   .route_methods = routes[i].method};
    char error[CORS_ERROR_MAX];
    struct cors_policy *policy = cors_policy_new(&settings, error);
    struct cors_decision d = {0};
    struct buf headers = {0};

    if (policy)
        d = cors_decide(policy, &q, &headers);
    buf_free(&headers);
    cors_policy_free(policy);
    return d;
}

static const char *setting_of(enum cors_fault fault)
{
    return fault == CORS_FAULT_HEADER   ? "CORS_ALLOW_HEADERS"
           : fault == CORS_FAULT_METHOD ? "CORS_ALLOW_METHODS"
                                        : "CORS_ORIGINS";
}

/* The settings themselves refuse it: once for each setting. */
static void report_settings(struct checks *x, size_t i, const struct cors_decision *d,
                            bool is_reported[])
{
    char where[CHECKS_WHERE_MAX];

    if (is_reported[d->fault])
        return;
    is_reported[d->fault] = true;
    finding_add(&x->found, FINDING_preflight_refused, checks_where(x, setting_of(d->fault), where),
                d->hint, NULL,
                "The preflight for %s %s with the headers " HEADERS " is refused: %s",
                routes[i].method, routes[i].path, d->message);
}

/* The settings allow it, and the gateway that runs does not. */
static void report_gateway(struct checks *x, const char *origin, size_t i,
                           const struct probe_answer *a)
{
    char where[CHECKS_WHERE_MAX], code[60] = "";

    probe_header(a, "X-Reject-Reason", code, sizeof code);
    finding_add(
        &x->found, FINDING_settings_not_in_force,
        checks_where(x,
                     strcmp(code, "cors_header_not_allowed") == 0   ? "CORS_ALLOW_HEADERS"
                     : strcmp(code, "cors_method_not_allowed") == 0 ? "CORS_ALLOW_METHODS"
                                                                    : "CORS_ORIGINS",
                     where),
        "let it read them again (SIGHUP, systemctl reload), or look for the flag or "
        "environment it was started with",
        NULL,
        "The preflight of a page of %.200s for %s %s gets HTTP %d %s, and the settings here "
        "allow it.",
        origin, routes[i].method, routes[i].path, a->status, code);
}

void checks_preflights(struct checks *x, const char *origin)
{
    bool is_reported[CORS_FAULT_HEADER + 1] = {false};
    bool was_reported = finding_has(&x->found, FINDING_preflight_refused);

    for (size_t i = 0; i < sizeof routes / sizeof *routes; i++) {
        const struct probe_request q = {.base = x->url,
                                        .path = routes[i].path,
                                        .origin = origin,
                                        .method = routes[i].method,
                                        .headers = HEADERS,
                                        .patience_ms = (int)x->config.patience};
        struct cors_decision d = decide(x, origin, i);
        struct probe_answer a;

        probe_preflight(&q, &a);
        if (a.status == 400 && d.fault && !was_reported) /* of another origin: the same settings */
            report_settings(x, i, &d, is_reported);
        else if (a.status == 400 && !d.fault &&
                 !finding_has(&x->found, FINDING_settings_not_in_force))
            report_gateway(x, origin, i, &a);
        probe_free(&a);
    }
}
