#include "gateway/fanout/event.h"

void event_begin(struct buf *out, const struct event_id *id)
{
    if (id && id->seq)
        buf_printf(out, "id: %016llx:%llu\n", (unsigned long long)id->epoch,
                   (unsigned long long)id->seq);
    else if (id)
        buf_adds(out, "id:\n");
    buf_adds(out, "data: ");
}

void event_end(struct buf *out)
{
    buf_adds(out, "\n\n");
}

void event_append_close(struct buf *out, uint16_t code, struct span reason)
{
    event_begin(out, NULL);
    buf_printf(out, "{\"type\":\"close\",\"code\":%u,\"reason\":", (unsigned)code);
    buf_add(out, reason.at, reason.len);
    buf_addc(out, '}');
    event_end(out);
}

void event_append_comment(struct buf *out)
{
    buf_adds(out, ":\n");
}

void event_append_retry(struct buf *out, int64_t ms)
{
    buf_printf(out, "retry: %lld\n", (long long)ms);
}
