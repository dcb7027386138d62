/* bot_private: shared by bot.c and bot_update.c; no other file includes it. */
#ifndef CONSUMER_TELEGRAM_BOT_PRIVATE_H
#define CONSUMER_TELEGRAM_BOT_PRIVATE_H

#include <stddef.h>

#include "consumer/telegram/bot.h"
#include "consumer/telegram/pacer.h"

#define BOT_NAME_MAX 64

struct bot {
    struct bot_settings settings;
    char name[BOT_NAME_MAX + 1];
    struct ledger ledger;
    struct lastprice_table *prices;
    struct pacer *pacer;
    struct bot_counts counts;
    size_t cursor;  /* the alert to look at first */
    size_t pending; /* alerts with a pending price */
    struct buf text;
};

/* Judges the alert with its symbol's current price. */
void bot_judge(struct bot *b, struct alert *a, const struct lastprice *p);
/* Call it after alerts were removed or loaded. */
void bot_count_pending(struct bot *b);

#endif
