/*
 * delivery: the progress of one message, so that it arrives once, or twice with a mark.
 *
 * Before a send the intent is recorded (attempts rises, is_sending is set), after it the outcome.
 * An instance that takes over and finds an intent without outcome cannot know whether the message
 * was sent. It sends it once more, marked as possibly repeated; after two sends of unknown outcome
 * it gives the message up and logs that. Pure.
 */
#ifndef CONSUMER_TELEGRAM_DELIVERY_H
#define CONSUMER_TELEGRAM_DELIVERY_H

#include <stdbool.h>
#include <stdint.h>

#define DELIVERY_ATTEMPTS_MAX 2

struct delivery {
    uint8_t attempts; /* sends begun, except those that were certainly not sent */
    bool is_sending;  /* a send is under way */
};

enum delivery_outcome {
    DELIVERY_SENT,
    DELIVERY_NOT_SENT, /* certainly not sent: try again as if it had not been tried */
    DELIVERY_UNKNOWN,  /* no answer: it may have been sent */
    DELIVERY_REFUSED,  /* certainly not sent, and Telegram will never take it */
};

enum delivery_next {
    DELIVERY_DONE,     /* nothing is pending any more */
    DELIVERY_AGAIN,    /* still pending */
    DELIVERY_GIVEN_UP, /* two sends of unknown outcome: not pending any more */
};

void delivery_begin(struct delivery *d);
enum delivery_next delivery_end(struct delivery *d, enum delivery_outcome outcome);
/* May the next send repeat an earlier one? */
bool delivery_is_repeat(const struct delivery *d);

#endif
