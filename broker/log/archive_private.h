/*
 * archive_private: what archive.c (the loop's side) and archive_thread.c (the threads)
 * share.  Everything below `lock` is touched only while holding it.
 */
#ifndef BROKER_LOG_ARCHIVE_PRIVATE_H
#define BROKER_LOG_ARCHIVE_PRIVATE_H

#include <pthread.h>

#include "broker/log/archive.h"
#include "shared/base/bell.h"

#define ARCHIVE_THREADS (1 + ARCHIVE_READERS) /* the writer is the first */

struct archive_question {
    struct archive_question *next;
    bool is_history;
    struct store_query query;
    struct archive_ticket ticket;
    char patterns[]; /* query.patterns points here */
};

struct archive_note {
    struct archive_note *next;
    struct archive_result result;
};

struct archive_thread {
    struct archive *archive;
    pthread_t id;
    struct store
        *store; /* its own; the loop's only before the start and after the end */
};

struct archive {
    /* The loop's. */
    char *path;
    bool is_started, is_writing, is_lost;
    size_t asked; /* questions without an answer taken */
    struct archive_thread threads[ARCHIVE_THREADS];

    pthread_mutex_t lock;
    struct bell bell;        /* the loop's: there is a note */
    pthread_cond_t has_work; /* for the writer */
    pthread_cond_t has_question;
    pthread_cond_t has_ended;
    struct store_batch *batch;
    bool must_abandon, must_stop, is_late;
    size_t running;
    struct archive_question *first_question, *last_question;
    struct archive_note *first_note, *last_note;
};

/* Thread mains; the argument is a struct archive_thread. */
void *archive_thread_write(void *thread);
void *archive_thread_read(void *thread);

/* Queue a result and wake the loop; what it owns goes with it. */
void archive_put(struct archive *a, const struct archive_result *result);

#endif
