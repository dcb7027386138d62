/* telegram_config: every setting of the bot; the only place to add one. */
#ifndef CONSUMER_TELEGRAM_TELEGRAM_CONFIG_H
#define CONSUMER_TELEGRAM_TELEGRAM_CONFIG_H

#include "shared/config/config.h"

/* clang-format off */
#define TELEGRAM_SETTINGS(X)                                                             \
    /* kind, NAME, field, default, min, max, allowed, help */                            \
    X(secret, TELEGRAM_TOKEN, telegram_token, "", 0, 100, NULL,                          \
      "The bot's token, as @BotFather gives it: NUMBER:SECRET.")                         \
    X(text, TELEGRAM_TOKEN_FILE, telegram_token_file, "", 0, 4000, NULL,                 \
      "A file whose first line is the token, instead of TELEGRAM_TOKEN.")                \
    X(text, TELEGRAM_API_BASE_URL, telegram_api_base_url, "https://api.telegram.org",    \
      1, 300, NULL,                                                                      \
      "Address of the Bot API; your own telegram-bot-api server has http://HOST:8081.")  \
    X(seconds, TELEGRAM_LOCK_TTL, telegram_lock_ttl, "30", 1, 600, NULL,                 \
      "Seconds for which the bot holds its lock without renewing it. The bot gives up "  \
      "sending a message after a quarter of this (10 s at most), so that no message "    \
      "is under way when the lease ends.")                                               \
    X(int, TELEGRAM_POLL_TIMEOUT, telegram_poll_timeout, "50", 3, 50, NULL,              \
      "Seconds for which Telegram may delay an answer to getUpdates (Telegram takes "    \
      "less than 3 as 3).")                                                              \
    X(seconds, TELEGRAM_POLL_MARGIN, telegram_poll_margin, "5", 0, 60, NULL,             \
      "Seconds by which such an answer may be late. After a crash the lock stays "       \
      "closed for TELEGRAM_POLL_TIMEOUT plus this.")                                     \
    X(choice, TELEGRAM_LANGUAGE, telegram_language, "auto", 0, 8, "auto|es|en",          \
      "Language of the answers; auto: Spanish for users whose Telegram is in Spanish, "  \
      "English for others.")                                                             \
    X(list, TELEGRAM_CHATS, telegram_chats, "", 0, 8000, NULL,                           \
      "Numbers of the chats that may use the bot (groups are negative); empty: all.")    \
    X(int, TELEGRAM_ALERTS_PER_CHAT, telegram_alerts_per_chat, "20", 1, 100, NULL,       \
      "How many alerts a chat may have.")                                                \
    X(text, TELEGRAM_ALERT_MARGIN, telegram_alert_margin, "0.1", 1, 9, NULL,             \
      "Percent of the threshold, 0 to 50, by which the price must go back before the "   \
      "bot can send the same alert again.")                                              \
    X(endpoint, BROKER_PUBLISH, broker_publish, "tcp://127.0.0.1:5556", 6, 200, NULL,    \
      "Address at which the broker publishes.")                                          \
    X(endpoint, BROKER_CONTROL, broker_control, "tcp://127.0.0.1:5557", 6, 200, NULL,    \
      "Address at which the broker answers requests and grants locks.")                  \
    X(seconds, TIMEOUT_GRACEFUL_SHUTDOWN, timeout_graceful_shutdown, "10", 0, 600, NULL, \
      "Seconds after SIGTERM in which the bot finishes and stores the current send; a "  \
      "second signal ends it at once.")
/* clang-format on */

struct telegram_config {
    CONFIG_COMMON(CONFIG_FIELD)
    TELEGRAM_SETTINGS(CONFIG_FIELD)
};

extern const struct config_program telegram_program;

#endif
