/*
 * bot: turns people's commands and price changes into messages, each sent once.
 *
 *   update ─► command ─► ledger: alerts, answers ────┐
 *   quote ─► alert_judge ─► ledger: price pending ───┴─► bot_next: an intent ─► (stored) ─► sent
 *
 * Every event changes the ledger first. The caller stores the ledger. It begins a send, or requests
 * further updates from Telegram, only when the ledger's revision with that change is stored (see
 * ledger.h); then another instance can continue from exactly there. Answers and alerts that were
 * being sent when the previous instance died are sent once more with a mark (delivery.h).
 *
 * Bounds: answers waiting per chat, alerts per chat, and the ledger's. Dropped messages are
 * counted. No I/O, no clock: `now` is monotonic ms. One owner, one thread.
 */
#ifndef CONSUMER_TELEGRAM_BOT_H
#define CONSUMER_TELEGRAM_BOT_H

#include <stdbool.h>
#include <stdint.h>

#include "consumer/telegram/delivery.h"
#include "consumer/telegram/lastprice.h"
#include "consumer/telegram/ledger.h"
#include "shared/base/json.h"

#define BOT_ANSWERS_PER_CHAT 10

enum bot_language { BOT_AUTO, BOT_SPANISH, BOT_ENGLISH };

struct bot_settings {
    enum bot_language language;
    uint32_t margin; /* of alerts, from decimal_read_percent */
    size_t alerts_per_chat;
    const int64_t *chats; /* chats that may use the bot; the caller owns the list */
    size_t chat_count;    /* 0: every chat may */
};

/* Counts since the start. */
struct bot_counts {
    uint64_t answered, alerted; /* messages that were sent */
    uint64_t repeated;          /* of them, those that may have been sent before */
    uint64_t superseded;        /* alerts whose text a newer one replaced before it was sent */
    /* commands that were ignored because BOT_ANSWERS_PER_CHAT answers of the chat wait */
    uint64_t dropped;
    /* messages that Telegram will never take: the chat is gone or has blocked the bot */
    uint64_t refused;
    uint64_t given_up;    /* messages sent twice, both times without an answer */
    uint64_t not_allowed; /* messages of chats that may not use the bot */
    uint64_t unreadable;  /* updates that were skipped */
};

/* An intent: it may be sent as soon as `revision` is stored. */
struct bot_send {
    bool is_alert;
    uint64_t update;      /* answers: the update that it answers */
    int64_t chat, thread; /* thread: of a forum; 0: none */
    uint32_t number;      /* alerts: the alert's number */
    uint64_t revision;
    struct buf text;
};

struct bot;

struct bot *bot_new(const struct bot_settings *settings);
void bot_free(struct bot *b); /* NULL is allowed */
void bot_set_name(struct bot *b, const char *username);
/*
 * Begins with the ledger that the previous holder stored; empty: none. A send that was under way
 * counts as perhaps sent. On failure nothing is changed.
 */
MUST_CHECK enum err bot_load(struct bot *b, struct span value);
/* The ledger that the holder stores; the bot owns it. */
struct ledger *bot_ledger(struct bot *b);
const struct bot_counts *bot_counts(const struct bot *b);

/*
 * Takes an element of getUpdates' result. Returns false if there is no room for its answer; fetch
 * it again later.
 */
bool bot_take_update(struct bot *b, const struct json_value *update);
/* Skips an update that cannot be read, by its number, as if it had been taken. */
void bot_skip_update(struct bot *b, uint64_t update);

/* Takes a quote for price commands. */
void bot_take_price(struct bot *b, const struct lastprice *p);
void bot_set_stale(struct bot *b, const char *symbol, uint64_t epoch, uint64_t seq, bool is_stale);
void bot_remove_price(struct bot *b, const char *symbol, uint64_t epoch, uint64_t seq);
/* Takes one of the records that alerts follow, in order, and judges its symbol's alerts. */
void bot_take_record(struct bot *b, const struct lastprice *p);
/* All records up to this position were taken. */
void bot_take_position(struct bot *b, uint64_t epoch, uint64_t seq);
/* The log was replaced: positions seen are void. */
void bot_take_reset(struct bot *b, uint64_t epoch);

/*
 * Chooses the next message that may be sent, and records the intent. Returns false if there is none
 * now. out->text is replaced; the caller frees it.
 */
bool bot_next(struct bot *b, int64_t now, struct bot_send *out);
/* The send ended with `outcome`; retry_after_ms > 0: Telegram answered 429. */
void bot_sent(struct bot *b, const struct bot_send *s, enum delivery_outcome outcome,
              int64_t retry_after_ms, int64_t now);
/*
 * The chat takes no messages (it blocked the bot, or it is gone): its alerts pause until somebody
 * writes in it. Returns false if no alert was active.
 */
bool bot_pause_chat(struct bot *b, int64_t chat);
/* A group became a supergroup: its alerts and answers move to the new number. */
void bot_move_chat(struct bot *b, int64_t from, int64_t to);
/* The thread does not exist (any more): its alerts and answers move to the chat itself. */
void bot_forget_thread(struct bot *b, int64_t chat, int64_t thread);
/* How many ms until bot_next may return something, without a new event; -1: nothing waits. */
int64_t bot_wait(const struct bot *b, int64_t now);

#endif
