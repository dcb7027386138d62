#include "broker/locks/lock_writer.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/sqlite/batch_writer.h"
#include "shared/base/mem.h"

struct note {
    struct mail mail;
    struct lock_writer_result result;
};

struct lock_writer {
    char *path;
    struct mailbox results;
    struct batch_writer *writer;
    bool is_started;
    /* The thread's, from the start to the end. */
    struct lease_store *store;
    char reported[STORE_ERROR_MAX]; /* the failure of the batch under way; "": none */
};

/* --- the thread --------------------------------------------------------------------- */

static void put(struct lock_writer *k, const struct lock_writer_result *r)
{
    struct note *note = mem_alloc(sizeof *note);

    note->result = *r;
    mailbox_put(&k->results, &note->mail);
}

static enum err write_batch(void *ctx, void *batch, bool is_retry,
                            char error[STORE_ERROR_MAX])
{
    (void)is_retry;
    return lease_store_write(((struct lock_writer *)ctx)->store, batch, error);
}

/* A failure that lasts is reported once. */
static void failed(void *ctx, enum err e, const char *text)
{
    struct lock_writer *k = ctx;
    struct lock_writer_result r = {.event = LOCK_WRITER_FAILED};

    (void)e;
    if (strcmp(text, k->reported) == 0)
        return;
    memcpy(k->reported, text, sizeof k->reported);
    memcpy(r.text, text, sizeof r.text);
    put(k, &r);
}

static int64_t take_back(void *ctx, void *batch, enum err e, const char *text)
{
    struct lock_writer *k = ctx;

    (void)text;
    k->reported[0] = '\0';
    if (e) /* too late for another try, and no answer waits for it */
        lease_batch_free(batch);
    else
        put(k,
            &(struct lock_writer_result){.event = LOCK_WRITER_WRITTEN, .batch = batch});
    return WORKER_NEVER;
}

static void interrupt(void *ctx)
{
    lease_store_interrupt(((struct lock_writer *)ctx)->store);
}

static const struct batch_writer_kind kind = {.write = write_batch,
                                              .failed = failed,
                                              .take_back = take_back,
                                              .interrupt = interrupt};

/* --- the loop's side ---------------------------------------------------------------- */

enum err lock_writer_open(const char *path, uint64_t wall_us, struct lock_writer **out,
                          uint64_t *token_floor, char error[STORE_ERROR_MAX])
{
    struct lock_writer *k = mem_zalloc(sizeof *k);
    enum err e;

    k->path = mem_strdup(path);
    k->writer = batch_writer_new(&kind, k);
    e = mailbox_open(&k->results)
            ? lease_store_open(path, wall_us, &k->store, token_floor, error)
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
    int failure = batch_writer_start(k->writer);

    k->is_started = !failure;
    return failure ? store_error_thread(k->path, failure, error) : OK;
}

int lock_writer_fd(const struct lock_writer *k)
{
    return mailbox_fd(&k->results);
}

bool lock_writer_can_write(const struct lock_writer *k)
{
    return batch_writer_can_write(k->writer);
}

void lock_writer_write(struct lock_writer *k, struct lease_batch *b)
{
    batch_writer_write(k->writer, b);
}

bool lock_writer_take(struct lock_writer *k, struct lock_writer_result *out)
{
    struct mail *mail = mailbox_take(&k->results);

    if (!mail)
        return false;
    *out = ((struct note *)mail)->result;
    free(mail);
    if (out->event == LOCK_WRITER_WRITTEN)
        batch_writer_returned(k->writer);
    return true;
}

void lock_writer_stop(struct lock_writer *k, int64_t deadline_ms)
{
    if (!k->is_started)
        return;
    k->is_started = false;
    batch_writer_stop(k->writer);
    (void)batch_writer_join(k->writer, deadline_ms);
    if (batch_writer_has_hung(k->writer))
        return;
    lease_store_close(k->store);
    k->store = NULL;
}

void lock_writer_free(struct lock_writer *k)
{
    struct lock_writer_result r;

    if (!k || batch_writer_has_hung(k->writer))
        return;
    assert(!k->is_started);
    while (lock_writer_take(k, &r))
        lease_batch_free(r.batch);
    lease_store_close(k->store);
    batch_writer_free(k->writer);
    mailbox_close(&k->results);
    free(k->path);
    free(k);
}
