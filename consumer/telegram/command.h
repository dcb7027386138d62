/*
 * command: what a person wants of the bot.
 *
 *   /precio SYMBOL          /price     /alertas      /alerts      /ayuda  /help
 *   /alerta SYMBOL > PRICE  /alert     /borrar N     /delete      /start
 *
 * Words in any case, symbols become upper case, `/word@bot` counts if the bot is us.  The
 * comparison is one of > < >= <= (or ≥ ≤), with or without spaces; a price may have a decimal
 * comma.  Pure; reads text that came from anybody.
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
    COMMAND_OTHER, /* a command that is none of ours */
    COMMAND_START,
    COMMAND_HELP,
    COMMAND_PRICE,
    COMMAND_ALERT,
    COMMAND_ALERTS,
    COMMAND_DELETE,
};

enum command_fault {
    COMMAND_FINE,
    COMMAND_NO_SYMBOL, /* there is none, or it cannot be one */
    COMMAND_NO_COMPARISON,
    COMMAND_NO_PRICE,
    COMMAND_NO_NUMBER, /* of an alert */
    COMMAND_TOO_MUCH,  /* more words than it takes */
};

struct command {
    enum command_kind kind;
    enum command_fault fault;
    bool is_english; /* the word was */
    char symbol[QUOTE_SYMBOL_MAX + 1];
    enum alert_comparison comparison;
    char price[QUOTE_DECIMAL_MAX + 1];
    uint32_t number;
};

/* bot: our own name, without @; "" when it is not known. */
void command_parse(struct span text, const char *bot, struct command *out);

#endif
