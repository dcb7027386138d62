#include "feeder/outbox.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/mem.h"
#include "shared/wire/wire.h"

#define ENTRY_MAX (WIRE_TOPIC_MAX + WIRE_RECORD_MAX)
#define ARENA_MIN ((size_t)256 << 10)

/* The bytes of one line: topic, header, body, without a gap. */
struct entry {
    size_t at; /* offset in the arena */
    uint32_t topic_len, record_len;
    uint64_t sent_us;
};

/*
 * Bytes are in a circular arena, each line in one piece. The arena grows by doubling, so that a
 * feed whose broker keeps up uses little memory. At its full size, bytes_max and one largest line,
 * a line always fits: less than one largest line is wasted at the end.
 */
struct outbox {
    struct entry *entries;         /* circular, lines_max of them */
    size_t lines_max, head, count; /* head: slot of the oldest */
    char *arena;
    size_t arena_size, bytes_max, bytes; /* bytes: of the lines, without the waste */
    size_t write_at;                     /* behind the newest line */
    uint64_t epoch;
    /* number of the oldest line, or of the next one if the ring is empty */
    uint64_t first;
    uint64_t cursor; /* number of the next line to send */
    uint64_t received, overflowed;
    /* the highest `received` ever; a broker that lost its log may send less later */
    uint64_t acknowledged;
};

struct outbox *outbox_new(size_t lines_max, size_t bytes_max)
{
    struct outbox *l = mem_zalloc(sizeof *l);

    assert(lines_max > 0);
    l->lines_max = lines_max;
    l->bytes_max = bytes_max < ENTRY_MAX ? ENTRY_MAX : bytes_max;
    l->entries = mem_zalloc(lines_max * sizeof l->entries[0]);
    l->first = l->cursor = 1;
    return l;
}

void outbox_free(struct outbox *l)
{
    if (!l)
        return;
    free(l->entries);
    free(l->arena);
    free(l);
}

static struct entry *entry_at(const struct outbox *l, size_t index)
{
    size_t slot = l->head + index;

    return &l->entries[slot < l->lines_max ? slot : slot - l->lines_max];
}

static size_t entry_size(const struct entry *e)
{
    return (size_t)e->topic_len + e->record_len;
}

static uint64_t next_number(const struct outbox *l)
{
    return l->first + l->count;
}

static void drop_oldest(struct outbox *l)
{
    assert(l->count > 0);
    l->bytes -= entry_size(entry_at(l, 0));
    l->head = l->head + 1 < l->lines_max ? l->head + 1 : 0;
    l->count--;
    l->first++;
    /* start again at 0: those bytes are most likely still in the CPU's cache */
    if (!l->count)
        l->write_at = 0;
}

static void put_header(const struct outbox *l, const struct entry *e, uint64_t number)
{
    struct wire_record r = {
        .kind = WIRE_QUOTE, .epoch = l->epoch, .seq = number, .sent_us = e->sent_us};

    wire_put_header(l->arena + e->at + e->topic_len, &r);
}

static void note_received(struct outbox *l)
{
    if (l->received > l->acknowledged)
        l->acknowledged = l->received;
}

void outbox_grant(struct outbox *l, uint64_t epoch, uint64_t received)
{
    l->epoch = epoch;
    if (received < next_number(l))
        while (l->count && l->first <= received)
            drop_oldest(l);
    else
        l->first = received + 1;
    l->received = received;
    note_received(l);
    l->cursor = l->first;
    for (size_t i = 0; i < l->count; i++)
        put_header(l, entry_at(l, i), l->first + i);
}

static bool fits(const struct outbox *l, size_t size)
{
    return l->count < l->lines_max && l->bytes + size <= l->bytes_max;
}

bool outbox_has_room(const struct outbox *l)
{
    return fits(l, ENTRY_MAX);
}

/* Finds a place for `size` bytes in one piece, at the end or from the start. */
static bool find_place(const struct outbox *l, size_t size, size_t *at)
{
    size_t oldest = l->count ? entry_at(l, 0)->at : 0;
    bool is_wrapped = l->count && l->write_at <= oldest;

    *at = l->write_at;
    if (is_wrapped)
        return oldest - l->write_at >= size;
    if (l->arena_size - l->write_at >= size)
        return true;
    *at = 0;
    return oldest >= size;
}

static void grow(struct outbox *l)
{
    size_t full = l->bytes_max + ENTRY_MAX, size = l->arena_size * 2, at = 0;
    char *arena;

    assert(l->arena_size < full);
    size = size < ARENA_MIN ? ARENA_MIN : size;
    size = size > full ? full : size;
    arena = mem_alloc(size);
    for (size_t i = 0; i < l->count; i++) {
        struct entry *e = entry_at(l, i);

        memcpy(arena + at, l->arena + e->at, entry_size(e));
        e->at = at;
        at += entry_size(e);
    }
    free(l->arena);
    l->arena = arena;
    l->arena_size = size;
    l->write_at = at;
}

uint64_t outbox_add(struct outbox *l, struct span symbol, struct span body,
                    uint64_t sent_us)
{
    char topic[WIRE_TOPIC_MAX];
    size_t topic_len = wire_topic(topic, symbol);
    struct entry e = {.topic_len = (uint32_t)topic_len,
                      .record_len = (uint32_t)(WIRE_HEADER_SIZE + body.len),
                      .sent_us = sent_us};
    uint64_t number;

    assert(body.len <= QUOTE_BYTES_MAX);
    while (!fits(l, entry_size(&e))) {
        drop_oldest(l);
        l->overflowed++;
    }
    if (l->cursor < l->first)
        l->cursor = l->first;
    while (!find_place(l, entry_size(&e), &e.at))
        grow(l);
    memcpy(l->arena + e.at, topic, topic_len);
    memcpy(l->arena + e.at + topic_len + WIRE_HEADER_SIZE, body.at, body.len);
    l->write_at = e.at + entry_size(&e);
    number = next_number(l);
    put_header(l, &e, number);
    *entry_at(l, l->count++) = e;
    l->bytes += entry_size(&e);
    return number;
}

bool outbox_peek(const struct outbox *l, struct span *topic, struct span *record)
{
    const struct entry *e;

    if (l->cursor >= next_number(l))
        return false;
    e = entry_at(l, (size_t)(l->cursor - l->first));
    *topic = (struct span){l->arena + e->at, e->topic_len};
    *record = (struct span){topic->at + e->topic_len, e->record_len};
    return true;
}

void outbox_advance(struct outbox *l)
{
    assert(l->cursor < next_number(l));
    l->cursor++;
}

void outbox_receive(struct outbox *l, uint64_t number)
{
    if (number >= next_number(l) || number <= l->received)
        return;
    l->received = number;
    note_received(l);
    while (l->count && l->first <= number)
        drop_oldest(l);
    if (l->cursor < l->first)
        l->cursor = l->first;
}

bool outbox_rewind(struct outbox *l, uint64_t from, struct outbox_range *lost)
{
    *lost = (struct outbox_range){0};
    if (!from || from >= l->cursor)
        return false;
    if (from < l->first) {
        bool was_received = from <= l->acknowledged;
        uint64_t last =
            was_received && l->acknowledged < l->first ? l->acknowledged : l->first - 1;

        *lost = (struct outbox_range){from, last, last - from + 1, was_received};
    }
    l->cursor = from < l->first ? l->first : from;
    return true;
}

uint64_t outbox_last(const struct outbox *l)
{
    return next_number(l) - 1;
}

uint64_t outbox_sent(const struct outbox *l)
{
    return l->cursor - 1;
}

uint64_t outbox_received(const struct outbox *l)
{
    return l->received;
}

uint64_t outbox_overflowed(const struct outbox *l)
{
    return l->overflowed;
}

size_t outbox_kept(const struct outbox *l)
{
    return l->count;
}
