#include "gateway/report.h"

#include <msgpack.h>

#include "gateway/client.h"
#include "shared/pack.h"

void report_open(struct report *r, const struct client *c)
{
    msgpack_packer pk;

    msgpack_packer_init(&pk, &r->opened, buf_pack_write);
    msgpack_pack_array(&pk, 5);
    msgpack_pack_uint64(&pk, c->id);
    pack_text(&pk, span_of(c->host));
    msgpack_pack_uint64(&pk, c->port);
    msgpack_pack_uint64(&pk, (uint64_t)c->since_us);
    pack_text(&pk,
              c->sub.encoding == ENCODING_MSGPACK ? SPAN("msgpack") : SPAN("json"));
    r->opened_count++;
}

void report_close(struct report *r, const struct client *c)
{
    msgpack_packer pk;

    msgpack_packer_init(&pk, &r->closed, buf_pack_write);
    msgpack_pack_uint64(&pk, c->id);
    r->closed_count++;
}

bool report_is_empty(const struct report *r)
{
    return !r->opened_count && !r->closed_count;
}

static void put_rows(msgpack_packer *pk, const char *key, uint32_t count,
                     const struct buf *rows, struct buf *out)
{
    pack_key(pk, key);
    msgpack_pack_array(pk, count);
    buf_add(out, rows->data, rows->len);
}

void report_take(struct report *r, uint64_t count, struct buf *out)
{
    msgpack_packer pk;

    msgpack_packer_init(&pk, out, buf_pack_write);
    pack_kv_u(&pk, "count", count);
    put_rows(&pk, "opened", r->opened_count, &r->opened, out);
    put_rows(&pk, "closed", r->closed_count, &r->closed, out);
    buf_clear(&r->opened);
    buf_clear(&r->closed);
    r->opened_count = r->closed_count = 0;
}

void report_fini(struct report *r)
{
    buf_free(&r->opened);
    buf_free(&r->closed);
    *r = (struct report){0};
}
