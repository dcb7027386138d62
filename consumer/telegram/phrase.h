/*
 * phrase: the bot's texts in Spanish and English; plain text without markup.
 *
 * Every function appends to a buffer. To change a wording or add a language, change only this file.
 * Pure.
 */
#ifndef CONSUMER_TELEGRAM_PHRASE_H
#define CONSUMER_TELEGRAM_PHRASE_H

#include <stdbool.h>
#include <stddef.h>

#include "consumer/telegram/alert.h"
#include "consumer/telegram/command.h"
#include "consumer/telegram/lastprice.h"
#include "shared/base/buf.h"

void phrase_help(struct buf *b, bool is_spanish);
void phrase_unknown_command(struct buf *b, bool is_spanish);
/* Why a command cannot be carried out, and its correct form. */
void phrase_fault(struct buf *b, bool is_spanish, const struct command *c);

/* price NULL: no feed has ever quoted it. */
void phrase_price(struct buf *b, bool is_spanish, const char *symbol,
                  const struct lastprice *price);
void phrase_alert_set(struct buf *b, bool is_spanish, const struct alert *a,
                      const struct lastprice *price);
void phrase_alert_exists(struct buf *b, bool is_spanish, const struct alert *a);
void phrase_chat_full(struct buf *b, bool is_spanish, size_t limit);
void phrase_bot_full(struct buf *b, bool is_spanish);
/* The text before the lines of /alertas; count 0: the chat has no alerts. */
void phrase_alerts_head(struct buf *b, bool is_spanish, size_t count);
void phrase_alerts_line(struct buf *b, bool is_spanish, const struct alert *a);
void phrase_deleted(struct buf *b, bool is_spanish, const struct alert *a);
void phrase_no_alert(struct buf *b, bool is_spanish, uint32_t number);

/* The text of an alert, with its pending price. */
void phrase_crossed(struct buf *b, const struct alert *a);
/* The mark before a text that may have been sent already. */
void phrase_repeated(struct buf *b, bool is_spanish);

#endif
