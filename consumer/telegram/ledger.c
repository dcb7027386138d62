#include "consumer/telegram/ledger.h"

#include <stdlib.h>
#include <string.h>

#include "shared/base/array.h"
#include "shared/base/mem.h"

/* Bytes of msgpack around the texts of an alert or answer, with numbers at full width. */
#define ALERT_OVERHEAD 50
#define ANSWER_OVERHEAD 41

void ledger_init(struct ledger *l)
{
    *l = (struct ledger){0};
}

void ledger_fini(struct ledger *l)
{
    for (size_t i = 0; i < l->answer_count; i++)
        free(l->answers[i].text);
    free(l->answers);
    free(l->alerts);
    ledger_init(l);
}

/*
 * The charge of an alert with a pending price. A second price exists only while a send is under
 * way; room for those is reserved once for all.
 */
static size_t charge(const struct alert *a)
{
    return ALERT_OVERHEAD + strlen(a->symbol) + strlen(a->threshold) + QUOTE_DECIMAL_MAX;
}

/* The first alert whose symbol is not below `symbol`. */
static size_t lower_bound(const struct ledger *l, const char *symbol)
{
    size_t from = 0, to = l->alert_count;

    while (from < to) {
        size_t middle = from + (to - from) / 2;

        if (strcmp(l->alerts[middle].symbol, symbol) < 0)
            from = middle + 1;
        else
            to = middle;
    }
    return from;
}

size_t ledger_alerts_on(const struct ledger *l, const char *symbol, struct alert **first)
{
    size_t at = lower_bound(l, symbol), n = 0;

    while (at + n < l->alert_count && strcmp(l->alerts[at + n].symbol, symbol) == 0)
        n++;
    *first = n ? &l->alerts[at] : NULL;
    return n;
}

struct alert *ledger_find_alert(const struct ledger *l, int64_t chat, uint32_t number)
{
    for (size_t i = 0; i < l->alert_count; i++)
        if (l->alerts[i].chat == chat && l->alerts[i].number == number)
            return &l->alerts[i];
    return NULL;
}

size_t ledger_alerts_of(const struct ledger *l, int64_t chat)
{
    size_t n = 0;

    for (size_t i = 0; i < l->alert_count; i++)
        n += l->alerts[i].chat == chat;
    return n;
}

static uint32_t free_number(const struct ledger *l, int64_t chat)
{
    uint32_t n = 1;

    while (ledger_find_alert(l, chat, n))
        n++;
    return n;
}

static void insert(struct ledger *l, const struct alert *a, struct alert **out)
{
    struct alert *first;
    size_t at = lower_bound(l, a->symbol) + ledger_alerts_on(l, a->symbol, &first);

    ARRAY_RESERVE(l->alerts, l->alert_cap, l->alert_count + 1);
    ARRAY_INSERT(l->alerts, l->alert_count, at, *a);
    l->alert_bytes += charge(a);
    l->revision++;
    *out = &l->alerts[at];
}

static bool is_same(const struct alert *a, const struct alert *b)
{
    return a->chat == b->chat && a->comparison == b->comparison &&
           strcmp(a->symbol, b->symbol) == 0 &&
           quote_decimal_compare(span_of(a->threshold), span_of(b->threshold)) == 0;
}

enum err ledger_add_alert(struct ledger *l, const struct alert *a, struct alert **out)
{
    struct alert copy = *a;

    for (size_t i = 0; i < l->alert_count; i++)
        if (is_same(&l->alerts[i], a)) {
            *out = &l->alerts[i];
            return ERR_DUPLICATE_KEY;
        }
    if (l->alert_bytes + charge(a) > LEDGER_ALERT_BYTES_MAX)
        return ERR_FULL;
    copy.number = free_number(l, a->chat);
    insert(l, &copy, out);
    return OK;
}

void ledger_remove_alert(struct ledger *l, struct alert *a)
{
    size_t at = (size_t)(a - l->alerts);

    l->alert_bytes -= charge(a);
    ARRAY_REMOVE(l->alerts, l->alert_count, at);
    l->revision++;
}

static bool has_same(const struct ledger *l, const struct alert *a, int64_t chat)
{
    struct alert there = *a;

    there.chat = chat;
    for (size_t i = 0; i < l->alert_count; i++)
        if (is_same(&l->alerts[i], &there))
            return true;
    return false;
}

void ledger_move_chat(struct ledger *l, int64_t from, int64_t to)
{
    for (size_t i = 0; i < l->alert_count && from != to;) {
        struct alert *a = &l->alerts[i];

        if (a->chat == from && has_same(l, a, to)) {
            ledger_remove_alert(l, a);
            continue;
        }
        if (a->chat == from) {
            if (ledger_find_alert(l, to, a->number))
                a->number = free_number(l, to);
            a->chat = to;
        }
        i++;
    }
    for (size_t i = 0; i < l->answer_count; i++)
        if (l->answers[i].chat == from)
            l->answers[i].chat = to;
    l->revision++;
}

bool ledger_pause_chat(struct ledger *l, int64_t chat, bool is_paused)
{
    bool has_changed = false;

    for (size_t i = 0; i < l->alert_count; i++) {
        struct alert *a = &l->alerts[i];

        if (a->chat != chat || a->is_paused == is_paused)
            continue;
        a->is_paused = is_paused;
        has_changed = true;
        if (is_paused && !a->delivery.is_sending)
            a->pending[0] = '\0';
        if (is_paused)
            a->next[0] = '\0';
    }
    l->revision += has_changed;
    return has_changed;
}

void ledger_forget_thread(struct ledger *l, int64_t chat, int64_t thread)
{
    for (size_t i = 0; i < l->alert_count; i++)
        if (l->alerts[i].chat == chat && l->alerts[i].thread == thread)
            l->alerts[i].thread = 0;
    for (size_t i = 0; i < l->answer_count; i++)
        if (l->answers[i].chat == chat && l->answers[i].thread == thread)
            l->answers[i].thread = 0;
    l->revision++;
}

bool ledger_has_room(const struct ledger *l)
{
    return l->answer_bytes + LEDGER_TEXT_MAX + ANSWER_OVERHEAD <= LEDGER_ANSWER_BYTES_MAX;
}

enum err ledger_add_answer(struct ledger *l, uint64_t update, int64_t chat, int64_t thread,
                           bool is_spanish, struct span text)
{
    if (text.len > LEDGER_TEXT_MAX)
        return ERR_TOO_LARGE;
    if (l->answer_bytes + text.len + ANSWER_OVERHEAD > LEDGER_ANSWER_BYTES_MAX)
        return ERR_FULL;
    ARRAY_ADD(l->answers, l->answer_cap, l->answer_count,
              (struct ledger_answer){
                  .update = update,
                  .chat = chat,
                  .thread = thread,
                  .is_spanish = is_spanish,
                  .text = mem_strndup(text.at, text.len),
                  .len = text.len,
              });
    l->answer_bytes += text.len + ANSWER_OVERHEAD;
    l->revision++;
    return OK;
}

struct ledger_answer *ledger_find_answer(const struct ledger *l, uint64_t update)
{
    for (size_t i = 0; i < l->answer_count; i++)
        if (l->answers[i].update == update)
            return &l->answers[i];
    return NULL;
}

void ledger_remove_answer(struct ledger *l, struct ledger_answer *a)
{
    size_t at = (size_t)(a - l->answers);

    l->answer_bytes -= a->len + ANSWER_OVERHEAD;
    free(a->text);
    ARRAY_REMOVE(l->answers, l->answer_count, at);
    l->revision++;
}

size_t ledger_answers_of(const struct ledger *l, int64_t chat)
{
    size_t n = 0;

    for (size_t i = 0; i < l->answer_count; i++)
        n += l->answers[i].chat == chat;
    return n;
}
