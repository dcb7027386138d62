/*
 * book: the last record of every symbol.
 *
 * Each symbol has a fixed index, by which snapshots are paged, and a pointer to an entry stays
 * valid as long as the book.  A symbol that was removed keeps its entry, without a value, so that
 * its next record continues its chain and receivers learn of the removal in a snapshot.  In a full
 * book a new symbol takes the entry that was removed first.  A search by prefix does not look at
 * symbols without the prefix.  The book also collects which symbols changed since the last
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
    bool is_removed;   /* without a value; seq is the position of the removal */
    uint32_t index;    /* in the book, in the order in which symbols came */
    uint32_t feed;     /* index of the feed that quoted it last, or BOOK_NO_FEED */
    uint64_t seq;      /* position of the symbol's last record of any kind; 0: none yet */
    struct buf record; /* its last quote, header and body, as published */
    uint32_t renamed;  /* how often the entry passed from a removed symbol to a new one */
    /* private to the book */
    bool is_changed, is_queued;
    struct book_entry *next_removed;
    struct table_node node;
};

struct book *book_new(size_t max_symbols);
void book_free(struct book *b);

/* NULL if unknown. */
struct book_entry *book_find(const struct book *b, struct span symbol);
/* Find or add; NULL if the book is full.  The caller enters a quote of the symbol next. */
struct book_entry *book_add(struct book *b, struct span symbol);
/* Will book_add take a symbol that is not known? */
bool book_has_room(struct book *b);
/* The entry with this index, 0 … book_count()-1. */
struct book_entry *book_at(const struct book *b, size_t index);
size_t book_count(const struct book *b);
/* How many of them were not removed. */
size_t book_known(const struct book *b);
/* The symbol is removed: its entry has no value any more.  Nothing happens if it has none now. */
void book_remove(struct book *b, struct book_entry *e);
/* A quote of a removed symbol has come: it is known again. */
void book_return(struct book *b, struct book_entry *e);
/* How often an entry passed to a new symbol. */
uint32_t book_renamed(const struct book *b);
/* The entries whose symbols begin with the prefix, in order of symbol: prefix_walk_next. */
struct prefix_walk book_walk(const struct book *b, struct span prefix);

/* Record that the symbol's newest record is now at `seq`. */
void book_touch(struct book *b, struct book_entry *e, uint64_t seq);
/* The symbols touched since the last book_clear_changes. */
struct book_entry *const *book_changes(const struct book *b, size_t *count);
void book_clear_changes(struct book *b);

#endif
