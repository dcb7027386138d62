#include "shared/wire/lock_name.h"

#include <stddef.h>

static bool is_of_name(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == ':' || c == '-';
}

bool lock_is_name(struct span text)
{
    if (!text.len || text.len > LOCK_NAME_MAX)
        return false;
    for (size_t i = 0; i < text.len; i++)
        if (!is_of_name(text.at[i]))
            return false;
    return true;
}

bool lock_is_owner(struct span text)
{
    if (!text.len || text.len > LOCK_OWNER_MAX)
        return false;
    for (size_t i = 0; i < text.len; i++)
        if (text.at[i] < 0x21 || text.at[i] > 0x7e)
            return false;
    return true;
}
