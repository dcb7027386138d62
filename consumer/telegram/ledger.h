/*
 * ledger: all that the bot must not forget when another instance takes over.
 *
 * Alerts, answers that are not sent yet, the next update to ask Telegram for, and the position
 * up to which quotes have been judged.  It is the value of the bot's lock (at most 64 KiB),
 * put whole, only by the holder.  What could outgrow it is bounded here: each alert is charged with the
 * most it can come to, each answer with its text; over the limit a new one is refused, and
 * what is in always fits.
 *
 * Alerts are sorted by symbol.  Every change counts `revision` up; whoever puts the value
 * knows by it what is stored.  No I/O, no clock; one owner.
 */
#ifndef CONSUMER_TELEGRAM_LEDGER_H
#define CONSUMER_TELEGRAM_LEDGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "consumer/telegram/alert.h"
#include "consumer/telegram/delivery.h"
#include "shared/base/buf.h"
#include "shared/base/err.h"

#define LEDGER_BYTES_MAX 65536
#define LEDGER_ALERT_BYTES_MAX (46 * 1024)  /* all alerts */
#define LEDGER_ANSWER_BYTES_MAX (16 * 1024) /* all answers */
#define LEDGER_TEXT_MAX 3500 /* bytes of one; Telegram takes 4096 characters */
#define LEDGER_SENDING_MAX \
    8 /* alerts being sent at a time, which may hold two prices */
#define LEDGER_VERSION 1

struct answer {
    uint64_t update;      /* that it answers */
    int64_t chat, thread; /* thread: of a forum; 0: none */
    bool is_spanish;
    struct delivery delivery;
    char *text;
    size_t len;
};

struct ledger {
    uint64_t next_update; /* the first that is not taken in; 0: none was yet */
    uint64_t epoch, seq;  /* quotes up to here have been judged; 0, 0: none */
    struct alert *alerts;
    size_t alert_count, alert_cap, alert_bytes;
    struct answer *answers; /* in the order of updates */
    size_t answer_count, answer_cap, answer_bytes;
    uint64_t revision;
};

void ledger_init(struct ledger *l);
void ledger_fini(struct ledger *l);

/* ERR_DUPLICATE_KEY: this very alert is there already, *out says which.  ERR_FULL: no room in all.
 * On OK *out is its place, valid until the next add or remove; its number is the chat's lowest
 * free one. */
MUST_CHECK enum err ledger_add_alert(struct ledger *l, const struct alert *a,
                                     struct alert **out);
struct alert *ledger_find_alert(const struct ledger *l, int64_t chat, uint32_t number);
void ledger_remove_alert(struct ledger *l, struct alert *a);
size_t ledger_alerts_of(const struct ledger *l, int64_t chat); /* how many */
/* The alerts of a symbol: *first and how many. */
size_t ledger_alerts_on(const struct ledger *l, const char *symbol,
                        struct alert **first);

/* The chat has another number now: its alerts and answers go there.  An alert that is there already
 * is kept once; a number that is taken there is replaced by the lowest free one. */
void ledger_move_chat(struct ledger *l, int64_t from, int64_t to);
/* Whether the chat takes messages.  False: nothing changed. */
bool ledger_pause_chat(struct ledger *l, int64_t chat, bool is_paused);
/* A thread of the chat is gone: what was for it goes to the chat itself. */
void ledger_forget_thread(struct ledger *l, int64_t chat, int64_t thread);

/* For an answer of any length? */
bool ledger_has_room(const struct ledger *l);
/* ERR_FULL, ERR_TOO_LARGE.  The text is copied. */
MUST_CHECK enum err ledger_add_answer(struct ledger *l, uint64_t update, int64_t chat,
                                      int64_t thread, bool is_spanish,
                                      struct span text);
struct answer *ledger_find_answer(const struct ledger *l, uint64_t update);
void ledger_remove_answer(struct ledger *l, struct answer *a);
size_t ledger_answers_of(const struct ledger *l, int64_t chat);

/* Append the whole as msgpack. */
void ledger_pack(const struct ledger *l, struct buf *out);
/*
 * Fill an initialised, empty ledger.  ERR_VERSION: written by a newer program; ERR_MALFORMED;
 * then it is empty.
 */
MUST_CHECK enum err ledger_unpack(struct ledger *l, struct span value);

#endif
