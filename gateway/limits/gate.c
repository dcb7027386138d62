#include "gateway/limits/gate.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/log.h"
#include "shared/base/mem.h"

#define LOG_BURST 20 /* lines per code and LOG_INTERVAL_MS */
#define LOG_INTERVAL_MS 10000

struct kept {
    enum admission_rule rule;
    int64_t wall_us;
    bool has_origin;
    char origin[128], path[128];
};

struct gate {
    atomic_int active, configured, descriptors;
    atomic_bool is_started, is_leaving, is_draining;
    atomic_uint_fast64_t refused[ADMISSION_RULE_END];
    atomic_uint_fast64_t heads[GATE_HEAD_END];
    struct log_limit limits[ADMISSION_RULE_END];
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

/* Copy at most `size` - 1 bytes, not cut within a UTF-8 sequence. */
static void keep(char *to, size_t size, const char *text)
{
    size_t len = strnlen(text, size);

    if (len == size) {
        len = size - 1;
        while (len && ((unsigned char)text[len] & 0xc0) == 0x80)
            len--;
    }
    memcpy(to, text, len);
    to[len] = '\0';
}

void gate_refuse(struct gate *g, const struct gate_refusal *r, int64_t now_ms, int64_t wall_us)
{
    enum admission_rule rule = r->verdict->rule;
    const char *setting = admission_setting(rule);
    struct kept *k;

    atomic_fetch_add(&g->refused[rule], 1);
    pthread_mutex_lock(&g->lock);
    k = &g->ring[g->written++ % GATE_REFUSALS_KEPT];
    k->rule = rule;
    k->wall_us = wall_us;
    k->has_origin = r->origin;
    keep(k->origin, sizeof k->origin, r->origin ? r->origin : "");
    keep(k->path, sizeof k->path, r->path);
    pthread_mutex_unlock(&g->lock);

    log_limited(&g->limits[rule], now_ms, LOG_WARNING,
                "%s - \"WebSocket %.100s\" %d %s%s: origin %.120s: %s %s%s%s%s", r->client, r->path,
                r->is_explained ? admission_close(rule) : r->verdict->status, admission_code(rule),
                r->is_explained ? " (explained)" : "", r->origin ? r->origin : "-",
                r->verdict->message, r->verdict->hint, setting[0] ? " [" : "", setting,
                setting[0] ? "]" : "");
}

uint64_t gate_refused(const struct gate *g, enum admission_rule rule)
{
    return atomic_load(&g->refused[rule]);
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
    buf_printf(out, "{\"code\":\"%s\",\"status\":%d,\"origin\":", admission_code(k->rule),
               admission_status(k->rule));
    if (k->has_origin)
        buf_jsons(out, k->origin);
    else
        buf_adds(out, "null");
    buf_adds(out, ",\"path\":");
    buf_jsons(out, k->path);
    buf_printf(out, ",\"setting\":\"%s\",\"timestamp\":", admission_setting(k->rule));
    buf_json_time(out, k->wall_us);
    buf_addc(out, '}');
}

void gate_refusals_json(struct gate *g, struct buf *out)
{
    const char *comma = "";
    uint64_t total = 0, counts[ADMISSION_RULE_END], first;

    for (int i = 0; i < ADMISSION_RULE_END; i++)
        total += counts[i] = gate_refused(g, (enum admission_rule)i);
    buf_printf(out, "{\"total\":%llu,\"by_code\":{", (unsigned long long)total);
    for (int i = 0; i < ADMISSION_RULE_END; i++) {
        if (!counts[i])
            continue;
        buf_printf(out, "%s\"%s\":%llu", comma, admission_code((enum admission_rule)i),
                   (unsigned long long)counts[i]);
        comma = ",";
    }
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
