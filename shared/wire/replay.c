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
    struct pack_value first, last, reason; /* the next hole */
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
    struct pack_value head;

    if (!h->left)
        return false;
    h->left--;
    if (!pack_next(&h->c, &head) || head.type != PACK_ARRAY || head.count != 3 ||
        !pack_next(&h->c, &h->first) || !pack_next(&h->c, &h->last) ||
        !pack_next(&h->c, &h->reason) || h->first.type != PACK_UINT || h->last.type != PACK_UINT ||
        h->reason.type != PACK_STR || h->first.u > h->last.u)
        h->left = 0;
    else
        return true;
    return false;
}

/* Passes on all holes that end before `seq`, and moves *after behind them. */
static void pass_holes(struct holes *h, bool *has_one, uint64_t *after, uint64_t seq,
                       replay_record *each, void *ctx)
{
    while (*has_one && h->last.u < seq) {
        if (h->last.u > *after) {
            pass_hole(h->first.u > *after ? h->first.u : *after + 1, h->last.u, h->reason.text,
                      each, ctx);
            *after = h->last.u;
        }
        *has_one = next_hole(h);
    }
}

void replay_each(struct span answer, uint64_t after, replay_record *each, void *ctx)
{
    struct pack_value list, pair, topic, record;
    struct holes holes = {.left = 0};
    struct wire_record r;
    struct span c;
    uint64_t upto = pack_find_u(answer, "upto", 0);
    bool has_hole;

    if (pack_find(answer, "gaps", &list, &holes.c) && list.type == PACK_ARRAY) {
        pack_next(&holes.c, &list);
        holes.left = list.count;
    }
    has_hole = next_hole(&holes);
    if (!pack_find(answer, "records", &list, &c) || list.type != PACK_ARRAY)
        return;
    pack_next(&c, &list);
    for (uint32_t i = 0; i < list.count; i++) {
        if (!pack_next(&c, &pair) || pair.type != PACK_ARRAY || pair.count != 2 ||
            !pack_next(&c, &topic) || !pack_next(&c, &record) || topic.type != PACK_STR ||
            record.type != PACK_BIN)
            break;
        if (wire_read_header(record.text, &r) || r.seq <= after)
            continue;
        if (!wire_topic_symbol(topic.text).len && r.kind != WIRE_LOST)
            continue;
        pass_holes(&holes, &has_hole, &after, r.seq, each, ctx);
        after = r.seq;
        /* A page of the store may be damaged where SQLite cannot detect it. */
        if (wire_read(record.text, &r, NULL) || pack_check(r.body))
            pass_hole(r.seq, r.seq, SPAN("damaged"), each, ctx);
        else
            each(ctx, topic.text, &r);
    }
    pass_holes(&holes, &has_hole, &after, upto + 1, each, ctx);
}
