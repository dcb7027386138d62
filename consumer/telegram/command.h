/*
 * command: parses what a person writes to the bot.
 *
 *   /precio SYMBOL          /price     /alertas      /alerts      /ayuda  /help
 *   /alerta SYMBOL > PRICE  /alert     /borrar N     /delete      /start
 *
 * Words may be in any case, symbols become upper case, `/word@bot` counts if it names this bot. The
 * comparison is one of > < >= <= (or ≥ ≤), with or without spaces; a price may have a decimal
 * comma. Pure; the text may come from anybody.
 */
#ifndef CONSUMER_TELEGRAM_COMMAND_H
#define CONSUMER_TELEGRAM_COMMAND_H

#include <stdbool.h>
#include <stdint.h>

#include "consumer/telegram/alert.h"
#include "shared/base/buf.h"
#include "shared/wire/quote.h"

enum command_kind {
    COMMAND_NONE,  /* no command, or one for another bot */
    COMMAND_OTHER, /* a command that this bot does not have */
    COMMAND_START,
    COMMAND_HELP,
    COMMAND_PRICE,
    COMMAND_ALERT,
    COMMAND_ALERTS,
    COMMAND_DELETE,
};

enum command_fault {
    COMMAND_FINE,
    COMMAND_NO_SYMBOL, /* the symbol is missing or not valid */
    COMMAND_NO_COMPARISON,
    COMMAND_NO_PRICE,
    COMMAND_NO_NUMBER, /* an alert's number is missing */
    COMMAND_TOO_MUCH,  /* more words than the command takes */
};

struct command {
    enum command_kind kind;
    enum command_fault fault;
    bool is_english; /* the command's word was English */
    char symbol[QUOTE_SYMBOL_MAX + 1];
    enum alert_comparison comparison;
    char price[QUOTE_DECIMAL_MAX + 1];
    uint32_t number;
};

/* bot: this bot's name, without @; "" when it is not known. */
void command_parse(struct span text, const char *bot, struct command *out);

#endif
