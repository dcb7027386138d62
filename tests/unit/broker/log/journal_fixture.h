/* journal_fixture: a journal in a new folder, for tests.  Include it after <cmocka.h>. */
#ifndef TESTS_UNIT_BROKER_LOG_JOURNAL_FIXTURE_H
#define TESTS_UNIT_BROKER_LOG_JOURNAL_FIXTURE_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <fcntl.h>
#include <unistd.h>

#include "broker/log/journal_file.h"

#define EPOCH 7777
#define STORE 4242

#define AT(field) offsetof(struct journal_layout, field)

static char folder[] = "/tmp/pregon-journal-XXXXXX", path[100], being_made[120];
static char error[JOURNAL_ERROR_MAX];
static char filler[WIRE_RECORD_MAX];

static inline int set_up(void **state)
{
    (void)state;
    strcpy(folder + sizeof folder - 7, "XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/journal", folder);
    snprintf(being_made, sizeof being_made, "%s.pregon-new", path);
    return 0;
}

static inline int tear_down(void **state)
{
    (void)state;
    unlink(path);
    unlink(being_made);
    assert_int_equal(rmdir(folder), 0); /* the folder has no other files */
    return 0;
}

static inline struct journal *opened_with(const char *at, size_t bytes)
{
    struct journal *j = NULL;
    enum err e = journal_open(at, bytes, &j, error);

    if (e)
        print_error("%s\n", error);
    assert_int_equal(e, OK);
    return j;
}

static inline struct journal *opened(void)
{
    return opened_with(path, JOURNAL_BYTES_MIN);
}

static inline struct journal *begun_with(const char *at, size_t bytes)
{
    struct journal *j = opened_with(at, bytes);

    assert_true(journal_identity(j)->is_new);
    journal_begin(j, EPOCH, STORE, 1);
    return j;
}

static inline struct journal *begun(void)
{
    return begun_with(path, JOURNAL_BYTES_MIN);
}

static inline void append(struct journal *j, const char *topic, const char *record)
{
    journal_append(j, JOURNAL_NO_FEED, 0, span_of(topic), span_of(record));
}

static inline void check_read(const struct journal *j, uint64_t seq, const char *topic,
                              const char *record)
{
    struct journal_entry e;

    assert_int_equal(journal_read(j, seq, &e), OK);
    assert_int_equal(e.seq, seq);
    assert_true(span_eq(e.topic, topic));
    assert_true(span_eq(e.record, record));
}

/* Change bytes in the file of a journal that is not open. */
static inline void poke(size_t at, const void *bytes, size_t len)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);

    assert_int_equal(pwrite(fd, bytes, len, (off_t)at), len);
    close(fd);
}

static inline void poke_number(size_t at, uint64_t value)
{
    poke(at, &value, sizeof value);
}

static inline uint64_t peek_number(size_t at)
{
    uint64_t value;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    assert_int_equal(pread(fd, &value, sizeof value, (off_t)at), sizeof value);
    close(fd);
    return value;
}

static inline bool is_filled(struct span s, char fill)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.at[i] != fill)
            return false;
    return true;
}

static inline void check_refused(enum err want, const char *text)
{
    struct journal *j = (struct journal *)(uintptr_t)1;
    enum err e = journal_open(path, JOURNAL_BYTES_MIN, &j, error);

    assert_int_equal(e, want);
    assert_ptr_equal(j, (void *)(uintptr_t)1);
    if (!strstr(error, text) || !strstr(error, path))
        fail_msg("\"%s\" has no \"%s\" or no path", error, text);
}

#endif
