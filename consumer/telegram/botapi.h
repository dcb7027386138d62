/*
 * botapi: calls of Telegram's Bot API over HTTP, with libcurl, in the program's one loop.
 *
 * Several calls may be under way. Each has a ticket and ends exactly once: by botapi_take or by
 * botapi_abort. The loop watches libcurl's sockets, but only botapi_turn reads and writes them; so
 * a caller that must stop (its lease has ended) can abort before anything is written.
 *
 * The token is part of every URL. No URL, no header and no text of libcurl about a URL is ever
 * logged or returned; errors are described by the fixed texts of curl_easy_strerror. Answers over
 * BOTAPI_ANSWER_MAX are cut off. One thread; times are monotonic ms.
 */
#ifndef CONSUMER_TELEGRAM_BOTAPI_H
#define CONSUMER_TELEGRAM_BOTAPI_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/base/buf.h"
#include "shared/base/json.h"
#include "shared/base/loop.h"

#define BOTAPI_CALLS_MAX 16
#define BOTAPI_ANSWER_MAX (8 * 1024 * 1024)

enum botapi_verdict {
    BOTAPI_OK,         /* {"ok":true,"result":…} */
    BOTAPI_REFUSED,    /* {"ok":false,"error_code":…} below 500: Telegram did nothing */
    BOTAPI_NO_CONTACT, /* no connection: the request certainly did not arrive */
    BOTAPI_UNKNOWN,    /* no answer, an incomplete or invalid one, or 5xx */
};

struct botapi_answer {
    unsigned ticket;
    enum botapi_verdict verdict;
    int code; /* error_code, or the HTTP status; 0: neither */
    /* the answer is complete, but exceeds a limit of our JSON parser */
    bool is_unreadable;
    char why[256];          /* Telegram's description, or the error */
    int64_t retry_after_ms; /* 0: the answer has none */
    int64_t moved_to;       /* the chat's new number; 0: it has none */
    /* of BOTAPI_OK, valid until the next botapi_take */
    const struct json_value *result;
    struct span body; /* as received */
};

struct botapi;

/* base_url has no slash at its end.  On failure of libcurl it logs the reason and returns NULL. */
struct botapi *botapi_open(struct loop *loop, const char *base_url, const char *token);
void botapi_close(struct botapi *a); /* NULL is allowed; aborts all calls */

/* Begins a call and returns its ticket, never 0.  At most BOTAPI_CALLS_MAX at a time (asserted). */
unsigned botapi_get_me(struct botapi *a, int64_t timeout_ms);
/* offset 0: none; wait_s: how long Telegram may hold the answer back. */
unsigned botapi_get_updates(struct botapi *a, uint64_t offset, int wait_s, int limit,
                            int64_t timeout_ms);
unsigned botapi_send(struct botapi *a, int64_t chat, int64_t thread, struct span text,
                     int64_t timeout_ms); /* thread 0: none */
/* Ends a call at once by closing its connection.  0 and tickets that have ended are allowed. */
void botapi_abort(struct botapi *a, unsigned ticket);

/* Reads and writes what is possible, and ends calls that timed out. */
void botapi_turn(struct botapi *a, int64_t now);
/* Takes a call that ended; false: none. */
bool botapi_take(struct botapi *a, struct botapi_answer *out);
/*
 * Sets out->verdict and the members that depend on it from out->code, the HTTP status, and
 * out->body.
 */
void botapi_judge(struct json *json, struct botapi_answer *out);
/*
 * A refusal that every other message to this chat would get, too: the bot is blocked or removed, or
 * the chat is gone.
 */
bool botapi_is_chat_closed(const struct botapi_answer *a);
/* The given thread is gone; the chat may exist. */
bool botapi_is_thread_gone(const struct botapi_answer *a);
/* ms until botapi_turn must be called at the latest; -1: never */
int64_t botapi_wait(const struct botapi *a, int64_t now);

#endif
