#include "consumer/telegram/active.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/log.h"
#include "shared/base/random.h"
#include "shared/base/wait.h"

#define SEND_MS_MAX 10000
#define GREETING_MS 10000
#define LOG_COUNTS_MS 10000

/* --- the lock ---------------------------------------------------------------------- */

static void on_held(void *ctx, struct pregon_lock *l, uint64_t token)
{
    struct active *d = ctx;

    (void)l;
    d->held = token;
    d->waiting[0] = '\0';
    d->is_answered = true;
    if (d->phase != ACTIVE_STANDBY)
        return;
    if (token == d->token) {
        log_info("active again with token %" PRIu64 ": no other instance was active in between",
                 token);
        d->phase = ACTIVE_ON;
        return;
    }
    log_info("lock %s is ours: token %" PRIu64, d->lock_name, token);
    active_store_begin(d);
}

/* From now on another instance may be active: this instance sends nothing more. */
static void stand_down(struct active *d)
{
    d->held = 0;
    active_poll_stop(d);
    active_send_stop(d, true);
    if (d->phase == ACTIVE_LEAVING)
        active_end(d, 0);
    else if (d->phase != ACTIVE_GONE)
        d->phase = ACTIVE_STANDBY;
}

static void on_lock_lost(void *ctx, struct pregon_lock *l, enum pregon_lost_reason reason)
{
    struct active *d = ctx;

    (void)l;
    log_warning("lock %s is lost (%s): standing by", d->lock_name, pregon_lost_reason_name(reason));
    stand_down(d);
}

/* Is the reason normal waiting, not a refusal of the broker? */
static bool is_in_line(const char *reason)
{
    return strcmp(reason, "held") == 0 || strcmp(reason, "closed") == 0 ||
           strcmp(reason, "kept") == 0;
}

static void on_waiting(void *ctx, struct pregon_lock *l, const struct pregon_lock_wait *w)
{
    static struct log_limit limit = {.burst = 5, .interval_ms = 30000};
    struct active *d = ctx;
    char why[sizeof d->waiting];

    (void)l;
    d->is_answered |= is_in_line(w->reason);
    snprintf(why, sizeof why, "%s %s", w->reason, w->holder);
    if (strcmp(why, d->waiting) == 0)
        return; /* only our place in line or the time changed */
    memcpy(d->waiting, why, sizeof why);
    log_limited(&limit, loop_now(d->loop), is_in_line(w->reason) ? LOG_INFO : LOG_WARNING,
                "standing by (%s): %s", w->reason, w->message);
}

static bool open_lock(struct active *d)
{
    struct pregon_lock_options o = PREGON_LOCK_OPTIONS;

    o.ttl_ms = d->settings.ttl_ms;
    o.delay_ms = d->settings.poll_s * 1000 + d->settings.poll_margin_ms;
    o.ctx = d;
    o.on_held = on_held;
    o.on_lost = on_lock_lost;
    o.on_waiting = on_waiting;
    d->is_touched = true;
    return pregon_lock_open(d->link, d->lock_name, &o, &d->lock) == PREGON_OK;
}

/* --- getMe: the bot's name, and whether Telegram answers ---------------------------- */

static void take_greeting(struct active *d, const struct botapi_answer *a)
{
    static struct log_limit limit = {.burst = 3, .interval_ms = 30000};
    const struct json_value *name;
    char username[65] = "";

    d->greeting = 0;
    if (a->verdict == BOTAPI_REFUSED && (a->code == 401 || a->code == 404)) {
        active_bad_token(d, a);
        return;
    }
    if (a->verdict != BOTAPI_OK) {
        int64_t now = loop_now(d->loop);

        backoff_failed(&d->api_backoff, a->retry_after_ms, random_u64(), now);
        log_limited(&limit, now, LOG_WARNING, "getMe failed: %s; going on trying", a->why);
        return;
    }
    backoff_succeeded(&d->api_backoff);
    d->is_api_well = true;
    if (d->phase != ACTIVE_GREETING)
        return;
    name = json_member(a->result, "username");
    if (name && name->type == JSON_STRING)
        span_copy(username, sizeof username, name->text);
    bot_set_name(d->bot, username);
    log_info("this is @%s; requesting lock %s from the broker at %s", username, d->lock_name,
             d->settings.control);
    d->phase = ACTIVE_STANDBY;
    if (!open_lock(d)) {
        log_critical("lock %s cannot be requested", d->lock_name);
        active_end(d, 1);
    }
}

static void greet(struct active *d)
{
    bool is_wanted = d->phase == ACTIVE_GREETING || (d->phase == ACTIVE_ON && !d->is_api_well);

    if (is_wanted && !d->greeting && !backoff_wait(&d->api_backoff, loop_now(d->loop)))
        d->greeting = botapi_get_me(d->api, GREETING_MS);
}

static void take_answers(struct active *d)
{
    struct botapi_answer a;

    while (botapi_take(d->api, &a)) {
        if (a.ticket == d->greeting)
            take_greeting(d, &a);
        else if (a.ticket == d->poll)
            active_poll_answer(d, &a);
        else
            active_send_answer(d, &a);
    }
}

/* --- logging of dropped messages ----------------------------------------------------- */

static void add_count(struct buf *b, uint64_t now, uint64_t before, const char *what)
{
    if (now != before)
        buf_printf(b, "%s%" PRIu64 " %s", b->len ? ", " : "", now - before, what);
}

static void log_counts(struct active *d)
{
    const struct bot_counts *c = bot_counts(d->bot), *t = &d->logged;
    struct buf b = {0};

    if (loop_now(d->loop) < d->next_log_at)
        return;
    add_count(&b, c->superseded, t->superseded, "alerts replaced by newer ones unsent");
    add_count(&b, c->dropped, t->dropped, "commands not taken of chats that flood");
    add_count(&b, c->refused, t->refused, "messages Telegram refuses");
    add_count(&b, c->given_up, t->given_up, "messages given up after two sends without an answer");
    add_count(&b, c->not_allowed, t->not_allowed, "messages of chats not in TELEGRAM_CHATS");
    add_count(&b, c->unreadable, t->unreadable, "updates skipped");
    if (b.len) {
        log_warning("not delivered or not answered: %s", buf_text(&b));
        d->logged = *c;
        d->next_log_at = loop_now(d->loop) + LOG_COUNTS_MS;
    }
    buf_free(&b);
}

/* --- life --------------------------------------------------------------------------- */

bool active_open(struct active *d, struct loop *loop, const struct active_settings *settings)
{
    struct pregon_options o = PREGON_OPTIONS;
    size_t digits = strcspn(settings->token, ":");

    d->settings = *settings;
    d->loop = loop;
    d->bot = bot_new(&settings->bot);
    d->send_ms = settings->ttl_ms / 4 < SEND_MS_MAX ? settings->ttl_ms / 4 : SEND_MS_MAX;
    snprintf(d->lock_name, sizeof d->lock_name, "telegram:%.*s", (int)digits, settings->token);
    d->api = botapi_open(loop, settings->base_url, settings->token);
    o.publish = settings->publish;
    o.control = settings->control;
    o.ctx = d;
    if (!d->api)
        return false;
    if (active_quotes_open(d, &o) && pregon_subscribe(d->link, "*") == PREGON_OK)
        return true;
    log_critical("no connection to the broker can be opened");
    return false;
}

void active_close(struct active *d)
{
    active_quotes_stop(d);
    for (size_t i = 0; i < LEDGER_SENDING_MAX; i++)
        buf_free(&d->sends[i].what.text);
    botapi_close(d->api);
    if (d->link)
        loop_unwatch(d->loop, &d->link_watch);
    pregon_close(&d->link); /* closing releases the lock, unless it was lost */
    bot_free(d->bot);
    free(d->followed);
}

void active_leave(struct active *d)
{
    if (d->phase >= ACTIVE_LEAVING)
        return;
    if (d->phase != ACTIVE_ON) {
        active_end(d, 0);
        return;
    }
    log_info("stopping: what is being sent ends, then another instance takes over");
    d->phase = ACTIVE_LEAVING;
    d->leave_until = loop_now(d->loop) + d->settings.leave_ms;
    active_poll_stop(d);
    active_send_stop(d, false);
}

static void go(struct active *d)
{
    if (active_send_is_idle(d) && active_store_is_done(d))
        active_end(d, 0);
    else if (loop_now(d->loop) >= d->leave_until) {
        log_warning("not everything could be stored in time: the next instance may repeat "
                    "a message, and says so");
        active_end(d, 0);
    }
}

static void say_ready(struct active *d)
{
    if (d->is_ready || !d->is_answered)
        return;
    d->is_ready = true;
    loop_ready("lock=%s", d->lock_name);
}

/* Checks the lease by the clock, because the process may have paused since libpregon's turn. */
static void check_lease(struct active *d)
{
    if (d->held && !active_lease(d))
        stand_down(d);
    else if (!d->held && d->phase == ACTIVE_STANDBY && active_lease(d))
        on_held(d, d->lock, pregon_lock_token(d->lock));
}

void active_turn(struct active *d)
{
    d->is_touched = false;
    d->bus_wait = pregon_turn(d->link);
    check_lease(d);
    if (d->tape && d->phase != ACTIVE_ON)
        active_quotes_stop(d);
    if (d->tape)
        d->bus_wait = wait_sooner(d->bus_wait, pregon_turn(d->tape));
    if (d->phase == ACTIVE_GONE)
        return;
    botapi_turn(d->api, loop_now(d->loop));
    take_answers(d);
    greet(d);
    active_quotes_turn(d);
    active_send_turn(d, true);
    active_store_turn(d);
    active_poll_turn(d);
    if (d->phase == ACTIVE_LEAVING)
        go(d);
    log_counts(d);
    say_ready(d);
}

int64_t active_wait(const struct active *d)
{
    int64_t now = loop_now(d->loop), wait = d->bus_wait;

    if (d->is_touched)
        return 0;
    wait = wait_sooner(wait, botapi_wait(d->api, now));
    wait = wait_sooner(wait, active_store_wait(d));
    wait = wait_sooner(wait, active_poll_wait(d));
    wait = wait_sooner(wait, active_send_wait(d));
    if (!d->greeting && backoff_wait(&d->api_backoff, now))
        wait = wait_sooner(wait, backoff_wait(&d->api_backoff, now));
    return wait;
}
