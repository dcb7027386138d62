#include "gateway/upstream/report.h"

#include <msgpack.h>

#include "shared/wire/pack.h"

void report_open(struct report *r, const struct report_client *c)
{
    msgpack_packer pk;

    msgpack_packer_init(&pk, &r->opened, buf_pack_write);
    msgpack_pack_array(&pk, 5);
    msgpack_pack_uint64(&pk, c->id);
    pack_text(&pk, span_of(c->host));
    msgpack_pack_uint64(&pk, c->port);
    msgpack_pack_uint64(&pk, (uint64_t)c->since_us);
    pack_text(&pk, span_of(c->protocol));
    r->opened_count++;
}

void report_close(struct report *r, uint64_t client_id)
{
    msgpack_packer pk;

    msgpack_packer_init(&pk, &r->closed, buf_pack_write);
    msgpack_pack_uint64(&pk, client_id);
    r->closed_count++;
}

bool report_is_empty(const struct report *r)
{
    return !r->opened_count && !r->closed_count;
}

/* The next rows, at most `max`. */
static void put_rows(msgpack_packer *pk, const char *key, uint32_t max, uint32_t *count,
                     const struct buf *rows, size_t *taken, struct buf *out)
{
    uint32_t part = *count < max ? *count : max;
    struct span rest = {rows->data + *taken, rows->len - *taken};

    for (uint32_t i = 0; i < part; i++)
        pack_skip(&rest);
    pack_key(pk, key);
    msgpack_pack_array(pk, part);
    buf_add(out, rows->data + *taken, rows->len - *taken - rest.len);
    *taken = rows->len - rest.len;
    *count -= part;
}

bool report_take(struct report *r, uint64_t count, struct buf *out)
{
    bool is_all_opened = r->opened_count <= REPORT_PART_MAX,
         is_whole = is_all_opened && r->closed_count <= REPORT_PART_MAX;
    msgpack_packer pk;

    msgpack_packer_init(&pk, out, buf_pack_write);
    if (is_whole)
        pack_kv_u(&pk, "count", count);
    else
        pack_kv_bool(&pk, "part", true);
    put_rows(&pk, "opened", REPORT_PART_MAX, &r->opened_count, &r->opened, &r->opened_taken, out);
    /* A connection that closed may have opened just before: first report all that opened. */
    put_rows(&pk, "closed", is_all_opened ? REPORT_PART_MAX : 0, &r->closed_count, &r->closed,
             &r->closed_taken, out);
    if (is_whole) {
        buf_clear(&r->opened);
        buf_clear(&r->closed);
        r->opened_taken = r->closed_taken = 0;
    }
    return is_whole;
}

void report_fini(struct report *r)
{
    buf_free(&r->opened);
    buf_free(&r->closed);
    *r = (struct report){0};
}
