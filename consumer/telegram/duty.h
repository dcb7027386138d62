/*
 * duty: what the instance that holds the bot's lock does, and nobody else.
 *
 *   GREETING ─► STANDBY ─► LOADING ─► ON ─► LEAVING ─► GONE
 *      getMe       ▲   lock held  value read │  SIGTERM: what is being sent ends, the ledger
 *                  └────── lock lost ────────┘  is stored, the lock released
 *
 * On duty: polls updates (duty_poll.c), follows prices (duty_quotes.c), sends (duty_send.c), and
 * stores the ledger as the lock's value (duty_store.c).  Everything waits for what must be
 * stored before it: an update is confirmed, and a message begun, only after the put that
 * says so was answered.  A put carries the lock's token and is refused after it passed on; Telegram
 * checks no token, so a send is begun only if the lease outlasts the send's own timeout, and what is
 * under way is cut off when the lease ends.
 *
 * Private to consumer/telegram/duty*.c and main.c.  One thread, the loop's clock (ms).
 */
#ifndef TELEGRAM_DUTY_H
#define TELEGRAM_DUTY_H

#include <stdbool.h>
#include <stdint.h>

#include "consumer/pregon.h"
#include "consumer/telegram/backoff.h"
#include "consumer/telegram/bot.h"
#include "consumer/telegram/botapi.h"
#include "shared/loop.h"

enum duty_phase {
    DUTY_GREETING,
    DUTY_STANDBY,
    DUTY_LOADING,
    DUTY_ON,
    DUTY_LEAVING,
    DUTY_GONE,
};

/* What getUpdates' 409 says. */
enum duty_conflict { DUTY_NO_CONFLICT, DUTY_OTHER_POLLER, DUTY_WEBHOOK };

struct duty_settings {
    const char *publish, *control; /* of the broker */
    const char *base_url, *token;  /* of the Bot API */
    int64_t ttl_ms, poll_margin_ms, leave_ms;
    int poll_s;
    struct bot_settings bot;
};

struct duty_send {
    bool is_used;
    unsigned ticket; /* 0: its intent is not stored yet */
    struct bot_send what;
};

struct duty {
    struct duty_settings settings;
    struct loop *loop;
    struct botapi *api;
    struct bot *bot;
    struct pregon *link; /* the lock, its value, and the newest price of everything */
    struct pregon *tape; /* on duty: every record of the symbols that have alerts */
    struct loop_watch link_watch, tape_watch;
    struct pregon_lock *lock;
    char lock_name[PREGON_LOCK_NAME_MAX + 1];
    enum duty_phase phase;
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
    enum duty_conflict conflict;
    bool is_conflict_told;
    int64_t conflict_at;
    char conflict_text[256];
    struct pregon_lock *alarm; /* held while there is a conflict, to be seen */

    struct duty_send sends[LEDGER_SENDING_MAX];
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
bool duty_open(struct duty *d, struct loop *loop, const struct duty_settings *settings);
void duty_close(struct duty *d);
void duty_turn(struct duty *d);
/* How many ms nothing is to do. */
int64_t duty_wait(const struct duty *d);
void duty_leave(struct duty *d); /* SIGTERM */

/* --- between the files ------------------------------------------------------------ */

void duty_end(struct duty *d, int code);  /* now */
int64_t duty_lease(const struct duty *d); /* ms; 0: not ours */
/* A getMe, getUpdates or sendMessage was answered 401 or 404. */
void duty_bad_token(struct duty *d, const struct botapi_answer *a);

void duty_store_begin(struct duty *d); /* the lock is held under another token: read */
void duty_store_turn(struct duty *d);
int64_t duty_store_wait(const struct duty *d);
bool duty_store_is_done(const struct duty *d); /* nothing waits to be stored */

void duty_poll_turn(struct duty *d);
void duty_poll_answer(struct duty *d, const struct botapi_answer *a);
void duty_poll_stop(struct duty *d);
void duty_poll_confirmed(
    struct duty *d); /* the broker has just said that the lock is ours */
int64_t duty_poll_wait(const struct duty *d);

void duty_send_turn(struct duty *d, bool may_begin);
bool duty_send_answer(struct duty *d,
                      const struct botapi_answer *a); /* was it one of ours? */
/* Intents not begun are taken back; with `all` what is under way is cut off. */
void duty_send_stop(struct duty *d, bool all);
bool duty_send_is_idle(const struct duty *d);
int64_t duty_send_wait(const struct duty *d);

bool duty_quotes_open(struct duty *d,
                      struct pregon_options *link); /* fill its callbacks */
void duty_quotes_turn(struct duty *d);
void duty_quotes_stop(struct duty *d);

#endif
