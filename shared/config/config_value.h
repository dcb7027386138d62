/*
 * config_value: parses and checks the text of one setting, for config.c and config_audit.c.
 */
#ifndef SHARED_CONFIG_CONFIG_VALUE_H
#define SHARED_CONFIG_CONFIG_VALUE_H

#include "shared/config/config.h"

/* Is the text allowed?  *number is its value, untouched if the setting is a text. */
bool config_value_read(const struct config_option *o, const char *text, int64_t *number);
bool config_value_read_flag(const char *text, int64_t *out);
bool config_value_is_secret(const struct config_option *o);

/* Store the parsed text or number in the field of the program's struct. */
void config_value_store(const struct config_option *o, const char *text, int64_t number,
                        void *config);

#endif
