#include "broker/log/journal_ring.h"

#include <stdlib.h>
#include <string.h>

#include "shared/base/mem.h"

static void grow_offsets(struct journal *j)
{
    size_t old_cap = j->offset_cap;
    uint64_t *old = j->offsets;

    j->offset_cap *= 2;
    j->offsets = mem_alloc(j->offset_cap * sizeof *j->offsets);
    for (uint64_t seq = j->first; seq < j->next; seq++)
        *journal_offset(j, seq) = old[seq & (old_cap - 1)];
    free(old);
}

void journal_add_offset(struct journal *j, uint64_t offset)
{
    if (j->next - j->first == j->offset_cap)
        grow_offsets(j);
    *journal_offset(j, j->next++) = offset;
}

void journal_forget_entries(struct journal *j, uint64_t next)
{
    j->tail = j->head = j->round = 0;
    j->first = j->next = next;
}

bool journal_is_entry(const struct journal *j, uint64_t offset, uint64_t left, uint64_t seq)
{
    uint64_t to_end = j->size - offset % j->size, room;
    const struct entry *e = journal_entry_at(j, offset);

    if (left > to_end)
        left = to_end;
    if (left < j->entry_size || e->seq != seq || e->topic_len > WIRE_TOPIC_MAX ||
        e->record_len > WIRE_RECORD_MAX || (e->feed >= JOURNAL_FEEDS && e->feed != JOURNAL_NO_FEED))
        return false;
    room = journal_room(j->entry_size, e->topic_len, e->record_len);
    return room <= left && (j->entry_size == ENTRY_SIZE_1 || e->sum == journal_sum(e, room));
}

_Static_assert(offsetof(struct journal_feed, sum) == 132 && sizeof(struct journal_feed) == 160,
               "a slot has no padding");

uint32_t journal_feed_sum(const struct journal_feed *f)
{
    struct journal_feed stable = {.has_left = f->has_left, .epoch = f->epoch, .since = f->since};
    uint64_t h;

    memcpy(stable.name, f->name, sizeof stable.name);
    memcpy(stable.owner, f->owner, sizeof stable.owner);
    h = hash_words(1, &stable, sizeof stable);
    return (uint32_t)(h ^ h >> 32);
}

void journal_finish_change(struct journal_layout *m)
{
    uint64_t changing = get(&m->changing);

    if (!changing)
        return;
    m->feeds[changing - 1] = m->change;
    set(&m->changing, 0);
}

void journal_attach(struct journal *j)
{
    j->map = j->file.map;
    j->size = j->map->ring_size & ~(uint64_t)7;
    j->entry_size = j->map->version == 1 ? ENTRY_SIZE_1 : sizeof(struct entry);
}

enum err journal_read(const struct journal *j, uint64_t seq, struct journal_entry *out)
{
    uint64_t at, end;
    const struct entry *e;
    const char *bytes;

    if (seq < j->first || seq >= j->next)
        return ERR_NOT_FOUND;
    at = *journal_offset(j, seq);
    end = seq + 1 < j->next ? *journal_offset(j, seq + 1) & ~OFFSET_DAMAGED : j->head;
    if (at & OFFSET_DAMAGED || !journal_is_entry(j, at, end - at, seq))
        return ERR_MALFORMED;
    e = journal_entry_at(j, at);
    bytes = (const char *)e + j->entry_size;
    *out = (struct journal_entry){
        seq, e->feed, e->line, {bytes, e->topic_len}, {bytes + e->topic_len, e->record_len}};
    return OK;
}
