#include "consumer/telegram/active.h"

#include "shared/base/log.h"

int64_t active_lease(const struct active *d)
{
    return d->lock ? pregon_lock_remaining_ms(d->lock) : 0;
}

void active_end(struct active *d, int code)
{
    if (d->phase != ACTIVE_GONE)
        d->code = code;
    d->phase = ACTIVE_GONE;
}

void active_bad_token(struct active *d, const struct botapi_answer *a)
{
    log_critical("Telegram answers %d (%s): the token of TELEGRAM_TOKEN or "
                 "TELEGRAM_TOKEN_FILE is not valid (revoked, or mistyped)%s",
                 a->code, a->why, a->code == 404 ? ", or TELEGRAM_API_BASE_URL is no Bot API" : "");
    active_end(d, 1);
}
