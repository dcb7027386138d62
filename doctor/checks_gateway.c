/* checks_gateway: the gateway's state, and which origins it admits. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "doctor/checks.h"
#include "doctor/probe.h"
#include "shared/base/clock.h"
#include "shared/base/mem.h"
#include "shared/base/version.h"

static struct probe_request request_to(const struct checks *x, const char *path)
{
    return (struct probe_request){
        .base = x->url, .path = path, .patience_ms = (int)x->config.patience};
}

/* --- the gateway's state ----------------------------------------------------------------- */

static void judge_clock(struct checks *x, const struct buf *health, int64_t sent_us)
{
    char text[40];
    double here = (double)(sent_us + clock_wall_us()) / 2e6, skew;

    CHECKS_MEMBER(x, health, text, "timestamp");
    skew = strtod(text, NULL) - here;
    if (!text[0] || fabs(skew) * 1000 <= (double)x->config.max_skew)
        return;
    finding_add(&x->found, FINDING_clock_skew, "the gateway",
                "let both machines follow a time server (timedatectl set-ntp true)", NULL,
                "The clock of the gateway is %.1f s %s this machine's.", fabs(skew),
                skew < 0 ? "behind" : "ahead of");
}

static void judge_broker_link(struct checks *x, const struct buf *health)
{
    char status[20], reason[200], epoch[40], where[CHECKS_WHERE_MAX];

    CHECKS_MEMBER(x, health, status, "broker", "status");
    CHECKS_MEMBER(x, health, reason, "broker", "reason");
    CHECKS_MEMBER(x, health, epoch, "broker", "epoch");
    checks_where(x, "BROKER_CONTROL", where);
    if (strcmp(status, "away") == 0)
        finding_add(&x->found, FINDING_gateway_without_broker, where,
                    x->broker_epoch ? "the broker answers here: start the gateway with the same "
                                      "BROKER_PUBLISH and BROKER_CONTROL as it has"
                                    : "start the broker, or let the gateway reach it",
                    NULL, "The gateway has no contact with its broker: %s.", reason);
    else if (x->broker_epoch && epoch[0] && strtoull(epoch, NULL, 16) != x->broker_epoch)
        finding_add(&x->found, FINDING_another_broker, where,
                    "start the gateway with these BROKER_PUBLISH and BROKER_CONTROL, or mend "
                    "them here",
                    NULL, "The gateway follows a broker whose log is %s; that of .env has %016llx.",
                    epoch, (unsigned long long)x->broker_epoch);
}

static void judge_versions(struct checks *x, const struct buf *health)
{
    char version[40];

    CHECKS_MEMBER(x, health, version, "gateway", "version");
    if (!version[0])
        return;
    if (strcmp(version, PREGON_VERSION) == 0 &&
        (!x->broker_version[0] || strcmp(x->broker_version, version) == 0))
        return;
    finding_add(&x->found, FINDING_versions_differ, x->url,
                "restart the programs of the older version", NULL,
                "gateway %s, broker %s, pregon-doctor " PREGON_VERSION ".", version,
                x->broker_version[0] ? x->broker_version : "not heard");
}

/* Compare the numbers that the gateway reports with the settings. */
static void judge_settings(struct checks *x)
{
    struct probe_request q = request_to(x, "/cotizaciones/websocket_status?limit=0");
    char limit[20], timeout[20], where[CHECKS_WHERE_MAX];
    long long wanted = x->gateway.websocket_max_connections;
    struct probe_answer a;

    probe_get(&q, &a);
    CHECKS_MEMBER(x, &a.body, limit, "gateway", "max_connections");
    CHECKS_MEMBER(x, &a.body, timeout, "gateway", "timeout");
    if (limit[0] && strtoll(limit, NULL, 10) != wanted &&
        !finding_has(&x->found, FINDING_descriptors_too_few))
        finding_add(&x->found, FINDING_settings_not_in_force,
                    checks_where(x, "WEBSOCKET_MAX_CONNECTIONS", where),
                    "let it read them again (SIGHUP, systemctl reload), or look for the flag "
                    "or "
                    "environment it was started with",
                    NULL,
                    "WEBSOCKET_MAX_CONNECTIONS is %lld here, and %s in the gateway that runs.",
                    wanted, limit);
    if (timeout[0] &&
        llround(strtod(timeout, NULL) * 1000) != (long long)x->gateway.websocket_timeout)
        finding_add(&x->found, FINDING_settings_not_in_force,
                    checks_where(x, "WEBSOCKET_TIMEOUT", where),
                    "let it read them again (SIGHUP, systemctl reload), or look for "
                    "the flag or "
                    "environment it was started with",
                    NULL, "WEBSOCKET_TIMEOUT is %.3f here, and %s in the gateway that runs.",
                    (double)x->gateway.websocket_timeout / 1000, timeout);
    probe_free(&a);
}

void checks_gateway(struct checks *x)
{
    struct probe_request q = request_to(x, "/cotizaciones/health");
    int64_t sent_us = clock_wall_us();
    char where[CHECKS_WHERE_MAX];
    struct probe_answer a;

    if (!x->is_gateway_there)
        return;
    probe_get(&q, &a);
    x->has_answered = a.status && probe_is_pregon(&a);
    if (x->has_answered) {
        judge_clock(x, &a.body, sent_us);
        judge_broker_link(x, &a.body);
        judge_versions(x, &a.body);
        judge_settings(x);
    } else if (a.status) {
        finding_add(&x->found, FINDING_gateway_silent,
                    checks_where(x, x->config.gateway_url[0] ? "GATEWAY_URL" : "PORT", where),
                    "end that program, or take another port", NULL,
                    "The server at %s is not a gateway of Pregón: HTTP %d%s%s.", x->url, a.status,
                    x->holder[0] ? ", " : "", x->holder);
    } else {
        finding_add(&x->found, FINDING_gateway_silent,
                    checks_where(x, x->config.gateway_url[0] ? "GATEWAY_URL" : "PORT", where),
                    "see in its log whether it hangs (pregon-gateway --check), or start it "
                    "again",
                    NULL, "No answer from %s%s%s: %s.", x->url, x->holder[0] ? ", " : "", x->holder,
                    a.error);
    }
    probe_free(&a);
}

/* --- which origins it admits ------------------------------------------------------- */

/* A refusal, with the gateway's own message. */
static void report_refusal(struct checks *x, enum finding_name name, const struct probe_answer *a,
                           const struct checks_handshake *h)
{
    const char *setting = admission_setting(ADMISSION_ADMITTED);
    char hint[340], message[340], change[100] = "", where[CHECKS_WHERE_MAX];
    long long most = x->gateway.websocket_max_connections;

    for (int i = ADMISSION_ADMITTED + 1; i < ADMISSION_RULE_END; i++)
        if (strcmp(admission_code((enum admission_rule)i), h->code) == 0)
            setting = admission_setting((enum admission_rule)i);
    CHECKS_MEMBER(x, &a->body, hint, "error", "hint");
    CHECKS_MEMBER(x, &a->body, message, "error", "message");
    if (!message[0])
        snprintf(message, sizeof message, "%s", finding_meaning(name));
    if (name == FINDING_max_connections)
        snprintf(change, sizeof change, "WEBSOCKET_MAX_CONNECTIONS=%lld", most ? most * 2 : 100);
    else if (name == FINDING_websocket_disabled)
        snprintf(change, sizeof change, "WEBSOCKET_ENABLED=1");
    finding_add(&x->found, name, setting[0] ? checks_where(x, setting, where) : "",
                hint[0] ? hint : "see docs/troubleshooting.md", change,
                "Handshakes are refused with HTTP %d %s: %s", h->status, h->code, message);
}

static enum finding_name name_of(const char *code)
{
    for (int i = 0; i < FINDING_END; i++)
        if (strcmp(finding_text((enum finding_name)i), code) == 0)
            return (enum finding_name)i;
    return FINDING_END;
}

static void report_not_listed(struct checks *x, const char *origin)
{
    char where[CHECKS_WHERE_MAX];
    struct buf change = {0};

    buf_printf(&change, "CORS_ORIGINS=%s%s%s", x->gateway.cors_origins,
               x->gateway.cors_origins[0] ? "," : "", origin);
    finding_add(&x->found, FINDING_origin_not_allowed, checks_where(x, "CORS_ORIGINS", where),
                "list it, and let the gateway read it (SIGHUP, systemctl reload)",
                x->gateway.cors_origins[0] == '[' ? NULL : buf_text(&change),
                "Pages of %.300s get 403 Forbidden, and may read no answer: that origin is not "
                "in CORS_ORIGINS.",
                origin);
    buf_free(&change);
}

static void report_other_origins(struct checks *x, const char *origin)
{
    char where[CHECKS_WHERE_MAX];

    finding_add(&x->found, FINDING_settings_not_in_force, checks_where(x, "CORS_ORIGINS", where),
                "let it read them again (SIGHUP, systemctl reload), or look for the flag or "
                "environment it was started with",
                NULL, "CORS_ORIGINS lists %.200s, and the gateway that runs refuses it.", origin);
}

struct handlers {
    struct checks *x;
    struct origin_list *listed;
    bool has_failed; /* for a reason other than an origin */
};

/* Does the gateway refuse every origin? */
static void judge_refusal(struct handlers *p, const struct probe_answer *a,
                          const struct checks_handshake *h)
{
    struct checks *x = p->x;
    enum finding_name name = name_of(h->code);
    char where[CHECKS_WHERE_MAX];

    p->has_failed = true;
    if (name != FINDING_END && !finding_has(&x->found, name))
        report_refusal(x, name, a, h);
    else if (name == FINDING_END && !finding_has(&x->found, FINDING_gateway_silent))
        finding_add(&x->found, FINDING_gateway_silent, checks_where(x, "PORT", where),
                    "see in its log what happened", NULL,
                    "A handshake got HTTP %d and nothing more from %s. %s", h->status, x->url,
                    a->error);
}

static void try_origin(struct handlers *p, const char *origin)
{
    struct checks *x = p->x;
    bool is_foreign = strcmp(origin, CHECKS_FOREIGN_ORIGIN) == 0;
    bool is_listed = !origin[0] || origin_list_allows(p->listed, origin);
    struct checks_handshake *h;
    struct probe_answer a;
    char where[CHECKS_WHERE_MAX];

    if (p->has_failed)
        return;
    h = checks_shake(x, x->url, "gateway", origin, &a);
    h->is_expected = h->is_admitted == (is_listed || !is_foreign);
    if (h->is_admitted && !is_foreign && !x->has_admitted) {
        x->has_admitted = true;
        snprintf(x->admitted, sizeof x->admitted, "%s", origin);
    }
    if (h->is_admitted && is_foreign && !is_listed)
        finding_add(
            &x->found, FINDING_foreign_origin_admitted, checks_where(x, "CORS_ORIGINS", where),
            "let the gateway read its settings again (SIGHUP, systemctl "
            "reload), or look "
            "for the flag or environment it was started with",
            NULL,
            "A page of " CHECKS_FOREIGN_ORIGIN " may connect, although its origin is not listed.");
    else if (h->is_admitted || (is_foreign && strcmp(h->code, "origin_not_allowed") == 0))
        ;
    else if (strcmp(h->code, "origin_not_allowed") != 0)
        judge_refusal(p, &a, h);
    else if (is_listed && !finding_has(&x->found, FINDING_settings_not_in_force))
        report_other_origins(x, origin);
    else if (!is_listed)
        report_not_listed(x, origin);
    probe_free(&a);
}

/* One origin for an entry of the list: replace a star by a text that it allows. */
static void try_entry(void *ctx, const char *entry)
{
    const char *star = strchr(entry, '*');
    const char *instead = "doctor";
    char origin[300];

    if (strcmp(entry, "*") == 0)
        return;
    if (star && strncmp(entry, "*://", 4) == 0)
        instead = "https";
    else if (star && star > entry && star[-1] == ':')
        instead = "8080";
    if (star)
        snprintf(origin, sizeof origin, "%.*s%s%s", (int)(star - entry), entry, instead, star + 1);
    else
        snprintf(origin, sizeof origin, "%s", entry);
    if (origin[0] && origin[strlen(origin) - 1] == '/')
        origin[strlen(origin) - 1] = '\0'; /* as a browser sends it */
    try_origin(ctx, origin);
}

/* If no gateway answers, check the list itself. */
static void judge_entry(void *ctx, const char *entry)
{
    struct handlers *p = ctx;

    if (!origin_list_allows(p->listed, entry))
        report_not_listed(p->x, entry);
}

/* As pages of the origins that are listed, and were admitted. */
static void try_preflights(const struct handlers *p)
{
    struct checks *x = p->x;

    if (finding_has(&x->found, FINDING_foreign_origin_admitted))
        return; /* the gateway has other settings */
    for (size_t i = 0; i < x->handshake_count; i++) {
        const struct checks_handshake *h = &x->handshakes[i];

        if (h->is_admitted && h->origin[0] && strcmp(h->origin, CHECKS_FOREIGN_ORIGIN) != 0 &&
            origin_list_allows(p->listed, h->origin))
            checks_preflights(x, h->origin);
    }
}

void checks_pages(struct checks *x)
{
    char error[ORIGIN_ERROR_MAX];
    struct handlers p = {.x = x};
    struct origin_list *own = NULL;

    if (!finding_has(&x->found, FINDING_origin_star_with_credentials))
        p.listed = origin_list_new("CORS_ORIGINS", x->gateway.cors_origins, error);
    if (!p.listed) /* already reported */
        p.listed = own = origin_list_new("CORS_ORIGINS", "", error);
    if (x->has_answered) {
        if (!own && config_list_each(x->gateway.cors_origins, try_entry, &p))
            return;
        if (config_list_each(x->config.origin, try_entry, &p))
            return;
        try_origin(&p, CHECKS_FOREIGN_ORIGIN);
        if (!x->has_admitted)
            try_origin(&p, "");
        try_preflights(&p);
    } else if (config_list_each(x->config.origin, judge_entry, &p)) {
        return;
    }
    origin_list_free(p.listed);
}
