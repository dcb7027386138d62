/*
 * finding: the faults that the doctor can find, each with a permanent name, and a list of them.
 *
 * Names are for programs and for docs/troubleshooting.md; the texts are for people: the
 * observation, the place, what to do, and the line of .env to change if there is one. The codes of
 * refused handshakes (admission.h) are names too.  One owner, one thread.
 */
#ifndef DOCTOR_FINDING_H
#define DOCTOR_FINDING_H

#include <stdbool.h>
#include <stddef.h>

#include "gateway/policy/admission.h"
#include "shared/base/buf.h"
#include "shared/base/language.h"

/* name, severity, meaning */
#define FINDING_LIST(X)                                                                   \
    X(env_file_unreadable, ERROR, "the .env file cannot be read as NAME=VALUE lines")     \
    X(setting_misspelt, ERROR, "a name in .env resembles a setting's and has no effect")  \
    X(setting_impossible, ERROR, "a value is not allowed: the program does not start")    \
    X(setting_twice, WARNING, "a name is twice in .env; the last line counts")            \
    X(setting_overridden, WARNING, "the environment overrides a value of .env")           \
    X(settings_not_in_force, ERROR, "a running program uses other settings than .env")    \
    X(secrets_readable, WARNING, "every user may read .env, which has secrets")           \
    X(origin_star_with_credentials, ERROR,                                                \
      "CORS_ORIGINS * and credentials exclude each "                                      \
      "other")                                                                            \
    X(origin_malformed, ERROR, "an entry of CORS_ORIGINS is not an origin")               \
    X(origin_star, NOTE, "CORS_ORIGINS is *: pages of every origin may connect")          \
    X(ping_after_timeout, ERROR, "quiet clients are closed before they get a ping")       \
    X(trusts_everybody, WARNING, "every peer can claim any client address")               \
    X(ports_collide, ERROR, "two settings name the same port")                            \
    X(source_missing, ERROR, "a file of SOURCE does not exist")                           \
    X(telegram_token_malformed, ERROR,                                                    \
      "the bot's token is not NUMBER:SECRET, or stands "                                  \
      "in two places")                                                                    \
    X(host_not_here, ERROR, "HOST is not an address of this machine")                     \
    X(port_privileged, ERROR, "this user may not use a port below 1024")                  \
    X(port_taken, ERROR, "another program holds a port")                                  \
    X(gateway_not_running, ERROR, "no program listens at the gateway's address")          \
    X(gateway_silent, ERROR, "a program listens there, but does not answer as a gateway") \
    X(broker_not_running, ERROR, "no program listens at the broker's address")            \
    X(broker_silent, ERROR, "the broker does not answer at BROKER_CONTROL")               \
    X(publish_silent, ERROR, "no heartbeat of the broker arrives from BROKER_PUBLISH")    \
    X(another_broker, ERROR, "the gateway follows another broker than .env names")        \
    X(gateway_without_broker, ERROR, "the gateway has no contact with its broker")        \
    X(versions_differ, WARNING, "programs of different versions run together")            \
    X(descriptors_too_few, ERROR, "fewer WebSockets fit than WEBSOCKET_MAX_CONNECTIONS")  \
    X(store_folder_missing, ERROR, "the folder of STORE is missing or not writable")      \
    X(store_in_memory, NOTE, "the log ends with the broker")                              \
    X(store_not_durable, ERROR, "the broker cannot store the log")                        \
    X(store_damaged, ERROR, "a part of the stored log cannot be read")                    \
    X(store_behind, WARNING, "the store lags behind")                                     \
    X(disk_low, WARNING, "the disk of STORE is nearly full")                              \
    X(feed_none, ERROR, "no feeder has ever connected to this broker")                    \
    X(feed_silent, ERROR, "a feeder fell silent: its symbols are stale")                  \
    X(feed_ended, WARNING, "a feeder ended in order: its symbols are stale")              \
    X(feed_empty, WARNING, "a feeder runs, but has never sent a quote")                   \
    X(quotes_refused, WARNING, "the broker refused quotes of a feed")                     \
    X(lines_lost, WARNING, "lines of a feed are lost")                                    \
    X(telegram_nobody_on_duty, WARNING, "a bot is configured, but no instance is active") \
    X(clock_skew, ERROR, "clocks differ: ages and staleness are wrong")                   \
    X(clock_unsynchronised, WARNING, "this machine's clock follows no time server")       \
    X(foreign_origin_admitted, ERROR,                                                     \
      "a page of an origin that is not listed can "                                       \
      "connect")                                                                          \
    X(preflight_refused, NOTE,                                                            \
      "pages of a listed origin may not use a method or header of the routes")            \
    X(public_url_unreachable, ERROR, "no server answers at PUBLIC_URL")                   \
    X(public_url_tls, ERROR, "the certificate or TLS of PUBLIC_URL is wrong")             \
    X(public_url_elsewhere, ERROR, "the server at PUBLIC_URL is not a gateway")           \
    X(proxy_redirects, ERROR,                                                             \
      "the proxy answers with a redirect, which WebSockets do "                           \
      "not follow")                                                                       \
    X(proxy_refuses, ERROR, "the proxy itself refuses")                                   \
    X(proxy_cannot_reach_gateway, ERROR, "the proxy does not reach the gateway")          \
    X(proxy_changes_path, ERROR, "the gateway gets another path through the proxy")       \
    X(proxy_drops_upgrade, ERROR, "the proxy does not forward Upgrade and Connection")    \
    X(proxy_buffers, ERROR, "the proxy holds back what the gateway sends")                \
    X(proxy_changes_origin, ERROR, "the proxy changes or drops the Origin header")        \
    X(proxy_changes_cors, ERROR, "the proxy changes the CORS headers of answers")         \
    X(proxy_not_trusted, WARNING, "the proxy's forwarded headers are ignored")            \
    X(proxy_hides_client, WARNING, "the proxy does not forward the client's address")     \
    X(proxy_scheme_lost, ERROR, "the gateway takes https for http behind the proxy")      \
    X(proxy_host_lost, ERROR, "the proxy does not forward the host of the address bar")

enum finding_name {
#define X(name, severity, meaning) FINDING_##name,
    FINDING_LIST(X)
#undef X
#define X(code, status, close, setting, text) FINDING_##code,
        ADMISSION_RULES(X)
#undef X
            FINDING_END
};

enum finding_severity { FINDING_ERROR, FINDING_WARNING, FINDING_NOTE };

struct finding {
    enum finding_name name;
    char *seen;   /* a sentence or two */
    char *where;  /* ".env:4", "environment", "pid 4711 (nginx)"; may be "" */
    char *todo;   /* what to do, in words */
    char *change; /* the line of .env as it should be, or "" */
};

struct finding_list {
    struct finding *items;
    size_t count;
};

const char *finding_text(enum finding_name name); /* "port_taken" */
enum finding_severity finding_severity(enum finding_name name);
const char *finding_meaning(enum finding_name name);

/* Add one; the last text may be formatted.  `change` may be NULL. */
void finding_add(struct finding_list *l, enum finding_name name, const char *where,
                 const char *todo, const char *change, const char *seen, ...)
    __attribute__((format(printf, 6, 7)));
bool finding_has(const struct finding_list *l, enum finding_name name);
size_t finding_count(const struct finding_list *l, enum finding_severity severity);
void finding_free(struct finding_list *l);

/* Append text without what could move a terminal's cursor: it may come from a network. */
void finding_put_clean(struct buf *out, const char *text);

/* Append one finding as a text, or as a JSON object, in that language (doctor_text.h). */
void finding_put_text(const struct finding *f, enum language l, struct buf *out);
void finding_put_json(const struct finding *f, enum language l, struct buf *out);

#endif
