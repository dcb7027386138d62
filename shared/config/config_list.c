#include "shared/config/config.h"

#include <ctype.h>
#include <string.h>

#include "shared/base/buf.h"
#include "shared/base/json.h"

static void each_trimmed(struct span entry, struct buf *scratch,
                         void (*each)(void *ctx, const char *entry), void *ctx)
{
    while (entry.len && isspace((unsigned char)entry.at[0])) {
        entry.at++;
        entry.len--;
    }
    while (entry.len && isspace((unsigned char)entry.at[entry.len - 1]))
        entry.len--;
    if (!entry.len)
        return;
    buf_clear(scratch);
    buf_add(scratch, entry.at, entry.len);
    each(ctx, buf_text(scratch));
}

/* An array whose values are all texts without NUL. */
static bool is_list_of_text(const struct json_value *list)
{
    for (uint32_t i = 1; i <= list->size; i++)
        if (list[i].type != JSON_STRING || memchr(list[i].text.at, '\0', list[i].text.len))
            return false;
    return true;
}

enum err config_list_each(const char *list, void (*each)(void *ctx, const char *entry), void *ctx)
{
    const struct json_value *root;
    struct buf scratch = {0};
    struct json *j = NULL;
    enum err e = OK;

    while (isspace((unsigned char)*list))
        list++;
    if (*list == '[') {
        j = json_new();
        e = json_parse(j, span_of(list), &root);
        if (!e && !is_list_of_text(root))
            e = ERR_MALFORMED;
        for (uint32_t i = 1; !e && i <= root->size; i++)
            each_trimmed(root[i].text, &scratch, each, ctx);
    } else {
        for (;;) {
            size_t len = strcspn(list, ",");

            each_trimmed((struct span){list, len}, &scratch, each, ctx);
            if (!list[len])
                break;
            list += len + 1;
        }
    }
    json_free(j);
    buf_free(&scratch);
    return e ? ERR_MALFORMED : OK;
}
