#include "shared/base/percent.h"

static int hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

bool percent_take(struct span *text, char *out)
{
    bool is_escape = text->at[0] == '%';
    int high = is_escape && text->len > 2 ? hex_digit(text->at[1]) : -1;
    int low = high >= 0 ? hex_digit(text->at[2]) : -1;
    size_t used = low >= 0 ? 3 : 1;

    *out = low >= 0 ? (char)(high * 16 + low) : text->at[0];
    text->at += used;
    text->len -= used;
    return !is_escape || low >= 0;
}
