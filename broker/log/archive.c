#include "broker/log/archive.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/log/archive_writer.h"
#include "shared/base/clock.h"
#include "shared/base/mem.h"

/* A task of the readers; the patterns are behind it. */
struct request {
    bool is_history;
    struct store_query query;
    struct archive_ticket ticket;
};

struct reader {
    struct worker *worker;
    struct store *store;
};

struct archive {
    char *path;
    bool is_started, is_writing;
    size_t requests; /* requests whose answers the loop has not taken yet */
    struct worker *worker;
    struct archive_writer writer;
    struct reader readers[ARCHIVE_READERS];
};

_Static_assert(1 + ARCHIVE_READERS <= WORKER_THREADS_MAX, "a thread for each");

/* --- the readers' threads ----------------------------------------------------------- */

static int64_t answer(void *ctx, void *task)
{
    struct reader *reader = ctx;
    struct request *q = task;
    struct archive_result r = {.event = ARCHIVE_ANSWER,
                               .ticket = q->ticket,
                               .is_history = q->is_history,
                               .query = q->query};
    int64_t began = clock_mono_ms();

    q->query.patterns.at = (const char *)(q + 1);
    r.query.patterns = SPAN("");
    if (q->is_history)
        span_copy(r.symbol, sizeof r.symbol, q->query.patterns);
    r.error =
        (q->is_history ? store_history : store_replay)(reader->store, &q->query, &r.page, r.text);
    r.ms = (uint64_t)(clock_mono_ms() - began);
    r.first = r.page.first;
    r.upto = r.page.head;
    worker_put(reader->worker, &r, sizeof r);
    return WORKER_NEVER;
}

static void interrupt(void *ctx)
{
    store_interrupt(((struct reader *)ctx)->store);
}

static int start_reader(struct reader *reader)
{
    static const struct worker_kind kind = {
        .lane = WORKER_READ, .work = answer, .interrupt = interrupt};

    return worker_start(reader->worker, &kind, reader);
}

/* --- the loop's side ---------------------------------------------------------------- */

enum err archive_open(const char *path, struct archive **out, char error[STORE_ERROR_MAX])
{
    struct archive *a = mem_zalloc(sizeof *a);
    enum err e;

    a->path = mem_strdup(path);
    a->worker = a->writer.worker = worker_new();
    e = a->worker ? store_open(path, STORE_WRITE, &a->writer.store, error)
                  : store_error_system(path, errno, "watch it", error);
    if (e) {
        archive_free(a);
        return e;
    }
    *out = a;
    return OK;
}

struct store *archive_store(struct archive *a)
{
    assert(!a->is_started);
    return a->writer.store;
}

static void close_readers(struct archive *a)
{
    for (size_t i = 0; i < ARCHIVE_READERS; i++) {
        store_close(a->readers[i].store);
        a->readers[i].store = NULL;
    }
}

enum err archive_start(struct archive *a, char error[STORE_ERROR_MAX])
{
    enum err e = OK;
    int failure;

    assert(!a->is_started);
    for (size_t i = 0; i < ARCHIVE_READERS && !e; i++) {
        a->readers[i].worker = a->worker;
        e = store_open(a->path, STORE_READ, &a->readers[i].store, error);
    }
    if (e) {
        close_readers(a);
        return e;
    }
    failure = archive_writer_start(&a->writer);
    for (size_t i = 0; i < ARCHIVE_READERS && !failure; i++)
        failure = start_reader(&a->readers[i]);
    a->is_started = true;
    if (failure) {
        (void)archive_stop(a, INT64_MAX / 2);
        return store_error_thread(a->path, failure, error);
    }
    return OK;
}

int archive_fd(const struct archive *a)
{
    return worker_fd(a->worker);
}

bool archive_can_write(const struct archive *a)
{
    return a->is_started && !a->is_writing;
}

void archive_write(struct archive *a, struct store_batch *b)
{
    assert(archive_can_write(a));
    a->is_writing = true;
    worker_send(a->worker, WORKER_WRITE, &b, sizeof b);
}

enum err archive_request(struct archive *a, bool is_history, const struct store_query *query,
                         const struct archive_ticket *ticket)
{
    struct request q = {.is_history = is_history, .query = *query, .ticket = *ticket};
    struct buf task = {0};

    if (!a->is_started || a->requests == ARCHIVE_REQUESTS_MAX)
        return ERR_FULL;
    a->requests++;
    buf_add(&task, &q, sizeof q);
    buf_add(&task, query->patterns.at, query->patterns.len);
    worker_send(a->worker, WORKER_READ, task.data, task.len);
    buf_free(&task);
    return OK;
}

bool archive_take(struct archive *a, struct archive_result *out)
{
    if (!worker_take(a->worker, out, sizeof *out))
        return false;
    if (out->event == ARCHIVE_WRITTEN || out->event == ARCHIVE_ABANDONED)
        a->is_writing = false;
    if (out->event == ARCHIVE_ANSWER)
        a->requests--;
    return true;
}

void archive_result_clear(struct archive_result *r)
{
    store_batch_free(r->batch);
    r->batch = NULL;
    store_page_clear(&r->page);
}

bool archive_stop(struct archive *a, int64_t deadline_ms)
{
    bool is_in_time;

    if (!a->is_started)
        return true;
    is_in_time = worker_stop(a->worker, deadline_ms);
    a->is_started = false;
    if (worker_has_hung(a->worker))
        return false;
    close_readers(a);
    store_close(a->writer.store);
    a->writer.store = NULL;
    return is_in_time;
}

bool archive_has_hung(const struct archive *a)
{
    return worker_has_hung(a->worker);
}

void archive_free(struct archive *a)
{
    struct archive_result r;

    if (!a || (a->worker && archive_has_hung(a)))
        return;
    assert(!a->is_started);
    while (a->worker && archive_take(a, &r))
        archive_result_clear(&r);
    store_close(a->writer.store);
    worker_free(a->worker);
    free(a->path);
    free(a);
}
