/* core_snapshot: last values of the symbols that match, in slices (docs/protocol/wire.md). */
#include <msgpack.h>
#include <stdlib.h>

#include "broker/core/core_private.h"
#include "shared/base/mem.h"
#include "shared/wire/pack.h"

/*
 * First mark the matching symbols, pattern by pattern; then pack them in the order of the book.
 * Symbols that appear in the meantime are left out: `seq` is older than they are.
 */
struct snapshot {
    struct patterns patterns;
    uint64_t seq;   /* head of the log as the request was begun */
    uint64_t limit; /* entries */
    size_t total;   /* symbols of the book at that time */
    size_t next;    /* index in the book of the next that may be packed */
    size_t marked;  /* patterns that are done */
    bool is_walking;
    struct prefix_walk walk;
    uint64_t *marks;  /* a bit for each index; NULL: all match */
    uint32_t renamed; /* book_renamed at that time */
    struct buf rows, removed;
    size_t count, removed_count;
};

static bool start(const struct core_log *log, struct control_request *q, void *state)
{
    struct snapshot *s = state;
    uint64_t from = pack_find_u(q->map, "from", 0);

    if (!core_read_patterns(q, &s->patterns))
        return false;
    s->limit = pack_find_u(q->map, "limit", CORE_PAGE_ENTRIES);
    if (s->limit > CORE_PAGE_ENTRIES)
        s->limit = CORE_PAGE_ENTRIES;
    s->seq = journal_head(log->journal);
    s->total = book_count(log->book);
    s->renamed = book_renamed(log->book);
    s->next = from < s->total ? (size_t)from : s->total;
    if (patterns_match_all(&s->patterns))
        s->marked = s->patterns.count;
    else
        s->marks = mem_zalloc((s->total / 64 + 1) * sizeof *s->marks);
    return true;
}

static void mark(struct snapshot *s, const struct book_entry *e)
{
    if (e->index < s->total)
        s->marks[e->index / 64] |= UINT64_C(1) << e->index % 64;
}

/* Mark the symbols that the next pattern matches, as far as *work allows. */
static void mark_some(const struct core_log *log, struct snapshot *s, int64_t *work)
{
    const struct pattern *p = &s->patterns.list[s->marked];
    struct span text = {p->text, p->len};
    const struct book_entry *e;

    --*work;
    if (!p->is_prefix) {
        e = book_find(log->book, text);
        if (e)
            mark(s, e);
        s->marked++;
        return;
    }
    if (!s->is_walking)
        s->walk = book_walk(log->book, text);
    s->is_walking = true;
    while (*work > 0 && (e = prefix_walk_next(&s->walk))) {
        mark(s, e);
        --*work;
    }
    if (*work > 0) {
        s->is_walking = false;
        s->marked++;
    }
}

/* Go to the next index that is marked, or to the end. */
static void skip_unmarked(struct snapshot *s, int64_t *work)
{
    while (s->marks && s->next < s->total) {
        uint64_t rest = s->marks[s->next / 64] >> s->next % 64;

        if (rest) {
            s->next += (size_t)__builtin_ctzll(rest);
            return;
        }
        s->next += 64 - s->next % 64;
        --*work;
    }
    if (s->next > s->total)
        s->next = s->total;
}

static void pack_entry(struct snapshot *s, const struct book_entry *e)
{
    msgpack_packer pk;

    msgpack_packer_init(&pk, &s->rows, buf_pack_write);
    msgpack_pack_array(&pk, 4);
    pack_text(&pk, (struct span){e->symbol, e->symbol_len});
    msgpack_pack_uint64(&pk, e->seq);
    pack_text(&pk, e->is_stale ? SPAN("stale") : SPAN("live"));
    msgpack_pack_bin_with_body(&pk, e->record.data, e->record.len);
    s->count++;
}

static void pack_removed(struct snapshot *s, const struct book_entry *e)
{
    msgpack_packer pk;

    msgpack_packer_init(&pk, &s->removed, buf_pack_write);
    msgpack_pack_array(&pk, 2);
    pack_text(&pk, (struct span){e->symbol, e->symbol_len});
    msgpack_pack_uint64(&pk, e->seq);
    s->removed_count++;
}

static void answer(const struct core_log *log, struct control_request *q, const struct snapshot *s)
{
    bool has_more = s->next < s->total;

    answer_begin(q, 4u + has_more + (s->removed_count > 0));
    pack_kv_u(&q->pk, "epoch", log->epoch);
    pack_kv_u(&q->pk, "seq", s->seq);
    pack_kv_u(&q->pk, "symbols", book_known(log->book));
    if (has_more)
        pack_kv_u(&q->pk, "next", s->next);
    if (s->removed_count) {
        pack_key(&q->pk, "removed");
        msgpack_pack_array(&q->pk, s->removed_count);
        answer_add(q, buf_span(&s->removed));
    }
    pack_key(&q->pk, "quotes");
    msgpack_pack_array(&q->pk, s->count);
    answer_add(q, buf_span(&s->rows));
    answer_send(q);
}

static bool step(const struct core_log *log, struct control_request *q, void *state, int64_t *work)
{
    struct snapshot *s = state;

    while (*work > 0 && s->marked < s->patterns.count)
        mark_some(log, s, work);
    while (*work > 0) {
        const struct book_entry *e;

        skip_unmarked(s, work);
        if (s->next == s->total || s->count + s->removed_count >= s->limit ||
            s->rows.len >= CORE_PAGE_BYTES) {
            answer(log, q, s);
            return true;
        }
        e = book_at(log->book, s->next++);
        --*work;
        if (e->renamed > s->renamed || (!e->record.len && !e->is_removed))
            continue;
        if (e->is_removed)
            pack_removed(s, e);
        else
            pack_entry(s, e);
        *work -= CORE_WORK_ENTRY;
    }
    return false;
}

static void end(void *state)
{
    struct snapshot *s = state;

    free(s->marks);
    buf_free(&s->rows);
    buf_free(&s->removed);
}

const struct core_slices core_snapshot_slices = {
    .size = sizeof(struct snapshot),
    .start = start,
    .step = step,
    .end = end,
};
