/* bottoken: checks the form of a bot's token. */
#ifndef CONSUMER_TELEGRAM_BOTTOKEN_H
#define CONSUMER_TELEGRAM_BOTTOKEN_H

#include <stdbool.h>

#define BOTTOKEN_MAX 100

/* Is it NUMBER:SECRET, as @BotFather issues it? */
bool bottoken_is_right(const char *token);

#endif
