#include "shared/wire/replay.h"

#include <msgpack.h>

#include "shared/wire/pack.h"

void replay_put_hole(struct buf *out, uint64_t first, uint64_t last, struct span reason)
{
    msgpack_packer pk;

    msgpack_packer_init(&pk, out, buf_pack_write);
    msgpack_pack_map(&pk, 5);
    pack_kv_text(&pk, "feed", SPAN(""));
    pack_kv_u(&pk, "first", first);
    pack_kv_u(&pk, "last", last);
    pack_kv_u(&pk, "count", last - first + 1);
    pack_kv_text(&pk, "reason", reason);
}

/* The holes of an answer, each [first, last, reason], ascending. */
struct holes {
    struct span c;
    uint32_t left;
    uint64_t first, last; /* the next hole */
    struct span reason;
};

static void pass_hole(uint64_t first, uint64_t last, struct span reason, replay_record *each,
                      void *ctx)
{
    struct buf body = {0};
    struct wire_record r = {.kind = WIRE_LOST, .seq = last};

    replay_put_hole(&body, first, last, reason);
    r.body = buf_span(&body);
    each(ctx, SPAN(WIRE_TOPIC_LOST), &r);
    buf_free(&body);
}

static bool next_hole(struct holes *h)
{
    if (!h->left)
        return false;
    h->left--;
    if (!pack_next_array(&h->c, 3) || !pack_next_u(&h->c, &h->first) ||
        !pack_next_u(&h->c, &h->last) || !pack_next_text(&h->c, &h->reason) || h->first > h->last)
        h->left = 0;
    else
        return true;
    return false;
}

/* Passes on all holes that end before `seq`, and moves *after behind them. */
static void pass_holes(struct holes *h, bool *has_one, uint64_t *after, uint64_t seq,
                       replay_record *each, void *ctx)
{
    while (*has_one && h->last < seq) {
        if (h->last > *after) {
            pass_hole(h->first > *after ? h->first : *after + 1, h->last, h->reason, each, ctx);
            *after = h->last;
        }
        *has_one = next_hole(h);
    }
}

void replay_each(struct span answer, uint64_t after, replay_record *each, void *ctx)
{
    struct holes holes;
    struct span c, topic, record;
    struct wire_record r;
    uint64_t upto = pack_find_u(answer, "upto", 0);
    uint32_t count = pack_find_list(answer, "records", &c);
    bool has_hole;

    if (!c.at)
        return;
    holes.left = pack_find_list(answer, "gaps", &holes.c);
    has_hole = next_hole(&holes);
    for (uint32_t i = 0; i < count; i++) {
        if (!pack_next_array(&c, 2) || !pack_next_text(&c, &topic) || !pack_next_bin(&c, &record))
            break;
        if (wire_read_header(record, &r) || r.seq <= after)
            continue;
        if (!wire_topic_symbol(topic).len && r.kind != WIRE_LOST)
            continue;
        pass_holes(&holes, &has_hole, &after, r.seq, each, ctx);
        after = r.seq;
        /* A page of the store may be damaged where SQLite cannot detect it. */
        if (wire_read(record, &r, NULL) || pack_check(r.body))
            pass_hole(r.seq, r.seq, SPAN("damaged"), each, ctx);
        else
            each(ctx, topic, &r);
    }
    pass_holes(&holes, &has_hole, &after, upto + 1, each, ctx);
}
