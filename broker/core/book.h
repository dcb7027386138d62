/*
 * book: the last record of every symbol.
 *
 * The book never drops a symbol.  Each symbol therefore has a fixed index, by which snapshots are
 * paged, and a pointer to an entry stays valid as long as the book.  A search by prefix does not
 * look at symbols without the prefix.  The book also collects which symbols changed since the last
 * heartbeat.  Owned by the broker's loop; no I/O, no clock.
 */
#ifndef BROKER_CORE_BOOK_H
#define BROKER_CORE_BOOK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/base/buf.h"
#include "shared/base/prefix_index.h"
#include "shared/base/table.h"
#include "shared/wire/quote.h"

struct book;

#define BOOK_NO_FEED UINT32_MAX

struct book_entry {
    char symbol[QUOTE_SYMBOL_MAX + 1];
    uint8_t symbol_len;
    bool is_stale;
    uint32_t index;    /* in the book, in the order in which symbols came */
    uint32_t feed;     /* index of the feed that quoted it last, or BOOK_NO_FEED */
    uint64_t seq;      /* position of the symbol's last record of any kind; 0: none yet */
    struct buf record; /* its last quote, header and body, as published */
    /* private to the book */
    bool is_changed;
    struct table_node node;
};

struct book *book_new(size_t max_symbols);
void book_free(struct book *b);

/* NULL if unknown. */
struct book_entry *book_find(const struct book *b, struct span symbol);
/* Find or add; NULL if the book is full. */
struct book_entry *book_add(struct book *b, struct span symbol);
/* The entry with this index, 0 … book_count()-1. */
struct book_entry *book_at(const struct book *b, size_t index);
size_t book_count(const struct book *b);
/* The entries whose symbols begin with the prefix, in order of symbol: prefix_walk_next. */
struct prefix_walk book_walk(const struct book *b, struct span prefix);

/* Record that the symbol's newest record is now at `seq`. */
void book_touch(struct book *b, struct book_entry *e, uint64_t seq);
/* The symbols touched since the last book_clear_changes. */
struct book_entry *const *book_changes(const struct book *b, size_t *count);
void book_clear_changes(struct book *b);

#endif
