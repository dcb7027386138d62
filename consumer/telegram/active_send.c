/*
 * active_send: sendMessage: stores each intent before the send begins, and records how the send
 * ended.
 */
#include "consumer/telegram/active.h"

#include "shared/base/log.h"
#include "shared/base/random.h"

static void end(struct active *d, struct active_send *s, enum delivery_outcome outcome,
                int64_t retry_after_ms)
{
    bot_sent(d->bot, &s->what, outcome, retry_after_ms, loop_now(d->loop));
    buf_free(&s->what.text);
    *s = (struct active_send){0};
}

/* The lease must outlast the send, from its first byte to its timeout. */
static bool is_lease_enough(const struct active *d)
{
    return active_lease(d) > d->send_ms;
}

static void begin_stored(struct active *d)
{
    for (size_t i = 0; i < LEDGER_SENDING_MAX; i++) {
        struct active_send *s = &d->sends[i];

        if (s->is_used && !s->ticket && s->what.revision <= d->stored_revision &&
            is_lease_enough(d))
            s->ticket = botapi_send(d->api, s->what.chat, s->what.thread, buf_span(&s->what.text),
                                    d->send_ms);
    }
}

static void mark_intents(struct active *d)
{
    for (size_t i = 0; i < LEDGER_SENDING_MAX; i++) {
        struct active_send *s = &d->sends[i];

        if (s->is_used)
            continue;
        s->is_used = bot_next(d->bot, loop_now(d->loop), &s->what);
        if (!s->is_used)
            return;
    }
}

void active_send_turn(struct active *d, bool may_begin)
{
    if (d->is_api_well && (d->phase == ACTIVE_ON || d->phase == ACTIVE_LEAVING))
        begin_stored(d);
    if (may_begin && d->is_api_well && d->phase == ACTIVE_ON && is_lease_enough(d))
        mark_intents(d);
}

/* Telegram must answer getMe before the next message is sent. */
static void suspect_api(struct active *d)
{
    int64_t now = loop_now(d->loop);

    d->is_api_well = false;
    if (!backoff_wait(&d->api_backoff, now))
        backoff_failed(&d->api_backoff, 0, random_u64(), now);
}

static void log_failure(struct active *d, const struct active_send *s,
                        const struct botapi_answer *a)
{
    static struct log_limit limit = {.burst = 5, .interval_ms = 10000};
    const char *then = "it is sent again";

    if (a->verdict == BOTAPI_UNKNOWN)
        then = "it may have arrived";
    else if (s->what.thread && botapi_is_thread_gone(a))
        then = "it is sent again, outside of the thread";
    else if (a->verdict == BOTAPI_REFUSED && !a->moved_to && a->code != 429)
        then = botapi_is_chat_closed(a)
                   ? "it is dropped, and the alerts of this chat pause until somebody "
                     "writes there"
                   : "it is dropped";
    log_limited(&limit, loop_now(d->loop), LOG_WARNING, "sendMessage to chat %lld: %s; %s",
                (long long)s->what.chat, a->why, then);
}

/* A group became a supergroup, which has another number. */
static void take_move(struct active *d, int64_t from, int64_t to)
{
    bot_move_chat(d->bot, from, to);
    log_warning("chat %lld is chat %lld now: its alerts and answers go there%s", (long long)from,
                (long long)to,
                d->settings.bot.chat_count ? "; put the new number into TELEGRAM_CHATS" : "");
}

/* Telegram refused the message and gave a reason. */
static void take_refusal(struct active *d, struct active_send *s, const struct botapi_answer *a)
{
    int64_t chat = s->what.chat, thread = s->what.thread;

    if (a->code == 401 || a->code == 404)
        active_bad_token(d, a);
    if (a->moved_to && a->moved_to != chat) {
        end(d, s, DELIVERY_NOT_SENT, 0);
        take_move(d, chat, a->moved_to);
    } else if (thread && botapi_is_thread_gone(a)) {
        end(d, s, DELIVERY_NOT_SENT, 0);
        bot_forget_thread(d->bot, chat, thread);
    } else if (a->code == 429 || a->code == 401 || a->code == 404) {
        end(d, s, DELIVERY_NOT_SENT, a->retry_after_ms);
    } else {
        end(d, s, DELIVERY_REFUSED, a->retry_after_ms);
        if (botapi_is_chat_closed(a))
            bot_pause_chat(d->bot, chat);
    }
}

bool active_send_answer(struct active *d, const struct botapi_answer *a)
{
    struct active_send *s = NULL;

    for (size_t i = 0; i < LEDGER_SENDING_MAX; i++)
        if (d->sends[i].ticket == a->ticket)
            s = &d->sends[i];
    if (!s)
        return false;
    if (a->verdict != BOTAPI_OK)
        log_failure(d, s, a);
    switch (a->verdict) {
    case BOTAPI_OK:
        end(d, s, DELIVERY_SENT, 0);
        break;
    case BOTAPI_NO_CONTACT:
        suspect_api(d);
        end(d, s, DELIVERY_NOT_SENT, 0);
        break;
    case BOTAPI_UNKNOWN:
        suspect_api(d);
        end(d, s, DELIVERY_UNKNOWN, 0);
        break;
    case BOTAPI_REFUSED:
        take_refusal(d, s, a);
        break;
    }
    return true;
}

void active_send_stop(struct active *d, bool all)
{
    for (size_t i = 0; i < LEDGER_SENDING_MAX; i++) {
        struct active_send *s = &d->sends[i];

        if (!s->is_used || (s->ticket && !all))
            continue;
        botapi_abort(d->api, s->ticket);
        end(d, s, s->ticket ? DELIVERY_UNKNOWN : DELIVERY_NOT_SENT, 0);
    }
}

bool active_send_is_idle(const struct active *d)
{
    for (size_t i = 0; i < LEDGER_SENDING_MAX; i++)
        if (d->sends[i].is_used)
            return false;
    return true;
}

int64_t active_send_wait(const struct active *d)
{
    if (d->phase != ACTIVE_ON || !d->is_api_well || !is_lease_enough(d))
        return -1;
    for (size_t i = 0; i < LEDGER_SENDING_MAX; i++)
        if (!d->sends[i].is_used)
            return bot_wait(d->bot, loop_now(d->loop));
    return -1;
}
