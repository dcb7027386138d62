#include "consumer/telegram/delivery.h"

void delivery_begin(struct delivery *d)
{
    d->attempts++;
    d->is_sending = true;
}

enum delivery_next delivery_end(struct delivery *d, enum delivery_outcome outcome)
{
    d->is_sending = false;
    switch (outcome) {
    case DELIVERY_SENT:
    case DELIVERY_REFUSED:
        break;
    case DELIVERY_NOT_SENT:
        if (d->attempts)
            d->attempts--;
        return DELIVERY_AGAIN;
    case DELIVERY_UNKNOWN:
        if (d->attempts < DELIVERY_ATTEMPTS_MAX)
            return DELIVERY_AGAIN;
        *d = (struct delivery){0};
        return DELIVERY_GIVEN_UP;
    }
    *d = (struct delivery){0};
    return DELIVERY_DONE;
}

bool delivery_is_repeat(const struct delivery *d)
{
    return d->attempts > 0;
}
