/*
 * config_near: finds the setting that a misspelt name probably means.
 */
#ifndef SHARED_CONFIG_CONFIG_NEAR_H
#define SHARED_CONFIG_CONFIG_NEAR_H

#include "shared/config/config.h"
#include "shared/config/config_help.h"

/* Number of letters to change, add or drop; neither text is longer than CONFIG_HELP_FLAG_MAX. */
size_t config_near_edits(const char *a, const char *b);

/*
 * The .env file may be shared with other programs, so an unknown name alone is no mistake.  A name
 * that differs from a setting's by a letter or two, or by its case, most likely is one.  True:
 * `nearest` is that setting's name.
 */
bool config_near_setting(const char *name, const struct config_option *options,
                         char nearest[CONFIG_HELP_FLAG_MAX]);

#endif
