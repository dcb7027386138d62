/*
 * core_produce: the op publish: quotes of a producer that is not a feeder.
 *
 * All accepted quotes of a request are entered into the ring as a whole or not at all, also when
 * the process is killed meanwhile, and have positions one after the other.  With a key, the answer
 * is kept (key_table.h): the request can be repeated after a lost answer.  A request holds its
 * feed's name for PUBLISH_TIMEOUT, as a feeder's line does for the time of its lease.  A request of
 * which no quote is accepted is granted no name; it only prolongs the time of one that it has.  The
 * names of feeders are never granted: their lines have numbers, which requests must not disturb.
 * Each quote makes its own symbol live; a request touches no other symbol, unless it ends the feed.
 *
 * One request has at most PUBLISH_QUOTES_MAX quotes, which is the work of a burst of lines; the
 * turn takes no further control message then.  Answers that wait for the store: CORE_UNSTORED_MAX
 * at most, each for CORE_UNSTORED_MS.
 */
#include <msgpack.h>
#include <stdlib.h>
#include <string.h>

#include "broker/core/core_private.h"
#include "broker/core/key_table.h"
#include "shared/base/hash.h"
#include "shared/base/log.h"
#include "shared/base/mem.h"
#include "shared/wire/pack.h"
#include "shared/wire/publish.h"
#include "shared/base/wait.h"

#define CORE_UNSTORED_MAX 256
#define CORE_UNSTORED_MS 1000
#define ROW_BYTES 160                    /* that the ring needs beyond a row's own, at most */
#define WHOLE_FACTOR 0x9E3779B97F4A7C15u /* odd: another `whole` is another hash */

/* An answer that waits until its quotes are stored. */
struct unstored {
    uint64_t id, last;
    int64_t until;
    struct buf peer, answer; /* the answer's members but `stored` */
};

struct core_producers {
    struct key_table *keys;
    struct unstored waiting[CORE_UNSTORED_MAX];
    size_t waiting_count;
};

void core_produce_init(struct core *d)
{
    d->producers = mem_zalloc(sizeof *d->producers);
    d->producers->keys = key_table_new((size_t)d->config->publish_keys);
}

void core_produce_restore(struct core *d, const struct wire_record *r)
{
    core_key_restore(d, d->producers->keys, r);
}

static void drop_unstored(struct core_producers *p, size_t i)
{
    buf_free(&p->waiting[i].peer);
    buf_free(&p->waiting[i].answer);
    p->waiting[i] = p->waiting[--p->waiting_count];
}

void core_produce_fini(struct core *d)
{
    struct core_producers *p = d->producers;

    while (p->waiting_count)
        drop_unstored(p, p->waiting_count - 1);
    key_table_free(p->keys);
    free(p);
    d->producers = NULL;
}

/* --- the request ------------------------------------------------------------------------- */

struct production {
    struct key_name name; /* key.len 0: the request has no key */
    struct span rows;     /* the cursor: at the first row */
    uint32_t count;
    uint64_t sent, hash;
    bool wants_stored, is_ended;
};

/* [symbol, body], or [symbol, reason, field] of a quote that the gateway has refused. */
struct row {
    struct span symbol, body;
    enum quote_refusal why;
    struct span field;
};

static bool take_row(struct span *c, struct row *out)
{
    struct pack_value head, symbol, v, field;

    if (!pack_next(c, &head) || head.type != PACK_ARRAY || head.count < 2 || head.count > 3 ||
        !pack_next(c, &symbol) || symbol.type != PACK_STR)
        return false;
    *out = (struct row){.symbol = symbol.text};
    if (head.count == 2) {
        out->body = *c;
        if (!pack_skip(c))
            return false;
        out->body.len -= c->len;
        return true;
    }
    if (!pack_next(c, &v) || v.type != PACK_STR || !quote_refusal_find(v.text, &out->why) ||
        !out->why || !pack_next(c, &field) || field.type != PACK_STR ||
        field.text.len > PUBLISH_FIELD_MAX)
        return false;
    out->field = field.text;
    return true;
}

/* Read the request. Returns NULL, or a text that states the error. */
static const char *read_request(const struct control_request *q, struct production *p)
{
    struct pack_value list, key;
    struct span rows, raw;
    struct row row;

    *p = (struct production){
        .name = {.feed = pack_find_text(q->map, "feed"), .part = pack_find_u(q->map, "part", 0)},
        .sent = pack_find_u(q->map, "sent", 0),
        .wants_stored = pack_find_bool(q->map, "stored", false),
        .is_ended = pack_find_bool(q->map, "ended", false),
    };
    if (pack_find(q->map, "key", &key, NULL)) {
        if (key.type != PACK_STR || !publish_is_key(key.text))
            return "key must be 1 to 128 visible ASCII characters";
        p->name.key = key.text;
    }
    if (!pack_find(q->map, "quotes", &list, &raw) || list.type != PACK_ARRAY ||
        list.count > PUBLISH_QUOTES_MAX)
        return "quotes must be an array of at most 256 rows";
    p->hash = hash_bytes(0, raw) + p->is_ended + pack_find_u(q->map, "whole", 0) * WHOLE_FACTOR;
    rows = raw;
    (void)pack_next(&rows, &list);
    p->rows = rows;
    p->count = list.count;
    for (uint32_t i = 0; i < list.count; i++)
        if (!take_row(&rows, &row))
            return "a row must be [symbol, fields], or [symbol, reason, field] if it is refused";
    return NULL;
}

/* --- the answer -------------------------------------------------------------------------- */

static void pack_answer(msgpack_packer *pk, struct buf *out, const struct key_answer *a,
                        bool is_repeated)
{
    pack_kv_u(pk, "epoch", a->epoch);
    pack_kv_u(pk, "count", a->count);
    pack_kv_u(pk, "first", a->first);
    pack_kv_bool(pk, "repeated", is_repeated);
    pack_key(pk, "refused");
    if (a->refused.len)
        buf_add(out, a->refused.at, a->refused.len);
    else
        msgpack_pack_array(pk, 0);
}
#define ANSWER_MEMBERS 5

static bool is_stored(const struct core *d, uint64_t last)
{
    return d->log.log_writer && journal_stored(d->log.journal) >= last;
}

static void send_answer(struct control_request *q, struct span members, bool is_stored_now)
{
    answer_begin(q, ANSWER_MEMBERS + 1);
    answer_add(q, members);
    pack_kv_bool(&q->pk, "stored", is_stored_now);
    answer_send(q);
}

static void answer(struct core *d, struct control_request *q, const struct production *p,
                   const struct key_answer *a, bool is_repeated)
{
    struct core_producers *all = d->producers;
    struct buf members = {0};
    msgpack_packer pk;

    msgpack_packer_init(&pk, &members, buf_pack_write);
    pack_answer(&pk, &members, a, is_repeated);
    if (p->wants_stored && d->log.log_writer && !is_stored(d, a->last) &&
        all->waiting_count < CORE_UNSTORED_MAX) {
        struct unstored *w = &all->waiting[all->waiting_count++];

        *w = (struct unstored){
            .id = q->id, .last = a->last, .until = d->time.now + CORE_UNSTORED_MS};
        buf_add(&w->peer, q->peer.at, q->peer.len);
        w->answer = members;
        return;
    }
    send_answer(q, buf_span(&members), is_stored(d, a->last));
    buf_free(&members);
}

int64_t core_produce_tick(struct core *d)
{
    struct core_producers *all = d->producers;
    int64_t wait = -1;

    for (size_t i = all->waiting_count; i-- > 0;) {
        struct unstored *w = &all->waiting[i];
        bool stored = is_stored(d, w->last);
        int64_t left = w->until - d->time.now;

        if (stored || left <= 0) {
            struct control_request q = {.answers = &d->answers,
                                        .peer = buf_span(&w->peer),
                                        .id = w->id,
                                        .op = SPAN("publish")};

            send_answer(&q, buf_span(&w->answer), stored);
            drop_unstored(all, i);
        } else {
            wait = wait_sooner(wait, left);
        }
    }
    return wait;
}

/* --- publishing -------------------------------------------------------------------------- */

/* Why the fields are refused, whatever the book has room for; QUOTE_ACCEPTED: they are not. */
static enum quote_refusal judge_row(const struct core *d, const struct row *row, bool *has_time)
{
    struct quote_rules rules = core_quote_rules(d, false);

    return row->why                        ? row->why
           : !quote_is_symbol(row->symbol) ? QUOTE_BAD_SYMBOL
                                           : quote_check_line(row->body, &rules, has_time);
}

/* Will one of the quotes be accepted, at least? */
static bool has_acceptable(const struct core *d, const struct production *p)
{
    bool has_room = book_has_room(d->log.book), has_time;
    struct span rows = p->rows;
    struct row row;

    for (uint32_t i = 0; i < p->count && take_row(&rows, &row); i++)
        if (!judge_row(d, &row, &has_time) && (has_room || book_find(d->log.book, row.symbol)))
            return true;
    return false;
}

/* The feed of the request, NULL if it needs none.  false: the request has been answered. */
static bool take_feed(struct core *d, struct control_request *q, const struct production *p,
                      struct feed **out)
{
    static const char full[] = "too many feeds are published by requests, or too many in all",
                      invalid[] = "feed must be 1 to 64 of A-Z a-z 0-9 . _ -";
    struct feed_hello h = {
        .name = p->name.feed,
        .owner = SPAN(CORE_PRODUCE_OWNER),
        .host = SPAN(CORE_PRODUCE_HOST),
        .peer = SPAN(""), /* requests come over the connections of gateways */
        .is_published = true,
        .lease_ms = d->config->publish_timeout,
    };
    enum err e = feed_table_judge(d->feeds, &h, out);
    bool is_new = false;

    if (e) {
        core_feed_refuse(d, q, e, *out, e == ERR_FULL ? full : invalid);
        return false;
    }
    if (!(*out && (*out)->is_held) && !has_acceptable(d, p)) {
        *out = NULL;
        return true;
    }
    *out = core_feed_grant(d, q, &h, full, invalid, &is_new);
    if (*out && is_new) {
        core_feed_log_grant(d, *out);
        (*out)->has_published = true;
        core_remember_feed(d, *out);
    }
    return *out != NULL;
}

/* Enter the quote as the next line.  Not QUOTE_ACCEPTED: it is refused; so are all without feed. */
static enum quote_refusal enter_row(struct core *d, struct feed *f, const struct production *p,
                                    struct row *row)
{
    struct wire_record r = {.kind = WIRE_QUOTE, .sent_us = p->sent, .body = row->body};
    struct book_entry *e = NULL;
    char topic[WIRE_TOPIC_MAX];
    struct span record;
    bool has_time = true;

    row->why = judge_row(d, row, &has_time);
    if (f && !row->why)
        e = book_add(d->log.book, row->symbol);
    if (!row->why && !e)
        row->why = QUOTE_BOOK_FULL;
    if (!f || row->why) {
        if (!row->field.len)
            row->field = span_of(quote_refusal_field(row->why));
        core_quote_refuse(d, f, p->name.feed, row->symbol, row->why);
        return row->why;
    }
    record = core_quote_pack(d, &r, has_time);
    core_quote_enter(d, e, f, &r, (struct span){topic, wire_topic(topic, row->symbol)}, record);
    return QUOTE_ACCEPTED;
}

/* Enter all rows into the ring together. The rows that are refused go into `refused`. */
static void enter_rows(struct core *d, struct feed *f, struct production *p, struct buf *refused)
{
    uint32_t refused_count = 0;
    struct buf rows = {0};
    msgpack_packer pk;

    msgpack_packer_init(&pk, &rows, buf_pack_write);
    for (uint32_t i = 0; i < p->count; i++) {
        struct row row;

        (void)take_row(&p->rows, &row);
        if (f)
            f->received++;
        if (!enter_row(d, f, p, &row))
            continue;
        refused_count++;
        msgpack_pack_array(&pk, 3);
        msgpack_pack_uint32(&pk, i);
        pack_text(&pk, span_of(quote_refusal_name(row.why)));
        pack_text(&pk, row.field);
    }
    msgpack_packer_init(&pk, refused, buf_pack_write);
    msgpack_pack_array(&pk, refused_count);
    buf_add(refused, rows.data, rows.len);
    buf_free(&rows);
}

/* Publish the entered quotes: they are in the ring, so a kill cannot lose them any more. */
static void publish_entered(struct core *d, uint64_t first, uint64_t last)
{
    struct journal_entry e;

    for (uint64_t seq = first; seq <= last; seq++)
        if (!journal_read(d->log.journal, seq, &e))
            d->out.publish(d->out.ctx, e.topic, e.record);
}

static void end_feed(struct core *d, struct feed *f)
{
    log_info("feed %s has ended after line %llu", f->name, (unsigned long long)f->received);
    feed_release(f);
    core_mark_feed(d, f, true);
    core_remember_feed(d, f);
}

/* Enter all rows, and the key with its answer, as one batch. */
static void enter(struct core *d, struct feed *f, struct production *p, struct buf *refused,
                  struct key_answer *a)
{
    uint64_t before = journal_head(d->log.journal), last;

    journal_begin_batch(d->log.journal);
    enter_rows(d, f, p, refused);
    last = journal_head(d->log.journal);
    a->first = last > before ? before + 1 : 0;
    a->refused = buf_span(refused);
    if (p->name.key.len && d->log.log_writer)
        core_key_enter(d, &p->name, a);
    journal_end_batch(d->log.journal);
    a->last = journal_head(d->log.journal);
    publish_entered(d, before + 1, last);
}

static void publish(struct core *d, struct control_request *q, struct production *p)
{
    struct key_answer a = {.hash = p->hash, .count = p->count, .epoch = d->log.epoch};
    struct buf refused = {0};
    struct feed *f = NULL;

    if (!take_feed(d, q, p, &f))
        return;
    enter(d, f, p, &refused, &a);
    if (f) {
        journal_feed(d->log.journal, f->index)->received = f->received;
        f->last_seq = a.last;
    }
    if (p->name.key.len)
        key_table_add(d->producers->keys, &p->name, &a, 0, d->time.awake);
    if (f && p->is_ended)
        end_feed(d, f);
    answer(d, q, p, &a, false);
    buf_free(&refused);
}

static void refuse_key(struct core *d, struct control_request *q)
{
    answer_begin(q, 3);
    pack_kv_text(&q->pk, "error", span_of(err_name(ERR_FULL)));
    pack_kv_text(&q->pk, "message", SPAN("as many keys are kept as PUBLISH_KEYS allows"));
    pack_kv_u(&q->pk, "retry_ms", (uint64_t)key_table_wait(d->producers->keys, d->time.awake));
    answer_send(q);
}

/* A batch takes at most half of the ring. */
static bool fits_ring(const struct core *d, const struct control_request *q,
                      const struct production *p)
{
    return q->map.len + (size_t)p->count * ROW_BYTES + 2 * JOURNAL_ENTRY_MAX <=
           journal_size(d->log.journal) / 2;
}

void core_on_publish(struct core *d, struct control_request *q)
{
    struct key_table *keys = d->producers->keys;
    const struct key_answer *kept = NULL;
    struct production p;
    const char *fault = read_request(q, &p);

    if (fault || !fits_ring(d, q, &p)) {
        answer_error(q, fault ? ERR_INVALID : ERR_TOO_LARGE,
                     fault ? fault
                           : "more than half of the ring (JOURNAL_BYTES): send less at once");
        return;
    }
    d->work -= (int64_t)p.count * CORE_WORK_ENTRY;
    if (p.name.key.len)
        kept = key_table_find(keys, &p.name, d->time.awake);
    if (kept && kept->hash != p.hash)
        answer_error(q, ERR_STALE, "this key was used for other quotes");
    else if (kept)
        answer(d, q, &p, kept, true);
    else if (p.name.key.len && !key_table_has_room(keys, d->time.awake))
        refuse_key(d, q);
    else
        publish(d, q, &p);
}
