#include "consumer/telegram/command.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

static const struct word {
    const char *text;
    enum command_kind kind;
    bool is_english;
} words[] = {
    {"start", COMMAND_START, false},  {"ayuda", COMMAND_HELP, false},
    {"help", COMMAND_HELP, true},     {"precio", COMMAND_PRICE, false},
    {"price", COMMAND_PRICE, true},   {"alerta", COMMAND_ALERT, false},
    {"alert", COMMAND_ALERT, true},   {"alertas", COMMAND_ALERTS, false},
    {"alerts", COMMAND_ALERTS, true}, {"borrar", COMMAND_DELETE, false},
    {"delete", COMMAND_DELETE, true},
};

static const struct sign {
    const char *text;
    enum alert_comparison comparison;
} signs[] = {
    {">=", ALERT_AT_LEAST}, {"<=", ALERT_AT_MOST}, {"≥", ALERT_AT_LEAST},
    {"≤", ALERT_AT_MOST},   {">", ALERT_ABOVE},    {"<", ALERT_BELOW},
};

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static struct span trim(struct span s)
{
    while (s.len && is_space(s.at[0])) {
        s.at++;
        s.len--;
    }
    while (s.len && is_space(s.at[s.len - 1]))
        s.len--;
    return s;
}

static bool begins_with(struct span s, const char *start)
{
    size_t len = strlen(start);

    return s.len >= len && memcmp(s.at, start, len) == 0;
}

static const struct sign *sign_at(struct span s)
{
    for (size_t i = 0; i < sizeof signs / sizeof signs[0]; i++)
        if (begins_with(s, signs[i].text))
            return &signs[i];
    return NULL;
}

static void skip(struct span *s, size_t len)
{
    s->at += len;
    s->len -= len;
}

/* Takes the text up to a space; with `stop_at_sign` also up to a comparison. */
static struct span take_word(struct span *rest, bool stop_at_sign)
{
    struct span word;

    *rest = trim(*rest);
    word = (struct span){rest->at, 0};
    while (rest->len && !is_space(rest->at[0]) && !(stop_at_sign && sign_at(*rest))) {
        skip(rest, 1);
        word.len++;
    }
    *rest = trim(*rest);
    return word;
}

static bool take_symbol(struct span *rest, char out[QUOTE_SYMBOL_MAX + 1])
{
    struct span word = take_word(rest, true);
    char upper[QUOTE_SYMBOL_MAX + 1];

    if (!word.len || word.len > QUOTE_SYMBOL_MAX)
        return false;
    for (size_t i = 0; i < word.len; i++)
        upper[i] = (char)toupper((unsigned char)word.at[i]);
    upper[word.len] = '\0';
    if (!quote_is_symbol((struct span){upper, word.len}))
        return false;
    memcpy(out, upper, word.len + 1);
    return true;
}

static bool take_price(struct span *rest, char out[QUOTE_DECIMAL_MAX + 1])
{
    struct span word = take_word(rest, false);
    char plain[QUOTE_DECIMAL_MAX + 1];
    char *comma;

    if (!word.len || word.len > QUOTE_DECIMAL_MAX)
        return false;
    memcpy(plain, word.at, word.len);
    plain[word.len] = '\0';
    comma = memchr(plain, ',', word.len);
    if (comma)
        *comma = '.'; /* with a second comma, or a point, it is not a decimal */
    if (!quote_is_decimal((struct span){plain, word.len}))
        return false;
    memcpy(out, plain, word.len + 1);
    return true;
}

static bool take_number(struct span *rest, uint32_t *out)
{
    struct span word = take_word(rest, false);
    uint32_t n = 0;

    if (word.len && word.at[0] == '#')
        skip(&word, 1);
    if (!word.len || word.len > 6)
        return false;
    for (size_t i = 0; i < word.len; i++) {
        if (!isdigit((unsigned char)word.at[i]))
            return false;
        n = n * 10 + (uint32_t)(word.at[i] - '0');
    }
    *out = n;
    return n > 0;
}

static enum command_fault read_arguments(struct command *c, struct span *rest)
{
    const struct sign *sign;

    if (c->kind == COMMAND_DELETE)
        return take_number(rest, &c->number) ? COMMAND_FINE : COMMAND_NO_NUMBER;
    if (c->kind != COMMAND_PRICE && c->kind != COMMAND_ALERT) {
        /* /start comes with a payload; the other commands ignore further words */
        rest->len = 0;
        return COMMAND_FINE;
    }
    if (!take_symbol(rest, c->symbol))
        return COMMAND_NO_SYMBOL;
    if (c->kind == COMMAND_PRICE)
        return COMMAND_FINE;
    sign = sign_at(*rest);
    if (!sign)
        return COMMAND_NO_COMPARISON;
    skip(rest, strlen(sign->text));
    c->comparison = sign->comparison;
    return take_price(rest, c->price) ? COMMAND_FINE : COMMAND_NO_PRICE;
}

static bool is_word(struct span s, const char *text)
{
    return s.len == strlen(text) && strncasecmp(s.at, text, s.len) == 0;
}

void command_parse(struct span text, const char *bot, struct command *out)
{
    struct span rest = trim(text), word;
    const char *at;

    *out = (struct command){0};
    if (!begins_with(rest, "/"))
        return;
    word = take_word(&rest, false);
    skip(&word, 1);
    at = memchr(word.at, '@', word.len);
    if (at) {
        struct span name = {at + 1, (size_t)(word.at + word.len - at - 1)};

        if (!is_word(name, bot))
            return;
        word.len = (size_t)(at - word.at);
    }
    out->kind = COMMAND_OTHER;
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (is_word(word, words[i].text)) {
            out->kind = words[i].kind;
            out->is_english = words[i].is_english;
            out->fault = read_arguments(out, &rest);
            if (!out->fault && rest.len)
                out->fault = COMMAND_TOO_MUCH;
        }
}
