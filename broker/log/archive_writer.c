/* archive_writer: batches go into the store, and between them the store is pruned. */
#include "broker/log/archive_writer.h"

#include <string.h>

#include "shared/base/clock.h"

#define PRUNE_ROWS 5000
#define PRUNE_EVERY_MS 1000
/* Moving it takes about 0.2 s; larger ones are not faster. */
#define WAL_BYTES ((size_t)64 << 20)

enum failing {
    FAILING_WRITE = 1,
    FAILING_CHECKPOINT = 2,
    FAILING_PRUNE = 4,
};

/* One failure may appear in several places: report its begin and its end once. */
static void report(struct archive_writer *w, enum failing what, enum err e, const char *text)
{
    struct archive_result r = {.error = e};
    unsigned before = w->failing;

    w->failing = e ? before | what : before & ~(unsigned)what;
    if (!before == !w->failing)
        return;
    if (w->failing) {
        r.event = ARCHIVE_FAILED;
        w->failing_since = clock_mono_ms();
        memcpy(r.text, text, sizeof r.text);
    } else {
        r.event = ARCHIVE_RECOVERED;
        r.ms = (uint64_t)(clock_mono_ms() - w->failing_since);
    }
    worker_put(w->worker, &r, sizeof r);
}

/*
 * At the start a wrong clock looks like a long pause.  The time for pruning therefore continues
 * from the newest record, and a clock that is ahead of it is accepted only after RETENTION_AGE.
 * Records are kept too long rather than too short; RETENTION_COUNT applies in any case.
 */
static void begin_clock(struct archive_writer *w)
{
    char error[STORE_ERROR_MAX];
    struct store_state state = {0};
    int64_t boot_ms, wall_us, from;

    if (store_state(w->store, &state, error))
        state.newest_us = 0; /* the clock, then */
    clock_pair(&boot_ms, &wall_us);
    from =
        state.newest_us && state.newest_us < (uint64_t)wall_us ? (int64_t)state.newest_us : wall_us;
    steady_begin(&w->clock, boot_ms, from, 0);
}

/* If this fails, the previously read values are reported. */
static void read_ends(struct archive_writer *w)
{
    char error[STORE_ERROR_MAX];
    struct store_state state;

    if (store_state(w->store, &state, error))
        return;
    w->first = state.first;
    w->head = state.head;
}

static void checkpoint(struct archive_writer *w, size_t over_bytes)
{
    char error[STORE_ERROR_MAX];
    enum err e = store_checkpoint(w->store, over_bytes, error);

    report(w, FAILING_CHECKPOINT, e, error);
}

static void end_pass(struct archive_writer *w)
{
    struct archive_result r = {.event = ARCHIVE_PRUNED, .rows = w->pruned};

    w->prune_at = clock_mono_ms() + PRUNE_EVERY_MS;
    if (!w->pruned)
        return;
    w->pruned = 0;
    read_ends(w);
    r.first = w->first;
    r.upto = w->head;
    worker_put(w->worker, &r, sizeof r);
}

/* A damaged page cannot be removed, nor its neighbours: stop pruning and report it once. */
static void stop_pruning(struct archive_writer *w, const char *text)
{
    struct archive_result r = {.event = ARCHIVE_DAMAGED};

    report(w, FAILING_PRUNE, OK, NULL);
    w->is_prune_over = true;
    w->prune_at = WORKER_NEVER;
    memcpy(r.text, text, sizeof r.text);
    worker_put(w->worker, &r, sizeof r);
}

/* Prune one chunk.  false: there is nothing more to remove for now. */
static bool prune(struct archive_writer *w)
{
    int64_t boot_ms, wall_us;
    uint64_t removed = 0, older;
    char error[STORE_ERROR_MAX];
    enum err e;

    clock_pair(&boot_ms, &wall_us);
    w->clock.patience_ms = (int64_t)(w->keep_age_us / 1000);
    (void)steady_look(&w->clock, boot_ms, wall_us);
    older = steady_cut(&w->clock, boot_ms, wall_us, w->keep_age_us);
    if (w->is_prune_over || (!w->keep_count && !older)) {
        w->prune_at = WORKER_NEVER;
        return false;
    }
    e = store_prune(w->store, w->keep_count, older, PRUNE_ROWS, &removed, error);
    if (e == ERR_MALFORMED) {
        stop_pruning(w, error);
        return false;
    }
    report(w, FAILING_PRUNE, e, error);
    w->pruned += removed;
    if (removed == PRUNE_ROWS)
        return true;
    end_pass(w);
    return false;
}

/* After each batch: prune at least as many rows as came in, whatever else waits. */
static void keep_house(struct archive_writer *w, uint64_t rows)
{
    uint64_t budget = rows * 2 + PRUNE_ROWS;

    checkpoint(w, WAL_BYTES);
    for (uint64_t done = 0; done < budget && prune(w); done += PRUNE_ROWS)
        ;
    if (w->pruned) /* continue as soon as there is time */
        w->prune_at = 0;
}

static enum err try_to_write(void *ctx, bool is_retry, char error[STORE_ERROR_MAX])
{
    struct archive_writer *w = ctx;
    int64_t began;
    enum err e;

    if (is_retry) { /* on a full disk, pruning can free space */
        checkpoint(w, 0);
        (void)prune(w);
    }
    began = clock_mono_ms();
    e = store_write(w->store, w->batch, error);
    w->write_ms = clock_mono_ms() - began;
    report(w, FAILING_WRITE, e, error);
    return e;
}

static int64_t write_batch(void *ctx, void *task)
{
    struct archive_writer *w = ctx;
    struct archive_result r = {.batch = *(struct store_batch **)task};
    uint64_t last = store_batch_last(r.batch), rows = store_batch_count(r.batch);

    w->batch = r.batch;
    (void)store_batch_kept(r.batch, &w->keep_count, &w->keep_age_us);
    r.error = worker_retry(w->worker, WORKER_WRITE, try_to_write, w, r.text);
    if (r.error) {
        r.event = ARCHIVE_ABANDONED;
    } else {
        r.event = ARCHIVE_WRITTEN;
        r.text[0] = '\0';
        r.rows = rows;
        r.ms = (uint64_t)w->write_ms;
        if (last)
            w->head = last;
    }
    read_ends(w);
    r.first = w->first;
    r.upto = w->head;
    store_batch_clear(r.batch);
    worker_put(w->worker, &r, sizeof r);
    if (!r.error)
        keep_house(w, rows);
    return w->prune_at;
}

static int64_t be_idle(void *ctx)
{
    struct archive_writer *w = ctx;

    (void)prune(w);
    return w->prune_at;
}

static void end(void *ctx)
{
    checkpoint(ctx, 0);
}

static void interrupt(void *ctx)
{
    store_interrupt(((struct archive_writer *)ctx)->store);
}

int archive_writer_start(struct archive_writer *w)
{
    static const struct worker_kind kind = {.lane = WORKER_WRITE,
                                            .work = write_batch,
                                            .idle = be_idle,
                                            .end = end,
                                            .interrupt = interrupt};

    w->prune_at = WORKER_NEVER;
    read_ends(w);
    begin_clock(w);
    return worker_start(w->worker, &kind, w);
}
