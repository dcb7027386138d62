/*
 * active: what the instance that holds the bot's lock does, and nobody else.
 *
 *   GREETING ─► STANDBY ─► LOADING ─► ON ─► LEAVING ─► GONE
 *      getMe       ▲   lock held  value read │  SIGTERM: what is being sent ends, the ledger
 *                  └────── lock lost ────────┘  is stored, the lock released
 *
 * On active: polls updates (active_poll.c), follows prices (active_quotes.c), sends (active_send.c), and
 * stores the ledger as the lock's value (active_store.c).  Everything waits for what must be
 * stored before it: an update is confirmed, and a message begun, only after the put that
 * says so was answered.  A put carries the lock's token and is refused after it passed on; Telegram
 * checks no token, so a send is begun only if the lease outlasts the send's own timeout, and what is
 * under way is cut off when the lease ends.
 *
 * Private to consumer/telegram/active*.c and main.c.  One thread, the loop's clock (ms).
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

/* What getUpdates' 409 says. */
enum active_conflict { ACTIVE_NO_CONFLICT, ACTIVE_OTHER_POLLER, ACTIVE_WEBHOOK };

struct active_settings {
    const char *publish, *control; /* of the broker */
    const char *base_url, *token;  /* of the Bot API */
    int64_t ttl_ms, poll_margin_ms, leave_ms;
    int poll_s;
    struct bot_settings bot;
};

struct active_send {
    bool is_used;
    unsigned ticket; /* 0: its intent is not stored yet */
    struct bot_send what;
};

struct active {
    struct active_settings settings;
    struct loop *loop;
    struct botapi *api;
    struct bot *bot;
    struct pregon *link; /* the lock, its value, and the newest price of everything */
    struct pregon *tape; /* active: every record of the symbols that have alerts */
    struct loop_watch link_watch, tape_watch;
    struct pregon_lock *lock;
    char lock_name[PREGON_LOCK_NAME_MAX + 1];
    enum active_phase phase;
    int code; /* to exit with, when GONE */
    int64_t send_ms, leave_until;
    int64_t bus_wait;  /* ms, as libpregon said */
    bool is_touched;   /* something was asked of libpregon since its last turn */
    char waiting[160]; /* why the lock is not ours, as it was logged last */
    bool is_answered;  /* the broker has said whose the lock is */
    bool is_ready;

    uint64_t token;    /* under which the ledger was read; 0: it was not */
    uint64_t held;     /* now; 0: not held */
    bool has_prices;   /* the newest ones have been handed out once */
    bool is_reading;   /* the value was asked for, */
    uint64_t read_for; /* under this token */

    bool is_putting;
    bool must_put;       /* whether or not anything changed */
    uint64_t put_number; /* an answer to another put is not ours */
    uint64_t putting_revision, stored_revision;
    uint64_t putting_update, stored_update; /* ledger.next_update */
    uint64_t stored_seq;
    int64_t put_at;
    struct backoff store_backoff;

    unsigned poll;   /* ticket; 0: none under way */
    bool is_careful; /* one update a time: one of them cannot be read */
    struct backoff poll_backoff;
    enum active_conflict conflict;
    bool is_conflict_told;
    int64_t conflict_at;
    char conflict_text[256];
    struct pregon_lock *alarm; /* held while there is a conflict, to be seen */

    struct active_send sends[LEDGER_SENDING_MAX];
    bool is_api_well; /* else nothing is sent before getMe was answered */
    unsigned greeting;
    struct backoff api_backoff;

    char (*followed)[QUOTE_SYMBOL_MAX + 1]; /* symbols of the tape, sorted */
    size_t followed_count;
    uint64_t followed_revision;

    struct bot_counts told;
    int64_t tell_at;
};

/* False, with what is wrong logged. */
bool active_open(struct active *d, struct loop *loop,
                 const struct active_settings *settings);
void active_close(struct active *d);
void active_turn(struct active *d);
/* How many ms nothing is to do. */
int64_t active_wait(const struct active *d);
void active_leave(struct active *d); /* SIGTERM */

/* --- between the files ------------------------------------------------------------ */

void active_end(struct active *d, int code);  /* now */
int64_t active_lease(const struct active *d); /* ms; 0: not ours */
/* A getMe, getUpdates or sendMessage was answered 401 or 404. */
void active_bad_token(struct active *d, const struct botapi_answer *a);

void active_store_begin(
    struct active *d); /* the lock is held under another token: read */
void active_store_turn(struct active *d);
int64_t active_store_wait(const struct active *d);
bool active_store_is_done(const struct active *d); /* nothing waits to be stored */

void active_poll_turn(struct active *d);
void active_poll_answer(struct active *d, const struct botapi_answer *a);
void active_poll_stop(struct active *d);
void active_poll_confirmed(
    struct active *d); /* the broker has just said that the lock is ours */
int64_t active_poll_wait(const struct active *d);

void active_send_turn(struct active *d, bool may_begin);
bool active_send_answer(struct active *d,
                        const struct botapi_answer *a); /* was it one of ours? */
/* Intents not begun are taken back; with `all` what is under way is cut off. */
void active_send_stop(struct active *d, bool all);
bool active_send_is_idle(const struct active *d);
int64_t active_send_wait(const struct active *d);

bool active_quotes_open(struct active *d,
                        struct pregon_options *link); /* fill its callbacks */
void active_quotes_turn(struct active *d);
void active_quotes_stop(struct active *d);

#endif
