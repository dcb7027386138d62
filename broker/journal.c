#include "broker/journal.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "shared/mem.h"

struct entry {
    size_t at;
    uint32_t topic_len, record_len;
};

/* Bytes [tail, head) are in use, around the end; a record never wraps. */
struct journal {
    char *bytes;
    size_t size, head, used;
    struct entry *entries; /* by position, modulo entry_cap (a power of two) */
    size_t entry_cap;
    uint64_t first, next; /* positions */
};

static struct entry *entry_of(const struct journal *j, uint64_t seq)
{
    return &j->entries[seq & (j->entry_cap - 1)];
}

static size_t length_of(const struct entry *e)
{
    return (size_t)e->topic_len + e->record_len;
}

struct journal *journal_new(size_t bytes)
{
    struct journal *j = mem_zalloc(sizeof *j);

    j->bytes = mem_alloc(bytes);
    j->size = bytes;
    j->entry_cap = 1024;
    j->entries = mem_zalloc(j->entry_cap * sizeof *j->entries);
    j->first = j->next = 1;
    return j;
}

void journal_free(struct journal *j)
{
    if (!j)
        return;
    free(j->bytes);
    free(j->entries);
    free(j);
}

static void drop_oldest(struct journal *j)
{
    j->used -= length_of(entry_of(j, j->first));
    j->first++;
}

/* Is [at, at+len) free?  Only the oldest records can be in the way. */
static bool is_in_the_way(const struct journal *j, size_t at, size_t len)
{
    const struct entry *e = entry_of(j, j->first);

    return j->first < j->next && e->at < at + len && at < e->at + length_of(e);
}

static void grow_entries(struct journal *j)
{
    size_t old_cap = j->entry_cap;
    struct entry *old = j->entries;

    j->entry_cap *= 2;
    j->entries = mem_zalloc(j->entry_cap * sizeof *j->entries);
    for (uint64_t seq = j->first; seq < j->next; seq++)
        *entry_of(j, seq) = old[seq & (old_cap - 1)];
    free(old);
}

void journal_append(struct journal *j, struct span topic, struct span record)
{
    size_t len = topic.len + record.len;
    struct entry *e;

    if (j->head + len > j->size) {
        /* Records between the head and the end are the oldest: they go first. */
        while (j->first < j->next && entry_of(j, j->first)->at >= j->head)
            drop_oldest(j);
        j->head = 0;
    }
    while (is_in_the_way(j, j->head, len))
        drop_oldest(j);
    if (j->next - j->first == j->entry_cap)
        grow_entries(j);
    e = entry_of(j, j->next++);
    *e = (struct entry){j->head, (uint32_t)topic.len, (uint32_t)record.len};
    memcpy(j->bytes + j->head, topic.at, topic.len);
    memcpy(j->bytes + j->head + topic.len, record.at, record.len);
    j->head += len;
    j->used += len;
}

uint64_t journal_head(const struct journal *j)
{
    return j->next - 1;
}

uint64_t journal_first(const struct journal *j)
{
    return j->first;
}

size_t journal_bytes(const struct journal *j)
{
    return j->used;
}

enum err journal_read(const struct journal *j, uint64_t seq, struct span *topic,
                      struct span *record)
{
    const struct entry *e = entry_of(j, seq);

    if (seq < j->first || seq >= j->next)
        return ERR_NOT_FOUND;
    *topic = (struct span){j->bytes + e->at, e->topic_len};
    *record = (struct span){j->bytes + e->at + e->topic_len, e->record_len};
    return OK;
}
