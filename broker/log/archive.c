#include "broker/log/archive_private.h"
#include "broker/sqlite/store_file.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/clock.h"
#include "shared/base/condition.h"
#include "shared/base/mem.h"

#define LATE_MS 1000 /* after the deadline, for what was interrupted to come back */
#define NUDGE_MS 20  /* an interrupt only reaches a statement that runs */

static void init_sync(struct archive *a)
{
    pthread_mutex_init(&a->lock, NULL);
    condition_init(&a->has_work);
    condition_init(&a->has_question);
    condition_init(&a->has_ended);
}

enum err archive_open(const char *path, struct archive **out,
                      char error[STORE_ERROR_MAX])
{
    struct archive *a = mem_zalloc(sizeof *a);
    enum err e;

    init_sync(a);
    a->path = mem_strdup(path);
    if (!bell_open(&a->bell)) {
        snprintf(
            error, STORE_ERROR_MAX,
            "store %s: no descriptor left (errno %d); raise the limit of open files",
            path, errno);
        archive_free(a);
        return ERR_SYS;
    }
    for (size_t i = 0; i < ARCHIVE_THREADS; i++)
        a->threads[i].archive = a;
    e = store_open(path, STORE_WRITE, &a->threads[0].store, error);
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
    return a->threads[0].store;
}

static enum err start_thread(struct archive *a, struct archive_thread *t,
                             bool is_writer, char error[STORE_ERROR_MAX])
{
    int failure;

    pthread_mutex_lock(&a->lock);
    failure = pthread_create(&t->id, NULL,
                             is_writer ? archive_thread_write : archive_thread_read, t);
    if (!failure)
        a->running++;
    pthread_mutex_unlock(&a->lock);
    if (!failure)
        return OK;
    return store_error_thread(a->path, failure, error);
}

static void join_all(struct archive *a, size_t count)
{
    for (size_t i = 0; i < count; i++)
        pthread_join(a->threads[i].id, NULL);
}

static void close_readers(struct archive *a)
{
    for (size_t i = 1; i < ARCHIVE_THREADS; i++) {
        store_close(a->threads[i].store);
        a->threads[i].store = NULL;
    }
}

static void tell_to_stop(struct archive *a)
{
    pthread_mutex_lock(&a->lock);
    a->must_stop = true;
    pthread_cond_broadcast(&a->has_work);
    pthread_cond_broadcast(&a->has_question);
    pthread_mutex_unlock(&a->lock);
}

enum err archive_start(struct archive *a, char error[STORE_ERROR_MAX])
{
    sigset_t all, before;
    size_t started = 0;
    enum err e = OK;

    assert(!a->is_started);
    for (size_t i = 1; i < ARCHIVE_THREADS && !e; i++)
        e = store_open(a->path, STORE_READ, &a->threads[i].store, error);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    for (; started < ARCHIVE_THREADS && !e; started += !e)
        e = start_thread(a, &a->threads[started], started == 0, error);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (e) {
        tell_to_stop(a);
        join_all(a, started);
        close_readers(a);
        a->must_stop = false;
        return e;
    }
    a->is_started = true;
    return OK;
}

int archive_fd(const struct archive *a)
{
    return a->bell.fd;
}

bool archive_can_write(const struct archive *a)
{
    return a->is_started && !a->is_writing;
}

void archive_write(struct archive *a, struct store_batch *b)
{
    assert(archive_can_write(a));
    a->is_writing = true;
    pthread_mutex_lock(&a->lock);
    a->batch = b;
    a->must_abandon = false;
    pthread_cond_signal(&a->has_work);
    pthread_mutex_unlock(&a->lock);
}

void archive_abandon(struct archive *a)
{
    pthread_mutex_lock(&a->lock);
    a->must_abandon = a->is_writing;
    pthread_cond_signal(&a->has_work);
    pthread_mutex_unlock(&a->lock);
}

enum err archive_ask(struct archive *a, bool is_history,
                     const struct store_query *query,
                     const struct archive_ticket *ticket)
{
    struct archive_question *q;

    if (!a->is_started || a->asked == ARCHIVE_QUESTIONS)
        return ERR_FULL;
    q = mem_zalloc(sizeof *q + query->patterns.len);
    q->is_history = is_history;
    q->query = *query;
    q->ticket = *ticket;
    if (query->patterns.len)
        memcpy(q->patterns, query->patterns.at, query->patterns.len);
    q->query.patterns.at = q->patterns;
    a->asked++;
    pthread_mutex_lock(&a->lock);
    if (a->last_question)
        a->last_question->next = q;
    else
        a->first_question = q;
    a->last_question = q;
    pthread_cond_signal(&a->has_question);
    pthread_mutex_unlock(&a->lock);
    return OK;
}

void archive_put(struct archive *a, const struct archive_result *result)
{
    struct archive_note *note = mem_zalloc(sizeof *note);

    note->result = *result;
    pthread_mutex_lock(&a->lock);
    if (a->last_note)
        a->last_note->next = note;
    else
        a->first_note = note;
    a->last_note = note;
    bell_ring(&a->bell);
    pthread_mutex_unlock(&a->lock);
}

bool archive_take(struct archive *a, struct archive_result *out)
{
    struct archive_note *note;

    pthread_mutex_lock(&a->lock);
    note = a->first_note;
    if (note) {
        a->first_note = note->next;
        if (!a->first_note)
            a->last_note = NULL;
    } else {
        bell_hush(&a->bell);
    }
    pthread_mutex_unlock(&a->lock);
    if (!note)
        return false;
    *out = note->result;
    free(note);
    if (out->event == ARCHIVE_WRITTEN || out->event == ARCHIVE_ABANDONED)
        a->is_writing = false;
    if (out->event == ARCHIVE_ANSWER)
        a->asked--;
    return true;
}

void archive_result_clear(struct archive_result *r)
{
    store_batch_free(r->batch);
    r->batch = NULL;
    store_page_clear(&r->page);
}

/* Until all threads have ended or deadline_ms. */
static bool wait_for_end(struct archive *a, int64_t deadline_ms)
{
    bool is_over;

    pthread_mutex_lock(&a->lock);
    while (a->running && condition_wait(&a->has_ended, &a->lock, deadline_ms))
        ;
    is_over = !a->running;
    pthread_mutex_unlock(&a->lock);
    return is_over;
}

static bool interrupt_all(struct archive *a)
{
    int64_t end = clock_mono_ms() + LATE_MS, now;

    pthread_mutex_lock(&a->lock);
    a->is_late = true;
    pthread_cond_broadcast(&a->has_work);
    pthread_mutex_unlock(&a->lock);
    while ((now = clock_mono_ms()) < end) {
        for (size_t i = 0; i < ARCHIVE_THREADS; i++)
            store_interrupt(a->threads[i].store);
        if (wait_for_end(a, now + NUDGE_MS))
            return true;
    }
    return false;
}

bool archive_stop(struct archive *a, int64_t deadline_ms)
{
    bool is_in_time;

    if (!a->is_started)
        return true;
    tell_to_stop(a);
    is_in_time = wait_for_end(a, deadline_ms);
    a->is_started = false;
    if (!is_in_time && !interrupt_all(a)) {
        a->is_lost = true; /* a thread hangs in the kernel: leave it all to it */
        return false;
    }
    join_all(a, ARCHIVE_THREADS);
    close_readers(a);
    store_close(a->threads[0].store);
    a->threads[0].store = NULL;
    return is_in_time;
}

bool archive_has_hung(const struct archive *a)
{
    return a->is_lost;
}

static void free_questions(struct archive *a)
{
    while (a->first_question) {
        struct archive_question *q = a->first_question;

        a->first_question = q->next;
        free(q);
    }
}

void archive_free(struct archive *a)
{
    struct archive_result r;

    if (!a || a->is_lost)
        return;
    assert(!a->is_started);
    while (a->bell.fd >= 0 && archive_take(a, &r))
        archive_result_clear(&r);
    free_questions(a);
    store_batch_free(a->batch);
    store_close(a->threads[0].store);
    bell_close(&a->bell);
    pthread_cond_destroy(&a->has_work);
    pthread_cond_destroy(&a->has_question);
    pthread_cond_destroy(&a->has_ended);
    pthread_mutex_destroy(&a->lock);
    free(a->path);
    free(a);
}
