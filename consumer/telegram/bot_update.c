/* bot_update: turns an update into a command, a change of the ledger, and an answer. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "consumer/telegram/alert.h"
#include "consumer/telegram/bot.h"
#include "consumer/telegram/bot_private.h"
#include "consumer/telegram/command.h"
#include "consumer/telegram/phrase.h"

/*
 * Telegram begins a new, random numbering after a week without updates. If an update's number is
 * lower by less than this, it is one that was taken before.
 */
#define REPEATS_MAX 100000

/* The parts of an update that the bot uses. */
struct message {
    uint64_t update;
    int64_t chat, thread, moved_to; /* 0: none */
    bool is_private;
    struct span text, language;
};

static bool read_number(const struct json_value *v, int64_t *out)
{
    char copy[24], *end;

    if (!v || v->type != JSON_NUMBER || v->text.len >= sizeof copy)
        return false;
    span_copy(copy, sizeof copy, v->text);
    *out = strtoll(copy, &end, 10);
    return !*end;
}

static struct span read_text(const struct json_value *v)
{
    return v && v->type == JSON_STRING ? v->text : (struct span){"", 0};
}

/* Returns false if it is not an update at all. */
static bool read_message(const struct json_value *update, struct message *out)
{
    const struct json_value *message = json_member(update, "message"), *chat;
    int64_t number;

    *out = (struct message){.text = {"", 0}, .language = {"", 0}};
    if (!read_number(json_member(update, "update_id"), &number) || number < 0)
        return false;
    out->update = (uint64_t)number;
    if (!message)
        return true;
    chat = json_member(message, "chat");
    if (!chat || !read_number(json_member(chat, "id"), &out->chat))
        return true;
    out->is_private = span_eq(read_text(json_member(chat, "type")), "private");
    out->text = read_text(json_member(message, "text"));
    if (!read_number(json_member(message, "message_thread_id"), &out->thread))
        out->thread = 0;
    if (!read_number(json_member(message, "migrate_to_chat_id"), &out->moved_to))
        out->moved_to = 0;
    if (json_member(message, "from"))
        out->language = read_text(json_member(json_member(message, "from"), "language_code"));
    return true;
}

/* No two answers in the ledger may have the same update: the next holder would refuse them. */
static bool is_had(const struct ledger *l, uint64_t update)
{
    return (update < l->next_update && l->next_update - update < REPEATS_MAX) ||
           ledger_find_answer(l, update);
}

void bot_skip_update(struct bot *b, uint64_t update)
{
    if (is_had(&b->ledger, update))
        return;
    b->counts.unreadable++;
    b->ledger.next_update = update + 1;
    b->ledger.revision++;
}

static bool is_allowed(const struct bot *b, int64_t chat)
{
    for (size_t i = 0; i < b->settings.chat_count; i++)
        if (b->settings.chats[i] == chat)
            return true;
    return !b->settings.chat_count;
}

static bool speaks_spanish(const struct bot *b, const struct message *m, const struct command *c)
{
    if (b->settings.language != BOT_AUTO)
        return b->settings.language == BOT_SPANISH;
    if (!m->language.len)
        return !c->is_english;
    return m->language.len >= 2 && strncasecmp(m->language.at, "es", 2) == 0;
}

static void set_alert(struct bot *b, const struct message *m, const struct command *c,
                      bool is_spanish)
{
    const struct lastprice *price = lastprice_find(b->prices, c->symbol);
    struct alert a = {.chat = m->chat,
                      .thread = m->thread,
                      .comparison = c->comparison,
                      .is_spanish = is_spanish,
                      .is_armed = true},
                 *added;
    enum err e;

    memcpy(a.symbol, c->symbol, sizeof a.symbol);
    memcpy(a.threshold, c->price, sizeof a.threshold);
    if (ledger_alerts_of(&b->ledger, m->chat) >= b->settings.alerts_per_chat) {
        phrase_chat_full(&b->text, is_spanish, b->settings.alerts_per_chat);
        return;
    }
    e = ledger_add_alert(&b->ledger, &a, &added);
    if (e == ERR_FULL) {
        phrase_bot_full(&b->text, is_spanish);
    } else if (e) {
        phrase_alert_exists(&b->text, is_spanish, added);
    } else {
        phrase_alert_set(&b->text, is_spanish, added, price);
        /*
         * If the comparison is already true, the alert is sent at once; later records have higher
         * positions.
         */
        if (price && (!b->ledger.epoch || price->epoch == b->ledger.epoch))
            bot_judge(b, added, price);
    }
}

static void list_alerts(struct bot *b, int64_t chat, bool is_spanish)
{
    size_t left = ledger_alerts_of(&b->ledger, chat);

    phrase_alerts_head(&b->text, is_spanish, left);
    for (uint32_t number = 1; left && b->text.len < LEDGER_TEXT_MAX - 200; number++) {
        const struct alert *a = ledger_find_alert(&b->ledger, chat, number);

        if (!a)
            continue;
        left--;
        phrase_alerts_line(&b->text, is_spanish, a);
    }
    if (left)
        buf_adds(&b->text, "\n…");
}

static void delete_alert(struct bot *b, const struct message *m, uint32_t number, bool is_spanish)
{
    struct alert *a = ledger_find_alert(&b->ledger, m->chat, number);

    if (!a) {
        phrase_no_alert(&b->text, is_spanish, number);
        return;
    }
    phrase_deleted(&b->text, is_spanish, a);
    ledger_remove_alert(&b->ledger, a);
    bot_count_pending(b);
}

/* Carries out the command; the answer is in b->text. */
static void obey(struct bot *b, const struct message *m, const struct command *c, bool is_spanish)
{
    buf_clear(&b->text);
    if (c->fault) {
        phrase_fault(&b->text, is_spanish, c);
        return;
    }
    switch (c->kind) {
    case COMMAND_NONE:
    case COMMAND_OTHER:
        phrase_unknown_command(&b->text, is_spanish);
        break;
    case COMMAND_START:
    case COMMAND_HELP:
        phrase_help(&b->text, is_spanish);
        break;
    case COMMAND_PRICE:
        phrase_price(&b->text, is_spanish, c->symbol, lastprice_find(b->prices, c->symbol));
        break;
    case COMMAND_ALERT:
        set_alert(b, m, c, is_spanish);
        break;
    case COMMAND_ALERTS:
        list_alerts(b, m->chat, is_spanish);
        break;
    case COMMAND_DELETE:
        delete_alert(b, m, c->number, is_spanish);
        break;
    }
}

/*
 * Is the message for this bot? In a group only commands of this bot are; another bot may have its
 * own.
 */
static bool is_for_us(const struct message *m, const struct command *c)
{
    return m->text.len && (m->is_private || c->kind > COMMAND_OTHER);
}

bool bot_take_update(struct bot *b, const struct json_value *update)
{
    struct ledger *l = &b->ledger;
    struct message m;
    struct command c;

    if (!read_message(update, &m) || is_had(l, m.update))
        return true;
    command_parse(m.text, b->name, &c);
    if (m.moved_to)
        bot_move_chat(b, m.chat, m.moved_to);
    /* a chat that writes to the bot takes messages again */
    else if (m.text.len)
        ledger_pause_chat(l, m.chat, false);
    if (!is_for_us(&m, &c)) {
        /* no answer */
    } else if (!is_allowed(b, m.chat)) {
        b->counts.not_allowed++;
    } else if (ledger_answers_of(l, m.chat) >= BOT_ANSWERS_PER_CHAT) {
        b->counts.dropped++;
    } else {
        bool is_spanish = speaks_spanish(b, &m, &c);

        /*
         * Check for the longest answer before anything is changed, so that the command is carried
         * out completely.
         */
        if (!ledger_has_room(l))
            return false;
        obey(b, &m, &c, is_spanish);
        if (ledger_add_answer(l, m.update, m.chat, m.thread, is_spanish, buf_span(&b->text)))
            b->counts.dropped++;
    }
    l->next_update = m.update + 1;
    l->revision++;
    return true;
}
