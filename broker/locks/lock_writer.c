#include "broker/locks/lock_writer.h"
#include "broker/sqlite/store_file.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/clock.h"
#include "shared/base/bell.h"
#include "shared/base/condition.h"
#include "shared/base/mem.h"

#define RETRY_MS 100 /* after a failure, doubling */
#define RETRY_MOST_MS 2000
#define LATE_MS 1000 /* after the deadline, for what was interrupted to come back */
#define NUDGE_MS 20  /* an interrupt only reaches a statement that runs */

struct lock_writer {
    /* The loop's. */
    char *path;
    bool is_started, is_writing, is_lost;
    pthread_t thread;
    struct lease_store *store; /* the thread's, from the start to the end */

    /* Below: only while holding it. */
    pthread_mutex_t lock;
    struct bell bell; /* the loop's: there is a result */
    pthread_cond_t has_work, has_ended;
    struct lease_batch *to_write, *written;
    bool has_failed; /* and `text` says why: not taken yet */
    char text[STORE_ERROR_MAX];
    bool must_stop, is_late, is_running;
};

enum err lock_writer_open(const char *path, uint64_t wall_us, struct lock_writer **out,
                          uint64_t *token_floor, char error[STORE_ERROR_MAX])
{
    struct lock_writer *k = mem_zalloc(sizeof *k);
    enum err e;

    pthread_mutex_init(&k->lock, NULL);
    condition_init(&k->has_work);
    condition_init(&k->has_ended);
    k->path = mem_strdup(path);
    e = bell_open(&k->bell)
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

/* --- the thread ---------------------------------------------------------------------------- */

static void tell_failed(struct lock_writer *k, const char *text)
{
    pthread_mutex_lock(&k->lock);
    memcpy(k->text, text, sizeof k->text);
    k->has_failed = true;
    bell_ring(&k->bell);
    pthread_mutex_unlock(&k->lock);
}

static void tell_written(struct lock_writer *k, struct lease_batch *b)
{
    pthread_mutex_lock(&k->lock);
    k->written = b;
    bell_ring(&k->bell);
    pthread_mutex_unlock(&k->lock);
}

/* false: it is too late for another try. */
static bool wait_to_retry(struct lock_writer *k, int64_t delay_ms)
{
    int64_t until = clock_mono_ms() + delay_ms;
    bool go_on;

    pthread_mutex_lock(&k->lock);
    while (!k->is_late && condition_wait(&k->has_work, &k->lock, until))
        ;
    go_on = !k->is_late;
    pthread_mutex_unlock(&k->lock);
    return go_on;
}

static void write_batch(struct lock_writer *k, struct lease_batch *b)
{
    char told[STORE_ERROR_MAX] = "", text[STORE_ERROR_MAX];
    int64_t delay_ms = RETRY_MS;

    while (lease_store_write(k->store, b, text)) {
        if (strcmp(text, told) != 0)
            tell_failed(k, text);
        memcpy(told, text, sizeof told);
        if (!wait_to_retry(k, delay_ms)) {
            lease_batch_free(b);
            return;
        }
        delay_ms = delay_ms < RETRY_MOST_MS / 2 ? delay_ms * 2 : RETRY_MOST_MS;
    }
    tell_written(k, b);
}

static struct lease_batch *wait_for_batch(struct lock_writer *k)
{
    struct lease_batch *b;

    pthread_mutex_lock(&k->lock);
    while (!k->to_write && !k->must_stop)
        pthread_cond_wait(&k->has_work, &k->lock);
    b = k->to_write;
    k->to_write = NULL;
    pthread_mutex_unlock(&k->lock);
    return b;
}

static void *run(void *arg)
{
    struct lock_writer *k = arg;
    struct lease_batch *b;

    while ((b = wait_for_batch(k)))
        write_batch(k, b);
    pthread_mutex_lock(&k->lock);
    k->is_running = false;
    pthread_cond_signal(&k->has_ended);
    pthread_mutex_unlock(&k->lock);
    return NULL;
}

/* --- the loop's side ------------------------------------------------------------------------ */

enum err lock_writer_start(struct lock_writer *k, char error[STORE_ERROR_MAX])
{
    sigset_t all, before;
    int failure;

    assert(!k->is_started);
    k->is_running = true;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    failure = pthread_create(&k->thread, NULL, run, k);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failure) {
        k->is_running = false;
        return store_error_thread(k->path, failure, error);
    }
    k->is_started = true;
    return OK;
}

int lock_writer_fd(const struct lock_writer *k)
{
    return k->bell.fd;
}

bool lock_writer_can_write(const struct lock_writer *k)
{
    return k->is_started && !k->is_writing;
}

void lock_writer_write(struct lock_writer *k, struct lease_batch *b)
{
    assert(lock_writer_can_write(k));
    k->is_writing = true;
    pthread_mutex_lock(&k->lock);
    k->to_write = b;
    pthread_cond_signal(&k->has_work);
    pthread_mutex_unlock(&k->lock);
}

bool lock_writer_take(struct lock_writer *k, struct lock_writer_result *out)
{
    bool is_new = true;

    *out = (struct lock_writer_result){0};
    pthread_mutex_lock(&k->lock);
    if (k->has_failed) {
        k->has_failed = false;
        out->event = LEASE_LOG_WRITER_FAILED;
        memcpy(out->text, k->text, sizeof out->text);
    } else if (k->written) {
        out->event = LEASE_LOG_WRITER_WRITTEN;
        out->batch = k->written;
        k->written = NULL;
        k->is_writing = false;
    } else {
        is_new = false;
        bell_hush(&k->bell);
    }
    pthread_mutex_unlock(&k->lock);
    return is_new;
}

static bool wait_for_end(struct lock_writer *k, int64_t deadline_ms)
{
    bool is_over;

    pthread_mutex_lock(&k->lock);
    while (k->is_running && condition_wait(&k->has_ended, &k->lock, deadline_ms))
        ;
    is_over = !k->is_running;
    pthread_mutex_unlock(&k->lock);
    return is_over;
}

static bool interrupt(struct lock_writer *k)
{
    int64_t end = clock_mono_ms() + LATE_MS, now;

    pthread_mutex_lock(&k->lock);
    k->is_late = true;
    pthread_cond_broadcast(&k->has_work);
    pthread_mutex_unlock(&k->lock);
    while ((now = clock_mono_ms()) < end) {
        lease_store_interrupt(k->store);
        if (wait_for_end(k, now + NUDGE_MS))
            return true;
    }
    return false;
}

void lock_writer_stop(struct lock_writer *k, int64_t deadline_ms)
{
    if (!k->is_started)
        return;
    pthread_mutex_lock(&k->lock);
    k->must_stop = true;
    pthread_cond_broadcast(&k->has_work);
    pthread_mutex_unlock(&k->lock);
    k->is_started = false;
    if (!wait_for_end(k, deadline_ms) && !interrupt(k)) {
        k->is_lost = true; /* the thread hangs in the kernel: leave it all to it */
        return;
    }
    pthread_join(k->thread, NULL);
    lease_store_close(k->store);
    k->store = NULL;
}

void lock_writer_free(struct lock_writer *k)
{
    if (!k || k->is_lost)
        return;
    assert(!k->is_started);
    lease_batch_free(k->to_write);
    lease_batch_free(k->written);
    lease_store_close(k->store);
    bell_close(&k->bell);
    pthread_cond_destroy(&k->has_work);
    pthread_cond_destroy(&k->has_ended);
    pthread_mutex_destroy(&k->lock);
    free(k->path);
    free(k);
}
