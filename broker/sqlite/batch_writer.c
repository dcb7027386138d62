#include "broker/sqlite/batch_writer.h"

#include <assert.h>
#include <stdlib.h>

#include "shared/base/clock.h"
#include "shared/base/mem.h"

#define RETRY_MS 100 /* after a failure, doubling */
#define RETRY_MOST_MS 2000

struct batch_writer {
    struct mail mail; /* the loop's; the thread's while a batch is under way */
    void *batch;
    const struct batch_writer_kind *kind;
    void *ctx;
    struct worker *worker;
    bool is_started, is_writing; /* the loop's */
};

static int64_t write_batch(void *ctx, struct mail *mail)
{
    struct batch_writer *w = ctx;
    char text[STORE_ERROR_MAX] = "";
    int64_t delay_ms = RETRY_MS;
    bool is_retry = false;
    enum err e;

    (void)mail; /* it is w->mail */
    while ((e = w->kind->write(w->ctx, w->batch, is_retry, text))) {
        w->kind->failed(w->ctx, e, text);
        if (e == ERR_INVALID || !worker_pause(w->worker, clock_mono_ms() + delay_ms))
            break;
        delay_ms = delay_ms < RETRY_MOST_MS / 2 ? delay_ms * 2 : RETRY_MOST_MS;
        is_retry = true;
    }
    return w->kind->take_back(w->ctx, w->batch, e, text);
}

static int64_t be_idle(void *ctx)
{
    struct batch_writer *w = ctx;

    return w->kind->idle(w->ctx);
}

static void end(void *ctx)
{
    struct batch_writer *w = ctx;

    if (w->kind->end)
        w->kind->end(w->ctx);
}

static void interrupt(void *ctx)
{
    struct batch_writer *w = ctx;

    w->kind->interrupt(w->ctx);
}

static const struct worker_kind worker = {
    .work = write_batch, .idle = be_idle, .end = end, .interrupt = interrupt};

struct batch_writer *batch_writer_new(const struct batch_writer_kind *kind, void *ctx)
{
    struct batch_writer *w = mem_zalloc(sizeof *w);

    w->kind = kind;
    w->ctx = ctx;
    w->worker = worker_new(&worker);
    return w;
}

int batch_writer_start(struct batch_writer *w)
{
    int failure = worker_start(w->worker, w);

    w->is_started = !failure;
    return failure;
}

bool batch_writer_can_write(const struct batch_writer *w)
{
    return w->is_started && !w->is_writing;
}

void batch_writer_write(struct batch_writer *w, void *batch)
{
    assert(batch_writer_can_write(w));
    w->is_writing = true;
    w->batch = batch;
    worker_send(w->worker, &w->mail);
}

void batch_writer_returned(struct batch_writer *w)
{
    w->is_writing = false;
}

void batch_writer_give_up(struct batch_writer *w)
{
    if (w->is_writing)
        worker_give_up(w->worker);
}

void batch_writer_stop(struct batch_writer *w)
{
    w->is_started = false;
    worker_stop(w->worker);
}

bool batch_writer_join(struct batch_writer *w, int64_t deadline_ms)
{
    return worker_join(w->worker, deadline_ms);
}

bool batch_writer_has_hung(const struct batch_writer *w)
{
    return worker_has_hung(w->worker);
}

void batch_writer_free(struct batch_writer *w)
{
    if (!w || worker_has_hung(w->worker))
        return;
    worker_free(w->worker);
    free(w);
}
