#include "shared/feed/outbox.h"

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
    struct outbox *o = mem_zalloc(sizeof *o);

    assert(lines_max > 0);
    o->lines_max = lines_max;
    o->bytes_max = bytes_max < ENTRY_MAX ? ENTRY_MAX : bytes_max;
    o->entries = mem_zalloc(lines_max * sizeof o->entries[0]);
    o->first = o->cursor = 1;
    return o;
}

void outbox_free(struct outbox *o)
{
    if (!o)
        return;
    free(o->entries);
    free(o->arena);
    free(o);
}

static struct entry *entry_at(const struct outbox *o, size_t index)
{
    size_t slot = o->head + index;

    return &o->entries[slot < o->lines_max ? slot : slot - o->lines_max];
}

static size_t entry_size(const struct entry *e)
{
    return (size_t)e->topic_len + e->record_len;
}

static uint64_t next_number(const struct outbox *o)
{
    return o->first + o->count;
}

static void drop_oldest(struct outbox *o)
{
    assert(o->count > 0);
    o->bytes -= entry_size(entry_at(o, 0));
    o->head = o->head + 1 < o->lines_max ? o->head + 1 : 0;
    o->count--;
    o->first++;
    /* start again at 0: those bytes are most likely still in the CPU's cache */
    if (!o->count)
        o->write_at = 0;
}

static void put_header(const struct outbox *o, const struct entry *e, uint64_t number)
{
    struct wire_record r = {
        .kind = WIRE_QUOTE, .epoch = o->epoch, .seq = number, .sent_us = e->sent_us};

    wire_put_header(o->arena + e->at + e->topic_len, &r);
}

static void note_received(struct outbox *o)
{
    if (o->received > o->acknowledged)
        o->acknowledged = o->received;
}

void outbox_grant(struct outbox *o, uint64_t epoch, uint64_t received)
{
    o->epoch = epoch;
    if (received < next_number(o))
        while (o->count && o->first <= received)
            drop_oldest(o);
    else
        o->first = received + 1;
    o->received = received;
    note_received(o);
    o->cursor = o->first;
    for (size_t i = 0; i < o->count; i++)
        put_header(o, entry_at(o, i), o->first + i);
}

static bool fits(const struct outbox *o, size_t size)
{
    return o->count < o->lines_max && o->bytes + size <= o->bytes_max;
}

bool outbox_has_room(const struct outbox *o)
{
    return fits(o, ENTRY_MAX);
}

/* Finds a place for `size` bytes in one piece, at the end or from the start. */
static bool find_place(const struct outbox *o, size_t size, size_t *at)
{
    size_t oldest = o->count ? entry_at(o, 0)->at : 0;
    bool is_wrapped = o->count && o->write_at <= oldest;

    *at = o->write_at;
    if (is_wrapped)
        return oldest - o->write_at >= size;
    if (o->arena_size - o->write_at >= size)
        return true;
    *at = 0;
    return oldest >= size;
}

static void grow(struct outbox *o)
{
    size_t full = o->bytes_max + ENTRY_MAX, size = o->arena_size * 2, at = 0;
    char *arena;

    assert(o->arena_size < full);
    size = size < ARENA_MIN ? ARENA_MIN : size;
    size = size > full ? full : size;
    arena = mem_alloc(size);
    for (size_t i = 0; i < o->count; i++) {
        struct entry *e = entry_at(o, i);

        memcpy(arena + at, o->arena + e->at, entry_size(e));
        e->at = at;
        at += entry_size(e);
    }
    free(o->arena);
    o->arena = arena;
    o->arena_size = size;
    o->write_at = at;
}

uint64_t outbox_add(struct outbox *o, struct span symbol, struct span body, uint64_t sent_us)
{
    char topic[WIRE_TOPIC_MAX];
    size_t topic_len = wire_topic(topic, symbol);
    struct entry e = {.topic_len = (uint32_t)topic_len,
                      .record_len = (uint32_t)(WIRE_HEADER_SIZE + body.len),
                      .sent_us = sent_us};
    uint64_t number;

    assert(body.len <= QUOTE_BYTES_MAX);
    while (!fits(o, entry_size(&e))) {
        drop_oldest(o);
        o->overflowed++;
    }
    if (o->cursor < o->first)
        o->cursor = o->first;
    while (!find_place(o, entry_size(&e), &e.at))
        grow(o);
    memcpy(o->arena + e.at, topic, topic_len);
    memcpy(o->arena + e.at + topic_len + WIRE_HEADER_SIZE, body.at, body.len);
    o->write_at = e.at + entry_size(&e);
    number = next_number(o);
    put_header(o, &e, number);
    *entry_at(o, o->count++) = e;
    o->bytes += entry_size(&e);
    return number;
}

bool outbox_peek(const struct outbox *o, struct span *topic, struct span *record)
{
    const struct entry *e;

    if (o->cursor >= next_number(o))
        return false;
    e = entry_at(o, (size_t)(o->cursor - o->first));
    *topic = (struct span){o->arena + e->at, e->topic_len};
    *record = (struct span){topic->at + e->topic_len, e->record_len};
    return true;
}

void outbox_advance(struct outbox *o)
{
    assert(o->cursor < next_number(o));
    o->cursor++;
}

void outbox_receive(struct outbox *o, uint64_t number)
{
    if (number >= next_number(o) || number <= o->received)
        return;
    o->received = number;
    note_received(o);
    while (o->count && o->first <= number)
        drop_oldest(o);
    if (o->cursor < o->first)
        o->cursor = o->first;
}

bool outbox_rewind(struct outbox *o, uint64_t from, struct outbox_range *lost)
{
    *lost = (struct outbox_range){0};
    if (!from || from >= o->cursor)
        return false;
    if (from < o->first) {
        bool was_received = from <= o->acknowledged;
        uint64_t last = was_received && o->acknowledged < o->first ? o->acknowledged : o->first - 1;

        *lost = (struct outbox_range){from, last, last - from + 1, was_received};
    }
    o->cursor = from < o->first ? o->first : from;
    return true;
}

uint64_t outbox_last(const struct outbox *o)
{
    return next_number(o) - 1;
}

uint64_t outbox_sent(const struct outbox *o)
{
    return o->cursor - 1;
}

uint64_t outbox_received(const struct outbox *o)
{
    return o->received;
}

uint64_t outbox_overflowed(const struct outbox *o)
{
    return o->overflowed;
}

size_t outbox_kept(const struct outbox *o)
{
    return o->count;
}
