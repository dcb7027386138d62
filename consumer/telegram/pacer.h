/*
 * pacer: when the next message may be sent, by Telegram's limits.
 *
 * 30 a second in all (5 of them are kept in reserve), 1 a second to a chat, 20 a minute to a group
 * (core.telegram.org/bots/faq; a group's id is negative). Token buckets are sized so that no window
 * of that length holds more: burst + rate × window = limit. Only a single chat may have a short
 * burst, which Telegram's documentation tolerates. The exact limits are not published, so
 * retry_after of a 429 takes precedence over them: for that chat, and for all chats if a second
 * chat is refused while the first still is.
 *
 * A chat is forgotten when its bucket is full again, so memory is bounded by the overall rate.
 * `now` is monotonic ms. No I/O, no clock; one owner.
 */
#ifndef CONSUMER_TELEGRAM_PACER_H
#define CONSUMER_TELEGRAM_PACER_H

#include <stddef.h>
#include <stdint.h>

struct pacer;

struct pacer *pacer_new(void);
void pacer_free(struct pacer *p); /* NULL is allowed */

/* How many ms until a message may be sent to the chat; 0: now. */
int64_t pacer_wait(const struct pacer *p, int64_t chat, int64_t now);
/* A message is sent now; pacer_wait has returned 0. */
void pacer_take(struct pacer *p, int64_t chat, int64_t now);
/* Telegram answered 429 to a message to this chat. */
void pacer_refused(struct pacer *p, int64_t chat, int64_t retry_after_ms, int64_t now);

size_t pacer_count(const struct pacer *p); /* chats remembered */

#endif
