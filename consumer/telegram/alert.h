/*
 * alert: one alert of one chat, and when it is due.
 *
 * An armed alert whose comparison holds is due once; it is armed again only when the price has
 * gone back behind the threshold by a margin, so that a price that trembles around it does
 * not call every second.  A price is the quote's last; without one, its bid for "above" and its ask
 * for "below" (what one could sell and buy for); all of them decimal text, compared exactly.
 *
 * What is owed to the chat is a price, not a queue: a newer crossing replaces one that
 * has not been sent.  Pure values; no I/O, no clock.
 */
#ifndef CONSUMER_TELEGRAM_ALERT_H
#define CONSUMER_TELEGRAM_ALERT_H

#include <stdbool.h>
#include <stdint.h>

#include "consumer/telegram/delivery.h"
#include "shared/base/buf.h"
#include "shared/wire/quote.h"

enum alert_comparison { ALERT_ABOVE, ALERT_BELOW, ALERT_AT_LEAST, ALERT_AT_MOST };
#define ALERT_COMPARISONS 4

struct alert {
    char symbol[QUOTE_SYMBOL_MAX + 1];
    int64_t chat, thread; /* thread: of a forum; 0: none */
    uint32_t number;      /* in its chat, from 1 */
    enum alert_comparison comparison;
    bool is_spanish; /* the language it was set in */
    bool is_armed;
    bool is_paused; /* its chat takes no messages: judged, but nothing is owed */
    char threshold[QUOTE_DECIMAL_MAX + 1];
    char owed[QUOTE_DECIMAL_MAX + 1]; /* the price to tell, "": none */
    char next[QUOTE_DECIMAL_MAX + 1]; /* it crossed again while `owed` is being sent */
    struct delivery delivery;         /* of `owed` */
    uint64_t intent;                  /* that marks it as being sent; not stored */
    uint64_t seen; /* position of the last record judged: one told again is not */
};

enum alert_news {
    ALERT_NO_NEWS,
    ALERT_REARMED,
    ALERT_DUE,        /* a price is owed */
    ALERT_SUPERSEDED, /* the same, in place of one that was not sent */
};

/* The text of a comparison, as typed: ">=". */
const char *alert_sign(enum alert_comparison c);

/* Which price of a quote this comparison looks at; .len 0: it has none. */
struct span alert_price_of(enum alert_comparison c, struct span last, struct span bid,
                           struct span ask);
/* The record at position seq has this price, a decimal.  margin: as decimal_read_percent. */
enum alert_news alert_judge(struct alert *a, uint64_t seq, struct span price,
                            uint32_t margin);
/* How the send of what was owed ended. */
enum delivery_next alert_told(struct alert *a, enum delivery_outcome outcome);

#endif
