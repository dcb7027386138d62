/* bottoken: what a bot's token looks like. */
#ifndef CONSUMER_TELEGRAM_BOTTOKEN_H
#define CONSUMER_TELEGRAM_BOTTOKEN_H

#include <stdbool.h>

#define BOTTOKEN_MAX 100

/* NUMBER:SECRET, as @BotFather gives it. */
bool bottoken_is_right(const char *token);

#endif
