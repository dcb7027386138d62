/* desk_feed: what is said of a feed's grant, to its log and to its holder. */
#include <stdio.h>

#include "broker/desk_private.h"
#include "shared/log.h"
#include "shared/pack.h"

/* Its lease is over, but what it may have said is still to be read in this turn. */
#define RETRY_LEAST_MS 10

static uint64_t former_ago_ms(const struct desk *d, const struct feed *f)
{
    int64_t ago = d->time.awake - f->former.heard_at;

    return ago > 0 ? (uint64_t)ago : 0;
}

void desk_feed_log_grant(struct desk *d, const struct feed *f)
{
    const struct feed_former *former = &f->former;
    char follows[256] = "";

    if (former->owner[0])
        snprintf(follows, sizeof follows,
                 "; it follows pid %llu on %s, which %s %.3f s ago after line %llu",
                 (unsigned long long)former->pid,
                 former->host[0] ? former->host : "a host not known",
                 former->has_left ? "left" : "was last heard",
                 (double)former_ago_ms(d, f) / 1e3,
                 (unsigned long long)former->received);
    log_info("feed %s granted to pid %llu on %s, epoch %llu, after line %llu%s",
             f->name, (unsigned long long)f->pid, f->host, (unsigned long long)f->epoch,
             (unsigned long long)f->received, follows);
}

void desk_feed_pack_former(struct desk *d, const struct feed *f, msgpack_packer *pk)
{
    const struct feed_former *former = &f->former;

    pack_key(pk, "after");
    msgpack_pack_map(pk, 5);
    pack_kv_text(pk, "host", span_of(former->host));
    pack_kv_u(pk, "pid", former->pid);
    pack_kv_u(pk, "line", former->received);
    pack_kv_u(pk, "ago_ms", former_ago_ms(d, f));
    pack_kv_bool(pk, "left", former->has_left);
}

uint64_t desk_feed_retry_ms(const struct desk *d, const struct feed *f)
{
    uint64_t left = (uint64_t)feed_lease_ms(f, d->time.awake);

    return left > RETRY_LEAST_MS ? left : RETRY_LEAST_MS;
}
