/* archive_thread: what the writer and the readers do. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/log/archive_private.h"
#include "shared/base/steady.h"
#include "shared/base/clock.h"
#include "shared/base/condition.h"

#define RETRY_MS 100 /* after a failure, doubling */
#define RETRY_MOST_MS 2000
#define PRUNE_ROWS 5000
#define PRUNE_EVERY_MS 1000
/* Moving it takes about 0.2 s; larger ones are not faster. */
#define WAL_BYTES ((size_t)64 << 20)

enum failing {
    FAILING_WRITE = 1,
    FAILING_CHECKPOINT = 2,
    FAILING_PRUNE = 4,
};

/* The writer's own. */
struct writer {
    struct archive *archive;
    struct store *store;
    uint64_t keep_count, keep_age_us;
    unsigned failing; /* enum failing */
    int64_t failing_since;
    int64_t prune_at;   /* monotonic ms, when nothing else happens before */
    uint64_t pruned;    /* in the pass under way */
    bool is_prune_over; /* the file is damaged where it would go on */
    uint64_t first, head;
    struct steady
        clock; /* what is too old must not depend on a clock that was just set */
};

static void end_thread(struct archive *a)
{
    pthread_mutex_lock(&a->lock);
    a->running--;
    pthread_cond_signal(&a->has_ended);
    pthread_mutex_unlock(&a->lock);
}

/* One failure may show in several places: its begin and its end are told once. */
static void report(struct writer *w, enum failing what, enum err e, const char *text)
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
    archive_put(w->archive, &r);
}

/*
 * A clock that is wrong when we start cannot be told from a long pause; so time goes on from the newest
 * record, and a clock that is ahead of that is believed after RETENTION_AGE.  Records are kept too
 * long rather than not long enough; RETENTION_COUNT holds all the same.
 */
static void begin_clock(struct writer *w)
{
    char error[STORE_ERROR_MAX];
    struct store_state state = {0};
    int64_t boot_ms, wall_us, from;

    if (store_state(w->store, &state, error))
        state.newest_us = 0; /* the clock, then */
    clock_pair(&boot_ms, &wall_us);
    from = state.newest_us && state.newest_us < (uint64_t)wall_us
               ? (int64_t)state.newest_us
               : wall_us;
    steady_begin(&w->clock, boot_ms, from, 0);
}

/* If this fails, what was known before is told. */
static void read_ends(struct writer *w)
{
    char error[STORE_ERROR_MAX];
    struct store_state state;

    if (store_state(w->store, &state, error))
        return;
    w->first = state.first;
    w->head = state.head;
}

static void checkpoint(struct writer *w, size_t over_bytes)
{
    char error[STORE_ERROR_MAX];
    enum err e = store_checkpoint(w->store, over_bytes, error);

    report(w, FAILING_CHECKPOINT, e, error);
}

static void end_pass(struct writer *w)
{
    struct archive_result r = {.event = ARCHIVE_PRUNED, .rows = w->pruned};

    w->prune_at = clock_mono_ms() + PRUNE_EVERY_MS;
    if (!w->pruned)
        return;
    w->pruned = 0;
    read_ends(w);
    r.first = w->first;
    r.upto = w->head;
    archive_put(w->archive, &r);
}

/* What is damaged cannot be removed, nor what is beside it: tell it once. */
static void stop_pruning(struct writer *w, const char *text)
{
    struct archive_result r = {.event = ARCHIVE_DAMAGED};

    report(w, FAILING_PRUNE, OK, NULL);
    w->is_prune_over = true;
    w->prune_at = INT64_MAX;
    memcpy(r.text, text, sizeof r.text);
    archive_put(w->archive, &r);
}

/* One chunk.  false: there is nothing more to remove for now. */
static bool prune(struct writer *w)
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
        w->prune_at = INT64_MAX;
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

/* After a batch: at least as fast as rows come in, whatever else is waiting. */
static void keep_house(struct writer *w, uint64_t rows)
{
    uint64_t budget = rows * 2 + PRUNE_ROWS;

    checkpoint(w, WAL_BYTES);
    for (uint64_t done = 0; done < budget && prune(w); done += PRUNE_ROWS)
        ;
    if (w->pruned) /* go on as soon as there is time */
        w->prune_at = 0;
}

/* Wait before the next try.  false: give the batch up instead. */
static bool wait_to_retry(struct archive *a, int64_t delay_ms)
{
    int64_t until = clock_mono_ms() + delay_ms;
    bool go_on;

    pthread_mutex_lock(&a->lock);
    while (!a->must_abandon && !a->is_late &&
           condition_wait(&a->has_work, &a->lock, until))
        ;
    go_on = !a->must_abandon && !a->is_late;
    pthread_mutex_unlock(&a->lock);
    return go_on;
}

static void give_back(struct writer *w, struct store_batch *b,
                      struct archive_result *result)
{
    read_ends(w);
    result->first = w->first;
    result->upto = w->head;
    result->batch = b;
    store_batch_clear(b);
    archive_put(w->archive, result);
}

static void write_batch(struct writer *w, struct store_batch *b)
{
    struct archive_result r = {.event = ARCHIVE_WRITTEN};
    int64_t delay_ms = RETRY_MS, began;
    uint64_t rows = store_batch_count(b), last = store_batch_last(b);
    enum err e;

    (void)store_batch_kept(b, &w->keep_count, &w->keep_age_us);
    while (began = clock_mono_ms(), (e = store_write(w->store, b, r.text))) {
        report(w, FAILING_WRITE, e, r.text);
        if (e == ERR_INVALID || !wait_to_retry(w->archive, delay_ms)) {
            r.event = ARCHIVE_ABANDONED;
            r.error = e;
            give_back(w, b, &r);
            return;
        }
        delay_ms = delay_ms < RETRY_MOST_MS / 2 ? delay_ms * 2 : RETRY_MOST_MS;
        /* On a full disk this is what can make room. */
        checkpoint(w, 0);
        (void)prune(w);
    }
    r.text[0] = '\0';
    r.rows = rows;
    r.ms = (uint64_t)(clock_mono_ms() - began);
    report(w, FAILING_WRITE, OK, NULL);
    if (last)
        w->head = last;
    give_back(w, b, &r);
    keep_house(w, rows);
}

/* A batch to write, or NULL: time to prune, or (if *is_end) to stop. */
static struct store_batch *wait_for_work(struct writer *w, bool *is_end)
{
    struct archive *a = w->archive;
    struct store_batch *b;

    pthread_mutex_lock(&a->lock);
    while (!a->batch && !a->must_stop) {
        if (w->prune_at == INT64_MAX)
            pthread_cond_wait(&a->has_work, &a->lock);
        else if (!condition_wait(&a->has_work, &a->lock, w->prune_at))
            break;
    }
    b = a->batch;
    a->batch = NULL;
    *is_end = !b && a->must_stop;
    pthread_mutex_unlock(&a->lock);
    return b;
}

void *archive_thread_write(void *arg)
{
    struct archive_thread *t = arg;
    struct writer w = {.archive = t->archive, .store = t->store, .prune_at = INT64_MAX};
    bool is_end = false;

    read_ends(&w);
    begin_clock(&w);
    while (!is_end) {
        struct store_batch *b = wait_for_work(&w, &is_end);

        if (b)
            write_batch(&w, b);
        else if (!is_end)
            (void)prune(&w);
    }
    checkpoint(&w, 0);
    end_thread(t->archive);
    return NULL;
}

static struct archive_question *wait_for_question(struct archive *a)
{
    struct archive_question *q;

    pthread_mutex_lock(&a->lock);
    while (!a->first_question && !a->must_stop)
        pthread_cond_wait(&a->has_question, &a->lock);
    q = a->must_stop ? NULL : a->first_question;
    if (q) {
        a->first_question = q->next;
        if (!a->first_question)
            a->last_question = NULL;
    }
    pthread_mutex_unlock(&a->lock);
    return q;
}

static void answer(struct archive *a, struct store *store,
                   const struct archive_question *q)
{
    struct archive_result r = {.event = ARCHIVE_ANSWER,
                               .ticket = q->ticket,
                               .is_history = q->is_history,
                               .query = q->query};
    int64_t began = clock_mono_ms();

    r.query.patterns = SPAN("");
    if (q->is_history)
        span_copy(r.symbol, sizeof r.symbol, q->query.patterns);
    r.error = (q->is_history ? store_history : store_replay)(store, &q->query, &r.page,
                                                             r.text);
    r.ms = (uint64_t)(clock_mono_ms() - began);
    r.first = r.page.first;
    r.upto = r.page.head;
    archive_put(a, &r);
}

void *archive_thread_read(void *arg)
{
    struct archive_thread *t = arg;
    struct archive_question *q;

    while ((q = wait_for_question(t->archive))) {
        answer(t->archive, t->store, q);
        free(q);
    }
    end_thread(t->archive);
    return NULL;
}
