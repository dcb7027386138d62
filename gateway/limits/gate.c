#include "gateway/limits/gate.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/log.h"
#include "shared/base/mem.h"

#define LOG_BURST 20 /* lines per code and LOG_INTERVAL_MS */
#define LOG_INTERVAL_MS 10000

static const struct {
    const char *code, *setting;
    int status;
} requests[] = {
#define X(code, status, setting) {#code, setting, status},
    GATE_REQUESTS(X)
#undef X
};

struct kept {
    const char *code, *setting; /* static */
    int status;
    int64_t wall_us;
    bool has_origin;
    char origin[128], path[128];
};

struct gate {
    atomic_int active, configured, descriptors;
    atomic_bool is_started, is_leaving, is_draining;
    atomic_uint_fast64_t refused[ADMISSION_RULE_END];
    atomic_uint_fast64_t heads[GATE_HEAD_END];
    atomic_uint_fast64_t refused_requests[GATE_REQUEST_END];
    struct log_limit limits[ADMISSION_RULE_END], request_limits[GATE_REQUEST_END];
    pthread_mutex_t lock; /* guards the ring */
    struct kept ring[GATE_REFUSALS_KEPT];
    uint64_t written; /* into the ring, ever */
};

struct gate *gate_new(void)
{
    struct gate *g = mem_zalloc(sizeof *g);

    pthread_mutex_init(&g->lock, NULL);
    for (int i = 0; i < ADMISSION_RULE_END; i++)
        g->limits[i] = (struct log_limit){.burst = LOG_BURST, .interval_ms = LOG_INTERVAL_MS};
    for (int i = 0; i < GATE_REQUEST_END; i++)
        g->request_limits[i] =
            (struct log_limit){.burst = LOG_BURST, .interval_ms = LOG_INTERVAL_MS};
    return g;
}

void gate_free(struct gate *g)
{
    if (!g)
        return;
    pthread_mutex_destroy(&g->lock);
    free(g);
}

void gate_set_limit(struct gate *g, int configured, int descriptors)
{
    atomic_store(&g->descriptors, descriptors);
    atomic_store(&g->configured, configured);
}

void gate_set_started(struct gate *g)
{
    atomic_store(&g->is_started, true);
}

void gate_set_leaving(struct gate *g)
{
    atomic_store(&g->is_leaving, true);
}

bool gate_is_leaving(const struct gate *g)
{
    return atomic_load(&g->is_leaving);
}

void gate_set_draining(struct gate *g)
{
    atomic_store(&g->is_leaving, true);
    atomic_store(&g->is_draining, true);
}

bool gate_is_started(const struct gate *g)
{
    return atomic_load(&g->is_started);
}

bool gate_is_draining(const struct gate *g)
{
    return atomic_load(&g->is_draining);
}

int gate_limit(const struct gate *g)
{
    int configured = atomic_load(&g->configured);
    int descriptors = atomic_load(&g->descriptors);

    return configured < descriptors ? configured : descriptors;
}

int gate_active(const struct gate *g)
{
    return atomic_load(&g->active);
}

bool gate_reserve(struct gate *g)
{
    int n = atomic_load(&g->active);

    do {
        if (n >= gate_limit(g))
            return false;
    } while (!atomic_compare_exchange_weak(&g->active, &n, n + 1));
    return true;
}

void gate_release(struct gate *g)
{
    atomic_fetch_sub(&g->active, 1);
}

struct admission_live gate_live(const struct gate *g)
{
    return (struct admission_live){
        .is_draining = gate_is_draining(g),
        .is_started = gate_is_started(g),
        .active = gate_active(g),
        .limit = gate_limit(g),
        .configured = atomic_load(&g->configured),
    };
}

/* Copy at most `size` - 1 bytes, not cut within a UTF-8 sequence, over zeros. */
static void keep(char *to, size_t size, const char *text)
{
    size_t len = strnlen(text, size);

    if (len == size) {
        len = size - 1;
        while (len && ((unsigned char)text[len] & 0xc0) == 0x80)
            len--;
    }
    memcpy(to, text, len);
}

static void keep_refusal(struct gate *g, struct kept refusal, const char *origin, const char *path)
{
    struct kept *k;

    pthread_mutex_lock(&g->lock);
    k = &g->ring[g->written++ % GATE_REFUSALS_KEPT];
    *k = refusal;
    k->has_origin = origin;
    keep(k->origin, sizeof k->origin, origin ? origin : "");
    keep(k->path, sizeof k->path, path);
    pthread_mutex_unlock(&g->lock);
}

void gate_refuse(struct gate *g, const struct gate_refusal *r, int64_t now_ms, int64_t wall_us)
{
    enum admission_rule rule = r->verdict->rule;
    const char *setting = admission_setting(rule);

    atomic_fetch_add(&g->refused[rule], 1);
    keep_refusal(g,
                 (struct kept){.code = admission_code(rule),
                               .setting = setting,
                               .status = admission_status(rule),
                               .wall_us = wall_us},
                 r->origin, r->path);
    log_limited(&g->limits[rule], now_ms, LOG_WARNING,
                "%s - \"%s %.100s\" %d %s%s: origin %.120s: %s %s%s%s%s", r->client, r->wanted,
                r->path, r->is_explained ? admission_close(rule) : r->verdict->status,
                admission_code(rule), r->is_explained ? " (explained)" : "",
                r->origin ? r->origin : "-", r->verdict->message, r->verdict->hint,
                setting[0] ? " [" : "", setting, setting[0] ? "]" : "");
}

uint64_t gate_refused(const struct gate *g, enum admission_rule rule)
{
    return atomic_load(&g->refused[rule]);
}

void gate_refuse_request(struct gate *g, const struct gate_request_refusal *r, int64_t now_ms,
                         int64_t wall_us)
{
    enum gate_request kind = r->kind;

    atomic_fetch_add(&g->refused_requests[kind], 1);
    keep_refusal(g,
                 (struct kept){.code = requests[kind].code,
                               .setting = requests[kind].setting,
                               .status = requests[kind].status,
                               .wall_us = wall_us},
                 r->origin, r->path);
    log_limited(&g->request_limits[kind], now_ms, LOG_WARNING,
                "%s - \"%s %.100s\" %d %s: %s %s [%s]", r->client, r->method, r->path,
                requests[kind].status, requests[kind].code, r->message, r->hint,
                requests[kind].setting);
}

uint64_t gate_refused_requests(const struct gate *g, enum gate_request kind)
{
    return atomic_load(&g->refused_requests[kind]);
}

const char *gate_request_code(enum gate_request kind)
{
    return requests[kind].code;
}

const char *gate_request_setting(enum gate_request kind)
{
    return requests[kind].setting;
}

int gate_request_status(enum gate_request kind)
{
    return requests[kind].status;
}

void gate_count_head(struct gate *g, enum gate_head kind)
{
    atomic_fetch_add(&g->heads[kind], 1);
}

uint64_t gate_heads(const struct gate *g, enum gate_head kind)
{
    return atomic_load(&g->heads[kind]);
}

const char *gate_head_name(enum gate_head kind)
{
    static const char *const names[] = {
#define X(kind) #kind,
        GATE_HEADS(X)
#undef X
    };

    return names[kind];
}

static void kept_json(const struct kept *k, struct buf *out)
{
    buf_printf(out, "{\"code\":\"%s\",\"status\":%d,\"origin\":", k->code, k->status);
    if (k->has_origin)
        buf_jsons(out, k->origin);
    else
        buf_adds(out, "null");
    buf_adds(out, ",\"path\":");
    buf_jsons(out, k->path);
    buf_printf(out, ",\"setting\":\"%s\",\"timestamp\":", k->setting);
    buf_json_time(out, k->wall_us);
    buf_addc(out, '}');
}

static void add_count(struct buf *out, const char **comma, const char *code, uint64_t count)
{
    if (!count)
        return;
    buf_printf(out, "%s\"%s\":%llu", *comma, code, (unsigned long long)count);
    *comma = ",";
}

void gate_refusals_json(struct gate *g, struct buf *out)
{
    const char *comma = "";
    uint64_t total = 0, counts[ADMISSION_RULE_END], of_requests[GATE_REQUEST_END], first;

    for (int i = 0; i < ADMISSION_RULE_END; i++)
        total += counts[i] = gate_refused(g, (enum admission_rule)i);
    for (int i = 0; i < GATE_REQUEST_END; i++)
        total += of_requests[i] = gate_refused_requests(g, (enum gate_request)i);
    buf_printf(out, "{\"total\":%llu,\"by_code\":{", (unsigned long long)total);
    for (int i = 0; i < ADMISSION_RULE_END; i++)
        add_count(out, &comma, admission_code((enum admission_rule)i), counts[i]);
    for (int i = 0; i < GATE_REQUEST_END; i++)
        add_count(out, &comma, requests[i].code, of_requests[i]);
    buf_adds(out, "},\"last\":[");
    comma = "";
    pthread_mutex_lock(&g->lock);
    first = g->written > GATE_REFUSALS_KEPT ? g->written - GATE_REFUSALS_KEPT : 0;
    for (uint64_t i = g->written; i > first; i--) {
        buf_adds(out, comma);
        kept_json(&g->ring[(i - 1) % GATE_REFUSALS_KEPT], out);
        comma = ",";
    }
    pthread_mutex_unlock(&g->lock);
    buf_adds(out, "]}");
}
