/*
 * active_quotes: prices over two connections: the newest of every symbol for price commands, and
 * every record of the symbols with alerts. The second connection continues where the previous
 * holder stopped, so that no crossing between is missed.
 */
#include "consumer/telegram/active.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/log.h"
#include "shared/base/mem.h"

static void read_quote(const struct pregon_quote *q, struct lastprice *out)
{
    char time[32];

    *out =
        (struct lastprice){.epoch = q->epoch, .seq = q->seq, .is_stale = q->state == PREGON_STALE};
    span_copy(out->symbol, sizeof out->symbol, span_of(q->symbol));
    pregon_quote_text(q, "last", out->last, sizeof out->last);
    pregon_quote_text(q, "bid", out->bid, sizeof out->bid);
    pregon_quote_text(q, "ask", out->ask, sizeof out->ask);
    pregon_quote_text(q, "currency", out->currency, sizeof out->currency);
    out->time_s = strtoll(pregon_quote_text(q, "timestamp", time, sizeof time), NULL, 10);
}

static void on_price(void *ctx, const struct pregon_quote *q)
{
    struct active *d = ctx;
    struct lastprice p;

    read_quote(q, &p);
    bot_take_price(d->bot, &p);
}

static void on_record(void *ctx, const struct pregon_quote *q)
{
    struct active *d = ctx;
    struct lastprice p;

    read_quote(q, &p);
    bot_take_record(d->bot, &p);
}

static void on_state(void *ctx, const struct pregon_state_change *s)
{
    struct active *d = ctx;

    if (s->state == PREGON_REMOVED)
        bot_remove_price(d->bot, s->symbol, s->epoch, s->seq);
    else
        bot_set_stale(d->bot, s->symbol, s->epoch, s->seq, s->state == PREGON_STALE);
}

static void on_synced(void *ctx)
{
    struct active *d = ctx;

    d->has_prices = true;
}

static void on_reset(void *ctx, const struct pregon_reset *r)
{
    struct active *d = ctx;

    log_warning("the broker's log is another one (%s): crossings in between were not seen",
                r->reason);
    bot_take_reset(d->bot, r->epoch);
}

static void on_lost(void *ctx, const struct pregon_loss *l)
{
    static struct log_limit limit = {.burst = 3, .interval_ms = 30000};
    struct active *d = ctx;

    log_limited(&limit, loop_now(d->loop), LOG_WARNING,
                "quotes %" PRIu64 " to %" PRIu64 "%s%s are lost (%s): crossings among them "
                "were not seen",
                l->first, l->last, *l->feed ? " of feed " : "", l->feed, l->reason);
}

static void on_wake(struct loop_watch *w, uint32_t events)
{
    (void)w; /* every turn checks both connections anyway */
    (void)events;
}

bool active_quotes_open(struct active *d, struct pregon_options *link)
{
    link->mode = PREGON_NEWEST;
    link->on_quote = on_price;
    link->on_state = on_state;
    link->on_synced = on_synced;
    if (pregon_open(link, &d->link))
        return false;
    d->link_watch = (struct loop_watch){.fd = pregon_fd(d->link), .on_ready = on_wake};
    return loop_watch(d->loop, &d->link_watch, EPOLLIN) == OK;
}

static bool open_tape(struct active *d)
{
    const struct ledger *l = bot_ledger(d->bot);
    struct pregon_options o = PREGON_OPTIONS;

    o.publish = d->settings.publish;
    o.control = d->settings.control;
    o.mode = PREGON_ALL;
    o.ctx = d;
    o.on_quote = on_record;
    o.on_state = on_state;
    o.on_reset = on_reset;
    o.on_lost = on_lost;
    if (l->alert_count && l->epoch)
        o.since = (struct pregon_position){l->epoch, l->seq};
    if (pregon_open(&o, &d->tape))
        return false;
    d->tape_watch = (struct loop_watch){.fd = pregon_fd(d->tape), .on_ready = on_wake};
    return loop_watch(d->loop, &d->tape_watch, EPOLLIN) == OK;
}

static bool is_followed(const struct active *d, const char *symbol)
{
    for (size_t i = 0; i < d->followed_count; i++)
        if (strcmp(d->followed[i], symbol) == 0)
            return true;
    return false;
}

static void unfollow(struct active *d)
{
    size_t kept = 0;

    for (size_t i = 0; i < d->followed_count; i++) {
        struct alert *first;

        if (ledger_alerts_on(bot_ledger(d->bot), d->followed[i], &first))
            memmove(d->followed[kept++], d->followed[i], sizeof d->followed[i]);
        else if (pregon_unsubscribe(d->tape, d->followed[i]) == PREGON_OK)
            d->is_touched = true;
    }
    d->followed_count = kept;
}

/* Subscribes to the symbols that have alerts, and to no others. */
static void follow(struct active *d)
{
    const struct ledger *l = bot_ledger(d->bot);

    d->followed_revision = l->revision;
    unfollow(d);
    for (size_t i = 0; i < l->alert_count; i++) {
        const char *symbol = l->alerts[i].symbol;

        if (is_followed(d, symbol) || pregon_subscribe(d->tape, symbol))
            continue;
        d->is_touched = true;
        d->followed = mem_resize(d->followed, (d->followed_count + 1) * sizeof *d->followed);
        memcpy(d->followed[d->followed_count++], symbol, sizeof *d->followed);
    }
}

void active_quotes_turn(struct active *d)
{
    struct pregon_position at;

    if (d->phase != ACTIVE_ON)
        return;
    if (!d->tape && !open_tape(d)) {
        log_critical("no connection to the broker can be opened");
        active_end(d, 1);
        return;
    }
    if (d->followed_revision != bot_ledger(d->bot)->revision)
        follow(d);
    at = pregon_position(d->tape);
    if (at.seq)
        bot_take_position(d->bot, at.epoch, at.seq);
}

void active_quotes_stop(struct active *d)
{
    if (d->tape)
        loop_unwatch(d->loop, &d->tape_watch);
    pregon_close(&d->tape);
    d->followed_count = 0;
    d->followed_revision = 0;
}
