#include "gateway/fanout/window.h"

#include <stdlib.h>
#include <string.h>

#include "gateway/fanout/encode.h"
#include "shared/base/mem.h"

struct window_frames {
    struct frame *plain[ENCODING_COUNT], *traced[ENCODING_COUNT];
};

struct window {
    size_t limit, bytes;
    uint64_t epoch, floor;
    struct window_record *records; /* a ring buffer */
    size_t first, count, cap;      /* cap: a power of two */
};

static struct window_record *at(const struct window *w, size_t index)
{
    return &w->records[(w->first + index) & (w->cap - 1)];
}

struct window *window_new(size_t bytes)
{
    struct window *w = mem_zalloc(sizeof *w);

    w->limit = bytes;
    return w;
}

static size_t size_of(const struct window_record *r)
{
    size_t size = sizeof *r + r->body_len;

    if (!r->frames)
        return size;
    for (int e = 0; e < ENCODING_COUNT; e++)
        size += (r->frames->plain[e] ? r->frames->plain[e]->len : 0) +
                (r->frames->traced[e] ? r->frames->traced[e]->len : 0);
    return size + sizeof *r->frames;
}

static void free_frames(struct window_frames *frames)
{
    if (!frames)
        return;
    for (int e = 0; e < ENCODING_COUNT; e++) {
        frame_release(&frames->plain[e]);
        frame_release(&frames->traced[e]);
    }
    free(frames);
}

void window_set_epoch(struct window *w, uint64_t epoch)
{
    w->epoch = epoch;
}

static void drop_oldest(struct window *w)
{
    struct window_record *r = at(w, 0);

    w->bytes -= size_of(r);
    w->floor = r->seq;
    free(r->body);
    if (r->symbol)
        r->symbol->references--;
    free_frames(r->frames);
    w->first = (w->first + 1) & (w->cap - 1);
    w->count--;
}

void window_clear(struct window *w, uint64_t floor)
{
    while (w->count)
        drop_oldest(w);
    w->floor = floor;
}

void window_free(struct window *w)
{
    if (!w)
        return;
    window_clear(w, 0);
    free(w->records);
    free(w);
}

static void grow(struct window *w)
{
    size_t cap = w->cap ? w->cap * 2 : 64;
    struct window_record *records = mem_alloc(cap * sizeof *records);

    for (size_t i = 0; i < w->count; i++)
        records[i] = *at(w, i);
    free(w->records);
    w->records = records;
    w->cap = cap;
    w->first = 0;
}

static void trim(struct window *w)
{
    while (w->limit && w->bytes > w->limit && w->count > 1)
        drop_oldest(w);
}

void window_add(struct window *w, const struct window_record *r)
{
    struct window_record *mine;

    if (w->count && r->seq <= at(w, w->count - 1)->seq) {
        window_clear(w, at(w, w->count - 1)->seq);
        return;
    }
    if (w->count == w->cap)
        grow(w);
    mine = at(w, w->count++);
    *mine = *r;
    if (mine->symbol)
        mine->symbol->references++;
    mine->body = mem_alloc(r->body_len + 1);
    memcpy(mine->body, r->body, r->body_len);
    mine->frames = NULL;
    w->bytes += size_of(mine);
    trim(w);
}

uint64_t window_floor(const struct window *w)
{
    return w->floor;
}

size_t window_count(const struct window *w)
{
    return w->count;
}

size_t window_after(const struct window *w, uint64_t seq)
{
    size_t low = 0, high = w->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (at(w, middle)->seq > seq)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

const struct window_record *window_at(const struct window *w, size_t index)
{
    return at(w, index);
}

struct frame *window_frame(struct window *w, size_t index, enum encoding encoding,
                           enum symbol_message quote_as)
{
    struct window_record *r = at(w, index);
    struct span body = {r->body, r->body_len};
    enum symbol_message kind = r->symbol && r->kind == MESSAGE_QUOTE ? quote_as : r->kind;
    struct frame **f;

    if (!r->frames) {
        r->frames = mem_zalloc(sizeof *r->frames);
        w->bytes += sizeof *r->frames;
    }
    f = kind == MESSAGE_TRACED ? &r->frames->traced[encoding] : &r->frames->plain[encoding];
    if (*f)
        return *f;
    if (r->symbol) {
        struct encode_record record = {
            .name = {r->symbol->name, r->symbol->name_len},
            .epoch = w->epoch,
            .seq = r->seq,
            .prev = r->prev,
            .sent_us = r->sent_us,
            .accepted_us = r->accepted_us,
            .received_us = r->received_us,
            .state = r->state,
            .body = body,
        };

        *f = encode_record(&record, kind, encoding);
        (*f)->symbol = r->symbol;
    } else {
        *f = encode_lost(w->epoch, r->seq, body, encoding);
    }
    w->bytes += (*f)->len;
    return *f;
}
