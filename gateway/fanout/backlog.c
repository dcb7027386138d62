#include "gateway/fanout/backlog.h"

#include <stdlib.h>
#include <string.h>

#include "shared/base/array.h"
#include "shared/base/mem.h"

/* The low bits of the pointer to a due symbol hold the kind of message. */
#define TAG_MASK ((uintptr_t)3)
#define KEEP_CAP 16 /* capacity kept after a burst */

static struct hub_symbol *due_symbol(uintptr_t entry)
{
    return (struct hub_symbol *)(entry & ~TAG_MASK);
}

static enum symbol_message due_tag(uintptr_t entry)
{
    return (enum symbol_message)(entry & TAG_MASK);
}

/* The two bits of a symbol in the mask. */
enum due { DUE_NOT, DUE_ONCE, DUE_STATE, DUE_IN_FULL };

static uint64_t *mask_word(struct backlog *b, uint32_t index, unsigned *shift)
{
    uint32_t word = index / 32;

    ARRAY_RESERVE_ZEROED(b->mask, b->mask_words, (size_t)word + 1);
    *shift = index % 32 * 2;
    return &b->mask[word];
}

static enum due due_of(struct backlog *b, uint32_t index)
{
    unsigned shift;
    const uint64_t *word = mask_word(b, index, &shift);

    return (enum due)(*word >> shift & 3);
}

static void set_due(struct backlog *b, uint32_t index, enum due due)
{
    unsigned shift;
    uint64_t *word = mask_word(b, index, &shift);

    *word = (*word & ~((uint64_t)3 << shift)) | (uint64_t)due << shift;
}

static enum due first_due(enum symbol_message kind)
{
    return kind == MESSAGE_STATE ? DUE_STATE : DUE_ONCE;
}

/* One state message replaces several; a mix of quotes and states needs a snapshot. */
static enum due next_due(enum due due, enum symbol_message kind)
{
    if (due == DUE_STATE)
        return kind == MESSAGE_STATE ? DUE_STATE : DUE_IN_FULL;
    return kind == MESSAGE_QUOTE ? due : DUE_IN_FULL;
}

static void drop_mask(struct backlog *b)
{
    free(b->mask);
    b->mask = NULL;
    b->mask_words = 0;
}

static void make_mask(struct backlog *b)
{
    if (b->mask)
        return;
    for (uint32_t i = 0; i < b->due_count; i++) {
        uintptr_t entry = b->due[b->due_first + i];

        set_due(b, due_symbol(entry)->index, first_due(due_tag(entry)));
    }
}

static void drop_due(struct backlog *b)
{
    if (b->due != &b->one_due)
        free(b->due);
    b->due = NULL;
    b->due_cap = 0;
}

static void make_room(struct backlog *b)
{
    uint32_t cap = b->due_cap < 4 ? 4 : b->due_cap * 2;

    if (!b->due) {
        b->due = &b->one_due;
        b->due_cap = 1;
    } else if (b->due_first && b->due_first >= b->due_cap / 2) {
        memmove(b->due, b->due + b->due_first, b->due_count * sizeof *b->due);
        b->due_first = 0;
    } else if (b->due == &b->one_due) {
        b->due = mem_alloc(cap * sizeof *b->due);
        b->due[0] = b->one_due;
        b->due_cap = cap;
    } else {
        b->due = mem_resize(b->due, cap * sizeof *b->due);
        b->due_cap = cap;
    }
}

static void push_due(struct backlog *b, struct hub_symbol *symbol, enum symbol_message tag)
{
    if (b->due_first + b->due_count == b->due_cap)
        make_room(b);
    b->due[b->due_first + b->due_count++] = (uintptr_t)symbol | (uintptr_t)tag;
}

uint32_t backlog_mark(struct backlog *b, struct hub_symbol *s, enum symbol_message kind,
                      uint32_t updates, uint64_t round)
{
    if (b->marked_round == round && b->marked_index == s->index)
        return 0; /* a second pattern of the subscriber matches the symbol */
    if (b->marked_round != round)
        backlog_fall_behind(b); /* an earlier round's entries have not been sent */
    b->marked_round = round;
    b->marked_index = s->index;
    if (b->mask) {
        enum due due = due_of(b, s->index);

        if (due) {
            b->merged += updates;
            set_due(b, s->index, next_due(due, kind));
            return updates;
        }
        set_due(b, s->index, first_due(kind));
    }
    push_due(b, s, kind);
    if (updates <= 1)
        return 0;
    b->merged += updates - 1;
    return updates - 1;
}

void backlog_queue(struct backlog *b, struct frame *f, size_t limit)
{
    uint32_t mask = b->queue_cap - 1;

    if (b->has_overflowed)
        return;
    if (b->queue_count && b->queue[(b->queue_first + b->queue_count - 1) & mask] == f)
        return; /* a second pattern of the subscriber matches the record */
    if (b->queue_bytes + f->len > limit) {
        b->has_overflowed = true;
        return;
    }
    if (b->queue_count == b->queue_cap) {
        uint32_t cap = b->queue_cap ? b->queue_cap * 2 : KEEP_CAP;
        struct frame **queue = mem_alloc(cap * sizeof *queue);

        for (uint32_t i = 0; i < b->queue_count; i++)
            queue[i] = b->queue[(b->queue_first + i) & mask];
        free(b->queue);
        b->queue = queue;
        b->queue_cap = cap;
        b->queue_first = 0;
        mask = cap - 1;
    }
    b->queue[(b->queue_first + b->queue_count++) & mask] = frame_retain(f);
    b->queue_bytes += f->len;
}

void backlog_fall_behind(struct backlog *b)
{
    if (b->due_count)
        make_mask(b);
}

void backlog_suspect(struct backlog *b)
{
    b->is_dirty = !backlog_is_empty(b);
    b->verified = 0;
}

/* Removes the dropped entries.  Returns how many are kept. */
static uint32_t verify_queued(struct backlog *b, bool (*is_kept)(void *ctx, struct hub_symbol *s),
                              void *ctx, uint32_t count)
{
    uint32_t mask = b->queue_cap - 1, to = count;

    for (uint32_t i = count; i-- > 0;) {
        struct frame *f = b->queue[(b->queue_first + i) & mask];

        if (!f->symbol || is_kept(ctx, f->symbol)) {
            b->queue[(b->queue_first + --to) & mask] = f;
            continue;
        }
        b->queue_bytes -= f->len;
        frame_release(&f);
    }
    b->queue_first = (b->queue_first + to) & mask;
    b->queue_count -= to;
    return count - to;
}

static uint32_t verify_due(struct backlog *b, bool (*is_kept)(void *ctx, struct hub_symbol *s),
                           void *ctx, uint32_t count)
{
    uint32_t to = count;

    for (uint32_t i = count; i-- > 0;) {
        uintptr_t entry = b->due[b->due_first + i];

        if (is_kept(ctx, due_symbol(entry)))
            b->due[b->due_first + --to] = entry;
        else if (b->mask)
            set_due(b, due_symbol(entry)->index, DUE_NOT);
    }
    b->due_first += to;
    b->due_count -= to;
    return count - to;
}

void backlog_verify(struct backlog *b, bool (*is_kept)(void *ctx, struct hub_symbol *s), void *ctx,
                    uint32_t most)
{
    uint32_t queued = b->queue_count < most ? b->queue_count : most,
             due = b->due_count < most - queued ? b->due_count : most - queued;
    bool is_whole = queued == b->queue_count && due == b->due_count;

    b->verified = queued ? verify_queued(b, is_kept, ctx, queued) : 0;
    b->verified += due ? verify_due(b, is_kept, ctx, due) : 0;
    b->is_dirty = !is_whole;
    b->marked_round = 0; /* a dropped symbol may be marked again in this round */
    if (!b->due_count)
        drop_mask(b);
    else
        make_mask(b);
}

void backlog_fini(struct backlog *b)
{
    for (uint32_t i = 0; i < b->queue_count; i++)
        frame_release(&b->queue[(b->queue_first + i) & (b->queue_cap - 1)]);
    free(b->mask);
    drop_due(b);
    free(b->queue);
    *b = (struct backlog){.merged = b->merged, .quote_as = b->quote_as};
}

bool backlog_is_ascending(const struct backlog *b)
{
    for (uint32_t i = 0; i < b->queue_count; i++)
        if (b->queue[(b->queue_first + i) & (b->queue_cap - 1)]->seq <= b->sent_seq)
            return false;
    return true;
}

struct frame *backlog_peek_due(struct backlog *b, enum encoding encoding, uint32_t ahead)
{
    uintptr_t entry;
    struct hub_symbol *symbol;
    enum symbol_message kind;

    if (ahead >= b->due_count)
        return NULL;
    entry = b->due[b->due_first + ahead];
    symbol = due_symbol(entry);
    kind = due_tag(entry);
    if (b->mask && due_of(b, symbol->index) == DUE_IN_FULL)
        kind = MESSAGE_SNAPSHOT;
    /* The symbol's newest record may be of another kind than the record that marked it. */
    if (kind == MESSAGE_QUOTE)
        kind = symbol->last_is_state ? MESSAGE_SNAPSHOT : b->quote_as;
    return hub_symbol_frame(symbol, kind, encoding);
}

static void took_queued(struct backlog *b)
{
    struct frame **f = &b->queue[b->queue_first];

    b->queue_bytes -= (*f)->len;
    if ((*f)->seq > b->sent_seq)
        b->sent_seq = (*f)->seq;
    frame_release(f);
    b->queue_first = (b->queue_first + 1) & (b->queue_cap - 1);
    b->queue_count--;
}

static void took_due(struct backlog *b)
{
    struct hub_symbol *symbol = due_symbol(b->due[b->due_first++]);

    if (b->mask)
        set_due(b, symbol->index, DUE_NOT);
    b->due_count--;
}

void backlog_took(struct backlog *b, uint32_t count)
{
    if (b->is_dirty)
        b->verified -= count;
    for (; count; count--) {
        if (b->queue_count)
            took_queued(b);
        else
            took_due(b);
    }
    if (b->due_count) {
        make_mask(b);
        return;
    }
    b->due_first = 0;
    drop_mask(b);
    if (b->due_cap > KEEP_CAP)
        drop_due(b);
    if (!b->queue_count && b->queue_cap > KEEP_CAP) {
        free(b->queue);
        b->queue = NULL;
        b->queue_cap = 0;
    }
}
