#include "consumer/lib/pregon_private.h"

#include <msgpack.h>
#include <stdlib.h>
#include <unistd.h>

#include "shared/base/clock.h"
#include "shared/base/mem.h"
#include "shared/wire/bus.h"
#include "shared/wire/pack.h"

struct request *pregon_request_begin(struct pregon *p, enum request_kind kind, const char *op,
                                     uint32_t members, struct buf *b, msgpack_packer *pk)
{
    struct request *r = mem_zalloc(sizeof *r);

    r->id = ++p->next_id;
    r->kind = kind;
    r->sent_at = clock_boot_ms();
    r->give_up_at = r->sent_at + ANSWER_MS;
    HASH_ADD(hh, p->requests, id, sizeof r->id, r);
    msgpack_packer_init(pk, b, buf_pack_write);
    msgpack_pack_map(pk, members + 2);
    pack_kv_text(pk, "op", span_of(op));
    pack_kv_u(pk, "id", r->id);
    return r;
}

bool pregon_request_send(struct pregon *p, struct buf *b)
{
    struct span frame = buf_span(b);
    bool is_sent = bus_send(p->control, &frame, 1) == OK;

    buf_free(b);
    return is_sent;
}

void pregon_wake(struct pregon *p)
{
    uint64_t one = 1;

    if (write(p->wake, &one, sizeof one) < 0)
        return; /* the eventfd's counter is full: the turn will come anyway */
}

void pregon_request_end(struct pregon *p, struct request *r)
{
    HASH_DEL(p->requests, r);
    free(r);
}
