#include "shared/base/redact.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

#include "shared/base/percent.h"

#define NAME_MAX_BYTES 64 /* of a decoded name; a longer name is not one of ours */

static bool is_secret(const char *name)
{
    static const char *const words[] = {"token", "secret", "passw", "apikey", "api_key", "auth"};

    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strstr(name, words[i]))
            return true;
    return false;
}

static size_t value_length(struct span text)
{
    size_t len = 0;

    while (len < text.len && !strchr("&# \t\"", text.at[len]))
        len++;
    return len;
}

/*
 * The offset of the '@' that ends the userinfo of "scheme://userinfo@host"; 0: there is none. The
 * last '@' counts, because programs that allow an '@' in a password read it so.
 */
static size_t userinfo_end(struct span text)
{
    size_t end = 0;

    for (size_t i = 0; i < text.len && !strchr("/?# \t\"", text.at[i]); i++)
        if (text.at[i] == '@')
            end = i;
    return end;
}

void redact_address(struct span address, struct buf *out)
{
    char name[NAME_MAX_BYTES + 1];
    size_t len = 0;

    while (address.len) {
        const char *from = address.at;
        size_t skip = 0;
        char c;

        (void)percent_take(&address, &c);
        buf_add(out, from, (size_t)(address.at - from));
        if (c == '=') {
            name[len < NAME_MAX_BYTES ? len : NAME_MAX_BYTES] = '\0';
            if (is_secret(name))
                skip = value_length(address);
            len = 0;
        } else if (strchr("/?&;,# \t\"", c) && c) {
            len = 0;
            if (c == '/' && out->len > 2 && memcmp(out->data + out->len - 3, "://", 3) == 0)
                skip = userinfo_end(address);
        } else {
            if (len < NAME_MAX_BYTES)
                name[len] = (char)tolower((unsigned char)c);
            len++;
        }
        if (skip) {
            buf_adds(out, "***");
            address.at += skip;
            address.len -= skip;
        }
    }
}
