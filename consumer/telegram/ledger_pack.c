/*
 * ledger_pack: the ledger as msgpack:
 * {"v","next_update","epoch","seq","alerts":[[…]],"answers":[[…]]}.
 */
#include "consumer/telegram/ledger.h"

#include <msgpack.h>
#include <stdlib.h>
#include <string.h>

#include "shared/wire/pack.h"
#include "shared/base/utf8.h"

/*
 * The fields that every version writes, and those of this version: readers skip fields that they do
 * not know.
 */
#define ALERT_FIELDS 12
#define ALERT_FIELDS_NOW 14
#define ANSWER_FIELDS 6
#define ANSWER_FIELDS_NOW 7

static void put_delivery(msgpack_packer *pk, const struct delivery *d)
{
    msgpack_pack_uint8(pk, d->attempts);
    if (d->is_sending)
        msgpack_pack_true(pk);
    else
        msgpack_pack_false(pk);
}

static void put_alert(msgpack_packer *pk, const struct alert *a)
{
    msgpack_pack_array(pk, ALERT_FIELDS_NOW);
    pack_text(pk, span_of(a->symbol));
    msgpack_pack_int64(pk, a->chat);
    msgpack_pack_uint32(pk, a->number);
    msgpack_pack_uint8(pk, (uint8_t)a->comparison);
    msgpack_pack_uint8(pk, a->is_spanish);
    msgpack_pack_uint8(pk, a->is_armed);
    pack_text(pk, span_of(a->threshold));
    pack_text(pk, span_of(a->pending));
    pack_text(pk, span_of(a->next));
    put_delivery(pk, &a->delivery);
    msgpack_pack_uint64(pk, a->seen);
    msgpack_pack_int64(pk, a->thread);
    msgpack_pack_uint8(pk, a->is_paused);
}

static void put_answer(msgpack_packer *pk, const struct ledger_answer *a)
{
    msgpack_pack_array(pk, ANSWER_FIELDS_NOW);
    msgpack_pack_uint64(pk, a->update);
    msgpack_pack_int64(pk, a->chat);
    msgpack_pack_uint8(pk, a->is_spanish);
    put_delivery(pk, &a->delivery);
    pack_text(pk, (struct span){a->text, a->len});
    msgpack_pack_int64(pk, a->thread);
}

void ledger_pack(const struct ledger *l, struct buf *out)
{
    msgpack_packer pk;

    msgpack_packer_init(&pk, out, buf_pack_write);
    msgpack_pack_map(&pk, 6);
    pack_kv_u(&pk, "v", LEDGER_VERSION);
    pack_kv_u(&pk, "next_update", l->next_update);
    pack_kv_u(&pk, "epoch", l->epoch);
    pack_kv_u(&pk, "seq", l->seq);
    pack_key(&pk, "alerts");
    msgpack_pack_array(&pk, l->alert_count);
    for (size_t i = 0; i < l->alert_count; i++)
        put_alert(&pk, &l->alerts[i]);
    pack_key(&pk, "answers");
    msgpack_pack_array(&pk, l->answer_count);
    for (size_t i = 0; i < l->answer_count; i++)
        put_answer(&pk, &l->answers[i]);
}

/* A cursor over an array's elements; `is_bad` remains set once an element has the wrong type. */
struct reading {
    struct span at;
    bool is_bad;
};

static uint64_t take_u(struct reading *r, uint64_t max)
{
    struct pack_value v;

    if (r->is_bad || !pack_next(&r->at, &v) || v.type != PACK_UINT || v.u > max) {
        r->is_bad = true;
        return 0;
    }
    return v.u;
}

static int64_t take_i(struct reading *r)
{
    struct pack_value v;

    if (!r->is_bad && pack_next(&r->at, &v)) {
        if (v.type == PACK_INT)
            return v.i;
        if (v.type == PACK_UINT && v.u <= INT64_MAX)
            return (int64_t)v.u;
    }
    r->is_bad = true;
    return 0;
}

static bool take_bool(struct reading *r)
{
    struct pack_value v;

    if (!r->is_bad && pack_next(&r->at, &v) && v.type == PACK_BOOL)
        return v.boolean;
    r->is_bad = true;
    return false;
}

static struct span take_text(struct reading *r, size_t max)
{
    struct pack_value v;

    if (!r->is_bad && pack_next(&r->at, &v) && v.type == PACK_STR && v.text.len <= max)
        return v.text;
    r->is_bad = true;
    return (struct span){"", 0};
}

static void take_decimal(struct reading *r, char out[QUOTE_DECIMAL_MAX + 1], bool may_be_empty)
{
    struct span text = take_text(r, QUOTE_DECIMAL_MAX);

    if (!(may_be_empty && !text.len) && !quote_is_decimal(text))
        r->is_bad = true;
    span_copy(out, QUOTE_DECIMAL_MAX + 1, text);
}

static struct delivery take_delivery(struct reading *r)
{
    struct delivery d;

    d.attempts = (uint8_t)take_u(r, DELIVERY_ATTEMPTS_MAX);
    d.is_sending = take_bool(r);
    return d;
}

/*
 * Takes the array at the cursor and returns its number of elements; later versions may have added
 * some.
 */
static uint32_t take_array(struct reading *r, uint32_t at_least)
{
    struct pack_value v;

    if (!r->is_bad && pack_next(&r->at, &v) && v.type == PACK_ARRAY && v.count >= at_least)
        return v.count;
    r->is_bad = true;
    return 0;
}

static void take_alert(struct ledger *l, struct reading *r)
{
    uint32_t fields = take_array(r, ALERT_FIELDS);
    struct alert a = {0}, *added;
    struct span symbol = take_text(r, QUOTE_SYMBOL_MAX);
    uint32_t number;

    span_copy(a.symbol, sizeof a.symbol, symbol);
    r->is_bad |= !quote_is_symbol(symbol);
    a.chat = take_i(r);
    number = (uint32_t)take_u(r, UINT32_MAX);
    a.comparison = (enum alert_comparison)take_u(r, ALERT_COMPARISONS - 1);
    a.is_spanish = take_u(r, 1);
    a.is_armed = take_u(r, 1);
    take_decimal(r, a.threshold, false);
    take_decimal(r, a.pending, true);
    take_decimal(r, a.next, true);
    a.delivery = take_delivery(r);
    a.seen = take_u(r, UINT64_MAX);
    if (fields >= ALERT_FIELDS_NOW) {
        a.thread = take_i(r);
        a.is_paused = take_u(r, 1);
        fields -= ALERT_FIELDS_NOW - ALERT_FIELDS;
    }
    for (; fields > ALERT_FIELDS && !r->is_bad; fields--)
        r->is_bad |= !pack_skip(&r->at);
    r->is_bad |= !number || ledger_find_alert(l, a.chat, number);
    if (r->is_bad || ledger_add_alert(l, &a, &added))
        r->is_bad = true;
    else
        added->number = number;
}

static void take_answer(struct ledger *l, struct reading *r)
{
    uint32_t fields = take_array(r, ANSWER_FIELDS);
    uint64_t update = take_u(r, UINT64_MAX);
    int64_t chat = take_i(r);
    bool is_spanish = take_u(r, 1);
    struct delivery d = take_delivery(r);
    struct span text = take_text(r, LEDGER_TEXT_MAX);
    int64_t thread = fields >= ANSWER_FIELDS_NOW ? take_i(r) : 0;

    fields -= fields >= ANSWER_FIELDS_NOW;
    for (; fields > ANSWER_FIELDS && !r->is_bad; fields--)
        r->is_bad |= !pack_skip(&r->at);
    r->is_bad |= ledger_find_answer(l, update) != NULL;
    if (r->is_bad || ledger_add_answer(l, update, chat, thread, is_spanish, text))
        r->is_bad = true;
    else
        l->answers[l->answer_count - 1].delivery = d;
}

static void take_each(struct ledger *l, struct span map, const char *key, bool *is_bad,
                      void (*take)(struct ledger *, struct reading *))
{
    struct reading r = {.is_bad = *is_bad};
    struct pack_value v;
    uint32_t count;

    if (!pack_find(map, key, &v, &r.at))
        r.is_bad = true;
    count = take_array(&r, 0);
    for (uint32_t i = 0; i < count && !r.is_bad; i++)
        take(l, &r);
    *is_bad = r.is_bad;
}

enum err ledger_unpack(struct ledger *l, struct span value)
{
    bool is_bad = pack_check(value) != OK;
    uint64_t version = is_bad ? 0 : pack_find_u(value, "v", 0);

    if (version > LEDGER_VERSION)
        return ERR_VERSION;
    is_bad |= version < 1;
    take_each(l, value, "alerts", &is_bad, take_alert);
    take_each(l, value, "answers", &is_bad, take_answer);
    if (is_bad) {
        ledger_fini(l);
        return ERR_MALFORMED;
    }
    l->next_update = pack_find_u(value, "next_update", 0);
    l->epoch = pack_find_u(value, "epoch", 0);
    l->seq = pack_find_u(value, "seq", 0);
    return OK;
}
