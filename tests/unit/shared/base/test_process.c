#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "shared/base/process.h"

#define MEMORY (64u << 20)

static void descriptors_that_are_opened_are_counted(void **state)
{
    struct process_usage before, after;
    struct rlimit limit;
    int fds[2];

    (void)state;
    process_read(&before);
    assert_int_equal(pipe(fds), 0);
    process_read(&after);
    assert_int_equal(after.open_fds, before.open_fds + 2);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_int_equal(after.max_fds, limit.rlim_cur);
    close(fds[0]);
    close(fds[1]);
}

static void a_process_without_a_free_descriptor_reports_that_all_are_open(void **state)
{
    struct process_usage usage;
    struct rlimit limit, low;
    int fds[256];
    size_t count = 0;

    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    low = limit;
    low.rlim_cur = 64;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    while (count < 256 && (fds[count] = dup(0)) >= 0)
        count++;
    process_read(&usage);
    while (count)
        close(fds[--count]);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_int_equal(usage.max_fds, 64);
    assert_int_equal(usage.open_fds, 64);
    assert_true(usage.resident_bytes > 0);
}

static void memory_that_is_touched_is_resident(void **state)
{
    struct process_usage before, after;
    char *memory;

    (void)state;
    process_read(&before);
    memory = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(memory, MAP_FAILED);
    memset(memory, 1, MEMORY);
    process_read(&after);
    assert_true(after.resident_bytes >= before.resident_bytes + MEMORY / 2);
    assert_true(after.virtual_bytes >= before.virtual_bytes + MEMORY / 2);
    munmap(memory, MEMORY);
}

static void time_that_is_spent_is_counted(void **state)
{
    struct process_usage f, first;

    (void)state;
    process_read(&first);
    do
        process_read(&f);
    while (f.cpu_us < first.cpu_us + 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(descriptors_that_are_opened_are_counted),
        cmocka_unit_test(a_process_without_a_free_descriptor_reports_that_all_are_open),
        cmocka_unit_test(memory_that_is_touched_is_resident),
        cmocka_unit_test(time_that_is_spent_is_counted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
