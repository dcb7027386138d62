#include "broker/log/journal_load.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shared/base/mem.h"

static enum err check_size(size_t bytes, const char *path, char *error)
{
    if (bytes >= JOURNAL_BYTES_MIN && bytes <= SIZE_MAX / 4)
        return OK;
    journal_file_error(error, path ? path : "journal in memory",
                       "cannot have %zu bytes: %zu is the least it may have", bytes,
                       JOURNAL_BYTES_MIN);
    return ERR_INVALID;
}

enum err journal_open(const char *path, size_t bytes, struct journal **out,
                      char error[JOURNAL_ERROR_MAX])
{
    struct journal *j;
    enum err e = check_size(bytes, path, error);

    if (e)
        return e;
    j = mem_zalloc(sizeof *j);
    j->file.fd = -1;
    j->offset_cap = 1024;
    j->offsets = mem_alloc(j->offset_cap * sizeof *j->offsets);
    e = journal_file_open(&j->file, path, bytes, error);
    if (!e) {
        journal_attach(j);
        e = journal_load(j, path, error);
    }
    if (e) {
        journal_close(j, false);
        return e;
    }
    j->map->pid = (uint64_t)getpid();
    *out = j;
    return OK;
}

void journal_close(struct journal *j, bool is_clean)
{
    if (!j)
        return;
    if (is_clean && j->is_begun && !journal_file_sync(&j->file, true)) {
        set(&j->map->is_clean, 1);
        (void)!journal_file_sync(&j->file, false);
    }
    journal_file_close(&j->file);
    free(j->offsets);
    free(j);
}

const struct journal_identity *journal_identity(const struct journal *j)
{
    return &j->identity;
}

void journal_begin(struct journal *j, uint64_t epoch, uint64_t store_id, uint64_t next)
{
    struct journal_feed free_slot = {.received = 0};
    struct journal_layout *m = j->map;

    assert(next > 0);
    set(&m->is_begun, 0);
    m->version = JOURNAL_FILE_VERSION;
    journal_attach(j);
    free_slot.sum = journal_feed_sum(&free_slot);
    memset(m->boot, 0, sizeof m->boot);
    journal_file_boot(m->boot);
    m->epoch = epoch;
    m->store_id = store_id;
    m->begin_next = next;
    m->is_clean = m->tail = m->head = m->changing = 0;
    m->last = next - 1;
    m->stored = next - 1;
    for (size_t i = 0; i < JOURNAL_FEEDS; i++)
        if (memcmp(&m->feeds[i], &free_slot, sizeof free_slot) != 0)
            m->feeds[i] = free_slot;
    set(&m->is_begun, 1);
    /* If the power goes, it is to be found untrusted, not new; and if this fails, so be it. */
    (void)!journal_file_sync(&j->file, false);
    journal_forget_entries(j, next);
    j->identity.epoch = epoch;
    j->identity.store_id = store_id;
    j->identity.stored = next - 1;
    j->identity.next = next;
    j->identity.is_old = false;
    j->is_begun = true;
}

enum err journal_resize(struct journal *j, size_t bytes, char error[JOURNAL_ERROR_MAX])
{
    const char *path = j->file.path;
    enum err e = check_size(bytes, path, error);

    if (e)
        return e;
    if (!j->is_begun || journal_stored(j) != journal_head(j)) {
        journal_file_error(error, path ? path : "journal in memory",
                           "cannot change its size while something in it is not stored");
        return ERR_INVALID;
    }
    /*
     * Write the feeds before the copy: the new file is complete when it gets its name.  Format 1
     * has none.
     */
    for (size_t i = 0; i < JOURNAL_FEEDS; i++)
        j->map->feeds[i].sum = journal_feed_sum(&j->map->feeds[i]);
    e = journal_file_resize(&j->file, bytes, j->next, error);
    if (e)
        return e;
    journal_attach(j);
    journal_forget_entries(j, j->next);
    j->identity.is_old = false;
    return OK;
}

static void drop_oldest(struct journal *j)
{
    if (++j->first == j->next)
        j->tail = j->head; /* only if the newest is damaged */
    else
        j->tail = *journal_offset(j, j->first) & ~OFFSET_DAMAGED;
}

/* Make the entries up to j->head valid. */
static void commit(struct journal *j)
{
    j->map->last = j->next - 1; /* before the head: if killed between, positions too many */
    set(&j->map->head, j->head);
}

void journal_append(struct journal *j, uint32_t feed, uint64_t line, struct span topic,
                    struct span record)
{
    struct journal_layout *m = j->map;
    uint64_t need = journal_room(sizeof(struct entry), topic.len, record.len), at = j->head,
             place = at - j->round;
    bool is_round_over = place + need > j->size;
    struct entry *e;

    assert(j->is_begun && !j->identity.is_old && topic.len <= WIRE_TOPIC_MAX &&
           record.len <= WIRE_RECORD_MAX);
    assert(feed < JOURNAL_FEEDS || feed == JOURNAL_NO_FEED);
    if (is_round_over)
        at = j->round + j->size;
    if (j->tail + j->size < at + need) {
        /* This never drops all entries: see JOURNAL_BYTES_MIN. */
        do
            drop_oldest(j);
        while (j->tail + j->size < at + need);
        set(&m->tail, j->tail);
    }
    if (is_round_over) {
        if (place < j->size)
            *(uint64_t *)(void *)(m->ring + place) = 0;
        j->round = at;
        place = 0;
    }
    e = (struct entry *)(void *)(m->ring + place);
    *e = (struct entry){.seq = j->next,
                        .line = line,
                        .feed = feed,
                        .topic_len = (uint16_t)topic.len,
                        .record_len = (uint16_t)record.len};
    if (need > sizeof *e)
        memset((char *)e + need - 8, 0, 8);
    memcpy(e + 1, topic.at, topic.len);
    memcpy((char *)(e + 1) + topic.len, record.at, record.len);
    e->sum = journal_sum(e, need);
    journal_add_offset(j, at);
    j->head = at + need;
    if (!j->is_batch)
        commit(j);
}

void journal_begin_batch(struct journal *j)
{
    assert(!j->is_batch);
    j->is_batch = true;
    j->batch_at = j->head;
}

void journal_end_batch(struct journal *j)
{
    assert(j->is_batch && j->head - j->batch_at <= j->size / 2);
    j->is_batch = false;
    if (j->head != j->batch_at)
        commit(j);
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
    return (size_t)(j->head - j->tail);
}

size_t journal_size(const struct journal *j)
{
    return (size_t)j->map->ring_size;
}

uint64_t journal_stored(const struct journal *j)
{
    return get(&j->map->stored);
}

void journal_set_stored(struct journal *j, uint64_t seq)
{
    if (seq >= j->next)
        seq = j->next - 1;
    if (seq > journal_stored(j))
        set(&j->map->stored, seq);
}

struct journal_feed *journal_feed(struct journal *j, uint32_t index)
{
    assert(index < JOURNAL_FEEDS);
    return &j->map->feeds[index];
}

void journal_set_feed(struct journal *j, uint32_t index, const struct journal_feed *value)
{
    assert(index < JOURNAL_FEEDS);
    j->map->change = *value;
    j->map->change.since = j->next;
    j->map->change.sum = journal_feed_sum(&j->map->change);
    set(&j->map->changing, index + 1);
    journal_finish_change(j->map);
}
