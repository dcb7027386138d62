#include "shared/config/config_audit.h"

#include <stdlib.h>

#include "shared/config/config_value.h"

static struct config_fact find(const struct config_option *o, const struct config_file *file)
{
    struct config_fact f = {o, getenv(o->name), CONFIG_ENVIRONMENT, config_file_find(file, o->name),
                            false};

    if (!f.value && f.line) {
        f.value = f.line->value;
        f.place = CONFIG_FILE;
    } else if (!f.value) {
        f.value = o->value;
        f.place = CONFIG_DEFAULT;
    }
    return f;
}

void config_audit(const struct config_program *program, const struct config_file *file,
                  config_audit_fn *each, void *ctx, void *out)
{
    for (const struct config_option *o = program->options; o->name; o++) {
        struct config_fact f = find(o, file);
        int64_t number = 0;

        f.is_wrong = !config_value_read(o, f.value, &number);
        if (!f.is_wrong)
            config_value_store(o, f.value, number, out);
        else if (config_value_read(o, o->value, &number))
            config_value_store(o, o->value, number, out);
        each(ctx, program, &f);
    }
}
