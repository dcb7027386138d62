/*
 * bot_fixture: a bot with its updates and prices, for tests.  Include it after <cmocka.h>.
 */
#ifndef TESTS_UNIT_CONSUMER_TELEGRAM_BOT_FIXTURE_H
#define TESTS_UNIT_CONSUMER_TELEGRAM_BOT_FIXTURE_H

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "consumer/telegram/bot.h"

#define EPOCH 99

static struct bot *bot;
static struct json *json;
static struct bot_send sending;
static uint64_t update, seq;

static inline void begin(enum bot_language language)
{
    const struct bot_settings settings = {
        .language = language, .margin = 100000, .alerts_per_chat = 3};

    bot_free(bot);
    bot = bot_new(&settings);
    bot_set_name(bot, "pregon_bot");
}

static inline int set_up(void **state)
{
    (void)state;
    json = json_new();
    update = 1000;
    seq = 0;
    begin(BOT_AUTO);
    return 0;
}

static inline int tear_down(void **state)
{
    (void)state;
    buf_free(&sending.text);
    bot_free(bot);
    bot = NULL;
    json_free(json);
    return 0;
}

static inline bool take(const char *text)
{
    const struct json_value *root;

    assert_int_equal(json_parse(json, span_of(text), &root), OK);
    return bot_take_update(bot, root);
}

/* Chat `chat` writes; language NULL: the update names none. */
static inline bool writes_in(const char *language, int64_t chat, const char *text)
{
    struct buf b = {0};
    bool taken;

    buf_printf(&b, "{\"update_id\":%llu,\"message\":{\"chat\":{\"id\":%lld,\"type\":\"%s\"}",
               (unsigned long long)update, (long long)chat, chat < 0 ? "group" : "private");
    if (language)
        buf_printf(&b, ",\"from\":{\"language_code\":\"%s\"}", language);
    buf_adds(&b, ",\"text\":");
    buf_jsons(&b, text);
    buf_adds(&b, "}}");
    taken = take(buf_text(&b));
    update += taken;
    buf_free(&b);
    return taken;
}

static inline void writes(int64_t chat, const char *text)
{
    assert_true(writes_in("es-MX", chat, text));
}

static inline struct lastprice price(const char *symbol, const char *last)
{
    struct lastprice p = {.epoch = EPOCH, .seq = ++seq};

    span_copy(p.symbol, sizeof p.symbol, span_of(symbol));
    span_copy(p.last, sizeof p.last, span_of(last));
    return p;
}

static inline void quoted(const char *symbol, const char *last)
{
    struct lastprice p = price(symbol, last);

    bot_take_record(bot, &p);
}

/* Send the next message; "" if there is none. */
static inline const char *next_text_at(int64_t now)
{
    if (!bot_next(bot, now, &sending))
        return "";
    bot_sent(bot, &sending, DELIVERY_SENT, 0, now);
    return buf_text(&sending.text);
}

static int64_t far = 1000000;

static inline const char *next_text(void)
{
    return next_text_at(far += 100000);
}

static inline bool holds(const char *text, const char *part)
{
    if (!strstr(text, part))
        print_error("\"%s\" is not in \"%s\"\n", part, text);
    return strstr(text, part) != NULL;
}

/* Load the ledger that the next instance would find. */
static inline void takes_over(void)
{
    struct buf value = {0};

    ledger_pack(bot_ledger(bot), &value);
    begin(BOT_AUTO);
    assert_int_equal(bot_load(bot, buf_span(&value)), OK);
    buf_free(&value);
}

/* Answers and alerts that wait or are being sent. */
static inline size_t unsent(void)
{
    const struct ledger *l = bot_ledger(bot);
    size_t count = l->answer_count;

    for (size_t i = 0; i < l->alert_count; i++)
        count += *l->alerts[i].pending != '\0';
    return count;
}

#endif
