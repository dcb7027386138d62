#include "broker/log/archive.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/log/archive_result.h"
#include "broker/log/archive_writer.h"
#include "shared/base/clock.h"
#include "shared/base/mem.h"

struct archive_request {
    struct mail mail;
    bool is_history;
    struct store_query query;
    struct archive_ticket ticket;
    char patterns[]; /* query.patterns points here */
};

/* A reader's own, while its thread runs. */
struct reader {
    struct store *store;
    struct mailbox *results;
};

struct archive {
    char *path;
    bool is_started, has_hung;
    size_t requests; /* whose answers were not taken yet */
    struct mailbox results;
    struct archive_writer write;
    struct batch_writer *writer;
    struct reader reads[ARCHIVE_READERS];
    struct worker *readers;
};

_Static_assert(ARCHIVE_READERS <= WORKER_THREADS_MAX, "a thread for each reader");

/* --- the readers -------------------------------------------------------------------- */

static int64_t answer(void *ctx, struct mail *mail)
{
    struct reader *reader = ctx;
    struct archive_request *q = (struct archive_request *)mail;
    struct archive_result r = {.event = ARCHIVE_ANSWER,
                               .ticket = q->ticket,
                               .is_history = q->is_history,
                               .query = q->query};
    int64_t began = clock_mono_ms();

    r.query.patterns = SPAN("");
    if (q->is_history)
        span_copy(r.symbol, sizeof r.symbol, q->query.patterns);
    r.error = (q->is_history ? store_history : store_replay)(reader->store, &q->query,
                                                             &r.page, r.text);
    r.ms = (uint64_t)(clock_mono_ms() - began);
    r.first = r.page.first;
    r.upto = r.page.head;
    archive_put(reader->results, &r);
    free(q);
    return WORKER_NEVER;
}

static void interrupt_reader(void *ctx)
{
    store_interrupt(((struct reader *)ctx)->store);
}

static const struct worker_kind reader_kind = {.work = answer,
                                               .interrupt = interrupt_reader};

/* --- the loop's side ---------------------------------------------------------------- */

enum err archive_open(const char *path, struct archive **out,
                      char error[STORE_ERROR_MAX])
{
    struct archive *a = mem_zalloc(sizeof *a);
    enum err e;

    a->path = mem_strdup(path);
    a->writer = batch_writer_new(&archive_writer_kind, &a->write);
    a->readers = worker_new(&reader_kind);
    a->write.results = &a->results;
    e = mailbox_open(&a->results)
            ? store_open(path, STORE_WRITE, &a->write.store, error)
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
    return a->write.store;
}

static void close_readers(struct archive *a)
{
    for (size_t i = 0; i < ARCHIVE_READERS; i++) {
        store_close(a->reads[i].store);
        a->reads[i].store = NULL;
    }
}

static void drop_requests(struct archive *a)
{
    struct mail *mail;

    while ((mail = worker_withdraw(a->readers)))
        free(mail);
}

/* false: not in time, and a->has_hung if a thread did not come back at all. */
static bool end_threads(struct archive *a, int64_t deadline_ms)
{
    bool is_in_time;

    drop_requests(a);
    batch_writer_stop(a->writer);
    worker_stop(a->readers);
    is_in_time = batch_writer_join(a->writer, deadline_ms);
    is_in_time = worker_join(a->readers, deadline_ms) && is_in_time;
    a->has_hung = batch_writer_has_hung(a->writer) || worker_has_hung(a->readers);
    return is_in_time;
}

enum err archive_start(struct archive *a, char error[STORE_ERROR_MAX])
{
    enum err e = OK;
    int failure;

    assert(!a->is_started);
    for (size_t i = 0; i < ARCHIVE_READERS && !e; i++) {
        a->reads[i].results = &a->results;
        e = store_open(a->path, STORE_READ, &a->reads[i].store, error);
    }
    if (e) {
        close_readers(a);
        return e;
    }
    archive_writer_begin(&a->write);
    failure = batch_writer_start(a->writer);
    for (size_t i = 0; i < ARCHIVE_READERS && !failure; i++)
        failure = worker_start(a->readers, &a->reads[i]);
    a->is_started = true;
    if (failure) {
        (void)archive_stop(a, INT64_MAX / 2);
        return store_error_thread(a->path, failure, error);
    }
    return OK;
}

int archive_fd(const struct archive *a)
{
    return mailbox_fd(&a->results);
}

bool archive_can_write(const struct archive *a)
{
    return batch_writer_can_write(a->writer);
}

void archive_write(struct archive *a, struct store_batch *b)
{
    batch_writer_write(a->writer, b);
}

void archive_abandon(struct archive *a)
{
    batch_writer_give_up(a->writer);
}

enum err archive_request(struct archive *a, bool is_history,
                         const struct store_query *query,
                         const struct archive_ticket *ticket)
{
    struct archive_request *q;

    if (!a->is_started || a->requests == ARCHIVE_REQUESTS_MAX)
        return ERR_FULL;
    q = mem_zalloc(sizeof *q + query->patterns.len);
    q->is_history = is_history;
    q->query = *query;
    q->ticket = *ticket;
    if (query->patterns.len)
        memcpy(q->patterns, query->patterns.at, query->patterns.len);
    q->query.patterns.at = q->patterns;
    a->requests++;
    worker_send(a->readers, &q->mail);
    return OK;
}

bool archive_take(struct archive *a, struct archive_result *out)
{
    struct mail *mail = mailbox_take(&a->results);

    if (!mail)
        return false;
    *out = ((struct archive_note *)mail)->result;
    free(mail);
    if (out->event == ARCHIVE_WRITTEN || out->event == ARCHIVE_ABANDONED)
        batch_writer_returned(a->writer);
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
    is_in_time = end_threads(a, deadline_ms);
    a->is_started = false;
    if (a->has_hung)
        return false;
    close_readers(a);
    store_close(a->write.store);
    a->write.store = NULL;
    return is_in_time;
}

bool archive_has_hung(const struct archive *a)
{
    return a->has_hung;
}

void archive_free(struct archive *a)
{
    struct archive_result r;

    if (!a || a->has_hung)
        return;
    assert(!a->is_started);
    while (archive_take(a, &r))
        archive_result_clear(&r);
    store_close(a->write.store);
    batch_writer_free(a->writer);
    worker_free(a->readers);
    mailbox_close(&a->results);
    free(a->path);
    free(a);
}
