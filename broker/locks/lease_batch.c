#include "broker/locks/lease_batch.h"

#include <stdlib.h>
#include <string.h>

#include "shared/base/array.h"
#include "shared/base/mem.h"

/* A batch that once held large values does not keep their memory. */
#define KEEP_BYTES ((size_t)1 << 20)

struct lease_batch *lease_batch_new(void)
{
    return mem_zalloc(sizeof(struct lease_batch));
}

void lease_batch_free(struct lease_batch *b)
{
    if (!b)
        return;
    free(b->rows);
    free(b->forgotten);
    buf_free(&b->values);
    free(b);
}

void lease_batch_clear(struct lease_batch *b)
{
    b->count = b->forgotten_count = 0;
    b->token_floor = b->change = 0;
    if (b->values.cap > KEEP_BYTES)
        buf_free(&b->values);
    else
        buf_clear(&b->values);
}

bool lease_batch_is_empty(const struct lease_batch *b)
{
    return !b->count && !b->forgotten_count && !b->token_floor;
}

static uint64_t wall_of(int64_t at, int64_t now, uint64_t wall_us)
{
    return wall_us - (uint64_t)(now - at) * 1000;
}

void lease_batch_add(struct lease_batch *b, const struct lease *l, bool has_new_value, int64_t now,
                     uint64_t wall_us)
{
    struct lease_row *r;

    ARRAY_RESERVE(b->rows, b->cap, b->count + 1);
    r = &b->rows[b->count++];
    *r = (struct lease_row){.state = l->state,
                            .ended = l->ended,
                            .pid = l->pid,
                            .token = l->token,
                            .ttl_ms = (uint64_t)l->ttl_ms,
                            .delay_ms = (uint64_t)l->delay_ms,
                            .granted_us = wall_of(l->granted_at, now, wall_us),
                            .lost_token = l->lost.token,
                            .lost_reason = l->lost.reason,
                            .lost_us = l->lost.token ? wall_of(l->lost.at, now, wall_us) : 0,
                            .value_token = l->value_token,
                            .version = l->version,
                            .has_value = has_new_value,
                            .value_at = b->values.len};
    memcpy(r->name, l->name, sizeof r->name);
    memcpy(r->owner, l->owner, sizeof r->owner);
    memcpy(r->host, l->host, sizeof r->host);
    memcpy(r->lost_owner, l->lost.owner, sizeof r->lost_owner);
    if (has_new_value) {
        r->value_len = l->value.len;
        if (l->value.len)
            buf_add(&b->values, l->value.data, l->value.len);
    }
}

void lease_batch_forget(struct lease_batch *b, const char *name)
{
    ARRAY_RESERVE(b->forgotten, b->forgotten_cap, b->forgotten_count + 1);
    span_copy(b->forgotten[b->forgotten_count++], sizeof *b->forgotten, span_of(name));
}
