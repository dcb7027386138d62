#include "consumer/telegram/telegram_config.h"

#define CONFIG_STRUCT telegram_config
static const struct config_option options[] = {
    CONFIG_COMMON(CONFIG_ROW) TELEGRAM_SETTINGS(CONFIG_ROW){0},
};

const struct config_program telegram_program = {
    .name = "pregon-telegram",
    .about = "A Telegram bot that answers with prices and sends a message when a price "
             "crosses a threshold. Start as many instances as you like with the same token: "
             "one holds the bot's lock at the broker and is active; if it ends, another one "
             "continues where it stopped.",
    .examples = "  TELEGRAM_TOKEN_FILE=/run/secrets/telegram pregon-telegram\n"
                "  TELEGRAM_TOKEN_FILE=token pregon-telegram --telegram-language es "
                "--telegram-chats -1001234567890\n",
    .options = options,
};
