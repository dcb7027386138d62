/*
 * botapi: calls of Telegram's Bot API over HTTP, by libcurl, in the program's one loop.
 *
 * Several calls may be under way; each has a ticket and ends exactly once: by botapi_take
 * or by botapi_abort.  libcurl's sockets are watched by the loop but only driven by
 * botapi_turn, so whoever may not go on (its lease is over) aborts before anything is written.
 *
 * The token is part of every URL.  No URL, no text of libcurl's about a URL and no header is
 * ever logged or handed out; what went wrong is told by curl_easy_strerror's fixed texts.
 * Answers over BOTAPI_ANSWER_MAX are cut off.  One thread; times are monotonic ms.
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
    BOTAPI_REFUSED,    /* {"ok":false,"error_code":…} below 500: it was not done */
    BOTAPI_NO_CONTACT, /* no connection: it certainly did not arrive */
    BOTAPI_UNKNOWN,    /* no answer, a broken or senseless one, or 5xx */
};

struct botapi_answer {
    unsigned ticket;
    enum botapi_verdict verdict;
    int code;                        /* error_code, or the HTTP status; 0: neither */
    bool is_unreadable;              /* whole, but beyond what we read of JSON */
    char why[256];                   /* Telegram's description, or what went wrong */
    int64_t retry_after_ms;          /* 0: not told */
    int64_t moved_to;                /* the chat's new number; 0: it has none */
    const struct json_value *result; /* of BOTAPI_OK, until the next botapi_take */
    struct span body;                /* as it came */
};

struct botapi;

/* base_url without a slash at its end.  NULL, logged: libcurl cannot be had. */
struct botapi *botapi_open(struct loop *loop, const char *base_url, const char *token);
void botapi_close(struct botapi *a); /* NULL is allowed; aborts all calls */

/* Begin a call; a ticket, never 0.  At most BOTAPI_CALLS_MAX at a time (asserted). */
unsigned botapi_get_me(struct botapi *a, int64_t timeout_ms);
/* offset 0: none; wait_s: how long Telegram may hold it back. */
unsigned botapi_get_updates(struct botapi *a, uint64_t offset, int wait_s, int limit,
                            int64_t timeout_ms);
unsigned botapi_send(struct botapi *a, int64_t chat, int64_t thread, struct span text,
                     int64_t timeout_ms); /* thread 0: none */
/* End a call at once: its connection is closed.  0 and tickets that ended are allowed. */
void botapi_abort(struct botapi *a, unsigned ticket);

/* Write and read what can be, and notice what timed out. */
void botapi_turn(struct botapi *a, int64_t now);
/* A call that ended; false: none. */
bool botapi_take(struct botapi *a, struct botapi_answer *out);
/* The verdict and all that follows from out->code, the HTTP status, and out->body. */
void botapi_judge(struct json *json, struct botapi_answer *out);
/* A refusal that every other message to this chat would get, too: blocked, kicked, gone. */
bool botapi_is_chat_closed(const struct botapi_answer *a);
/* The thread that was named is gone; the chat may be there. */
bool botapi_is_thread_gone(const struct botapi_answer *a);
/* In how many ms botapi_turn has something to do at the latest; -1: never. */
int64_t botapi_wait(const struct botapi *a, int64_t now);

#endif
