/*
 * config_help: texts about settings for config.c.  --help, docs/config.md and the messages about
 * wrong values all come from the one table.
 */
#ifndef SHARED_CONFIG_CONFIG_HELP_H
#define SHARED_CONFIG_CONFIG_HELP_H

#include <stdio.h>

#include "shared/base/buf.h"
#include "shared/config/config.h"

#define CONFIG_HELP_FLAG_MAX 64
#define CONFIG_HELP_ENV_FILE ".env"

/* The flag of a setting: `dashes` ("--" or "--no-") and its name, e.g. "--websocket-timeout". */
const char *config_help_flag(const struct config_option *o, const char *dashes,
                             char out[CONFIG_HELP_FLAG_MAX]);
/* Append the allowed values, as words that follow "must be". */
void config_help_allowed(struct buf *b, const struct config_option *o);

void config_help_put(const struct config_program *p, FILE *to); /* all of --help */
void config_help_markdown(const struct config_program *p, FILE *to);

#endif
