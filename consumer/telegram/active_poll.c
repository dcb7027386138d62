/* active_poll: getUpdates, one long poll after the other, and how to react to status 409. */
#include "consumer/telegram/active.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/log.h"
#include "shared/base/random.h"

#define LIMIT 20         /* updates per poll */
#define CONFLICT_MS 3000 /* Telegram delays the answer to a second 409 by up to 3 s */
#define ALARM_TTL_MS 60000

/*
 * True if everything taken is stored, so that the offset of the next poll confirms nothing that
 * could be lost.
 */
static bool may_poll(const struct active *d)
{
    const struct ledger *l = bot_ledger(d->bot);

    return d->phase == ACTIVE_ON && !d->poll && d->has_prices &&
           l->next_update == d->stored_update && ledger_has_room(l) && active_lease(d) > 0;
}

static int64_t quiet_after(const struct active *d)
{
    return d->settings.poll_s * 1000 + d->settings.poll_margin_ms + CONFLICT_MS;
}

static void forget_conflict(struct active *d)
{
    d->conflict = ACTIVE_NO_CONFLICT;
    d->is_conflict_told = false;
    if (d->alarm) {
        pregon_lock_close(&d->alarm);
        d->is_touched = true;
    }
}

static void end_conflict(struct active *d)
{
    if (d->is_conflict_told)
        log_info("no 409 for a while: nobody else reads this bot's updates any more");
    forget_conflict(d);
}

void active_poll_turn(struct active *d)
{
    int64_t now = loop_now(d->loop);

    if (d->conflict && now >= d->conflict_at + quiet_after(d) && !d->poll_backoff.failures)
        end_conflict(d);
    if (!may_poll(d) || backoff_wait(&d->poll_backoff, now))
        return;
    d->poll =
        botapi_get_updates(d->api, d->stored_update, d->settings.poll_s, d->is_careful ? 1 : LIMIT,
                           d->settings.poll_s * 1000 + d->settings.poll_margin_ms);
}

void active_poll_stop(struct active *d)
{
    botapi_abort(d->api, d->poll);
    d->poll = 0;
    forget_conflict(d);
    backoff_succeeded(&d->poll_backoff);
}

/* Takes a lock that /cotizaciones/telegram_locks_status shows while the conflict lasts. */
static void raise_alarm(struct active *d, const char *kind)
{
    struct pregon_lock_options o = PREGON_LOCK_OPTIONS;
    char name[PREGON_LOCK_NAME_MAX + 1];

    if (d->alarm)
        return;
    o.ttl_ms = ALARM_TTL_MS;
    snprintf(name, sizeof name, "%.50s:%s", d->lock_name, kind);
    if (pregon_lock_open(d->link, name, &o, &d->alarm))
        d->alarm = NULL;
    d->is_touched = true;
}

static void take_conflict(struct active *d, const char *description)
{
    bool is_webhook = strstr(description, "ebhook") != NULL;

    d->conflict_at = loop_now(d->loop);
    backoff_failed(&d->poll_backoff, CONFLICT_MS, random_u64(), d->conflict_at);
    if (d->conflict)
        return;
    d->conflict = is_webhook ? ACTIVE_WEBHOOK : ACTIVE_OTHER_POLLER;
    snprintf(d->conflict_text, sizeof d->conflict_text, "%s", description);
    raise_alarm(d, is_webhook ? "webhook" : "conflict");
    d->must_put = true; /* the broker's answer to this put shows who has the lock now */
}

void active_poll_confirmed(struct active *d)
{
    if (!d->conflict || d->is_conflict_told)
        return;
    d->is_conflict_told = true;
    if (d->conflict == ACTIVE_WEBHOOK)
        log_error("Telegram answers 409 (%s): a webhook is set for this bot, so nobody can "
                  "poll; remove it with deleteWebhook",
                  d->conflict_text);
    else
        log_error("Telegram answers 409 (%s): another program polls this bot with the same "
                  "token and takes updates; it is no instance of ours, for the broker has "
                  "just confirmed that the lock %s is ours (token %" PRIu64 ")",
                  d->conflict_text, d->lock_name, d->token);
}

/* An answer that cannot be parsed may still contain the number of the one update that causes it. */
static bool find_update(struct span body, uint64_t *out)
{
    static const char key[] = "\"update_id\":";
    const char *at = memmem(body.at, body.len, key, sizeof key - 1);
    char digits[24];

    if (!at)
        return false;
    at += sizeof key - 1;
    span_copy(digits, sizeof digits, (struct span){at, (size_t)(body.at + body.len - at)});
    *out = strtoull(digits, NULL, 10);
    return *out != 0;
}

static void take_updates(struct active *d, const struct json_value *result)
{
    const struct json_value *update = result + 1;

    backoff_succeeded(&d->poll_backoff);
    backoff_succeeded(&d->api_backoff);
    d->is_api_well = true;
    for (uint32_t i = 0; i < result->size; i++, update += update->skip)
        if (!bot_take_update(d->bot, update))
            break; /* no room: fetched again when there is */
    d->is_careful = false;
}

static void take_failure(struct active *d, const struct botapi_answer *a)
{
    static struct log_limit limit = {.burst = 3, .interval_ms = 30000};
    int64_t now = loop_now(d->loop);
    uint64_t update;

    log_limited(&limit, now, LOG_WARNING, "getUpdates failed: %s; going on trying",
                a->verdict == BOTAPI_OK ? "the result is no list" : a->why);
    if (a->is_unreadable && d->is_careful && find_update(a->body, &update)) {
        log_warning("update %" PRIu64 " cannot be read (%s) and is skipped", update, a->why);
        bot_skip_update(d->bot, update);
        d->is_careful = false;
        return;
    }
    d->is_careful |= a->is_unreadable; /* fetch single updates, to find out which one it is */
    backoff_failed(&d->poll_backoff, a->retry_after_ms, random_u64(), now);
}

void active_poll_answer(struct active *d, const struct botapi_answer *a)
{
    d->poll = 0;
    if (a->verdict == BOTAPI_OK && a->result->type == JSON_ARRAY)
        take_updates(d, a->result);
    else if (a->code == 409)
        take_conflict(d, a->why);
    else if (a->verdict == BOTAPI_REFUSED && (a->code == 401 || a->code == 404))
        active_bad_token(d, a);
    else
        take_failure(d, a);
}

int64_t active_poll_wait(const struct active *d)
{
    int64_t wait = backoff_wait(&d->poll_backoff, loop_now(d->loop));

    return d->phase == ACTIVE_ON && wait ? wait : -1;
}
