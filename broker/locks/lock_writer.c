#include "broker/locks/lock_writer.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/sqlite/worker.h"
#include "shared/base/mem.h"

struct lock_writer {
    char *path;
    struct worker *worker;
    bool is_started, is_writing;
    /* The thread's, from the start to the end. */
    struct lease_store *store;
    struct lease_batch *batch;      /* under way */
    char reported[STORE_ERROR_MAX]; /* the last failure that was reported; "": none */
};

/* --- the thread --------------------------------------------------------------------- */

/* A failure that lasts is reported once. */
static enum err try_to_write(void *ctx, bool is_retry, char error[STORE_ERROR_MAX])
{
    struct lock_writer *k = ctx;
    enum err e = lease_store_write(k->store, k->batch, error);
    struct lock_writer_result r = {.event = LOCK_WRITER_FAILED};

    if (!is_retry)
        k->reported[0] = '\0';
    if (e && strcmp(error, k->reported) != 0) {
        memcpy(k->reported, error, sizeof k->reported);
        memcpy(r.text, error, sizeof r.text);
        worker_put(k->worker, &r, sizeof r);
    }
    return e;
}

static int64_t write_batch(void *ctx, void *task)
{
    struct lock_writer *k = ctx;
    struct lock_writer_result r = {.event = LOCK_WRITER_WRITTEN,
                                   .batch = *(struct lease_batch **)task};
    char error[STORE_ERROR_MAX] = "";

    k->batch = r.batch;
    if (worker_retry(k->worker, WORKER_WRITE, try_to_write, k, error))
        lease_batch_free(r.batch); /* too late for this batch; no answer waits for it */
    else
        worker_put(k->worker, &r, sizeof r);
    return WORKER_NEVER;
}

static void interrupt(void *ctx)
{
    lease_store_interrupt(((struct lock_writer *)ctx)->store);
}

/* --- the loop's side ---------------------------------------------------------------- */

enum err lock_writer_open(const char *path, uint64_t wall_us, struct lock_writer **out,
                          uint64_t *token_floor, char error[STORE_ERROR_MAX])
{
    struct lock_writer *k = mem_zalloc(sizeof *k);
    enum err e;

    k->path = mem_strdup(path);
    k->worker = worker_new();
    e = k->worker ? lease_store_open(path, wall_us, &k->store, token_floor, error)
                  : store_error_system(path, errno, "watch it", error);
    if (e) {
        lock_writer_free(k);
        return e;
    }
    *out = k;
    return OK;
}

struct lease_store *lock_writer_store(struct lock_writer *k)
{
    assert(!k->is_started);
    return k->store;
}

enum err lock_writer_start(struct lock_writer *k, char error[STORE_ERROR_MAX])
{
    static const struct worker_kind kind = {
        .lane = WORKER_WRITE, .work = write_batch, .interrupt = interrupt};
    int failure = worker_start(k->worker, &kind, k);

    k->is_started = !failure;
    return failure ? store_error_thread(k->path, failure, error) : OK;
}

int lock_writer_fd(const struct lock_writer *k)
{
    return worker_fd(k->worker);
}

bool lock_writer_can_write(const struct lock_writer *k)
{
    return k->is_started && !k->is_writing;
}

void lock_writer_write(struct lock_writer *k, struct lease_batch *b)
{
    assert(lock_writer_can_write(k));
    k->is_writing = true;
    worker_send(k->worker, WORKER_WRITE, &b, sizeof b);
}

bool lock_writer_take(struct lock_writer *k, struct lock_writer_result *out)
{
    bool is_new = worker_take(k->worker, out, sizeof *out);

    if (is_new && out->event == LOCK_WRITER_WRITTEN)
        k->is_writing = false;
    return is_new;
}

void lock_writer_stop(struct lock_writer *k, int64_t deadline_ms)
{
    if (!k->is_started)
        return;
    k->is_started = false;
    (void)worker_stop(k->worker, deadline_ms);
    if (worker_has_hung(k->worker))
        return;
    lease_store_close(k->store);
    k->store = NULL;
}

void lock_writer_free(struct lock_writer *k)
{
    struct lock_writer_result r;

    if (!k || (k->worker && worker_has_hung(k->worker)))
        return;
    assert(!k->is_started);
    while (k->worker && lock_writer_take(k, &r))
        lease_batch_free(r.batch);
    lease_store_close(k->store);
    worker_free(k->worker);
    free(k->path);
    free(k);
}
