/*
 * bot: what people ask and prices do becomes messages, each sent once.
 *
 *   update ─► command ─► ledger: alerts, answers ─┐
 *   quote ─► alert_judge ─► ledger: price owed ───┴─► bot_next: an intent ─► (stored) ─► sent
 *
 * Everything that happens changes the ledger first.  Whoever runs the bot stores the ledger, and
 * begins a send, or asks Telegram for further updates, only when the revision that says so is stored
 * (see ledger.h): then a successor goes on exactly there.  Answers and alerts that were
 * being sent when the one before died are sent once more with a mark (delivery.h).
 *
 * Bounds: answers waiting per chat, alerts per chat, and the ledger's.  What is dropped is
 * counted.  No I/O, no clock: `now` is monotonic ms.  One owner, one thread.
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
    uint32_t margin; /* of alerts, as decimal_read_percent */
    size_t alerts_per_chat;
    const int64_t *chats; /* who may use it; borrowed */
    size_t chat_count;    /* 0: everybody */
};

/* How often, since the start. */
struct bot_counts {
    uint64_t answered, alerted; /* messages that were sent */
    uint64_t repeated;          /* of them: perhaps for the second time */
    uint64_t superseded; /* alerts whose text a newer one replaced before it was sent */
    uint64_t dropped;    /* commands of chats with BOT_ANSWERS_PER_CHAT waiting */
    uint64_t refused;    /* messages Telegram will never take: chat gone, bot blocked */
    uint64_t given_up;   /* sent twice, and both times nobody knows */
    uint64_t not_allowed; /* messages of chats that may not use it */
    uint64_t unreadable;  /* updates that were skipped */
};

/* An intent: to be sent as soon as `revision` is stored. */
struct bot_send {
    bool is_alert;
    uint64_t update;      /* answers */
    int64_t chat, thread; /* thread: of a forum; 0: none */
    uint32_t number;      /* alerts */
    uint64_t revision;
    struct buf text;
};

struct bot;

struct bot *bot_new(const struct bot_settings *settings);
void bot_free(struct bot *b); /* NULL is allowed */
void bot_set_name(struct bot *b, const char *username);
/* Begin with what the holder before stored; empty: nothing.  What was being sent counts as
 * perhaps sent.  If it fails nothing is changed. */
MUST_CHECK enum err bot_load(struct bot *b, struct span value);
/* The holder's, to be stored; owned by the bot. */
struct ledger *bot_ledger(struct bot *b);
const struct bot_counts *bot_counts(const struct bot *b);

/* An element of getUpdates' result.  False: no room for its answer; ask for it again later. */
bool bot_take_update(struct bot *b, const struct json_value *update);
/* One that cannot be read, by its number: as if it had been taken. */
void bot_skip_update(struct bot *b, uint64_t update);

/* A quote for those who ask for prices. */
void bot_take_price(struct bot *b, const struct lastprice *p);
void bot_set_stale(struct bot *b, const char *symbol, uint64_t epoch, uint64_t seq,
                   bool is_stale);
/* One of the records that alerts follow, in order; its symbol's alerts are judged. */
void bot_take_record(struct bot *b, const struct lastprice *p);
/* All records up to here were taken. */
void bot_take_position(struct bot *b, uint64_t epoch, uint64_t seq);
/* The log is another one: positions seen are void. */
void bot_take_reset(struct bot *b, uint64_t epoch);

/* Choose the next message that may go, and mark its intent.  False: none now.
 * out->text is replaced; the caller frees it. */
bool bot_next(struct bot *b, int64_t now, struct bot_send *out);
/* How it ended; retry_after_ms > 0: a 429. */
void bot_sent(struct bot *b, const struct bot_send *s, enum delivery_outcome outcome,
              int64_t retry_after_ms, int64_t now);
/* The chat takes no messages (it blocked the bot, it is gone): its alerts pause until somebody writes
 * there.  False: it had none that ran. */
bool bot_pause_chat(struct bot *b, int64_t chat);
/* A group became a supergroup: what is for it goes there. */
void bot_move_chat(struct bot *b, int64_t from, int64_t to);
/* There is no such thread (any more): what is for it goes to the chat. */
void bot_forget_thread(struct bot *b, int64_t chat, int64_t thread);
/* How many ms until bot_next may have something, if nothing else happens; -1: nothing waits. */
int64_t bot_wait(const struct bot *b, int64_t now);
/* Messages that wait or are being sent. */
size_t bot_backlog(const struct bot *b);

#endif
