/*
 * ledger: the bot's state that another instance needs when it takes over.
 *
 * It has alerts, answers that are not sent yet, the next update to request from Telegram, and the
 * position up to which quotes have been judged. It is the value of the bot's lock (at most 64 KiB);
 * the holder puts the whole ledger. This module bounds what could outgrow the value: each alert is
 * charged with its largest size, each answer with its text; over the limit a new one is refused, so
 * what was accepted always fits.
 *
 * Alerts are sorted by symbol, those of one symbol by age; an unpacked ledger has the same order.
 * Every change raises `revision`, so the caller knows which state it has stored. No I/O, no clock;
 * one owner.
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
#define LEDGER_ALERT_BYTES_MAX (46 * 1024)  /* limit of all alerts together */
#define LEDGER_ANSWER_BYTES_MAX (16 * 1024) /* limit of all answers together */
#define LEDGER_TEXT_MAX 3500                /* bytes of one text; Telegram takes 4096 characters */
#define LEDGER_SENDING_MAX 8 /* alerts being sent at a time, each of which may hold two prices */
#define LEDGER_VERSION 1

struct ledger_answer {
    uint64_t update;      /* the update that it answers */
    int64_t chat, thread; /* thread: of a forum; 0: none */
    bool is_spanish;
    struct delivery delivery;
    char *text;
    size_t len;
};

struct ledger {
    /* the first update that was not taken; 0: none was taken yet */
    uint64_t next_update;
    uint64_t epoch, seq; /* quotes up to this position have been judged; 0, 0: none */
    struct alert *alerts;
    size_t alert_count, alert_cap, alert_bytes;
    struct ledger_answer *answers; /* in the order of updates */
    size_t answer_count, answer_cap, answer_bytes;
    uint64_t revision;
};

void ledger_init(struct ledger *l);
void ledger_fini(struct ledger *l);

/*
 * Fails with ERR_DUPLICATE_KEY if the ledger has this alert already (*out is that one), or with
 * ERR_FULL if there is no room. On OK *out is its place, valid until the next add or remove; its
 * number is the chat's lowest free one.
 */
MUST_CHECK enum err ledger_add_alert(struct ledger *l, const struct alert *a, struct alert **out);
struct alert *ledger_find_alert(const struct ledger *l, int64_t chat, uint32_t number);
void ledger_remove_alert(struct ledger *l, struct alert *a);
/* number of the chat's alerts */
size_t ledger_alerts_of(const struct ledger *l, int64_t chat);
/* The alerts of a symbol: *first, and their number. */
size_t ledger_alerts_on(const struct ledger *l, const char *symbol, struct alert **first);

/*
 * The chat has another number now: its alerts and answers move there. Of two equal alerts one is
 * kept; a number that is taken there is replaced by the lowest free one.
 */
void ledger_move_chat(struct ledger *l, int64_t from, int64_t to);
/* Sets whether the chat's alerts pause.  Returns false if nothing changed. */
bool ledger_pause_chat(struct ledger *l, int64_t chat, bool is_paused);
/* A thread of the chat is gone: its alerts and answers move to the chat itself. */
void ledger_forget_thread(struct ledger *l, int64_t chat, int64_t thread);

/* Is there room for an answer of any length? */
bool ledger_has_room(const struct ledger *l);
/* Fails with ERR_FULL or ERR_TOO_LARGE.  The text is copied. */
MUST_CHECK enum err ledger_add_answer(struct ledger *l, uint64_t update, int64_t chat,
                                      int64_t thread, bool is_spanish, struct span text);
struct ledger_answer *ledger_find_answer(const struct ledger *l, uint64_t update);
void ledger_remove_answer(struct ledger *l, struct ledger_answer *a);
size_t ledger_answers_of(const struct ledger *l, int64_t chat);

/* Appends the whole ledger as msgpack. */
void ledger_pack(const struct ledger *l, struct buf *out);
/*
 * Fills an initialised, empty ledger. Fails with ERR_VERSION (a newer program wrote the value) or
 * ERR_MALFORMED; the ledger is then empty.
 */
MUST_CHECK enum err ledger_unpack(struct ledger *l, struct span value);

#endif
