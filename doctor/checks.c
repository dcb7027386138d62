#include "doctor/checks.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "doctor/probe.h"
#include "shared/base/json.h"
#include "shared/base/mem.h"

const char *checks_where(const struct checks *x, const char *name, char out[CHECKS_WHERE_MAX])
{
    snprintf(out, CHECKS_WHERE_MAX, "%.60s", name);
    for (size_t i = 0; i < x->place_count; i++) {
        const struct checks_place *p = &x->places[i];

        if (strcmp(p->name, name) != 0)
            continue;
        if (p->place == CONFIG_FILE)
            snprintf(out, CHECKS_WHERE_MAX, "%.200s:%u (%.60s)", x->env_file, p->line, name);
        else
            snprintf(out, CHECKS_WHERE_MAX, "%s (%.60s)",
                     p->place == CONFIG_DEFAULT ? "the default" : "the environment", name);
        break;
    }
    return out;
}

bool checks_endpoint(const char *endpoint, char host[256], int *port)
{
    const char *colon = strrchr(endpoint, ':');

    if (strncmp(endpoint, "tcp://", 6) != 0 || colon < endpoint + 6)
        return false;
    span_copy(host, 256, (struct span){endpoint + 6, (size_t)(colon - endpoint - 6)});
    if (strcmp(host, "*") == 0)
        snprintf(host, 256, "0.0.0.0");
    *port = (int)strtol(colon + 1, NULL, 10);
    return true;
}

bool checks_is_local(const char *host)
{
    struct sockaddr_in a = {.sin_family = AF_INET};
    bool is_local;
    int fd;

    if (strcmp(host, "localhost") == 0)
        return true;
    if (inet_pton(AF_INET, host, &a.sin_addr) != 1)
        return false;
    fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    is_local = fd >= 0 && bind(fd, (struct sockaddr *)&a, sizeof a) == 0;
    if (fd >= 0)
        close(fd);
    return is_local;
}

const char *checks_member(struct checks *x, const struct buf *body, const char *const *path,
                          char *out, size_t size)
{
    const struct json_value *v;

    out[0] = '\0';
    if (json_parse(x->json, buf_span(body), &v))
        return out;
    for (; *path && v; path++)
        v = json_member(v, *path);
    if (v && v->type <= JSON_STRING && v->type != JSON_NULL)
        span_copy(out, size, v->text);
    return out;
}

static void read_verdict(struct checks *x, const struct probe_answer *a, struct checks_handshake *h)
{
    struct buf reason = {0};

    h->status = a->status;
    h->is_admitted = a->status == 101 && a->is_followed && a->close_code < 4000;
    if (h->is_admitted) {
        snprintf(h->code, sizeof h->code, "admitted");
    } else if (a->close_code) { /* WEBSOCKET_EXPLAIN */
        buf_adds(&reason, a->close_reason);
        CHECKS_MEMBER(x, &reason, h->code, "code");
        buf_free(&reason);
    } else if (a->status != 101) {
        probe_header(a, "X-Reject-Reason", h->code, sizeof h->code);
    }
}

struct checks_handshake *checks_shake(struct checks *x, const char *base, const char *through,
                                      const char *origin, struct probe_answer *answer)
{
    const struct probe_request q = {
        .base = base,
        .path = "/ws/cotizaciones",
        .origin = origin[0] ? origin : NULL,
        .token = x->gateway.websocket_token,
        .language = x->language,
        .patience_ms = (int)x->config.patience,
    };
    struct checks_handshake *h;

    x->handshakes = mem_resize(x->handshakes, (x->handshake_count + 1) * sizeof *x->handshakes);
    h = &x->handshakes[x->handshake_count++];
    *h = (struct checks_handshake){.origin = mem_strdup(origin), .through = through};
    probe_handshake(&q, answer);
    read_verdict(x, answer, h);
    return h;
}

void checks_free(struct checks *x)
{
    for (size_t i = 0; i < x->handshake_count; i++)
        free(x->handshakes[i].origin);
    free(x->handshakes);
    free(x->places);
    config_free(&gateway_program, &x->gateway);
    config_free(&broker_program, &x->broker);
    config_free(&feeder_program, &x->feeder);
    config_free(&telegram_program, &x->telegram);
    config_file_free(&x->file);
    finding_free(&x->found);
    json_free(x->json);
}
