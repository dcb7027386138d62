/*
 * alert: one alert of one chat, and the decision when it is due.
 *
 * An armed alert whose comparison becomes true is due once. It is armed again only when the price
 * has gone back behind the threshold by a margin, so that a price that moves around the threshold
 * does not send a message every second. A price is the quote's last; without one, its bid for
 * "above" and its ask for "below" (the prices at which one could sell and buy). All prices are
 * decimal text, compared exactly.
 *
 * A chat has one pending price per alert, not a queue: a newer crossing replaces one that has not
 * been sent. Pure values; no I/O, no clock.
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
    bool is_spanish; /* the language of the command that set it */
    bool is_armed;
    /* its chat takes no messages: the alert is judged, but nothing becomes pending */
    bool is_paused;
    char threshold[QUOTE_DECIMAL_MAX + 1];
    char pending[QUOTE_DECIMAL_MAX + 1]; /* the price to send, "": none */
    /* the price of a new crossing while `pending` is being sent */
    char next[QUOTE_DECIMAL_MAX + 1];
    struct delivery delivery; /* of `pending` */
    uint64_t intent;          /* number of the intent to send; not stored */
    /* position of the last record judged; a repeated record is skipped */
    uint64_t seen;
};

enum alert_news {
    ALERT_NO_NEWS,
    ALERT_REARMED,
    ALERT_DUE,        /* a price is pending */
    ALERT_SUPERSEDED, /* a price is pending in place of one that was not sent */
};

/* The text of a comparison, as typed: ">=". */
const char *alert_sign(enum alert_comparison c);

/* The price of a quote that this comparison uses; .len 0: the quote has none. */
struct span alert_price_of(enum alert_comparison c, struct span last, struct span bid,
                           struct span ask);
/* Judges a record at position seq with this decimal price.  margin: of decimal_read_percent. */
enum alert_news alert_judge(struct alert *a, uint64_t seq, struct span price, uint32_t margin);
/* The send of the pending price ended with `outcome`. */
enum delivery_next alert_sent(struct alert *a, enum delivery_outcome outcome);

#endif
