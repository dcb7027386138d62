#include "gateway/policy/list.h"

#include <stdio.h>
#include <string.h>

#include "shared/config/config.h"

struct reading {
    const char *setting;
    void (*add)(void *into, const char *entry, const char *setting, char error[LIST_ERROR_MAX]);
    void *into;
    char *error; /* "" while all is well */
};

static void add_entry(void *ctx, const char *entry)
{
    struct reading *r = ctx;

    if (!r->error[0])
        r->add(r->into, entry, r->setting, r->error);
}

bool list_read(const char *setting, const char *text, const char *example,
               void (*add)(void *into, const char *entry, const char *setting,
                           char error[LIST_ERROR_MAX]),
               void *into, char error[LIST_ERROR_MAX])
{
    struct reading r = {setting, add, into, error};

    if (config_list_each(text, add_entry, &r))
        snprintf(error, LIST_ERROR_MAX,
                 "%s: '%.100s' begins with [ but is no JSON list of strings%s%s%s", setting, text,
                 example ? ", like [\"" : "", example ? example : "", example ? "\"]" : "");
    return !error[0];
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

struct span list_trim(struct span text)
{
    while (text.len && is_blank(text.at[0]))
        text.at++, text.len--;
    while (text.len && is_blank(text.at[text.len - 1]))
        text.len--;
    return text;
}

struct span list_first(const char *list)
{
    return list_trim((struct span){list, strcspn(list, ",")});
}

bool list_next(const char **list, struct span *item)
{
    size_t len = strcspn(*list, ",");

    if (!**list)
        return false;
    *item = list_first(*list);
    *list += len + ((*list)[len] == ',');
    return true;
}

bool list_has(const char *list, const char *word)
{
    size_t len = strlen(word);
    struct span item;

    while (list_next(&list, &item))
        if (item.len == len && strncasecmp(item.at, word, len) == 0)
            return true;
    return false;
}
