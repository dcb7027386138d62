/*
 * lastprice: the newest prices of every symbol, for price commands.
 *
 * Quotes may come over two connections: of one log, the higher position wins. Bounded by the number
 * of symbols that the broker knows. No I/O, no clock; one owner.
 */
#ifndef CONSUMER_TELEGRAM_LASTPRICE_H
#define CONSUMER_TELEGRAM_LASTPRICE_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/base/buf.h"
#include "shared/wire/quote.h"

#define LASTPRICE_CURRENCY_MAX 16 /* bytes shown */

/* The parts of a quote that the bot uses; a text is "" if the quote does not have it. */
struct lastprice {
    char symbol[QUOTE_SYMBOL_MAX + 1];
    uint64_t epoch, seq;
    int64_t time_s; /* Unix seconds, 0: unknown */
    bool is_stale;
    char last[QUOTE_DECIMAL_MAX + 1];
    char bid[QUOTE_DECIMAL_MAX + 1];
    char ask[QUOTE_DECIMAL_MAX + 1];
    char currency[LASTPRICE_CURRENCY_MAX + 1];
};

struct lastprice_table;

struct lastprice_table *lastprice_table_new(void);
void lastprice_table_free(struct lastprice_table *t); /* NULL is allowed */

void lastprice_put(struct lastprice_table *t, const struct lastprice *p);
/* The symbol became stale or live at that position. */
void lastprice_set_stale(struct lastprice_table *t, const char *symbol, uint64_t epoch,
                         uint64_t seq, bool is_stale);
/* The symbol was removed at that position: it has no price any more. */
void lastprice_remove(struct lastprice_table *t, const char *symbol, uint64_t epoch, uint64_t seq);
/* NULL: no quote of the symbol has come. */
const struct lastprice *lastprice_find(const struct lastprice_table *t, const char *symbol);

#endif
