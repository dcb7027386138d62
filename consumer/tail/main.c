/*
 * pregon-tail: quotes on standard output.
 *
 * One thread.  In a turn it takes records from libpregon, formats them as lines and writes these.
 * While the output is blocked, it takes no more from libpregon: the records wait in the broker's
 * queue and log.
 *
 * Folder consumer/tail: this program.  No other program calls code of it; of the library it uses
 * only pregon.h.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "consumer/lib/pregon.h"
#include "consumer/tail/forget.h"
#include "consumer/tail/print.h"
#include "consumer/tail/range.h"
#include "consumer/tail/tail_config.h"
#include "shared/base/log.h"
#include "shared/base/loop.h"

#define BLOCKED_MS 1000
#define WRITE_BYTES 4096 /* a writable pipe takes this many bytes at once */

struct tail {
    struct tail_config config;
    struct loop *loop;
    struct pregon *pregon;
    struct loop_watch quotes, output;
    struct range range;
    struct print print;
    struct buf out;
    struct buf held; /* losses before the range's first record */
    size_t written;  /* bytes of `out` already written */
    int64_t count;   /* quotes so far */
    bool is_blocked; /* the output takes no bytes: quotes must wait */
    bool has_begun;  /* a record of the range has come */
    bool is_over, is_broken, has_failed, was_down;
};

/* --- callbacks ---------------------------------------------------------------------- */

static void end(struct tail *t)
{
    t->is_over = true;
    pregon_stop(t->pregon);
}

/* Is a record that was accepted at this time to be written? */
static bool is_within(struct tail *t, int64_t accepted_us)
{
    enum range_place place = range_judge(&t->range, accepted_us);

    if (place == RANGE_WITHIN)
        buf_add(&t->out, t->held.data, t->held.len);
    else if (place == RANGE_AFTER)
        end(t);
    t->has_begun |= place == RANGE_WITHIN;
    buf_clear(&t->held);
    return place == RANGE_WITHIN;
}

static void on_quote(void *ctx, const struct pregon_quote *q)
{
    struct tail *t = ctx;

    if (!is_within(t, q->accepted_us))
        return;
    print_quote(&t->print, t->pregon, q);
    if (++t->count == t->config.count)
        end(t);
}

static void on_state(void *ctx, const struct pregon_state_change *s)
{
    struct tail *t = ctx;

    if (is_within(t, s->accepted_us))
        print_state(&t->print, s);
}

static void on_lost(void *ctx, const struct pregon_loss *l)
{
    struct tail *t = ctx;

    t->print.out = t->has_begun || !t->range.since_us ? &t->out : &t->held;
    print_lost(&t->print, l);
    t->print.out = &t->out;
}

static void on_reset(void *ctx, const struct pregon_reset *r)
{
    print_reset(&((struct tail *)ctx)->print, r);
}

static void on_synced(void *ctx)
{
    struct tail *t = ctx;

    log_debug("Up to date");
    t->range.is_synced = true;
    if (range_is_over(&t->range, loop_wall_us(t->loop)))
        end(t);
}

static void on_link(void *ctx, bool is_up, const char *why)
{
    struct tail *t = ctx;

    if (!is_up)
        log_warning("The broker is away: %s", why);
    else if (t->was_down)
        log_info("The broker is here again");
    t->was_down = !is_up;
}

static void on_note(void *ctx, const char *text)
{
    (void)ctx;
    log_debug("%s", text);
}

/* --- writing -------------------------------------------------------------------------- */

/*
 * Write only as much as the output accepts at once: signals must be handled while the reader is
 * stopped.
 */
static void write_out(struct tail *t)
{
    while (t->written < t->out.len) {
        struct pollfd item = {.fd = STDOUT_FILENO, .events = POLLOUT};
        size_t left = t->out.len - t->written;
        ssize_t n;

        if (poll(&item, 1, 0) <= 0)
            return;
        n = write(STDOUT_FILENO, t->out.data + t->written, left < WRITE_BYTES ? left : WRITE_BYTES);
        if (n < 0 && (errno == EINTR || errno == EAGAIN))
            return;
        if (n < 0) {
            t->is_over = true;
            t->is_broken = errno == EPIPE;
            t->has_failed = !t->is_broken;
            if (t->has_failed)
                log_error("standard output: %s", strerror(errno));
            return;
        }
        t->written += (size_t)n;
    }
    buf_clear(&t->out);
    t->written = 0;
}

static void on_wake(struct loop_watch *w, uint32_t events)
{
    (void)w; /* every turn checks both anyway */
    (void)events;
}

/* Notice that the pipe's last reader is gone, even if there is nothing to write. */
static void on_output(struct loop_watch *w, uint32_t events)
{
    struct tail *t = (struct tail *)((char *)w - offsetof(struct tail, output));

    if (events & (EPOLLERR | EPOLLHUP))
        t->is_over = t->is_broken = true;
}

/* --- life ------------------------------------------------------------------------------ */

struct subscription {
    struct tail *t;
    bool is_wrong;
};

static void subscribe(void *ctx, const char *pattern)
{
    struct subscription *s = ctx;

    if (pregon_subscribe(s->t->pregon, pattern) == PREGON_OK)
        return;
    log_critical("SYMBOLS: '%s' is no symbol (1 to 32 of A-Z 0-9 . _ : / = ^ -), nor the "
                 "beginning of one and a star",
                 pattern);
    s->is_wrong = true;
}

/* false: the error has been logged. */
static bool open_all(struct tail *t)
{
    struct pregon_options o = PREGON_OPTIONS;
    struct subscription s = {.t = t};
    enum pregon_error e;

    if (!range_set_since(&t->range, t->config.since)) {
        log_critical("SINCE='%s': must be EPOCH:SEQ, such as 0efc6f433b8d1fa2:990, start, or a "
                     "time, such as 2026-11-25T12:00:00Z or @1795382037",
                     t->config.since);
        return false;
    }
    if (!range_set_until(&t->range, t->config.until)) {
        log_critical("UNTIL='%s': must be end, or a time, such as 2026-11-25T12:00:00Z or "
                     "@1795382037",
                     t->config.until);
        return false;
    }
    o.since = t->range.since;
    o.publish = t->config.broker_publish;
    o.control = t->config.broker_control;
    o.mode = strcmp(t->config.mode, "merge") == 0 ? PREGON_NEWEST : PREGON_ALL;
    o.no_snapshot = !t->config.snapshot;
    o.ctx = t;
    o.on_quote = on_quote;
    o.on_state = on_state;
    o.on_lost = on_lost;
    o.on_reset = on_reset;
    o.on_synced = on_synced;
    o.on_link = on_link;
    o.on_note = on_note;
    e = pregon_open(&o, &t->pregon);
    if (e) {
        log_critical("cannot follow %s and %s: %s", o.publish, o.control,
                     e == PREGON_ERROR_SYSTEM ? strerror(errno) : pregon_error_text(e));
        return false;
    }
    config_list_each(t->config.symbols, subscribe, &s);
    return !s.is_wrong;
}

static bool watch_all(struct tail *t)
{
    t->quotes = (struct loop_watch){pregon_fd(t->pregon), on_wake};
    t->output = (struct loop_watch){STDOUT_FILENO, on_output};
    /* epoll cannot watch a file, and need not: writing to a file never waits. */
    return !loop_watch(t->loop, &t->quotes, EPOLLIN) &&
           (!loop_watch(t->loop, &t->output, 0) || errno == EPERM);
}

/*
 * Watch only one of the two: a readable descriptor that is not read would wake the loop again and
 * again.
 */
static void set_blocked(struct tail *t, bool is_blocked)
{
    if (t->is_blocked == is_blocked)
        return;
    t->is_blocked = is_blocked;
    if (loop_rewatch(t->loop, &t->quotes, is_blocked ? 0 : EPOLLIN) ||
        loop_rewatch(t->loop, &t->output, is_blocked ? EPOLLOUT : 0))
        log_debug("standard output cannot be watched");
}

static void run(struct tail *t)
{
    int64_t wait = 0;

    while (!t->is_over && !loop_stops(t->loop)) {
        loop_turn(t->loop, wait);
        write_out(t);
        wait = BLOCKED_MS;
        if (!t->is_over && !t->out.len) {
            wait = pregon_turn(t->pregon);
            t->is_over |= range_is_over(&t->range, loop_wall_us(t->loop));
            write_out(t);
        }
        set_blocked(t, t->out.len > 0);
    }
    /* Write the remaining lines, as long as the output takes them. */
    while (!t->is_broken && !t->has_failed && t->out.len && loop_stops(t->loop) < 2) {
        set_blocked(t, true);
        loop_turn(t->loop, BLOCKED_MS);
        write_out(t);
    }
}

static void log_position(struct tail *t)
{
    struct pregon_position at = pregon_position(t->pregon);

    if (at.epoch && !t->is_broken && !t->out.len)
        log_info("To go on from here: --since %016llx:%llu", (unsigned long long)at.epoch,
                 (unsigned long long)at.seq);
}

int main(int argc, char **argv)
{
    static struct tail t;
    const char *no_color = getenv("NO_COLOR");
    bool is_terminal = isatty(STDOUT_FILENO);
    int code = 2;

    (void)argc;
    config_start(&tail_program, argv, &t.config);
    log_init(tail_program.name, t.config.log_level, t.config.log_format);
    if (t.config.forget[0]) {
        code = forget_run(t.config.broker_control, t.config.forget);
        config_free(&tail_program, &t.config);
        return code;
    }
    t.loop = loop_new();
    t.print = (struct print){.out = &t.out, .has_color = is_terminal && !(no_color && *no_color)};
    t.print.is_table = strcmp(t.config.format, "table") == 0 ||
                       (is_terminal && strcmp(t.config.format, "auto") == 0);
    if (open_all(&t) && watch_all(&t)) {
        print_head(&t.print);
        run(&t);
        log_position(&t);
        code = t.has_failed ? 1 : 0;
    }
    loop_leave(t.loop);
    pregon_close(&t.pregon);
    buf_free(&t.out);
    buf_free(&t.held);
    loop_free(t.loop);
    config_free(&tail_program, &t.config);
    return code;
}
