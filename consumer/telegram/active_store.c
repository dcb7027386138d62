/*
 * active_store: the ledger as the value of the bot's lock: read once under each new token, put at
 * every change.
 */
#include "consumer/telegram/active.h"

#include <inttypes.h>
#include <stdlib.h>

#include "shared/base/log.h"
#include "shared/base/mem.h"
#include "shared/base/random.h"

#define POSITION_MS 10000 /* interval of puts when only the position changed */

static void wait_and_retry(struct active *d, const char *what, enum pregon_error error,
                           const char *message)
{
    static struct log_limit limit = {.burst = 3, .interval_ms = 30000};
    int64_t now = loop_now(d->loop);

    backoff_failed(&d->store_backoff, 0, random_u64(), now);
    log_limited(&limit, now, LOG_WARNING, "the value of lock %s %s: %s (%s)", d->lock_name, what,
                message, pregon_error_name(error));
}

static void on_read(void *ctx, enum pregon_error error, const char *message,
                    const struct pregon_value *v)
{
    struct active *d = ctx;
    struct ledger *l = bot_ledger(d->bot);
    enum err e;

    d->is_reading = false;
    /* This may be a late answer to a request under an earlier grant. */
    if (d->phase != ACTIVE_LOADING || d->read_for != d->held || error == PREGON_ERROR_CLOSED)
        return;
    if (error && error != PREGON_ERROR_NOT_FOUND) {
        wait_and_retry(d, "could not be read", error, message);
        return;
    }
    backoff_succeeded(&d->store_backoff);
    e = bot_load(d->bot, error ? SPAN("") : (struct span){v->data.at, v->data.len});
    if (e) {
        log_critical("the value of lock %s (version %" PRIu64 ", %zu bytes) cannot be "
                     "understood: %s; it was left as it is",
                     d->lock_name, v->version, v->data.len,
                     e == ERR_VERSION ? "a newer program wrote it" : err_text(e));
        active_end(d, 1);
        return;
    }
    d->token = d->held;
    d->put_number++; /* ignore answers to puts under the token before */
    d->is_putting = false;
    d->stored_revision = 0;
    d->stored_update = l->next_update;
    d->stored_seq = l->seq;
    d->must_put = false;
    d->phase = ACTIVE_ON;
    log_info("active with token %" PRIu64 ": %zu alerts, %zu answers to send", d->token,
             l->alert_count, l->answer_count);
}

void active_store_begin(struct active *d)
{
    d->phase = ACTIVE_LOADING;
    backoff_succeeded(&d->store_backoff);
}

static void read_value(struct active *d)
{
    if (d->is_reading || backoff_wait(&d->store_backoff, loop_now(d->loop)))
        return;
    d->is_reading = true;
    d->read_for = d->held;
    d->is_touched = true;
    if (pregon_value_get(d->link, d->lock_name, on_read, d)) {
        d->is_reading = false;
        backoff_failed(&d->store_backoff, 0, random_u64(), loop_now(d->loop));
    }
}

/*
 * The context of one put; its answer frees it, which may come after the lock was lost and held
 * again.
 */
struct put {
    struct active *active;
    uint64_t number;
};

static void on_put(void *ctx, enum pregon_error error, const char *message,
                   const struct pregon_value *v)
{
    struct put *put = ctx;
    struct active *d = put->active;
    bool is_ours = d->is_putting && put->number == d->put_number;

    (void)v;
    free(put);
    if (!is_ours || error == PREGON_ERROR_CLOSED)
        return;
    d->is_putting = false;
    if (error) {
        wait_and_retry(d, "could not be stored", error, message);
        return;
    }
    backoff_succeeded(&d->store_backoff);
    d->stored_revision = d->putting_revision;
    d->stored_update = d->putting_update;
    active_poll_confirmed(d);
}

static bool is_position_due(const struct active *d)
{
    const struct ledger *l = bot_ledger(d->bot);

    return l->alert_count && l->seq != d->stored_seq &&
           loop_now(d->loop) >= d->put_at + POSITION_MS;
}

bool active_store_is_done(const struct active *d)
{
    return !d->is_putting && d->stored_revision == bot_ledger(d->bot)->revision;
}

static void put_value(struct active *d)
{
    const struct ledger *l = bot_ledger(d->bot);
    struct buf value = {0};
    struct put *put = mem_alloc(sizeof *put);
    enum pregon_error error;

    *put = (struct put){d, ++d->put_number};
    ledger_pack(l, &value);
    d->putting_revision = l->revision;
    d->putting_update = l->next_update;
    d->stored_seq = l->seq;
    d->put_at = loop_now(d->loop);
    d->must_put = false;
    d->is_touched = true;
    error = pregon_value_put(d->lock, value.data, value.len, on_put, put);
    d->is_putting = !error;
    if (error) {
        free(put);
        wait_and_retry(d, "could not be stored", error, pregon_error_text(error));
    }
    buf_free(&value);
}

void active_store_turn(struct active *d)
{
    if (d->phase == ACTIVE_LOADING)
        read_value(d);
    if ((d->phase != ACTIVE_ON && d->phase != ACTIVE_LEAVING) || d->is_putting ||
        backoff_wait(&d->store_backoff, loop_now(d->loop)))
        return;
    if (!active_store_is_done(d) || d->must_put || is_position_due(d))
        put_value(d);
}

int64_t active_store_wait(const struct active *d)
{
    int64_t wait = backoff_wait(&d->store_backoff, loop_now(d->loop));

    return wait ? wait : -1;
}
