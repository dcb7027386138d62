/*
 * config_near: which name was meant by one that is nearly it.
 */
#ifndef SHARED_CONFIG_CONFIG_NEAR_H
#define SHARED_CONFIG_CONFIG_NEAR_H

#include "shared/config/config.h"
#include "shared/config/config_help.h"

/* Letters to change, add or drop; neither longer than CONFIG_HELP_FLAG_MAX. */
size_t config_near_edits(const char *a, const char *b);

/*
 * The .env file may be shared with other programs, so an unknown name is no mistake; one that is
 * ours but for a letter or two, or for its case, most likely is.  True: `nearest` is that
 * setting's name.
 */
bool config_near_setting(const char *name, const struct config_option *options,
                         char nearest[CONFIG_HELP_FLAG_MAX]);

#endif
