/* core_feed: what is said of a feed's grant, to its log and to its holder. */
#include <stdio.h>

#include "broker/core/core_private.h"
#include "shared/base/log.h"
#include "shared/wire/pack.h"

/* Its lease is over, but what it may have said is still to be read in this turn. */
#define RETRY_LEAST_MS 10

static uint64_t former_ago_ms(const struct core *d, const struct feed *f)
{
    int64_t ago = d->time.awake - f->former.heard_at;

    return ago > 0 ? (uint64_t)ago : 0;
}

const char *core_feed_who(uint64_t pid, const char *host, char out[CORE_FEED_WHO_MAX])
{
    if (pid)
        snprintf(out, CORE_FEED_WHO_MAX, "pid %llu on %s", (unsigned long long)pid,
                 host[0] ? host : "a host not known");
    else
        snprintf(out, CORE_FEED_WHO_MAX, "a feeder whose pid is not known");
    return out;
}

void core_feed_log_grant(struct core *d, const struct feed *f)
{
    const struct feed_former *former = &f->former;
    char who[CORE_FEED_WHO_MAX], follows[256] = "";

    if (former->owner[0] && former->pid)
        snprintf(follows, sizeof follows,
                 "; it follows %s, which %s %.3f s ago after line %llu",
                 core_feed_who(former->pid, former->host, who),
                 former->has_left ? "left" : "was last heard",
                 (double)former_ago_ms(d, f) / 1e3,
                 (unsigned long long)former->received);
    else if (former->owner[0]) /* known from the ring or the store: not when */
        snprintf(follows, sizeof follows, "; the one before %s after line %llu",
                 former->has_left ? "left" : "fell silent",
                 (unsigned long long)former->received);
    log_info("feed %s granted to %s, epoch %llu, after line %llu%s", f->name,
             core_feed_who(f->pid, f->host, who), (unsigned long long)f->epoch,
             (unsigned long long)f->received, follows);
}

void core_feed_pack_former(struct core *d, const struct feed *f, msgpack_packer *pk)
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

uint64_t core_feed_retry_ms(const struct core *d, const struct feed *f)
{
    uint64_t left = (uint64_t)feed_lease_ms(f, d->time.awake);

    return left > RETRY_LEAST_MS ? left : RETRY_LEAST_MS;
}
