#include "consumer/telegram/alert.h"

#include <string.h>

#include "consumer/telegram/decimal.h"

const char *alert_sign(enum alert_comparison c)
{
    static const char *const signs[] = {">", "<", ">=", "<="};

    return signs[c];
}

static bool is_upward(enum alert_comparison c)
{
    return c == ALERT_ABOVE || c == ALERT_AT_LEAST;
}

struct span alert_price_of(enum alert_comparison c, struct span last, struct span bid,
                           struct span ask)
{
    struct span first = is_upward(c) ? bid : ask, second = is_upward(c) ? ask : bid;

    return last.len ? last : first.len ? first : second;
}

static bool holds(enum alert_comparison c, int order)
{
    switch (c) {
    case ALERT_ABOVE:
        return order > 0;
    case ALERT_BELOW:
        return order < 0;
    case ALERT_AT_LEAST:
        return order >= 0;
    case ALERT_AT_MOST:
        return order <= 0;
    }
    return false;
}

static bool has_gone_back(const struct alert *a, struct span price, uint32_t margin)
{
    char bound[DECIMAL_SCALED_MAX];
    bool up = is_upward(a->comparison), is_negative = a->threshold[0] == '-';
    int order;

    /*
     * For an alert "above", the bound to arm it again is below the threshold, for prices on either
     * side of 0.
     */
    decimal_scale(span_of(a->threshold),
                  up != is_negative ? DECIMAL_ONE - margin : DECIMAL_ONE + margin, bound);
    order = quote_decimal_compare(price, span_of(bound));
    return up ? order <= 0 : order >= 0;
}

enum alert_news alert_judge(struct alert *a, uint64_t seq, struct span price, uint32_t margin)
{
    bool is_true = holds(a->comparison, quote_decimal_compare(price, span_of(a->threshold)));
    char *place = a->delivery.is_sending ? a->next : a->pending;
    bool was_owed = *place;

    if (seq <= a->seen)
        return ALERT_NO_NEWS;
    a->seen = seq;
    if (!a->is_armed) {
        if (is_true || !has_gone_back(a, price, margin))
            return ALERT_NO_NEWS;
        a->is_armed = true;
        return ALERT_REARMED;
    }
    if (!is_true)
        return ALERT_NO_NEWS;
    a->is_armed = false;
    if (a->is_paused)
        return ALERT_NO_NEWS;
    span_copy(place, sizeof a->pending, price);
    /* the text changed: nothing of the new text was sent */
    if (!a->delivery.is_sending)
        a->delivery = (struct delivery){0};
    return was_owed ? ALERT_SUPERSEDED : ALERT_DUE;
}

enum delivery_next alert_sent(struct alert *a, enum delivery_outcome outcome)
{
    enum delivery_next next = delivery_end(&a->delivery, outcome);

    if (next != DELIVERY_AGAIN)
        a->pending[0] = '\0';
    if (*a->next) {
        memcpy(a->pending, a->next, sizeof a->pending);
        a->next[0] = '\0';
        a->delivery = (struct delivery){0};
    }
    return next;
}
