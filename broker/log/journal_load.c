/* journal_load: finds the entries of a ring that an earlier broker left. */
#include <stdlib.h>

#include "broker/log/journal_load.h"

/* Is `seq` about the next position?  More than the ring can hold lie never between. */
static bool is_near(const struct journal *j, uint64_t seq, uint64_t next)
{
    return seq >= next && seq - next <= j->size / sizeof(struct entry);
}

/*
 * After a damaged entry, find the next offset below `end` with a complete entry of position `next`
 * or a near one (any position if `next` is 0).  Entries begin at multiples of 8, and a checksum
 * does not match by chance.  Returns `end` if there is none.
 */
static uint64_t find_entry(const struct journal *j, uint64_t offset, uint64_t end, uint64_t next)
{
    if (j->entry_size == ENTRY_SIZE_1)
        return end;
    for (; offset < end; offset += 8) {
        uint64_t seq = journal_entry_at(j, offset)->seq;

        if (j->size - offset % j->size < sizeof(struct entry))
            continue;
        if (seq && (next ? is_near(j, seq, next) : seq <= JOURNAL_POSITION_MAX) &&
            journal_is_entry(j, offset, end - offset, seq))
            return offset;
    }
    return end;
}

/* Positions up to below `next` would be at `offset`. */
static void add_damaged(struct journal *j, uint64_t next, uint64_t offset)
{
    while (j->next < next)
        journal_add_offset(j, offset | OFFSET_DAMAGED);
}

/* The offset of the entry of position j->next if the rest of the round is empty; else `offset`. */
static uint64_t skip_round(const struct journal *j, uint64_t offset)
{
    uint64_t next = offset + (j->size - offset % j->size);

    return offset > j->tail && !journal_entry_at(j, offset)->seq && next < j->head &&
                   journal_is_entry(j, next, j->head - next, j->next)
               ? next
               : offset;
}

/* Find the oldest entry.  If it is damaged, its position is unknown. */
static bool begin_scan(struct journal *j)
{
    const struct journal_layout *m = j->map;
    uint64_t seq = journal_entry_at(j, j->tail)->seq, stored = get(&m->stored), found;

    if (j->tail ? seq >= m->begin_next : seq == m->begin_next) {
        j->first = j->next = seq;
        if (seq <= JOURNAL_POSITION_MAX && journal_is_entry(j, j->tail, j->head - j->tail, seq))
            return true;
    }
    found = find_entry(j, j->tail, j->head, 0);
    if (found == j->head)
        return false;
    seq = journal_entry_at(j, found)->seq;
    if (seq < m->begin_next)
        return false;
    /* Positions that are stored need not be reported as damaged. */
    j->first = j->tail ? seq : m->begin_next;
    if (stored < seq && is_near(j, seq, stored + 1))
        j->first = stored + 1;
    else if (!is_near(j, seq, j->first))
        return false;
    j->next = j->first;
    return true;
}

/* Find all entries.  false: the content cannot come from this program. */
static bool scan(struct journal *j)
{
    const struct journal_layout *m = j->map;
    uint64_t tail = get(&m->tail), head = get(&m->head);
    bool is_empty = tail == head, is_old = j->entry_size == ENTRY_SIZE_1;
    uint64_t offset = tail, at;

    journal_forget_entries(j, m->begin_next);
    if (head < tail || head - tail > j->size || (head | tail) % 8 || !m->begin_next ||
        m->begin_next > JOURNAL_POSITION_MAX || (is_empty && head))
        return false;
    j->head = head;
    j->tail = tail;
    j->round = head - head % j->size;
    if (!is_empty && !begin_scan(j))
        return false;
    while (offset < head) {
        const struct entry *e;

        at = skip_round(j, offset);
        if (!journal_is_entry(j, at, head - at, j->next)) {
            at = find_entry(j, offset, head, j->next);
            if (at == head)
                break;
            add_damaged(j, journal_entry_at(j, at)->seq, offset);
        }
        e = journal_entry_at(j, at);
        journal_add_offset(j, at);
        offset = at + journal_room(j->entry_size, e->topic_len, e->record_len);
    }
    /* The newest are damaged: the file has their number besides. */
    if (offset < head && (is_old || !is_near(j, m->last, j->next)))
        return false;
    if (offset < head)
        add_damaged(j, m->last + 1, offset);
    return get(&m->stored) < j->next;
}

/* All but `received`, which has no checksum. */
static bool are_feeds_sane(const struct journal *j)
{
    const struct journal_layout *m = j->map;

    for (size_t i = 0; i < JOURNAL_FEEDS; i++)
        if (m->feeds[i].name[sizeof m->feeds[i].name - 1] ||
            m->feeds[i].owner[sizeof m->feeds[i].owner - 1] ||
            (j->entry_size != ENTRY_SIZE_1 && m->feeds[i].sum != journal_feed_sum(&m->feeds[i])))
            return false;
    return true;
}

/* Complete the slot that a killed broker was writing: it gets its old or its new value. */
static bool finish_change(struct journal *j)
{
    struct journal_layout *m = j->map;
    uint64_t changing = get(&m->changing);

    if (changing > JOURNAL_FEEDS || (changing && j->entry_size != ENTRY_SIZE_1 &&
                                     m->change.sum != journal_feed_sum(&m->change)))
        return false;
    journal_finish_change(m);
    return true;
}

/* We may have been killed between an append and the caller's note of the line. */
static void raise_received(struct journal *j)
{
    struct journal_entry e;

    for (uint64_t seq = j->first; seq < j->next; seq++) {
        struct journal_feed *f;

        if (journal_read(j, seq, &e) || e.feed == JOURNAL_NO_FEED)
            continue;
        f = &j->map->feeds[e.feed];
        if (seq >= f->since && e.line > f->received)
            f->received = e.line;
    }
}

/* A position above every position that the ring still has; 1: it has none. */
static uint64_t next_of_damaged(const struct journal *j)
{
    uint64_t highest = 0;

    for (uint64_t at = 0; at < j->size; at += 8) {
        at = find_entry(j, at, j->size - j->size % 8, 0);
        if (at < j->size && journal_entry_at(j, at)->seq > highest)
            highest = journal_entry_at(j, at)->seq;
    }
    return highest && is_near(j, j->map->last, highest) ? j->map->last + 1 : highest + 1;
}

enum err journal_load(struct journal *j, const char *path, char error[JOURNAL_ERROR_MAX])
{
    struct journal_layout *m = j->map;
    struct journal_identity *id = &j->identity;
    char boot[JOURNAL_FILE_BOOT_MAX] = "";
    bool is_sane, is_trusted;

    *id = (struct journal_identity){
        .next = 1, .is_new = true, .is_clean = true, .is_same_boot = true};
    journal_forget_entries(j, 1);
    if (!get(&m->is_begun))
        return OK;
    journal_file_boot(boot);
    id->is_new = false;
    id->is_clean = get(&m->is_clean);
    id->is_same_boot = boot[0] && memcmp(boot, m->boot, strlen(boot) + 1) == 0;
    id->is_old = j->entry_size == ENTRY_SIZE_1;
    is_trusted = id->is_clean || id->is_same_boot;
    is_sane = scan(j);
    if (is_trusted && is_sane) {
        /*
         * Sync this before any other change: otherwise a power failure could leave a changed file
         * marked clean.
         */
        memcpy(m->boot, boot, sizeof m->boot);
        set(&m->is_clean, 0);
        if (journal_file_sync(&j->file, false)) {
            journal_file_error(error, path, "cannot be written: look at its disk");
            return ERR_SYS;
        }
    }
    is_sane = is_sane && finish_change(j) && are_feeds_sane(j);
    if (is_sane)
        raise_received(j);
    else
        journal_forget_entries(j, next_of_damaged(j));
    id->is_damaged = !is_sane;
    id->epoch = m->epoch;
    id->store_id = m->store_id;
    id->stored = get(&m->stored);
    id->next = j->next;
    j->is_begun = is_trusted && is_sane;
    return OK;
}
