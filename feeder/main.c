/*
 * pregon-feeder: takes quotes from its sources and sends them to the broker without loss.
 *
 * One thread. A turn handles the broker's messages, then takes quotes from each source while the
 * ring has room, then sends the ring's unsent lines to the broker. When the ring is full the
 * sources wait; the broker's `received` wakes the loop.
 *
 * Folder feeder: this program.  No other program calls code of it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "feeder/feeder_config.h"
#include "feeder/loop_link.h"
#include "feeder/pace.h"
#include "feeder/source.h"
#include "shared/wire/bus.h"
#include "shared/base/check.h"
#include "shared/base/log.h"
#include "shared/base/loop.h"
#include "shared/base/version.h"
#include "shared/feed/broker_link.h"
#include "shared/feed/outbox.h"

#define BURST 256       /* quotes of one source per turn */
#define SEND_BURST 2048 /* lines to the broker per turn */
#define SOURCES_MAX 64
#define REPORT_MS 60000

enum phase { RUNNING, DRAINING, LEAVING };

struct slot {
    /* must be first: on_input casts it to the slot; of the source's descriptor */
    struct loop_watch watch;
    struct source *source;
};

struct feeder {
    struct feeder_config config;
    struct loop *loop;
    struct check *check;
    void *context;
    struct outbox *outbox;
    struct broker_link *broker;
    struct loop_link loop_link;
    struct link *link; /* state of `broker` */
    struct slot slots[SOURCES_MAX];
    size_t count, first; /* first: the source that produce() reads first in this turn */
    struct buf body;
    struct pace pace;
    enum phase phase;
    bool has_started; /* granted once: the sources run */
    bool is_ready;    /* the ready line was printed */
    bool is_known;    /* the broker granted the name or denied it for now */
    bool is_asked_to_stop;
    bool has_failed;
    bool has_more;           /* the next turn starts at once */
    int64_t drain_until;     /* on the awake clock */
    uint64_t drain_received; /* lines received at the last check for progress */
    int64_t report_at;
    uint64_t reported; /* last line at the previous report */
};

static unsigned long long ull(uint64_t n)
{
    return n;
}

static void on_input(struct loop_watch *w, uint32_t events)
{
    struct slot *slot = (struct slot *)w;

    (void)events;
    slot->source->due_ms = 0;
}

static void log_totals(const struct feeder *f)
{
    char stored[64] = "", refusals[40] = "";
    uint64_t line, refused = 0;

    for (size_t i = 0; i < f->count; i++)
        refused += source_refused(f->slots[i].source);
    if (refused)
        snprintf(refusals, sizeof refusals, ", %llu refused", ull(refused));
    if (link_stored(f->link, &line))
        snprintf(stored, sizeof stored, "; %llu stored at the last report of the broker",
                 ull(line));
    log_info("feed %s: %llu lines, %llu received, %llu lost%s%s", f->config.feed,
             ull(outbox_last(f->outbox)), ull(outbox_received(f->outbox)),
             ull(outbox_overflowed(f->outbox)), refusals, stored);
}

/* Called at the first grant: the sources' schedules start now. */
static void start_sources(struct feeder *f)
{
    int64_t now = loop_awake(f->loop);

    f->has_started = true;
    f->report_at = now + REPORT_MS;
    for (size_t i = 0; i < f->count; i++)
        f->slots[i].source->due_ms = now;
}

/*
 * Moves quotes of one source into the ring. Returns true if the source has more and there is room.
 */
static bool take_from(struct feeder *f, struct source *s, const struct source_now *now,
                      bool *is_full)
{
    char symbol[QUOTE_SYMBOL_MAX + 1];

    for (int i = 0; i < BURST; i++) {
        if (s->has_ended || s->due_ms > now->ms)
            return false;
        if (!outbox_has_room(f->outbox)) {
            *is_full = true;
            return false;
        }
        buf_clear(&f->body);
        switch (source_next(s, now, symbol, &f->body)) {
        case SOURCE_QUOTE:
            outbox_add(f->outbox, span_of(symbol), buf_span(&f->body), (uint64_t)now->wall_us);
            break;
        case SOURCE_LATER:
            return s->due_ms <= now->ms;
        case SOURCE_ENDED:
            log_info("source %s ended after %llu quotes", s->name, ull(s->quotes));
            source_log_refused(s);
            return false;
        }
    }
    return true;
}

static void judge_pace(struct feeder *f, bool is_full, int64_t now)
{
    int64_t late = 0, since = f->pace.since;
    uint64_t skipped = 0;

    for (size_t i = 0; i < f->count; i++) {
        const struct source *s = f->slots[i].source;

        skipped += s->skipped;
        if (s->is_paced && !s->has_ended && now - s->due_ms > late)
            late = now - s->due_ms;
    }
    switch (pace_judge(&f->pace, late, is_full, now)) {
    case PACE_NO_NEWS:
        break;
    case PACE_HELD_UP:
        log_warning("back-pressure: the broker is away or behind, sources wait: %llu lines "
                    "unacknowledged, behind by %.1f s",
                    ull(outbox_last(f->outbox) - outbox_received(f->outbox)), (double)late / 1e3);
        break;
    case PACE_TOO_SLOW:
        log_warning("behind by %.1f s: this machine does not keep up with the sources' pace "
                    "(%llu quotes not made)",
                    (double)late / 1e3, ull(skipped));
        break;
    case PACE_IN_TIME:
        log_info("the sources are in time again after %.1f s", (double)(now - since) / 1e3);
        break;
    }
}

/*
 * Moves quotes of all sources into the ring; each turn begins with another source, so that all
 * share the room.
 */
static void produce(struct feeder *f)
{
    struct source_now now = {.ms = loop_awake(f->loop), .wall_us = loop_wall_us(f->loop)};
    bool is_full = false, is_over = true;

    for (size_t i = 0; i < f->count; i++) {
        struct source *s = f->slots[(f->first + i) % f->count].source;

        f->has_more |= take_from(f, s, &now, &is_full);
        is_over &= s->has_ended;
    }
    f->first++;
    judge_pace(f, is_full, now.ms);
    if (!is_over)
        return;
    f->phase = DRAINING;
    f->drain_until = loop_awake(f->loop) + f->config.timeout_graceful_shutdown;
}

static void leave(struct feeder *f)
{
    f->phase = LEAVING;
    link_leave(f->link, loop_awake(f->loop));
}

/*
 * Waits until the broker has received all lines; at the end of the input only while there is
 * progress.
 */
static void drain(struct feeder *f)
{
    int64_t now = loop_awake(f->loop);
    uint64_t received = outbox_received(f->outbox);

    if (received == outbox_last(f->outbox)) {
        leave(f);
        return;
    }
    if (!f->is_asked_to_stop && received != f->drain_received) {
        f->drain_received = received;
        f->drain_until = now + f->config.timeout_graceful_shutdown;
    }
    if (now < f->drain_until)
        return;
    log_error("gave up after %.1f s: lines %llu to %llu were not acknowledged by the broker",
              (double)f->config.timeout_graceful_shutdown / 1e3, ull(received + 1),
              ull(outbox_last(f->outbox)));
    f->has_failed |= !f->is_asked_to_stop;
    leave(f);
}

static void begin_stop(struct feeder *f)
{
    if (f->is_asked_to_stop)
        return;
    log_info("stopping: %llu lines unacknowledged",
             ull(outbox_last(f->outbox) - outbox_received(f->outbox)));
    f->is_asked_to_stop = true;
    f->drain_until = loop_awake(f->loop) + f->config.timeout_graceful_shutdown;
    if (f->phase == RUNNING)
        f->phase = DRAINING;
}

static void report(struct feeder *f)
{
    uint64_t last = outbox_last(f->outbox);

    f->report_at = loop_awake(f->loop) + REPORT_MS;
    log_info("feed %s: %llu quotes in the last minute, %llu in all, %llu unacknowledged",
             f->config.feed, ull(last - f->reported), ull(last),
             ull(last - outbox_received(f->outbox)));
    f->reported = last;
    for (size_t i = 0; i < f->count; i++)
        source_log_refused(f->slots[i].source);
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* How long the loop may wait, in ms. */
static int64_t idle_for(const struct feeder *f)
{
    int64_t now = loop_awake(f->loop), wait;

    if (f->has_more)
        return 0;
    wait = broker_link_deadline(f->broker) - now;
    if (f->phase == DRAINING)
        wait = earlier(wait, f->drain_until - now);
    if (f->has_started)
        wait = earlier(wait, f->report_at - now);
    if (f->phase == RUNNING && link_is_granted(f->link) && outbox_has_room(f->outbox))
        for (size_t i = 0; i < f->count; i++)
            if (!f->slots[i].source->has_ended)
                wait = earlier(wait, f->slots[i].source->due_ms - now);
    return wait < 0 ? 0 : wait;
}

/* Returns false at the end of the program. */
static bool turn(struct feeder *f)
{
    struct broker_link_time now;

    loop_turn(f->loop, idle_for(f));
    f->has_more = false;
    if (loop_stops(f->loop) > 1) {
        log_warning("stopped at once by a second signal");
        f->has_failed = true;
        return false;
    }
    if (loop_stops(f->loop))
        begin_stop(f);
    if (loop_take_reload(f->loop))
        log_info("SIGHUP: a feeder reads its settings at start only");
    now = loop_link_time(&f->loop_link);
    if (!broker_link_turn(f->broker, &now)) {
        f->has_failed = true;
        return false;
    }
    if (link_is_granted(f->link) && !f->has_started)
        start_sources(f);
    if (f->phase == RUNNING && link_is_granted(f->link))
        produce(f);
    if (f->phase != LEAVING)
        f->has_more |= link_send(f->link, SEND_BURST);
    if (f->phase == DRAINING)
        drain(f);
    if (f->has_started && loop_awake(f->loop) >= f->report_at)
        report(f);
    f->is_known |= link_state(f->link) == LINK_OPEN || link_state(f->link) == LINK_STANDBY;
    if (link_state(f->link) == LINK_OPEN && !f->is_ready) {
        f->is_ready = true;
        loop_ready("feed=%s", f->config.feed);
    }
    if (link_state(f->link) == LINK_REFUSED) {
        f->has_failed = true;
        return false;
    }
    return f->phase != LEAVING || link_state(f->link) != LINK_GONE;
}

/* For --check.  If the broker goes away later, the feeder still counts as ready: it waits. */
static const char *state(const void *ctx)
{
    const struct feeder *f = ctx;

    if (f->is_asked_to_stop)
        return "stopping";
    return f->is_known ? "ready" : "has not reached its broker yet";
}

/* The context of config_list_each. */
struct opening {
    struct feeder *f;
    struct source_settings settings;
    bool has_failed;
};

static void open_source(void *ctx, const char *spec)
{
    struct opening *o = ctx;
    struct source *s;

    if (o->has_failed)
        return;
    if (o->f->count == SOURCES_MAX) {
        log_error("SOURCE: more than %d", SOURCES_MAX);
        o->has_failed = true;
    } else if (source_open(spec, &o->settings, o->f->config.feed, &s)) {
        o->has_failed = true;
    } else {
        o->f->slots[o->f->count++].source = s;
        log_info("source %s", spec);
    }
}

/* Two readers of one input would split its lines between them. */
static bool has_input_twice(const struct feeder *f)
{
    int inputs = 0;

    for (size_t i = 0; i < f->count; i++)
        inputs += f->slots[i].source->fd >= 0;
    return inputs > 1;
}

static bool open_sources(struct feeder *f)
{
    const struct feeder_config *c = &f->config;
    struct opening o = {
        .f = f,
        .settings = {.label = *c->source_label ? c->source_label : NULL,
                     .speed = c->speed,
                     .rate = c->rate,
                     .max_gap_ms = c->max_gap,
                     .max_future_ms = c->max_future,
                     .loop = c->loop,
                     .tape_time = strcmp(c->timestamps, "tape") == 0,
                     .allow_crossed = strcmp(c->crossed, "allow") == 0,
                     .refuse_negative = strcmp(c->negative, "refuse") == 0,
                     .seed = 1},
    };

    if (!feeder_config_is_feed(c->feed)) {
        log_error("FEED=\"%s\": want 1 to 64 of A-Z a-z 0-9 . _ -", c->feed);
        return false;
    }
    /* it is a valid list: config_load has checked it */
    (void)config_list_each(c->source, open_source, &o);
    if (o.has_failed)
        return false;
    if (!f->count)
        log_error("SOURCE is empty: want csv:FILE, ndjson:FILE, - or sim:N, see --help");
    else if (has_input_twice(f))
        log_error("SOURCE=\"%s\": standard input can be read once only", c->source);
    else
        return true;
    return false;
}

static bool open_bus(struct feeder *f)
{
    struct link_settings settings = {.feed = f->config.feed,
                                     .ingest = f->config.broker_ingest,
                                     .control = f->config.broker_control,
                                     .allow_crossed = strcmp(f->config.crossed, "allow") == 0,
                                     .window = (uint64_t)f->config.ring};
    struct broker_link_out out;

    f->loop_link.loop = f->loop;
    out = loop_link_out(&f->loop_link);
    f->context = bus_context();
    f->outbox = outbox_new((size_t)f->config.ring, OUTBOX_BYTES_MAX);
    f->broker = broker_link_open(f->context, &settings, f->outbox, &out);
    if (!f->broker)
        return false;
    f->link = broker_link_state(f->broker);
    return true;
}

static void watch_inputs(struct feeder *f)
{
    for (size_t i = 0; i < f->count; i++) {
        struct slot *slot = &f->slots[i];

        if (slot->source->fd < 0)
            continue;
        slot->watch = (struct loop_watch){.fd = slot->source->fd, .on_ready = on_input};
        /*
         * Edge-triggered: the watch stays silent while the ring is full. A regular file cannot be
         * watched and need not be: reading it never waits.
         */
        if (loop_watch(f->loop, &slot->watch, EPOLLIN | EPOLLET) && errno != EPERM)
            log_error("standard input: %s", strerror(errno));
    }
}

static void close_all(struct feeder *f)
{
    broker_link_close(f->broker, 0);
    outbox_free(f->outbox);
    if (f->context)
        zmq_ctx_term(f->context);
    for (size_t i = 0; i < f->count; i++)
        source_free(f->slots[i].source);
    buf_free(&f->body);
    check_close(f->check);
    loop_free(f->loop);
    config_free(&feeder_program, &f->config);
}

int main(int argc, char **argv)
{
    static struct feeder f;
    int code = 2;

    (void)argc;
    config_start(&feeder_program, argv, &f.config);
    log_init(feeder_program.name, f.config.log_level, f.config.log_format);
    f.loop = loop_new();
    log_info("Started %s " PREGON_VERSION " [%d]", feeder_program.name, (int)getpid());
    f.check = check_open(f.loop, feeder_program.name, state, &f);
    if (open_sources(&f) && open_bus(&f)) {
        watch_inputs(&f);
        log_info("requesting feed %s from the broker at %s", f.config.feed,
                 f.config.broker_control);
        while (turn(&f))
            ;
        for (size_t i = 0; i < f.count; i++)
            source_log_refused(f.slots[i].source);
        log_totals(&f);
        code = f.has_failed ? 1 : 0;
        log_info("Finished %s [%d]", feeder_program.name, (int)getpid());
    }
    loop_leave(f.loop);
    close_all(&f);
    return code;
}
