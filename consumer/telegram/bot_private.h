/* bot_private: what bot.c and bot_update.c share; for nobody else. */
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
    size_t cursor; /* the alert to look at first */
    size_t owed;   /* alerts with a price to tell */
    struct buf text;
};

/* The symbol of the alert has this price now. */
void bot_judge(struct bot *b, struct alert *a, const struct lastprice *p);
/* Alerts were removed, or loaded. */
void bot_count_owed(struct bot *b);

#endif
