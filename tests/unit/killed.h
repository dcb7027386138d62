/*
 * killed: a child process that reports numbers and is killed somewhere, for tests of what survives.
 * Include it after <cmocka.h>; the test calls dice_seed() before.
 */
#ifndef TESTS_UNIT_KILLED_H
#define TESTS_UNIT_KILLED_H

#include <signal.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/dice.h"

/*
 * Run `work` in a child, which writes 8-byte numbers to the descriptor for ever, and kill the child
 * after about `count` of them: the child runs ahead of the reader by what the pipe holds.  Returns
 * the last number that the child reported; 0: none.
 */
static inline uint64_t killed_after(unsigned count, void (*work)(int report))
{
    uint64_t number = 0, last = 0;
    int reports[2], status;
    pid_t child;

    assert_int_equal(pipe(reports), 0);
    child = fork();
    assert_true(child >= 0);
    if (!child) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        work(reports[1]);
    }
    close(reports[1]);
    for (unsigned i = 0; i < count && read(reports[0], &number, sizeof number) == sizeof number;
         i++)
        last = number;
    for (volatile unsigned spin = dice(20000); spin; spin--)
        continue;
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    while (read(reports[0], &number, sizeof number) == sizeof number)
        last = number;
    close(reports[0]);
    return last;
}

#endif
