/* handlers_common: functions shared by the handlers. */
#include <msgpack.h>

#include "gateway/routes/handlers_private.h"
#include "shared/wire/pack.h"

void handlers_put_timestamp(struct handlers *h, struct buf *b)
{
    buf_adds(b, ",\"timestamp\":");
    buf_json_time(b, h->sessions->wall_us);
    buf_adds(b, "}\n");
}

void handlers_ask_page(struct loop_request *q, const char *op, const char *pattern, const char *key,
                       upstream_answer *on_answer)
{
    struct buf b = {0};
    msgpack_packer pk;

    msgpack_packer_init(&pk, &b, buf_pack_write);
    if (pattern)
        pack_kv_text(&pk, "pattern", span_of(pattern));
    pack_kv_u(&pk, key, q->offset);
    pack_kv_u(&pk, "limit", q->limit);
    upstream_request(q->handlers->upstream, op, pattern ? 3 : 2, buf_span(&b), q, on_answer);
    buf_free(&b);
}
