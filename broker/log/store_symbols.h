/*
 * store_symbols: the writer's data about every symbol while it fills a transaction.
 *
 * A table by name, and lists of the symbols that must be written at the end of the batch.  Part of
 * the store; no other file includes it.
 */
#ifndef BROKER_LOG_STORE_SYMBOLS_H
#define BROKER_LOG_STORE_SYMBOLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/base/buf.h"
#include "shared/base/table.h"
#include "shared/wire/quote.h"

struct store_symbol {
    struct table_node node;
    uint8_t len;
    char name[QUOTE_SYMBOL_MAX + 1];
    bool is_stale, is_removed;
    bool is_changed; /* on the list of last values to write */
    bool is_linked;  /* on the list of chain rows to write */
    int64_t id;
    int64_t feed; /* feeds.id of the last record of this batch that has a feed, 0: none */
    uint64_t seq; /* its last record in the batch, */
    uint64_t quote_seq;
    struct span quote;                  /* the last quote in this batch, .len 0: none */
    uint64_t block, block_seq, records; /* its last one in the block, and how many */
};

struct store_symbol_list {
    struct store_symbol **at;
    size_t count, cap;
};

/* Zero-initialise. */
struct store_symbols {
    struct store_symbol **all; /* as they were added */
    size_t count, cap;
    struct table by_name;
};

void store_symbols_free(struct store_symbols *t);

struct store_symbol *store_symbols_find(const struct store_symbols *t, struct span name);
struct store_symbol *store_symbols_add(struct store_symbols *t, struct span name, int64_t id);

void store_symbols_push(struct store_symbol_list *l, struct store_symbol *symbol);
/* Sort by id: neighbours in the tables are then written one after the other. */
void store_symbols_sort(struct store_symbol_list *l);

#endif
