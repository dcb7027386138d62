#include "consumer/telegram/bot.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "consumer/telegram/alert.h"
#include "consumer/telegram/command.h"
#include "consumer/telegram/pacer.h"
#include "consumer/telegram/phrase.h"
#include "shared/mem.h"

#define NAME_MAX_LEN 64
/* Telegram begins a new, random numbering after a quiet week; below this distance an
 * update is one that we have had. */
#define REPEATS_MAX 100000

struct bot {
    struct bot_settings settings;
    char name[NAME_MAX_LEN + 1];
    struct ledger ledger;
    struct lastprice_table *prices;
    struct pacer *pacer;
    struct bot_counts counts;
    size_t cursor; /* the alert to look at first */
    size_t owed;   /* alerts with a price to tell */
    struct buf text;
};

/* What an update says, as far as we care. */
struct message {
    uint64_t update;
    int64_t chat;
    bool is_private;
    struct span text, language;
};

struct bot *bot_new(const struct bot_settings *settings)
{
    struct bot *b = mem_zalloc(sizeof *b);

    b->settings = *settings;
    ledger_init(&b->ledger);
    b->prices = lastprice_table_new();
    b->pacer = pacer_new();
    return b;
}

void bot_free(struct bot *b)
{
    if (!b)
        return;
    ledger_fini(&b->ledger);
    lastprice_table_free(b->prices);
    pacer_free(b->pacer);
    buf_free(&b->text);
    free(b);
}

void bot_set_name(struct bot *b, const char *username)
{
    span_copy(b->name, sizeof b->name, span_of(username));
}

struct ledger *bot_ledger(struct bot *b)
{
    return &b->ledger;
}

const struct bot_counts *bot_counts(const struct bot *b)
{
    return &b->counts;
}

static void count_owed(struct bot *b)
{
    b->owed = 0;
    for (size_t i = 0; i < b->ledger.alert_count; i++)
        b->owed += *b->ledger.alerts[i].owed != '\0';
}

static void note_ended(struct bot *b, enum delivery_next next)
{
    b->counts.given_up += next == DELIVERY_GIVEN_UP;
    b->ledger.revision++;
}

enum err bot_load(struct bot *b, struct span value)
{
    struct ledger *l = &b->ledger, loaded;
    uint64_t revision = l->revision + 1;
    enum err e;

    ledger_init(&loaded);
    e = value.len ? ledger_unpack(&loaded, value) : OK;
    if (e)
        return e;
    ledger_fini(l);
    *l = loaded;
    l->revision = revision;
    for (size_t i = l->answer_count; i-- > 0;) {
        struct answer *a = &l->answers[i];
        enum delivery_next next;

        if (!a->delivery.is_sending)
            continue;
        next = delivery_end(&a->delivery, DELIVERY_UNKNOWN);
        note_ended(b, next);
        if (next != DELIVERY_AGAIN)
            ledger_remove_answer(l, a);
    }
    for (size_t i = 0; i < l->alert_count; i++)
        if (l->alerts[i].delivery.is_sending)
            note_ended(b, alert_told(&l->alerts[i], DELIVERY_UNKNOWN));
    count_owed(b);
    return OK;
}

/* --- updates ---------------------------------------------------------------------- */

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

/* False: not an update at all. */
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
    if (json_member(message, "from"))
        out->language =
            read_text(json_member(json_member(message, "from"), "language_code"));
    return true;
}

static bool is_had(const struct ledger *l, uint64_t update)
{
    return update < l->next_update && l->next_update - update < REPEATS_MAX;
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

static bool speaks_spanish(const struct bot *b, const struct message *m,
                           const struct command *c)
{
    if (b->settings.language != BOT_AUTO)
        return b->settings.language == BOT_SPANISH;
    if (!m->language.len)
        return !c->is_english;
    return m->language.len >= 2 && strncasecmp(m->language.at, "es", 2) == 0;
}

static void judge(struct bot *b, struct alert *a, const struct lastprice *p,
                  uint64_t seq)
{
    struct span price = alert_price_of(a->comparison, span_of(p->last), span_of(p->bid),
                                       span_of(p->ask));

    if (!price.len)
        return;
    switch (alert_judge(a, seq, price, b->settings.margin)) {
    case ALERT_NO_NEWS:
        return;
    case ALERT_REARMED:
        break;
    case ALERT_SUPERSEDED:
        b->counts.superseded++;
        break;
    case ALERT_DUE:
        b->owed += !a->delivery.is_sending;
        break;
    }
    b->ledger.revision++;
}

static void set_alert(struct bot *b, const struct message *m, const struct command *c,
                      bool is_spanish)
{
    const struct lastprice *price = lastprice_find(b->prices, c->symbol);
    struct alert a = {.chat = m->chat,
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
        /* A price that is true already is told at once; later records have higher positions. */
        if (price && (!b->ledger.epoch || price->epoch == b->ledger.epoch))
            judge(b, added, price, price->seq);
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

static void delete_alert(struct bot *b, const struct message *m, uint32_t number,
                         bool is_spanish)
{
    struct alert *a = ledger_find_alert(&b->ledger, m->chat, number);

    if (!a) {
        phrase_no_alert(&b->text, is_spanish, number);
        return;
    }
    phrase_deleted(&b->text, is_spanish, a);
    ledger_remove_alert(&b->ledger, a);
    count_owed(b);
}

/* Do what the command says; the answer is in b->text. */
static void obey(struct bot *b, const struct message *m, const struct command *c,
                 bool is_spanish)
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
        phrase_price(&b->text, is_spanish, c->symbol,
                     lastprice_find(b->prices, c->symbol));
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

/* Is this for us?  In a group only our own commands are; another bot may have its own. */
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
    if (!is_for_us(&m, &c)) {
        /* nothing to say */
    } else if (!is_allowed(b, m.chat)) {
        b->counts.not_allowed++;
    } else if (ledger_answers_of(l, m.chat) >= BOT_ANSWERS_PER_CHAT) {
        b->counts.dropped++;
    } else {
        bool is_spanish = speaks_spanish(b, &m, &c);

        /* Before anything is done: with room for the longest answer it will be done whole. */
        if (!ledger_has_room(l))
            return false;
        obey(b, &m, &c, is_spanish);
        if (ledger_add_answer(l, m.update, m.chat, is_spanish, buf_span(&b->text)))
            b->counts.dropped++;
    }
    l->next_update = m.update + 1;
    l->revision++;
    return true;
}

/* --- quotes ----------------------------------------------------------------------- */

void bot_take_price(struct bot *b, const struct lastprice *p)
{
    lastprice_put(b->prices, p);
}

void bot_set_stale(struct bot *b, const char *symbol, uint64_t epoch, uint64_t seq,
                   bool is_stale)
{
    lastprice_set_stale(b->prices, symbol, epoch, seq, is_stale);
}

void bot_take_reset(struct bot *b, uint64_t epoch)
{
    struct ledger *l = &b->ledger;

    for (size_t i = 0; i < l->alert_count; i++)
        l->alerts[i].seen = 0;
    l->epoch = epoch;
    l->seq = 0;
    l->revision++;
}

void bot_take_record(struct bot *b, const struct lastprice *p)
{
    struct alert *first;
    size_t count;

    if (p->epoch != b->ledger.epoch)
        bot_take_reset(b, p->epoch);
    lastprice_put(b->prices, p);
    count = ledger_alerts_on(&b->ledger, p->symbol, &first);
    for (size_t i = 0; i < count; i++)
        judge(b, &first[i], p, p->seq);
}

/* Not a change worth a revision: a successor that begins a little earlier knows what it saw. */
void bot_take_position(struct bot *b, uint64_t epoch, uint64_t seq)
{
    if (epoch != b->ledger.epoch)
        return;
    b->ledger.seq = seq;
}

/* --- sending ---------------------------------------------------------------------- */

static bool is_chat_busy(const struct ledger *l, int64_t chat)
{
    for (size_t i = 0; i < l->answer_count; i++)
        if (l->answers[i].chat == chat && l->answers[i].delivery.is_sending)
            return true;
    for (size_t i = 0; i < l->alert_count; i++)
        if (l->alerts[i].chat == chat && l->alerts[i].delivery.is_sending)
            return true;
    return false;
}

/* How many ms until it may go; -1: not before something else ended. */
static int64_t wait_of(const struct bot *b, int64_t chat, const struct delivery *d,
                       int64_t now)
{
    if (d->is_sending || is_chat_busy(&b->ledger, chat))
        return -1;
    return pacer_wait(b->pacer, chat, now);
}

static struct answer *next_answer(struct bot *b, int64_t now)
{
    for (size_t i = 0; i < b->ledger.answer_count; i++) {
        struct answer *a = &b->ledger.answers[i];

        if (wait_of(b, a->chat, &a->delivery, now) == 0)
            return a;
    }
    return NULL;
}

static struct alert *next_alert(struct bot *b, int64_t now)
{
    struct ledger *l = &b->ledger;

    for (size_t i = 0; b->owed && i < l->alert_count; i++) {
        struct alert *a = &l->alerts[(b->cursor + i) % l->alert_count];

        if (*a->owed && wait_of(b, a->chat, &a->delivery, now) == 0) {
            b->cursor = (b->cursor + i + 1) % l->alert_count;
            return a;
        }
    }
    return NULL;
}

/* Mark the intent of what *d belongs to. */
static void begin(struct bot *b, struct bot_send *out, struct delivery *d,
                  bool is_spanish, int64_t now)
{
    if (delivery_is_repeat(d)) {
        phrase_repeated(&out->text, is_spanish);
        b->counts.repeated++;
    }
    delivery_begin(d);
    pacer_take(b->pacer, out->chat, now);
    out->revision = ++b->ledger.revision;
}

bool bot_next(struct bot *b, int64_t now, struct bot_send *out)
{
    struct answer *answer = next_answer(b, now);
    struct alert *alert = answer ? NULL : next_alert(b, now);

    if (!answer && !alert)
        return false;
    buf_clear(&out->text);
    out->is_alert = alert != NULL;
    if (answer) {
        out->chat = answer->chat;
        out->update = answer->update;
        begin(b, out, &answer->delivery, answer->is_spanish, now);
        buf_add(&out->text, answer->text, answer->len);
    } else {
        out->chat = alert->chat;
        out->number = alert->number;
        begin(b, out, &alert->delivery, alert->is_spanish, now);
        alert->intent = out->revision;
        phrase_crossed(&out->text, alert);
    }
    return true;
}

static enum delivery_next end_answer(struct bot *b, uint64_t update,
                                     enum delivery_outcome outcome)
{
    struct answer *a = ledger_find_answer(&b->ledger, update);
    enum delivery_next next;

    if (!a)
        return DELIVERY_DONE;
    next = delivery_end(&a->delivery, outcome);
    if (next != DELIVERY_AGAIN)
        ledger_remove_answer(&b->ledger, a);
    return next;
}

static enum delivery_next end_alert(struct bot *b, const struct bot_send *s,
                                    enum delivery_outcome outcome)
{
    struct alert *a = ledger_find_alert(&b->ledger, s->chat, s->number);
    enum delivery_next next;

    if (!a || !a->delivery.is_sending || a->intent != s->revision)
        return DELIVERY_DONE; /* deleted meanwhile */
    next = alert_told(a, outcome);
    count_owed(b);
    return next;
}

void bot_sent(struct bot *b, const struct bot_send *s, enum delivery_outcome outcome,
              int64_t retry_after_ms, int64_t now)
{
    if (retry_after_ms > 0)
        pacer_refused(b->pacer, s->chat, retry_after_ms, now);
    if (outcome == DELIVERY_SENT)
        (*(s->is_alert ? &b->counts.alerted : &b->counts.answered))++;
    b->counts.refused += outcome == DELIVERY_REFUSED;
    note_ended(b, s->is_alert ? end_alert(b, s, outcome)
                              : end_answer(b, s->update, outcome));
}

static int64_t sooner(int64_t a, int64_t b)
{
    return a < 0 ? b : b < 0 || a < b ? a : b;
}

int64_t bot_wait(const struct bot *b, int64_t now)
{
    const struct ledger *l = &b->ledger;
    int64_t wait = -1;

    for (size_t i = 0; i < l->answer_count; i++)
        wait =
            sooner(wait, wait_of(b, l->answers[i].chat, &l->answers[i].delivery, now));
    for (size_t i = 0; b->owed && i < l->alert_count; i++)
        if (*l->alerts[i].owed)
            wait = sooner(wait,
                          wait_of(b, l->alerts[i].chat, &l->alerts[i].delivery, now));
    return wait;
}

size_t bot_backlog(const struct bot *b)
{
    return b->ledger.answer_count + b->owed;
}
