#include "broker/journal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "broker/journal_file.h"
#include "shared/mem.h"

/*
 * An entry in the ring, at a multiple of 8, its topic and record right behind it.  It never wraps:
 * where one no longer fits, a seq of 0 says that the rest of the round is empty.
 */
struct entry {
    uint64_t seq, line;
    uint32_t feed;
    uint16_t topic_len, record_len;
};

_Static_assert(sizeof(struct entry) == 24, "the layout has a version");
_Static_assert(WIRE_TOPIC_MAX <= UINT16_MAX && WIRE_RECORD_MAX <= UINT16_MAX,
               "the lengths fit");

/*
 * Offsets only grow, as in the file; the place in the ring is the remainder.  The file's
 * tail and head are the truth, what is here follows them.
 */
struct journal {
    struct journal_file file;
    struct journal_layout *map;
    struct journal_identity identity;
    uint64_t size;  /* the ring's, down to a multiple of 8 */
    uint64_t round; /* offset of the ring's first byte in the head's round */
    uint64_t tail, head;
    uint64_t *offsets; /* by position, modulo offset_cap (a power of two) */
    size_t offset_cap;
    uint64_t first, next; /* positions */
    bool is_begun;        /* we may append */
};

/*
 * A killed process has done all instructions before some point of its one thread and none after.  So
 * only the compiler could bring our stores out of order.
 */
static inline void keep_order(void)
{
    atomic_signal_fence(memory_order_seq_cst);
}

static inline void set(_Atomic uint64_t *word, uint64_t value)
{
    keep_order();
    atomic_store_explicit(word, value, memory_order_release);
    keep_order();
}

static inline uint64_t get(const _Atomic uint64_t *word)
{
    return atomic_load_explicit(word, memory_order_acquire);
}

static uint64_t room_for(uint64_t topic_len, uint64_t record_len)
{
    return (sizeof(struct entry) + topic_len + record_len + 7) & ~(uint64_t)7;
}

static uint64_t *offset_of(const struct journal *j, uint64_t seq)
{
    return &j->offsets[seq & (j->offset_cap - 1)];
}

static struct entry *entry_at(const struct journal *j, uint64_t offset)
{
    return (struct entry *)(void *)(j->map->ring + offset % j->size);
}

static void grow_offsets(struct journal *j)
{
    size_t old_cap = j->offset_cap;
    uint64_t *old = j->offsets;

    j->offset_cap *= 2;
    j->offsets = mem_alloc(j->offset_cap * sizeof *j->offsets);
    for (uint64_t seq = j->first; seq < j->next; seq++)
        *offset_of(j, seq) = old[seq & (old_cap - 1)];
    free(old);
}

static void add_offset(struct journal *j, uint64_t offset)
{
    if (j->next - j->first == j->offset_cap)
        grow_offsets(j);
    *offset_of(j, j->next++) = offset;
}

static void forget_entries(struct journal *j, uint64_t next)
{
    j->tail = j->head = j->round = 0;
    j->first = j->next = next;
}

/* Is there an entry at `offset`, in one piece and of the position that comes next? */
static bool is_entry(const struct journal *j, uint64_t offset)
{
    uint64_t left = j->head - offset, to_end = j->size - offset % j->size;
    const struct entry *e = entry_at(j, offset);

    if (left > to_end)
        left = to_end;
    return left >= sizeof *e && e->seq == j->next &&
           room_for(e->topic_len, e->record_len) <= left &&
           e->topic_len <= WIRE_TOPIC_MAX && e->record_len <= WIRE_RECORD_MAX &&
           (e->feed < JOURNAL_FEEDS || e->feed == JOURNAL_NO_FEED);
}

/* Find the entries again.  false: what is there cannot be of our making. */
static bool scan(struct journal *j)
{
    const struct journal_layout *m = j->map;
    uint64_t tail = get(&m->tail), head = get(&m->head);
    bool is_empty = tail == head;

    forget_entries(j, m->begin_next);
    if (head < tail || head - tail > j->size || (head | tail) % 8 || !m->begin_next ||
        (is_empty && head))
        return false;
    j->head = head;
    j->tail = tail;
    j->round = head - head % j->size;
    if (!is_empty) {
        j->first = j->next = entry_at(j, tail)->seq;
        if (j->first < m->begin_next || (!tail && j->first != m->begin_next))
            return false;
    }
    for (uint64_t offset = tail; offset < head;) {
        const struct entry *e = entry_at(j, offset);

        if (!e->seq && offset > tail) {
            offset += j->size - offset % j->size;
            if (offset >= head)
                return false;
        }
        if (!is_entry(j, offset))
            return false;
        e = entry_at(j, offset);
        add_offset(j, offset);
        offset += room_for(e->topic_len, e->record_len);
    }
    return get(&m->stored) < j->next;
}

static bool are_feeds_sane(const struct journal_layout *m)
{
    for (size_t i = 0; i < JOURNAL_FEEDS; i++)
        if (m->feeds[i].name[sizeof m->feeds[i].name - 1] ||
            m->feeds[i].owner[sizeof m->feeds[i].owner - 1])
            return false;
    return get(&m->changing) <= JOURNAL_FEEDS;
}

static void finish_change(struct journal_layout *m)
{
    uint64_t changing = get(&m->changing);

    if (!changing)
        return;
    m->feeds[changing - 1] = m->change;
    set(&m->changing, 0);
}

/* We may have been killed between an append and the caller's note of the line. */
static void raise_received(struct journal *j)
{
    for (uint64_t seq = j->first; seq < j->next; seq++) {
        const struct entry *e = entry_at(j, *offset_of(j, seq));
        struct journal_feed *f;

        if (e->feed == JOURNAL_NO_FEED)
            continue;
        f = &j->map->feeds[e->feed];
        if (seq >= f->since && e->line > f->received)
            f->received = e->line;
    }
}

static void attach(struct journal *j)
{
    j->map = j->file.map;
    j->size = j->map->ring_size & ~(uint64_t)7;
}

static enum err load(struct journal *j, const char *path, char *error)
{
    struct journal_layout *m = j->map;
    struct journal_identity *id = &j->identity;
    char boot[JOURNAL_FILE_BOOT_MAX] = "";
    bool is_sane, is_trusted;

    *id = (struct journal_identity){
        .next = 1, .is_new = true, .is_clean = true, .is_same_boot = true};
    forget_entries(j, 1);
    if (!get(&m->is_begun))
        return OK;
    journal_file_boot(boot);
    id->is_new = false;
    id->is_clean = get(&m->is_clean);
    id->is_same_boot = boot[0] && memcmp(boot, m->boot, strlen(boot) + 1) == 0;
    is_trusted = id->is_clean || id->is_same_boot;
    is_sane = are_feeds_sane(m) && scan(j);
    if (!is_sane && is_trusted) {
        journal_file_say(error, path,
                         "is damaged: its entries make no sense; move it away and lose "
                         "what is not stored");
        return ERR_MALFORMED;
    }
    if (is_trusted) {
        /* On disk before anything else changes, or the power could go and leave it clean. */
        memcpy(m->boot, boot, sizeof m->boot);
        set(&m->is_clean, 0);
        if (journal_file_sync(&j->file, false)) {
            journal_file_say(error, path, "cannot be written: look at its disk");
            return ERR_SYS;
        }
    }
    if (is_sane) {
        finish_change(m);
        raise_received(j);
    } else {
        forget_entries(j, get(&m->stored) + 1);
    }
    id->is_damaged = !is_sane;
    id->epoch = m->epoch;
    id->store_id = m->store_id;
    id->stored = get(&m->stored);
    id->next = j->next;
    j->is_begun = is_trusted;
    return OK;
}

static enum err check_size(size_t bytes, const char *path, char *error)
{
    if (bytes >= JOURNAL_BYTES_MIN && bytes <= SIZE_MAX / 4)
        return OK;
    journal_file_say(error, path ? path : "journal in memory",
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
        attach(j);
        e = load(j, path, error);
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
    static const struct journal_feed free_slot;
    struct journal_layout *m = j->map;

    assert(next > 0);
    set(&m->is_begun, 0);
    memset(m->boot, 0, sizeof m->boot);
    journal_file_boot(m->boot);
    m->epoch = epoch;
    m->store_id = store_id;
    m->begin_next = next;
    m->is_clean = m->tail = m->head = m->changing = 0;
    m->stored = next - 1;
    for (size_t i = 0; i < JOURNAL_FEEDS; i++)
        if (memcmp(&m->feeds[i], &free_slot, sizeof free_slot) != 0)
            m->feeds[i] = free_slot;
    set(&m->is_begun, 1);
    /* If the power goes, it is to be found untrusted, not new; and if this fails, so be it. */
    (void)!journal_file_sync(&j->file, false);
    forget_entries(j, next);
    j->identity.epoch = epoch;
    j->identity.store_id = store_id;
    j->identity.stored = next - 1;
    j->identity.next = next;
    j->is_begun = true;
}

enum err journal_resize(struct journal *j, size_t bytes, char error[JOURNAL_ERROR_MAX])
{
    const char *path = j->file.path;
    enum err e = check_size(bytes, path, error);

    if (e)
        return e;
    if (!j->is_begun || journal_stored(j) != journal_head(j)) {
        journal_file_say(error, path ? path : "journal in memory",
                         "cannot change its size while something in it is not stored");
        return ERR_INVALID;
    }
    e = journal_file_resize(&j->file, bytes, j->next, error);
    if (e)
        return e;
    attach(j);
    forget_entries(j, j->next);
    return OK;
}

void journal_append(struct journal *j, uint32_t feed, uint64_t line, struct span topic,
                    struct span record)
{
    struct journal_layout *m = j->map;
    uint64_t need = room_for(topic.len, record.len), at = j->head,
             place = at - j->round;
    bool is_round_over = place + need > j->size;
    struct entry *e;

    assert(j->is_begun && topic.len <= WIRE_TOPIC_MAX && record.len <= WIRE_RECORD_MAX);
    assert(feed < JOURNAL_FEEDS || feed == JOURNAL_NO_FEED);
    if (is_round_over)
        at = j->round + j->size;
    if (j->tail + j->size < at + need) {
        /* Never all of them: see JOURNAL_BYTES_MIN. */
        do
            j->tail = *offset_of(j, ++j->first);
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
    memcpy(e + 1, topic.at, topic.len);
    memcpy((char *)(e + 1) + topic.len, record.at, record.len);
    add_offset(j, at);
    j->head = at + need;
    set(&m->head, j->head);
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
    return j->head - j->tail;
}

size_t journal_size(const struct journal *j)
{
    return j->map->ring_size;
}

enum err journal_read(const struct journal *j, uint64_t seq, struct journal_entry *out)
{
    const struct entry *e;
    const char *bytes;

    if (seq < j->first || seq >= j->next)
        return ERR_NOT_FOUND;
    e = entry_at(j, *offset_of(j, seq));
    bytes = (const char *)(e + 1);
    *out = (struct journal_entry){seq,
                                  e->feed,
                                  e->line,
                                  {bytes, e->topic_len},
                                  {bytes + e->topic_len, e->record_len}};
    return OK;
}

uint64_t journal_stored(const struct journal *j)
{
    return get(&j->map->stored);
}

void journal_set_stored(struct journal *j, uint64_t seq)
{
    assert(seq < j->next);
    if (seq > journal_stored(j))
        set(&j->map->stored, seq);
}

struct journal_feed *journal_feed(struct journal *j, uint32_t index)
{
    assert(index < JOURNAL_FEEDS);
    return &j->map->feeds[index];
}

void journal_set_feed(struct journal *j, uint32_t index,
                      const struct journal_feed *value)
{
    assert(index < JOURNAL_FEEDS);
    j->map->change = *value;
    j->map->change.since = j->next;
    set(&j->map->changing, index + 1);
    finish_change(j->map);
}
