/*
 * checks: checks a whole set-up, from causes to consequences.
 *
 * Settings first, then ports, broker, gateway, handshakes and the proxy.  Each part adds its
 * findings to the list.  A part whose precondition fails is skipped, so that one mistake is not
 * reported ten times.  Changes nothing.  Blocks.  One thread.
 */
#ifndef DOCTOR_CHECKS_H
#define DOCTOR_CHECKS_H

#include "broker/config/broker_config.h"
#include "consumer/telegram/telegram_config.h"
#include "feeder/feeder_config.h"
#include "doctor/doctor_config.h"
#include "doctor/finding.h"
#include "gateway/config/gateway_config.h"
#include "shared/config/config_audit.h"

#define CHECKS_FOREIGN_ORIGIN "https://foreign.invalid" /* RFC 2606: this domain never exists */
#define CHECKS_WHERE_MAX 300

struct json;

/* Where a setting comes from. */
struct checks_place {
    const char *name;
    enum config_place place;
    unsigned line;
    const char *value;
    bool is_wrong, is_secret;
};

/* One handshake, for the summary at the end. */
struct checks_handshake {
    char *origin;        /* "": without an Origin */
    const char *through; /* "gateway" or "public_url" */
    bool is_admitted, is_expected;
    int status;
    char code[40]; /* of the refusal, or "admitted" */
};

struct checks {
    struct doctor_config config;
    enum language language;
    struct finding_list found;
    struct config_file file;
    char env_file[CHECKS_WHERE_MAX];
    struct gateway_config gateway;
    struct broker_config broker;
    struct feeder_config feeder;
    struct telegram_config telegram;
    struct checks_place *places;
    size_t place_count;
    struct checks_handshake *handshakes;
    size_t handshake_count;
    struct json *json;
    char url[400];         /* of the gateway, without a proxy */
    long gateway_pid;      /* 0: unknown */
    char holder[100];      /* the process that holds its port, or "" */
    bool is_gateway_there; /* its port is open: send it requests */
    bool is_broker_there;  /* the same for the broker */
    bool has_answered;     /* the gateway answered a request */
    uint64_t broker_epoch; /* 0: the broker has not answered */
    char broker_version[40];
    bool has_admitted;  /* the gateway admitted a handshake … */
    char admitted[300]; /* … of this origin, "": none */
};

/* Read and check the settings; call it first.  x->config must be set. */
void checks_settings(struct checks *x, const char *env_file, bool is_default);
void checks_ports(struct checks *x);
void checks_broker(struct checks *x);
void checks_gateway(struct checks *x);
void checks_pages(struct checks *x); /* handshakes as pages make them */
/* The preflights of a page of this origin, which is listed, for every method of the routes. */
void checks_preflights(struct checks *x, const char *origin);
void checks_proxy(struct checks *x);
void checks_free(struct checks *x);

/* Where a setting comes from: ".env:4 (PORT)", "environment (PORT)", "default (PORT)". */
const char *checks_where(const struct checks *x, const char *name, char out[CHECKS_WHERE_MAX]);

/*
 * Perform a handshake as a page of that origin ("": as a program).  The function notes it, and the
 * caller judges it.
 */
struct probe_answer;
struct checks_handshake *checks_shake(struct checks *x, const char *base, const char *through,
                                      const char *origin, struct probe_answer *answer);

/* A member of the JSON object in an answer, by the names on the way to it; "" if not there. */
const char *checks_member(struct checks *x, const struct buf *body, const char *const *path,
                          char *out, size_t size);
#define CHECKS_MEMBER(x, body, out, ...) \
    checks_member(x, body, (const char *const[]){__VA_ARGS__, NULL}, out, sizeof(out))

/* tcp://HOST:PORT apart.  False: it is ipc. */
bool checks_endpoint(const char *endpoint, char host[256], int *port);
/* an address of this machine, as far as the doctor can find out */
bool checks_is_local(const char *host);

#endif
