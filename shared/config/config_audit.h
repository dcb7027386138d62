/*
 * config_audit: the settings of a program as the program would read them, for pregon-doctor: the
 * value of each, its origin, and what is wrong with it.
 *
 * Reads the environment, the .env file and the defaults, but no flags.  Logs nothing and never ends
 * the process.  Reads environ; else pure.
 */
#ifndef SHARED_CONFIG_CONFIG_AUDIT_H
#define SHARED_CONFIG_CONFIG_AUDIT_H

#include "shared/config/config_file.h"
#include "shared/config/config.h"

enum config_place { CONFIG_DEFAULT, CONFIG_FILE, CONFIG_ENVIRONMENT };

struct config_fact {
    const struct config_option *option;
    const char *value; /* the value that takes effect */
    enum config_place place;
    const struct config_line
        *line;     /* line of the file with this name, whether it takes effect or not; or NULL */
    bool is_wrong; /* the program would refuse to start */
};

typedef void config_audit_fn(void *ctx, const struct config_program *program,
                             const struct config_fact *fact);

/*
 * Fill *out (a zeroed struct of the program's fields, for config_free) with the values that take
 * effect, and with the default in place of a wrong value.  Calls `each` for every setting; the
 * facts are valid as long as the file and the environment.
 */
void config_audit(const struct config_program *program, const struct config_file *file,
                  config_audit_fn *each, void *ctx, void *out);

#endif
