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

/* The next word up to '_'; *text moves behind it. */
static size_t next_word(const char **text, const char **word)
{
    size_t len = strcspn(*text, "_");

    *word = *text;
    *text += len + ((*text)[len] == '_');
    return len;
}

/*
 * The longer name is the shorter one with a word in the middle: TELEGRAM_BOT_TOKEN.  Other programs
 * usually put a word of their own in front or behind.
 */
static bool has_word_more(const char *longer, const char *shorter)
{
    const char *a, *b;
    size_t len = next_word(&longer, &a), other = next_word(&shorter, &b);

    if (len != other || strncmp(a, b, len) != 0 || !*shorter)
        return false;
    next_word(&longer, &a);
    return *longer && strcmp(longer, shorter) == 0;
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

        if (distance > 1 && (has_word_more(upper, o->name) || has_word_more(o->name, upper)))
            distance = 1;
        if (distance < best) {
            best = distance;
            snprintf(nearest, CONFIG_HELP_FLAG_MAX, "%s", o->name);
        }
    }
    return nearest[0] != '\0';
}
