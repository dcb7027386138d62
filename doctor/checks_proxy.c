/* checks_proxy: the same requests through PUBLIC_URL, to find what a proxy changes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "doctor/checks.h"
#include "doctor/probe.h"

#define AT "PUBLIC_URL"

static struct probe_request request_to(const struct checks *x, const char *base, const char *path)
{
    return (struct probe_request){
        .base = base,
        .path = path,
        .origin = x->admitted[0] ? x->admitted : NULL,
        .patience_ms = (int)x->config.patience,
    };
}

/* --- does it lead to the gateway? ----------------------------------------------------------- */

/* An answer that is not the gateway's own. */
static void report_answer_of_proxy(struct checks *x, const struct probe_answer *a, const char *what)
{
    char location[300];
    struct finding_list *l = &x->found;

    probe_header(a, "Location", location, sizeof location);
    if (a->status >= 300 && a->status < 400)
        finding_add(l, FINDING_proxy_redirects, AT,
                    "let pages use the address it leads to (wss: for https:)", NULL,
                    "%s is answered with HTTP %d to %s.", what, a->status,
                    location[0] ? location : "nowhere");
    else if (a->status == 502 || a->status == 503 || a->status == 504)
        finding_add(l, FINDING_proxy_cannot_reach_gateway, AT,
                    "give the proxy the gateway's address, and let HOST be one that it "
                    "can reach",
                    NULL, "%s gets HTTP %d from the proxy itself.", what, a->status);
    else if (a->status == 400 || a->status == 401 || a->status == 403 || a->status == 405 ||
             a->status == 429)
        finding_add(l, FINDING_proxy_refuses, AT,
                    "look in the proxy's log and for its rules on addresses, methods and "
                    "passwords; no request reached the gateway",
                    NULL, "%s gets HTTP %d from the proxy itself.", what, a->status);
    else
        finding_add(l, FINDING_public_url_elsewhere, AT,
                    "let the proxy pass /cotizaciones/ and /ws/ to the gateway", NULL,
                    "%s gets HTTP %d, and not from a gateway of Pregón.", what, a->status);
}

/* Do answers through the proxy come from the gateway? */
static bool leads_to_gateway(struct checks *x)
{
    struct probe_request q = request_to(x, x->config.public_url, "/cotizaciones/live");
    struct probe_answer a;
    bool leads = false;

    probe_get(&q, &a);
    if (!a.status)
        finding_add(&x->found,
                    a.is_tls_fault ? FINDING_public_url_tls : FINDING_public_url_unreachable, AT,
                    a.is_tls_fault ? "renew the certificate, with its chain, for that name"
                                   : "mend the name, the address or the firewall, or start the "
                                     "proxy",
                    NULL, "%.200s: %s.", x->config.public_url, a.error);
    else if (!probe_is_pregon(&a))
        report_answer_of_proxy(x, &a, "/cotizaciones/live");
    else if (a.status == 404)
        finding_add(&x->found, FINDING_proxy_changes_path, AT,
                    "let the proxy take its prefix off, or tell the gateway what it is",
                    "ROOT_PATH=/prefix",
                    "Through the proxy the gateway gets a path that it does not know: 404.");
    else
        leads = true;
    probe_free(&a);
    return leads;
}

/* --- handshakes ------------------------------------------------------------------------------ */

static void report_lost_upgrade(struct checks *x, const struct checks_handshake *h)
{
    finding_add(&x->found, FINDING_proxy_drops_upgrade, AT,
                "nginx: proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; "
                "proxy_set_header Connection \"upgrade\"; others: docs/operations.md, Behind a "
                "proxy",
                NULL,
                "Directly a handshake passes; through the proxy the gateway gets it without "
                "its headers: HTTP %d %s.",
                h->status, h->code);
}

static void judge_handshake(struct checks *x)
{
    struct probe_answer a;
    struct checks_handshake *h =
        checks_shake(x, x->config.public_url, "public_url", x->admitted, &a);

    h->is_expected = h->is_admitted;
    if (h->is_admitted)
        ;
    else if (a.status == 101 && !a.is_followed)
        finding_add(&x->found, FINDING_proxy_buffers, AT,
                    "nginx: proxy_buffering off; others: turn off what buffers, compresses or "
                    "scans answers",
                    NULL,
                    "The handshake passes, but no message follows; directly the welcome "
                    "comes at once.");
    else if (!a.status)
        finding_add(&x->found, FINDING_proxy_drops_upgrade, AT,
                    "look in the proxy's log what it does with Upgrade: websocket", NULL,
                    "Pages come through, handshakes do not: %s.", a.error);
    else if (!h->code[0])
        report_answer_of_proxy(x, &a, "A handshake");
    else if (strcmp(h->code, "no_such_path") == 0)
        finding_add(&x->found, FINDING_proxy_changes_path, AT,
                    "let the proxy pass /ws/cotizaciones as it is", NULL,
                    "Pages come through, and /ws/cotizaciones arrives as another path: 404.");
    else if (strcmp(h->code, "origin_not_allowed") != 0)
        report_lost_upgrade(x, h);
    else if (!finding_has(&x->found, FINDING_proxy_changes_origin))
        finding_add(&x->found, FINDING_proxy_changes_origin, AT,
                    "nginx: take out proxy_set_header Origin; others: do not change it", NULL,
                    "A handshake of %s passes directly, and gets 403 through the proxy.",
                    x->admitted);
    probe_free(&a);
}

/* --- headers --------------------------------------------------------------------------------- */

static void judge_cors(struct checks *x)
{
    const char *name = "Access-Control-Allow-Origin";
    struct probe_request direct = request_to(x, x->url, "/cotizaciones/live");
    struct probe_request through = request_to(x, x->config.public_url, "/cotizaciones/live");
    struct probe_answer a, b;
    char direct_value[300], proxied_value[300];
    int direct_count, proxied_count;

    if (!x->admitted[0])
        return;
    probe_get(&direct, &a);
    probe_get(&through, &b);
    direct_count = probe_header(&a, name, direct_value, sizeof direct_value);
    proxied_count = probe_header(&b, name, proxied_value, sizeof proxied_value);
    if (a.status && b.status &&
        (direct_count != proxied_count || strcmp(direct_value, proxied_value) != 0))
        finding_add(&x->found, FINDING_proxy_changes_cors, AT,
                    "take the proxy's own Access-Control headers out (nginx: add_header, "
                    "proxy_hide_header): the gateway sends them",
                    NULL,
                    "To %s the gateway says %s %s (%d times); through the proxy it is %s (%d "
                    "times), "
                    "and browsers keep such an answer from the page.",
                    x->admitted, name, direct_count ? direct_value : "nothing", direct_count,
                    proxied_count ? proxied_value : "nothing", proxied_count);
    probe_free(&a);
    probe_free(&b);
}

static void judge_origin_header(struct checks *x, const struct buf *check)
{
    char origin[300];

    CHECKS_MEMBER(x, check, origin, "origin");
    if (x->admitted[0] && strcmp(origin, x->admitted) != 0)
        finding_add(&x->found, FINDING_proxy_changes_origin, AT,
                    "nginx: take out proxy_set_header Origin; others: do not change it", NULL,
                    "Pages of %s arrive with the Origin %s.", x->admitted,
                    origin[0] ? origin : "dropped, as if no browser had sent it");
}

static void judge_trust(struct checks *x, const struct buf *check, const char *local)
{
    char peer[64], x_for[200], trusted[8], client[80], change[600], where[CHECKS_WHERE_MAX];

    CHECKS_MEMBER(x, check, peer, "proxy", "peer");
    CHECKS_MEMBER(x, check, trusted, "proxy", "peer_is_trusted");
    CHECKS_MEMBER(x, check, x_for, "proxy", "x_forwarded_for");
    CHECKS_MEMBER(x, check, client, "client");
    checks_where(x, "FORWARDED_ALLOW_IPS", where);
    snprintf(change, sizeof change, "FORWARDED_ALLOW_IPS=%.500s%s%s",
             x->gateway.forwarded_allow_ips, x->gateway.forwarded_allow_ips[0] ? "," : "", peer);
    if (x_for[0] && strcmp(trusted, "true") != 0)
        finding_add(&x->found, FINDING_proxy_not_trusted, where, "if that is your proxy, trust it",
                    change,
                    "The proxy %s sends the client's address (X-Forwarded-For: %s), but the "
                    "gateway does not trust it.",
                    peer, x_for);
    else if (!x_for[0] && strcmp(client, local) != 0)
        finding_add(&x->found, FINDING_proxy_hides_client, AT,
                    "nginx: proxy_set_header X-Forwarded-For "
                    "$proxy_add_x_forwarded_for; others: "
                    "let it send X-Forwarded-For",
                    NULL, "All clients behind the proxy appear with the address %s.", peer);
}

/* Does the gateway know the address that browsers use?  Its own pages depend on it. */
static void judge_own_origin(struct checks *x, const struct buf *check)
{
    char wanted[300], seen[300], own[300] = "";

    CHECKS_MEMBER(x, check, seen, "proxy", "own_origin");
    if (!probe_origin(x->config.public_url, wanted) || !probe_origin(seen, own) ||
        strcmp(wanted, own) == 0 || finding_has(&x->found, FINDING_proxy_not_trusted))
        return;
    if (strcmp(strstr(wanted, "://"), strstr(own, "://")) == 0)
        finding_add(&x->found, FINDING_proxy_scheme_lost, AT,
                    "let the proxy send X-Forwarded-Proto (nginx: proxy_set_header "
                    "X-Forwarded-Proto $scheme)",
                    NULL,
                    "Browsers use %s, but the gateway takes its address for %s: pages that it "
                    "serves itself get 403.",
                    wanted, own);
    else
        finding_add(&x->found, FINDING_proxy_host_lost, AT,
                    "let the proxy pass Host (nginx: proxy_set_header Host "
                    "$http_host), or send "
                    "X-Forwarded-Host",
                    NULL,
                    "Browsers use %s, but the gateway takes its address for %s: pages that it "
                    "serves itself get 403.",
                    wanted, own);
}

static void judge_headers(struct checks *x)
{
    struct probe_request q = request_to(x, x->config.public_url, "/cotizaciones/websocket_check");
    struct probe_answer a;

    probe_get(&q, &a);
    if (a.status == 200 && probe_is_pregon(&a)) {
        judge_origin_header(x, &a.body);
        judge_trust(x, &a.body, a.local);
        judge_own_origin(x, &a.body);
    }
    probe_free(&a);
}

void checks_proxy(struct checks *x)
{
    if (!x->config.public_url[0] || !leads_to_gateway(x))
        return;
    judge_headers(x);
    if (!finding_has(&x->found, FINDING_proxy_changes_origin))
        judge_cors(x);
    if (x->has_admitted)
        judge_handshake(x);
}
