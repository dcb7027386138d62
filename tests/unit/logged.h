/*
 * logged: what a test's program writes to its log (standard error) between log_begin and
 * logged().  Include it after <cmocka.h>, in one file of a program.
 */
#ifndef TESTS_UNIT_LOGGED_H
#define TESTS_UNIT_LOGGED_H

#include <sys/mman.h>
#include <unistd.h>

#include "shared/base/log.h"

static struct {
    int real, file;
    char text[8192];
} logged_to;

/* From this level on ("warning"). */
static inline void log_begin(const char *level)
{
    logged_to.real = dup(STDERR_FILENO);
    logged_to.file = memfd_create("log", MFD_CLOEXEC);
    assert_true(logged_to.real >= 0 && logged_to.file >= 0);
    assert_int_equal(dup2(logged_to.file, STDERR_FILENO), STDERR_FILENO);
    log_init("test", level, "text");
}

/* All that was written; the log is silent again. */
static inline const char *logged(void)
{
    ssize_t len = pread(logged_to.file, logged_to.text, sizeof logged_to.text - 1, 0);

    assert_true(len >= 0);
    logged_to.text[len] = '\0';
    assert_int_equal(dup2(logged_to.real, STDERR_FILENO), STDERR_FILENO);
    close(logged_to.real);
    close(logged_to.file);
    log_init("test", "critical", "text");
    return logged_to.text;
}

#endif
