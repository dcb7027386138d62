/* checks_settings: the settings as each program would read them. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "consumer/tail/tail_config.h"
#include "consumer/telegram/bottoken.h"
#include "doctor/checks.h"
#include "gateway/policy/policy.h"
#include "shared/config/config_help.h"
#include "shared/config/config_near.h"
#include "shared/config/config_value.h"
#include "shared/base/mem.h"

/* Names of .env that only docker-compose.yml uses. */
static const struct config_option compose[] = {
    {.name = "BASE"},
    {.name = "IMAGE_TAG"},
    {.name = "PUBLISH"},
    {.name = "TLS_CERTIFICATE"},
    {.name = "TLS_PORT"},
    {.name = "SUBNET"},
    {.name = "STOP_GRACE"},
    {.name = "BROKER_MEMORY"},
    {.name = "FEEDER_MEMORY"},
    {.name = "GATEWAY_MEMORY"},
    {.name = "BALANCER_MEMORY"},
    {0},
};

static const struct config_option *table(size_t i)
{
    const struct config_option *const tables[] = {
        broker_program.options,
        gateway_program.options,
        feeder_program.options,
        telegram_program.options,
        tail_program.options,
        doctor_program.options,
        compose,
    };

    return i < sizeof tables / sizeof *tables ? tables[i] : NULL;
}

static const struct config_option *known(const char *name)
{
    for (size_t i = 0; table(i); i++)
        for (const struct config_option *o = table(i); o->name; o++)
            if (strcmp(o->name, name) == 0)
                return o;
    return NULL;
}

/* --- the file -------------------------------------------------------------------------- */

static void judge_name(struct checks *x, const struct config_line *line)
{
    char nearest[CONFIG_HELP_FLAG_MAX], best[CONFIG_HELP_FLAG_MAX] = "";
    char where[CHECKS_WHERE_MAX], change[CONFIG_HELP_FLAG_MAX + 8];
    size_t least = CONFIG_HELP_FLAG_MAX, distance;

    for (size_t i = 0; table(i); i++) {
        if (!config_near_setting(line->name, table(i), nearest))
            continue;
        distance = config_near_edits(line->name, nearest);
        if (distance < least) {
            least = distance;
            snprintf(best, sizeof best, "%s", nearest);
        }
    }
    if (!best[0])
        return;
    snprintf(where, sizeof where, "%.200s:%u", x->env_file, line->number);
    snprintf(change, sizeof change, "%s=…", best);
    finding_add(&x->found, FINDING_setting_misspelt, where, "correct the name and keep the value",
                change, "%.60s is no setting: did you mean %s?", line->name, best);
}

static void judge_file(struct checks *x)
{
    char where[CHECKS_WHERE_MAX];

    for (size_t i = 0; i < x->file.count; i++) {
        const struct config_line *line = &x->file.lines[i];
        const struct config_line *last = config_file_find(&x->file, line->name);

        if (!known(line->name)) {
            judge_name(x, line);
        } else if (last != line) {
            snprintf(where, sizeof where, "%.200s:%u", x->env_file, line->number);
            finding_add(&x->found, FINDING_setting_twice, where, "remove this line", NULL,
                        "%.60s stands again in line %u, and that one counts.", line->name,
                        last->number);
        }
    }
}

static void judge_secrets(struct checks *x)
{
    const char *name = NULL;
    struct stat s;

    for (size_t i = 0; i < x->file.count; i++) {
        const struct config_option *o = known(x->file.lines[i].name);

        if (o && o->help && config_value_is_secret(o) && x->file.lines[i].value[0])
            name = o->name;
    }
    if (name && stat(x->env_file, &s) == 0 && (s.st_mode & S_IROTH))
        finding_add(&x->found, FINDING_secrets_readable, x->env_file,
                    "chmod 600 it, owned by the user the programs run as", NULL,
                    "It has %s, and every user of this machine may read it.", name);
}

/* --- one setting ------------------------------------------------------------------------ */

static void judge_value(struct checks *x, const struct config_program *program,
                        const struct config_fact *f, const char *where)
{
    bool is_around = f->place == CONFIG_ENVIRONMENT; /* takes precedence over .env */
    struct buf allowed = {0}, change = {0};

    config_help_allowed(&allowed, f->option);
    buf_printf(&change, "%s=%s", f->option->name, f->option->value);
    if (config_value_is_secret(f->option))
        finding_add(&x->found, FINDING_setting_impossible, where, "give a value that is allowed",
                    NULL, "%s must be %s; %s does not start.", f->option->name, buf_text(&allowed),
                    program->name);
    else
        finding_add(&x->found, FINDING_setting_impossible, where,
                    is_around ? "unset it, since the environment counts over .env; or "
                                "start the program with a flag, which counts over both"
                              : "give a value that is allowed; the default is",
                    is_around ? NULL : buf_text(&change),
                    "%s=%.100s: must be %s; %s does not start.", f->option->name, f->value,
                    buf_text(&allowed), program->name);
    buf_free(&allowed);
    buf_free(&change);
}

static void take_fact(void *ctx, const struct config_program *program, const struct config_fact *f)
{
    struct checks *x = ctx;
    char where[CHECKS_WHERE_MAX];
    bool is_secret = config_value_is_secret(f->option);

    for (size_t i = 0; i < x->place_count; i++)
        if (strcmp(x->places[i].name, f->option->name) == 0)
            return; /* already reported for another program */
    x->places = mem_resize(x->places, (x->place_count + 1) * sizeof *x->places);
    x->places[x->place_count++] = (struct checks_place){
        f->option->name, f->place, f->line ? f->line->number : 0, f->value, f->is_wrong, is_secret};
    checks_where(x, f->option->name, where);
    if (f->is_wrong)
        judge_value(x, program, f, where);
    if (f->place != CONFIG_ENVIRONMENT || !f->line || strcmp(f->value, f->line->value) == 0)
        return;
    snprintf(where, sizeof where, "%.200s:%u (%.60s)", x->env_file, f->line->number,
             f->option->name);
    if (is_secret)
        finding_add(&x->found, FINDING_setting_overridden, where, "remove it from one of the two",
                    NULL, "The environment has another %s, and that one counts.", f->option->name);
    else
        finding_add(&x->found, FINDING_setting_overridden, where, "remove it from one of the two",
                    NULL, "The environment says %s=%.100s, and that counts, not %.100s.",
                    f->option->name, f->value, f->line->value);
}

static bool is_given(const struct checks *x, const char *name)
{
    for (size_t i = 0; i < x->place_count; i++)
        if (strcmp(x->places[i].name, name) == 0)
            return x->places[i].place != CONFIG_DEFAULT && !x->places[i].is_wrong;
    return false;
}

/* --- settings that do not fit together ---------------------------------------------------- */

/* The gateway's checks of its HTTP settings; a wrong setting does not hide the next one. */
static void judge_policy(struct checks *x)
{
    struct gateway_config c = x->gateway;
    char error[POLICY_ERROR_MAX] = "", name[CONFIG_HELP_FLAG_MAX], where[CHECKS_WHERE_MAX];
    char listed[] = "", change[700];
    struct origin_list *origins = origin_list_new("CORS_ORIGINS", c.cors_origins, error);
    struct policy *p;

    checks_where(x, "CORS_ORIGINS", where);
    if (!origins) {
        finding_add(&x->found, FINDING_origin_malformed, where,
                    "an origin is scheme and host, and the port if it is not the usual one",
                    "CORS_ORIGINS=https://your.page", "%s", error);
        c.cors_origins = listed;
    } else if (origin_list_is_any(origins) && c.cors_allow_credentials) {
        finding_add(&x->found, FINDING_origin_star_with_credentials, where,
                    "name the origins of your pages, or set CORS_ALLOW_CREDENTIALS=0",
                    "CORS_ORIGINS=https://your.page",
                    "CORS_ORIGINS is * and CORS_ALLOW_CREDENTIALS is 1: browsers refuse "
                    "that, and the gateway does not start.");
        c.cors_allow_credentials = false;
    } else if (origin_list_is_any(origins)) {
        finding_add(&x->found, FINDING_origin_star, where,
                    "if that is not meant, name the origins of your pages",
                    "CORS_ORIGINS=https://your.page",
                    "Pages of every origin may read quotes and connect.");
    }
    origin_list_free(origins);
    p = policy_new(&c, error);
    if (!p) {
        snprintf(name, sizeof name, "%.*s", (int)strcspn(error, "=: "), error);
        snprintf(change, sizeof change, "%s=%s", name, known(name) ? known(name)->value : "");
        finding_add(&x->found, FINDING_setting_impossible, checks_where(x, name, where),
                    "give a value that is allowed; the default is", change, "%s", error);
    }
    policy_drop(p);
}

static void judge_websockets(struct checks *x)
{
    const struct gateway_config *c = &x->gateway;
    char where[CHECKS_WHERE_MAX], change[80];

    if (!c->websocket_enabled)
        finding_add(&x->found, FINDING_websocket_disabled,
                    checks_where(x, "WEBSOCKET_ENABLED", where), "turn them on",
                    "WEBSOCKET_ENABLED=1", "WebSockets are turned off: every handshake gets 503.");
    if (c->websocket_max_connections == 0)
        finding_add(&x->found, FINDING_max_connections,
                    checks_where(x, "WEBSOCKET_MAX_CONNECTIONS", where),
                    "allow as many as you need", "WEBSOCKET_MAX_CONNECTIONS=100",
                    "The limit of connections is 0: every handshake gets 503.");
    if (c->ws_ping_interval >= c->websocket_timeout) {
        snprintf(change, sizeof change, "WS_PING_INTERVAL=%lld",
                 (long long)(c->websocket_timeout / 3000));
        finding_add(&x->found, FINDING_ping_after_timeout,
                    checks_where(x, "WS_PING_INTERVAL", where),
                    "ping three times within WEBSOCKET_TIMEOUT; 0 does that by itself", change,
                    "WS_PING_INTERVAL is %.3f s and WEBSOCKET_TIMEOUT %.3f s: a browser that "
                    "only listens is closed with 4001 before it gets a ping.",
                    (double)c->ws_ping_interval / 1000, (double)c->websocket_timeout / 1000);
    }
}

static void find_star(void *ctx, const char *entry)
{
    if (strcmp(entry, "*") == 0)
        *(bool *)ctx = true;
}

static void judge_trust(struct checks *x)
{
    bool is_everybody = false;
    char where[CHECKS_WHERE_MAX];

    if (config_list_each(x->gateway.forwarded_allow_ips, find_star, &is_everybody))
        return;
    if (is_everybody && x->gateway.proxy_headers && strncmp(x->gateway.host, "127.", 4) != 0)
        finding_add(
            &x->found, FINDING_trusts_everybody, checks_where(x, "FORWARDED_ALLOW_IPS", where),
            "name the proxy's address, or let HOST be 127.0.0.1", "FORWARDED_ALLOW_IPS=127.0.0.1",
            "The gateway trusts X-Forwarded headers of every peer, and HOST is "
            "%.64s: a "
            "peer that connects directly can claim any client address.",
            x->gateway.host);
}

struct port {
    const char *name, *endpoint;
    char host[256];
    int number;
};

static void judge_ports(struct checks *x)
{
    struct port ports[] = {
        {.name = "BROKER_INGEST", .endpoint = x->broker.broker_ingest},
        {.name = "BROKER_PUBLISH", .endpoint = x->broker.broker_publish},
        {.name = "BROKER_CONTROL", .endpoint = x->broker.broker_control},
        {.name = "PORT", .number = x->config.gateway_url[0] ? 0 : (int)x->gateway.port},
    };
    char where[CHECKS_WHERE_MAX], change[600];

    for (int i = 0; i < 3; i++)
        if (!checks_endpoint(ports[i].endpoint, ports[i].host, &ports[i].number))
            ports[i].number = 0;
    for (int i = 1; i < 4; i++)
        for (int k = 0; k < i; k++) {
            if (!ports[i].number || ports[i].number != ports[k].number ||
                (i == 3 && !checks_is_local(ports[k].host)))
                continue;
            if (i == 3)
                snprintf(change, sizeof change, "PORT=8000");
            else
                snprintf(change, sizeof change, "%s=tcp://%s:%d", ports[i].name, ports[i].host,
                         5555 + i);
            finding_add(&x->found, FINDING_ports_collide, checks_where(x, ports[i].name, where),
                        "give each a port of its own", change, "%s and %s both name port %d.",
                        ports[k].name, ports[i].name, ports[i].number);
        }
}

static void judge_source(void *ctx, const char *entry)
{
    struct checks *x = ctx;
    char path[4000], where[CHECKS_WHERE_MAX];

    if (strncmp(entry, "csv:", 4) != 0)
        return;
    snprintf(path, sizeof path, "%.*s", (int)strcspn(entry + 4, "?"), entry + 4);
    if (access(path, R_OK) != 0)
        finding_add(&x->found, FINDING_source_missing, checks_where(x, "SOURCE", where),
                    "name a file that exists; a path without / at its beginning counts from "
                    "the folder in which the feeder is started",
                    NULL, "%.300s cannot be read: %s.", path, strerror(errno));
}

static void judge_telegram(struct checks *x)
{
    const struct telegram_config *c = &x->telegram;
    char where[CHECKS_WHERE_MAX];

    if (c->telegram_token[0] && c->telegram_token_file[0])
        finding_add(&x->found, FINDING_telegram_token_malformed,
                    checks_where(x, "TELEGRAM_TOKEN_FILE", where), "remove one of the two", NULL,
                    "TELEGRAM_TOKEN and TELEGRAM_TOKEN_FILE are both set.");
    else if (c->telegram_token[0] && !bottoken_is_right(c->telegram_token))
        finding_add(&x->found, FINDING_telegram_token_malformed,
                    checks_where(x, "TELEGRAM_TOKEN", where), "copy it from @BotFather",
                    "TELEGRAM_TOKEN=NUMBER:SECRET", "The token is not NUMBER:SECRET.");
    else if (c->telegram_token_file[0] && access(c->telegram_token_file, R_OK) != 0)
        finding_add(&x->found, FINDING_telegram_token_malformed,
                    checks_where(x, "TELEGRAM_TOKEN_FILE", where),
                    "name a file that the bot may read", NULL, "%.300s cannot be read: %s.",
                    c->telegram_token_file, strerror(errno));
}

static void judge_store(struct checks *x)
{
    char where[CHECKS_WHERE_MAX];

    if (!broker_config_is_store(x->broker.store))
        finding_add(&x->found, FINDING_setting_impossible, checks_where(x, "STORE", where),
                    "name a file", "STORE=sqlite:pregon.db",
                    "STORE=%.200s: must be sqlite:FILE or memory; pregon-broker does not "
                    "start.",
                    x->broker.store);
}

void checks_settings(struct checks *x, const char *env_file, bool is_default)
{
    char error[CONFIG_FILE_ERROR_MAX];
    struct gateway_config *g = &x->gateway;
    char host[256];
    int port;

    snprintf(x->env_file, sizeof x->env_file, "%s", env_file);
    if (!config_file_read(env_file, is_default, &x->file, error))
        finding_add(&x->found, FINDING_env_file_unreadable, env_file,
                    "correct that line, or the file's path or permissions; every line is "
                    "NAME=VALUE or begins with #",
                    NULL, "%s", error);
    judge_file(x);
    judge_secrets(x);
    config_audit(&gateway_program, &x->file, take_fact, x, g);
    config_audit(&broker_program, &x->file, take_fact, x, &x->broker);
    config_audit(&feeder_program, &x->file, take_fact, x, &x->feeder);
    config_audit(&telegram_program, &x->file, take_fact, x, &x->telegram);
    judge_policy(x);
    judge_websockets(x);
    judge_trust(x);
    judge_ports(x);
    judge_store(x);
    /* Files of another machine or container are not visible. */
    if (is_given(x, "SOURCE") && checks_endpoint(g->broker_control, host, &port) &&
        checks_is_local(host) && config_list_each(x->feeder.source, judge_source, x))
        return;
    judge_telegram(x);
}
