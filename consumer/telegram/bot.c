#include "consumer/telegram/bot.h"

#include <stdlib.h>
#include <string.h>

#include "consumer/telegram/alert.h"
#include "consumer/telegram/bot_private.h"
#include "consumer/telegram/phrase.h"
#include "shared/base/mem.h"
#include "shared/base/wait.h"

struct bot *bot_new(const struct bot_settings *settings)
{
    struct bot *b = mem_zalloc(sizeof *b);

    b->settings = *settings;
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

void bot_count_pending(struct bot *b)
{
    b->pending = 0;
    for (size_t i = 0; i < b->ledger.alert_count; i++)
        b->pending += *b->ledger.alerts[i].pending != '\0';
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
        struct ledger_answer *a = &l->answers[i];
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
            note_ended(b, alert_sent(&l->alerts[i], DELIVERY_UNKNOWN));
    bot_count_pending(b);
    return OK;
}

/* --- quotes ----------------------------------------------------------------------- */

void bot_judge(struct bot *b, struct alert *a, const struct lastprice *p)
{
    struct span price =
        alert_price_of(a->comparison, span_of(p->last), span_of(p->bid), span_of(p->ask));

    if (!price.len)
        return;
    switch (alert_judge(a, p->seq, price, b->settings.margin)) {
    case ALERT_NO_NEWS:
        return;
    case ALERT_REARMED:
        break;
    case ALERT_SUPERSEDED:
        b->counts.superseded++;
        break;
    case ALERT_DUE:
        b->pending += !a->delivery.is_sending;
        break;
    }
    b->ledger.revision++;
}

void bot_take_price(struct bot *b, const struct lastprice *p)
{
    lastprice_put(b->prices, p);
}

void bot_set_stale(struct bot *b, const char *symbol, uint64_t epoch, uint64_t seq, bool is_stale)
{
    lastprice_set_stale(b->prices, symbol, epoch, seq, is_stale);
}

void bot_remove_price(struct bot *b, const char *symbol, uint64_t epoch, uint64_t seq)
{
    lastprice_remove(b->prices, symbol, epoch, seq);
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
        bot_judge(b, &first[i], p);
}

/*
 * Not worth a new revision: an instance that continues a little earlier skips records that its
 * alerts have seen.
 */
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

/* How many ms until the message may be sent; -1: not before another send ends. */
static int64_t wait_of(const struct bot *b, int64_t chat, const struct delivery *d, int64_t now)
{
    if (d->is_sending || is_chat_busy(&b->ledger, chat))
        return -1;
    return pacer_wait(b->pacer, chat, now);
}

static struct ledger_answer *next_answer(struct bot *b, int64_t now)
{
    for (size_t i = 0; i < b->ledger.answer_count; i++) {
        struct ledger_answer *a = &b->ledger.answers[i];

        if (wait_of(b, a->chat, &a->delivery, now) == 0)
            return a;
    }
    return NULL;
}

static struct alert *next_alert(struct bot *b, int64_t now)
{
    struct ledger *l = &b->ledger;

    for (size_t i = 0; b->pending && i < l->alert_count; i++) {
        struct alert *a = &l->alerts[(b->cursor + i) % l->alert_count];

        if (*a->pending && wait_of(b, a->chat, &a->delivery, now) == 0) {
            b->cursor = (b->cursor + i + 1) % l->alert_count;
            return a;
        }
    }
    return NULL;
}

/* Records the intent to send the message that *d belongs to. */
static void begin(struct bot *b, struct bot_send *out, struct delivery *d, bool is_spanish,
                  int64_t now)
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
    struct ledger_answer *answer = next_answer(b, now);
    struct alert *alert = answer ? NULL : next_alert(b, now);

    if (!answer && !alert)
        return false;
    buf_clear(&out->text);
    out->is_alert = alert != NULL;
    if (answer) {
        out->chat = answer->chat;
        out->thread = answer->thread;
        out->update = answer->update;
        begin(b, out, &answer->delivery, answer->is_spanish, now);
        buf_add(&out->text, answer->text, answer->len);
    } else {
        out->chat = alert->chat;
        out->thread = alert->thread;
        out->number = alert->number;
        begin(b, out, &alert->delivery, alert->is_spanish, now);
        alert->intent = out->revision;
        phrase_crossed(&out->text, alert);
    }
    return true;
}

static enum delivery_next end_answer(struct bot *b, uint64_t update, enum delivery_outcome outcome)
{
    struct ledger_answer *a = ledger_find_answer(&b->ledger, update);
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
        return DELIVERY_DONE; /* the alert was deleted meanwhile */
    next = alert_sent(a, outcome);
    bot_count_pending(b);
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
    note_ended(b, s->is_alert ? end_alert(b, s, outcome) : end_answer(b, s->update, outcome));
}

bool bot_pause_chat(struct bot *b, int64_t chat)
{
    bool has_changed = ledger_pause_chat(&b->ledger, chat, true);

    bot_count_pending(b);
    return has_changed;
}

void bot_move_chat(struct bot *b, int64_t from, int64_t to)
{
    ledger_move_chat(&b->ledger, from, to);
    bot_count_pending(b);
}

void bot_forget_thread(struct bot *b, int64_t chat, int64_t thread)
{
    ledger_forget_thread(&b->ledger, chat, thread);
}

int64_t bot_wait(const struct bot *b, int64_t now)
{
    const struct ledger *l = &b->ledger;
    int64_t wait = -1;

    for (size_t i = 0; i < l->answer_count; i++)
        wait = wait_sooner(wait, wait_of(b, l->answers[i].chat, &l->answers[i].delivery, now));
    for (size_t i = 0; b->pending && i < l->alert_count; i++)
        if (*l->alerts[i].pending)
            wait = wait_sooner(wait, wait_of(b, l->alerts[i].chat, &l->alerts[i].delivery, now));
    return wait;
}
