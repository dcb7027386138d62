#include "shared/config/config_value.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/mem.h"

bool config_value_is_secret(const struct config_option *o)
{
    size_t len = strlen(o->name);

    return o->kind == CONFIG_secret || (len > 6 && strcmp(o->name + len - 6, "_TOKEN") == 0);
}

static bool read_int(const char *text, int64_t *out)
{
    char *end;

    if (!isdigit((unsigned char)text[text[0] == '-']))
        return false;
    errno = 0;
    *out = strtoll(text, &end, 10);
    return !*end && !errno;
}

bool config_value_read_flag(const char *text, int64_t *out)
{
    static const char *const words[] = {"0", "1", "false", "true", "no", "yes", "off", "on"};

    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strcasecmp(text, words[i]) == 0) {
            *out = i % 2;
            return true;
        }
    return false;
}

bool config_read_ms(const char *text, int64_t *out)
{
    size_t whole = strspn(text, "0123456789"), decimals = 0;
    int64_t ms = 0;

    if (text[whole] == '.') {
        decimals = strspn(text + whole + 1, "0123456789");
        if (!decimals || decimals > 3)
            return false;
    }
    if (!whole || whole > 12 || text[whole + (decimals ? decimals + 1 : 0)])
        return false;
    for (size_t i = 0; i < whole; i++)
        ms = ms * 10 + (text[i] - '0');
    for (size_t i = 0; i < 3; i++)
        ms = ms * 10 + (i < decimals ? text[whole + 1 + i] - '0' : 0);
    *out = ms;
    return true;
}

static bool within(int64_t n, const struct config_option *o, int64_t unit)
{
    return n >= o->min * unit && n <= o->max * unit;
}

/* Find `text` among the words of "a|b|c", in any case; its length, or 0. */
static size_t choose(const char *allowed, const char *text, const char **word)
{
    size_t len = strlen(text);

    for (const char *w = allowed; *w; w += strspn(w, "|")) {
        size_t word_len = strcspn(w, "|");

        if (word_len == len && strncasecmp(w, text, len) == 0) {
            *word = w;
            return len;
        }
        w += word_len;
    }
    return 0;
}

static void ignore_entry(void *ctx, const char *entry)
{
    (void)ctx;
    (void)entry;
}

/* Build systems put other texts into HOST; resolve it now, so that the error names the setting. */
static bool is_address(const char *text)
{
    const struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    struct in_addr number;

    if (inet_pton(AF_INET, text, &number) == 1)
        return true;
    if (!*text || getaddrinfo(text, NULL, &hints, &found))
        return false;
    freeaddrinfo(found);
    return true;
}

static bool is_endpoint(const char *text)
{
    const char *port = strrchr(text, ':');
    int64_t number;

    if (strncmp(text, "ipc://", 6) == 0)
        return text[6] != '\0';
    return strncmp(text, "tcp://", 6) == 0 && port > text + 6 && read_int(port + 1, &number) &&
           number >= 0 && number <= 65535;
}

bool config_value_read(const struct config_option *o, const char *text, int64_t *number)
{
    int64_t n = 0;
    const char *word;

    switch (o->kind) {
    case CONFIG_text:
    case CONFIG_secret:
        return within((int64_t)strlen(text), o, 1);
    case CONFIG_list:
        return within((int64_t)strlen(text), o, 1) &&
               config_list_each(text, ignore_entry, NULL) == OK;
    case CONFIG_choice:
        return choose(o->allowed, text, &word) != 0;
    case CONFIG_address:
        return within((int64_t)strlen(text), o, 1) && is_address(text);
    case CONFIG_endpoint:
        return is_endpoint(text);
    case CONFIG_int:
        if (!read_int(text, &n) || !within(n, o, 1))
            return false;
        break;
    case CONFIG_flag:
        if (!config_value_read_flag(text, &n))
            return false;
        break;
    case CONFIG_seconds:
        if (!config_read_ms(text, &n) || !within(n, o, 1000))
            return false;
        break;
    }
    *number = n;
    return true;
}

void config_value_store(const struct config_option *o, const char *text, int64_t number,
                        void *config)
{
    char *field = (char *)config + o->offset, *copy;
    const char *word = text;
    bool yes = number;

    switch (o->kind) {
    case CONFIG_choice:
        choose(o->allowed, text, &word);
        __attribute__((fallthrough));
    case CONFIG_address:
    case CONFIG_endpoint:
    case CONFIG_text:
    case CONFIG_secret:
    case CONFIG_list:
        copy = mem_strndup(word, strlen(text));
        memcpy(field, &copy, sizeof copy);
        break;
    case CONFIG_flag:
        memcpy(field, &yes, sizeof yes);
        break;
    case CONFIG_int:
    case CONFIG_seconds:
        memcpy(field, &number, sizeof number);
        break;
    }
}
