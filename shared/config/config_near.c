#include "shared/config/config_near.h"

#include <ctype.h>
#include <string.h>

size_t config_near_edits(const char *a, const char *b)
{
    size_t row[CONFIG_HELP_FLAG_MAX + 1], len = strlen(b);

    for (size_t k = 0; k <= len; k++)
        row[k] = k;
    for (size_t i = 0; a[i]; i++) {
        size_t diagonal = row[0];

        row[0] = i + 1;
        for (size_t k = 1; k <= len; k++) {
            size_t best = diagonal + (a[i] != b[k - 1]);

            diagonal = row[k];
            best = best < row[k] + 1 ? best : row[k] + 1;
            row[k] = best < row[k - 1] + 1 ? best : row[k - 1] + 1;
        }
    }
    return row[len];
}

bool config_near_setting(const char *name, const struct config_option *options,
                         char nearest[CONFIG_HELP_FLAG_MAX])
{
    char upper[CONFIG_HELP_FLAG_MAX];
    size_t best;

    snprintf(upper, sizeof upper, "%s", name);
    for (char *c = upper; *c; c++)
        *c = (char)toupper((unsigned char)*c);
    best = strlen(name) < 8 ? 2 : 3;
    nearest[0] = '\0';
    for (const struct config_option *o = options; o->name; o++) {
        size_t distance = config_near_edits(upper, o->name);

        if (distance < best) {
            best = distance;
            snprintf(nearest, CONFIG_HELP_FLAG_MAX, "%s", o->name);
        }
    }
    return nearest[0] != '\0';
}
