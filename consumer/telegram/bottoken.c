#include "consumer/telegram/bottoken.h"

#include <string.h>

bool bottoken_is_right(const char *token)
{
    size_t digits = strspn(token, "0123456789");
    size_t secret;

    if (!digits || digits > 20 || token[digits] != ':')
        return false;
    secret = strspn(token + digits + 1, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuv"
                                        "wxyz0123456789_-");
    return secret && !token[digits + 1 + secret];
}
