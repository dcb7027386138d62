#include "shared/base/err.h"

#include <ctype.h>
#include <stddef.h>
#include <string.h>

/* Names as on the wire: lower case, without the prefix. */
#define NAME_MAX_LEN 24

static const char *const codes[] = {
#define X(code, text) #code,
    ERR_MAP(X)
#undef X
};

static const char *const texts[] = {
#define X(code, text) text,
    ERR_MAP(X)
#undef X
};

#define COUNT (sizeof codes / sizeof codes[0])

const char *err_name(enum err e)
{
    static _Thread_local char name[NAME_MAX_LEN];
    const char *code = (size_t)e < COUNT ? codes[e] : "ERR_UNKNOWN";
    size_t i = 0;

    if (strncmp(code, "ERR_", 4) == 0)
        code += 4;
    for (; code[i] && i + 1 < sizeof name; i++)
        name[i] = (char)tolower((unsigned char)code[i]);
    name[i] = '\0';
    return name;
}

const char *err_text(enum err e)
{
    return (size_t)e < COUNT ? texts[e] : "unknown error";
}
