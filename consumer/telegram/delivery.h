/*
 * delivery: how far one message has come, so that it arrives once, or twice and says so.
 *
 * Before a send the intent is recorded (attempts goes up, is_sending), after it the outcome.
 * Who takes over and finds an intent without outcome cannot know whether it was sent: it is sent
 * once more, marked as possibly repeated; after two sends of unknown outcome it is given
 * up, and that is told in the log.  Pure.
 */
#ifndef CONSUMER_TELEGRAM_DELIVERY_H
#define CONSUMER_TELEGRAM_DELIVERY_H

#include <stdbool.h>
#include <stdint.h>

#define DELIVERY_ATTEMPTS_MAX 2

struct delivery {
    uint8_t attempts; /* sends begun whose outcome is not "certainly not sent" */
    bool is_sending;  /* one of them now */
};

enum delivery_outcome {
    DELIVERY_SENT,
    DELIVERY_NOT_SENT, /* certainly not: try again as if nothing had been */
    DELIVERY_UNKNOWN,  /* no answer: it may have been sent */
    DELIVERY_REFUSED,  /* certainly not, and never will be */
};

enum delivery_next {
    DELIVERY_DONE,     /* nothing is owed any more */
    DELIVERY_AGAIN,    /* still owed */
    DELIVERY_GIVEN_UP, /* two sends of unknown outcome: not owed any more */
};

void delivery_begin(struct delivery *d);
enum delivery_next delivery_end(struct delivery *d, enum delivery_outcome outcome);
/* Would the next send be one that may repeat the first? */
bool delivery_is_repeat(const struct delivery *d);

#endif
