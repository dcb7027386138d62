/*
 * active: the work of the one instance that holds the bot's lock.
 *
 *   GREETING ─► STANDBY ─► LOADING ─► ON ─► LEAVING ─► GONE
 *      getMe       ▲   lock held  value read │  SIGTERM: sends under way end, the ledger
 *                  └────── lock lost ────────┘  is stored, the lock released
 *
 * In state ON the instance polls updates (active_poll.c), follows prices (active_quotes.c), sends
 * (active_send.c), and stores the ledger as the lock's value (active_store.c). A step waits until
 * the ledger that records it is stored: an update is confirmed, and a send begun, only after the
 * put with that change was answered. A put carries the lock's token, and the broker refuses it
 * after another instance got the lock. Telegram checks no token, so a send is begun only if the
 * lease outlasts the send's own timeout, and sends under way are aborted when the lease ends.
 *
 * Private to consumer/telegram/active*.c and main.c. One thread, the loop's clock (ms).
 */
#ifndef CONSUMER_TELEGRAM_ACTIVE_H
#define CONSUMER_TELEGRAM_ACTIVE_H

#include <stdbool.h>
#include <stdint.h>

#include "consumer/lib/pregon.h"
#include "consumer/telegram/backoff.h"
#include "consumer/telegram/bot.h"
#include "consumer/telegram/botapi.h"
#include "shared/base/loop.h"

enum active_phase {
    ACTIVE_GREETING,
    ACTIVE_STANDBY,
    ACTIVE_LOADING,
    ACTIVE_ON,
    ACTIVE_LEAVING,
    ACTIVE_GONE,
};

/* The two reasons that getUpdates gives with status 409. */
enum active_conflict { ACTIVE_NO_CONFLICT, ACTIVE_OTHER_POLLER, ACTIVE_WEBHOOK };

struct active_settings {
    const char *publish, *control; /* addresses of the broker */
    const char *base_url, *token;  /* of the Bot API */
    int64_t ttl_ms, poll_margin_ms, leave_ms;
    int poll_s;
    struct bot_settings bot;
};

struct active_send {
    bool is_used;
    unsigned ticket; /* ticket of the call; 0: its intent is not stored yet */
    struct bot_send what;
};

struct active {
    struct active_settings settings;
    struct loop *loop;
    struct botapi *api;
    struct bot *bot;
    /* connection for the lock, its value, and the newest price of every symbol */
    struct pregon *link;
    /* in state ON: connection for every record of the symbols that have alerts */
    struct pregon *tape;
    struct loop_watch link_watch, tape_watch;
    struct pregon_lock *lock;
    char lock_name[PREGON_LOCK_NAME_MAX + 1];
    enum active_phase phase;
    int code; /* exit code of the program in state GONE */
    int64_t send_ms, leave_until;
    int64_t bus_wait;  /* how long libpregon may wait, in ms */
    bool is_touched;   /* a function of libpregon was called since its last turn */
    char waiting[160]; /* the last logged reason why this instance waits for the lock */
    bool is_answered;  /* the broker has answered who holds the lock */
    bool is_ready;

    uint64_t token;    /* the ledger was read under this token; 0: it was not read */
    uint64_t held;     /* token of the current grant; 0: not held */
    bool has_prices;   /* all newest prices have been delivered once */
    bool is_reading;   /* the value was requested, */
    uint64_t read_for; /* under this token */

    bool is_putting;
    bool must_put;       /* put even if nothing changed */
    uint64_t put_number; /* answers to other puts are ignored */
    uint64_t putting_revision, stored_revision;
    uint64_t putting_update, stored_update; /* ledger.next_update */
    uint64_t stored_seq;
    int64_t put_at;
    struct backoff store_backoff;

    unsigned poll;   /* ticket of getUpdates; 0: none under way */
    bool is_careful; /* fetch one update at a time: one of them cannot be read */
    struct backoff poll_backoff;
    enum active_conflict conflict;
    bool is_conflict_told;
    int64_t conflict_at;
    char conflict_text[256];
    /* a second lock, held while there is a conflict, so that the status page shows it */
    struct pregon_lock *alarm;

    struct active_send sends[LEDGER_SENDING_MAX];
    bool is_api_well; /* Telegram has answered getMe; until then nothing is sent */
    unsigned greeting;
    struct backoff api_backoff;

    char (*followed)[QUOTE_SYMBOL_MAX + 1]; /* symbols that `tape` follows, sorted */
    size_t followed_count;
    uint64_t followed_revision;

    struct bot_counts logged;
    int64_t next_log_at;
};

/* Returns false if something is wrong; the reason is logged. */
bool active_open(struct active *d, struct loop *loop, const struct active_settings *settings);
void active_close(struct active *d);
void active_turn(struct active *d);
/* How many ms the loop may wait. */
int64_t active_wait(const struct active *d);
void active_leave(struct active *d); /* called on SIGTERM */

/* --- between the files ------------------------------------------------------------ */

void active_end(struct active *d, int code); /* ends the instance at once */
/* ms left of the lease; 0: the lock is not held */
int64_t active_lease(const struct active *d);
/* Handles status 401 or 404 of getMe, getUpdates or sendMessage. */
void active_bad_token(struct active *d, const struct botapi_answer *a);

void active_store_begin(
    struct active *d); /* the lock is held under another token: read the ledger */
void active_store_turn(struct active *d);
int64_t active_store_wait(const struct active *d);
bool active_store_is_done(const struct active *d); /* is everything stored? */

void active_poll_turn(struct active *d);
void active_poll_answer(struct active *d, const struct botapi_answer *a);
void active_poll_stop(struct active *d);
/* the broker has just confirmed that this instance holds the lock */
void active_poll_confirmed(struct active *d);
int64_t active_poll_wait(const struct active *d);

void active_send_turn(struct active *d, bool may_begin);
bool active_send_answer(struct active *d,
                        /* returns true if it was the answer to one of its sends */
                        const struct botapi_answer *a);
/* Withdraws intents whose send has not begun; with `all` it also aborts sends under way. */
void active_send_stop(struct active *d, bool all);
bool active_send_is_idle(const struct active *d);
int64_t active_send_wait(const struct active *d);

bool active_quotes_open(struct active *d, struct pregon_options *link); /* sets its callbacks */
void active_quotes_turn(struct active *d);
void active_quotes_stop(struct active *d);

#endif
