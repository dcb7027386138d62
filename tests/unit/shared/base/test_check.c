#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "shared/base/check.h"

#define PATIENCE_MS 20000 /* long: only a test that is lost waits for it */
#define SHORT_MS 50       /* for what never answers */

static struct loop *loop;
static char program[64]; /* a name nobody else uses */

struct checked {
    int patience_ms, code;
    char text[400];
    atomic_bool is_done;
};

static void *check_thread(void *arg)
{
    struct checked *a = arg;
    FILE *to = fmemopen(a->text, sizeof a->text, "w");

    a->code = check_request(program, a->patience_ms, to);
    fclose(to);
    atomic_store(&a->is_done, true);
    return NULL;
}

/* Ask while the loop turns, or while it does not. */
static struct checked checked(bool turns, int patience_ms)
{
    struct checked a = {.patience_ms = patience_ms};
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, check_thread, &a), 0);
    while (turns && !atomic_load(&a.is_done))
        loop_turn(loop, 1);
    pthread_join(thread, NULL);
    return a;
}

static const char *text_of(const void *ctx)
{
    return ctx;
}

static int set_up(void **state)
{
    static int number;

    (void)state;
    loop = loop_new();
    snprintf(program, sizeof program, "check-%d-%d", getpid(), number++);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    loop_free(loop);
    return 0;
}

static void one_that_is_ready_says_so(void **state)
{
    struct check *c = check_open(loop, program, text_of, "ready");
    struct checked a = checked(true, PATIENCE_MS);
    char line[100];

    (void)state;
    assert_non_null(c);
    snprintf(line, sizeof line, "%s %d: ready\n", program, getpid());
    assert_string_equal(a.text, line);
    assert_int_equal(a.code, 0);
    check_close(c);
}

static void one_that_is_not_ready_says_why(void **state)
{
    struct check *c = check_open(loop, program, text_of, "starting");
    struct checked a = checked(true, PATIENCE_MS);

    (void)state;
    assert_non_null(strstr(a.text, ": starting\n"));
    assert_int_equal(a.code, 1);
    check_close(c);
}

static void one_that_hangs_is_reported_as_not_answering(void **state)
{
    struct check *c = check_open(loop, program, text_of, "ready");
    struct checked a = checked(false, SHORT_MS);

    (void)state;
    assert_non_null(strstr(a.text, ": does not answer\n"));
    assert_int_equal(a.code, 1);
    check_close(c);
}

static void none_at_all_is_not_ready(void **state)
{
    struct check *c = check_open(loop, program, text_of, "ready");
    struct checked a;

    (void)state;
    check_close(c);
    a = checked(false, PATIENCE_MS);
    assert_non_null(strstr(a.text, "none is running here"));
    assert_int_equal(a.code, 1);
}

static void a_worker_that_asked_and_left_harms_nobody(void **state)
{
    struct check *c = check_open(loop, program, text_of, "ready");
    struct checked a;

    (void)state;
    for (int i = 0; i < 100; i++)
        checked(false, 1);
    a = checked(true, PATIENCE_MS);
    assert_int_equal(a.code, 0);
    check_close(c);
}

/* Anybody on the machine may take such a name and answer anything. */
static void what_it_says_cannot_forge_a_line(void **state)
{
    struct check *c = check_open(loop, program, text_of, "ready\nother 1: ready\x1b[2J");
    struct checked a = checked(true, PATIENCE_MS);

    (void)state;
    assert_non_null(strstr(a.text, ": ready?other 1: ready?[2J\n"));
    assert_int_equal(a.code, 1);
    check_close(c);
}

static void names_that_only_begin_alike_are_not_asked(void **state)
{
    static const char *const tails[] = {"", "/", "/1x", "-more/7", "/x"};
    int fds[sizeof tails / sizeof tails[0]];
    struct checked a;

    (void)state;
    for (size_t i = 0; i < sizeof tails / sizeof tails[0]; i++) {
        struct sockaddr_un at = {.sun_family = AF_UNIX};
        int len = snprintf(at.sun_path + 1, sizeof at.sun_path - 1, "%s%s", program, tails[i]);

        fds[i] = socket(AF_UNIX, SOCK_DGRAM, 0);
        assert_return_code(
            bind(fds[i], (struct sockaddr *)&at,
                 (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)len)),
            errno);
    }
    a = checked(false, PATIENCE_MS);
    assert_non_null(strstr(a.text, "none is running here"));
    for (size_t i = 0; i < sizeof tails / sizeof tails[0]; i++)
        close(fds[i]);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(one_that_is_ready_says_so),
        TEST(one_that_is_not_ready_says_why),
        TEST(one_that_hangs_is_reported_as_not_answering),
        TEST(none_at_all_is_not_ready),
        TEST(a_worker_that_asked_and_left_harms_nobody),
        TEST(what_it_says_cannot_forge_a_line),
        TEST(names_that_only_begin_alike_are_not_asked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
