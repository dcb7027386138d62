/* core_clock: how the broker handles a jump of the wall clock. */
#include <msgpack.h>

#include "broker/core/core_private.h"
#include "shared/base/log.h"
#include "shared/wire/pack.h"

void core_clock_begin(struct core *d, int64_t boot_ms, int64_t wall_us)
{
    steady_begin(&d->clock.steady, boot_ms, wall_us, CORE_CLOCK_PATIENCE_MS);
}

void core_clock_look(struct core *d, int64_t boot_ms, int64_t wall_us)
{
    static struct log_limit limit = {.burst = 10, .interval_ms = 60000};
    struct core_clock *c = &d->clock;
    bool was_apart = c->steady.is_apart;
    int64_t jump = steady_look(&c->steady, boot_ms, wall_us);

    if (!jump)
        return;
    c->jumps++;
    c->last_jump_us = jump;
    if (d->log.log_writer)
        log_writer_jump(d->log.log_writer, jump);
    if (was_apart && !c->steady.is_apart)
        log_limited(&limit, d->time.now, LOG_WARNING,
                    "The clock jumped back to the time that it left: by %.3f s",
                    (double)jump / 1e6);
    else
        log_limited(&limit, d->time.now, LOG_WARNING,
                    "The clock jumped by %.3f s.  Records bear its present time; none is "
                    "pruned because of it before RETENTION_AGE has passed",
                    (double)jump / 1e6);
}

void core_clock_pack_status(const struct core *d, msgpack_packer *pk)
{
    const struct core_clock *c = &d->clock;

    pack_key(pk, "clock");
    msgpack_pack_map(pk, 3);
    pack_kv_u(pk, "jumps", c->jumps);
    pack_key(pk, "last_jump_us");
    msgpack_pack_int64(pk, c->last_jump_us);
    pack_key(pk, "ahead_us");
    msgpack_pack_int64(pk, c->steady.seen_us - c->steady.trusted_us);
}
