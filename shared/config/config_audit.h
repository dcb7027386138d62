/*
 * config_audit: the settings of a program as it would take them, for who judges settings
 * without running it: what counts, where it came from, and what is wrong with it.
 *
 * Flags are not looked at, only the environment, the .env file and the defaults.  Nothing is
 * logged and nothing ends.  Reads environ; else pure.
 */
#ifndef SHARED_CONFIG_CONFIG_AUDIT_H
#define SHARED_CONFIG_CONFIG_AUDIT_H

#include "shared/config/config_file.h"
#include "shared/config/config.h"

enum config_place { CONFIG_DEFAULT, CONFIG_FILE, CONFIG_ENVIRONMENT };

struct config_fact {
    const struct config_option *option;
    const char *value; /* that counts */
    enum config_place place;
    const struct config_line
        *line;     /* of the file that has the name, counting or not; or NULL */
    bool is_wrong; /* the program would refuse to start */
};

typedef void config_audit_fn(void *ctx, const struct config_program *program,
                             const struct config_fact *fact);

/*
 * Fill *out (a zeroed struct of the program's fields, for config_free) with what counts, and the
 * default instead of what is wrong.  `each` is called for every setting; facts are valid as
 * long as the file and the environment.
 */
void config_audit(const struct config_program *program, const struct config_file *file,
                  config_audit_fn *each, void *ctx, void *out);

#endif
