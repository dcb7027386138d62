#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "broker/log/journal.h"
#include "tests/unit/broker/log/journal_fixture.h"
#include "tests/unit/killed.h"

#define KILLS 100
#define NO_TRACING 77
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define IS_INSTRUMENTED true /* most instructions are then not ours, and millions */
#else
#define IS_INSTRUMENTED false
#endif

/* The length of an entry depends only on its position. */
static size_t made_up_length(uint64_t seq)
{
    return (size_t)(seq * 2654435761u >> 7) % (seq % 16 ? 400 : WIRE_RECORD_MAX);
}

static void append_made_up(struct journal *j)
{
    uint64_t seq = journal_head(j) + 1;

    memset(filler, (int)(seq % 251), sizeof filler);
    journal_append(j, 1, seq, SPAN("A "), (struct span){filler, made_up_length(seq)});
}

static void check_made_up(const struct journal *j)
{
    struct journal_entry e;

    for (uint64_t seq = journal_first(j); seq <= journal_head(j); seq++) {
        assert_int_equal(journal_read(j, seq, &e), OK);
        assert_int_equal(e.seq, seq);
        assert_int_equal(e.line, seq);
        assert_int_equal(e.record.len, made_up_length(seq));
        assert_true(is_filled(e.record, (char)(seq % 251)));
    }
}

static _Noreturn void append_until_killed(int pipe_end)
{
    struct journal *j;

    if (journal_open(path, JOURNAL_BYTES_MIN, &j, error))
        _exit(1);
    for (;;) {
        uint64_t head;

        append_made_up(j);
        head = journal_head(j);
        if (write(pipe_end, &head, sizeof head) != sizeof head)
            _exit(1);
    }
}

static void a_killed_broker_loses_no_record_it_has_sent(void **state)
{
    uint64_t pipe_end, head = 0;
    struct journal *j = begun();

    (void)state;
    dice_seed();
    journal_close(j, false);
    for (int i = 0; i < KILLS; i++) {
        pipe_end = killed_after(1 + dice(3000), append_until_killed);
        assert_true(pipe_end > head);
        j = opened();
        head = journal_head(j);
        assert_true(head == pipe_end || head == pipe_end + 1);
        assert_int_equal(journal_feed(j, 1)->received, head);
        assert_false(journal_identity(j)->is_clean);
        check_made_up(j);
        journal_close(j, false);
    }
    assert_true(head > 1000);
}

/*
 * A deterministic kill: the test steps a child through the code one instruction at a time, and
 * after each it opens a copy of the file.
 */
struct walk {
    const char *name;
    void (*prepare)(struct journal *j);
    void (*act)(struct journal *j);
    /* Of a copy: done must not go back to false. */
    bool (*is_done)(struct journal *j);
};

static uint64_t walk_head; /* before it */

/* The next entry goes around the end and drops several. */
static void nearly_fill(struct journal *j)
{
    struct journal_feed sim = {.name = "sim", .owner = "one", .epoch = 5};
    uint64_t size = JOURNAL_BYTES_MIN / 8 * 8;

    journal_set_feed(j, 1, &sim);
    do {
        append_made_up(j);
        walk_head = journal_head(j);
    } while (journal_first(j) < 10 || made_up_length(walk_head + 1) > 400 ||
             made_up_length(walk_head + 1) < 200 ||
             peek_number(AT(head)) % size + 26 + made_up_length(walk_head + 1) <= size);
}

static bool has_another(struct journal *j)
{
    uint64_t head = journal_head(j);

    assert_true(head == walk_head || head == walk_head + 1);
    check_made_up(j);
    assert_string_equal(journal_feed(j, 1)->owner, "one");
    assert_int_equal(journal_feed(j, 1)->received, head);
    return head == walk_head + 1;
}

#define BATCH 3

static void append_batch(struct journal *j)
{
    journal_begin_batch(j);
    for (int i = 0; i < BATCH; i++)
        append_made_up(j);
    journal_end_batch(j);
}

static bool has_whole_batch(struct journal *j)
{
    uint64_t head = journal_head(j);

    assert_true(head == walk_head || head == walk_head + BATCH);
    check_made_up(j);
    assert_int_equal(journal_feed(j, 1)->received, head);
    return head == walk_head + BATCH;
}

static void grant_to_two(struct journal *j)
{
    struct journal_feed sim = {.name = "sim", .owner = "two", .epoch = 6, .received = 40};

    journal_set_feed(j, 1, &sim);
}

static bool is_granted_to_two(struct journal *j)
{
    const struct journal_feed *f = journal_feed(j, 1);

    assert_int_equal(journal_head(j), walk_head);
    if (strcmp(f->owner, "two") == 0) {
        assert_int_equal(f->epoch, 6);
        assert_int_equal(f->received, 40);
        return true;
    }
    assert_string_equal(f->owner, "one");
    assert_int_equal(f->epoch, 5);
    assert_int_equal(f->received, walk_head);
    return false;
}

static void begin_again(struct journal *j)
{
    journal_begin(j, EPOCH + 1, STORE + 1, 900);
}

static bool is_begun_again(struct journal *j)
{
    const struct journal_identity *id = journal_identity(j);

    if (id->is_new)
        return false;
    if (id->epoch == EPOCH + 1) {
        assert_int_equal(id->store_id, STORE + 1);
        assert_int_equal(id->stored, 899);
        assert_int_equal(journal_head(j), 899);
        assert_string_equal(journal_feed(j, 1)->name, "");
        return true;
    }
    assert_int_equal(id->epoch, EPOCH);
    assert_int_equal(journal_head(j), walk_head);
    check_made_up(j);
    return false;
}

static bool is_walk_done(const struct walk *w, const char *image, size_t size)
{
    int copy = memfd_create("journal", MFD_CLOEXEC);
    char name[40];
    struct journal *j;
    bool is_done;

    assert_int_equal(write(copy, image, size), size);
    snprintf(name, sizeof name, "/proc/self/fd/%d", copy);
    j = opened_with(name, JOURNAL_BYTES_MIN);
    is_done = w->is_done(j);
    journal_close(j, false);
    close(copy);
    return is_done;
}

static _Noreturn void be_led(const struct walk *w)
{
    struct journal *j;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL))
        _exit(NO_TRACING);
    if (journal_open(path, JOURNAL_BYTES_MIN, &j, error))
        _exit(1);
    raise(SIGSTOP);
    w->act(j);
    raise(SIGSTOP);
    _exit(0);
}

/* The file as another process sees it. */
static const char *mapped(size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    void *at = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);

    close(fd);
    assert_true(at != MAP_FAILED);
    return at;
}

/* How many instructions it took; 0: we may not trace here. */
static unsigned lead(const struct walk *w)
{
    size_t size = AT(ring) + JOURNAL_BYTES_MIN;
    const char *file = mapped(size);
    char *image = calloc(1, size);
    unsigned steps = 0;
    bool was_done = false, is_done;
    int status;
    pid_t child = fork();

    assert_true(child >= 0);
    if (!child)
        be_led(w);
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFSTOPPED(status)) {
        assert_int_equal(WSTOPSIG(status), SIGSTOP);
        do {
            if (memcmp(image, file, size) != 0) {
                memcpy(image, file, size);
                is_done = is_walk_done(w, image, size);
                assert_true(is_done || !was_done);
                was_done = is_done;
            }
            steps++;
        } while (!ptrace(PTRACE_SINGLESTEP, child, NULL, NULL) &&
                 waitpid(child, &status, 0) == child && WIFSTOPPED(status) &&
                 WSTOPSIG(status) == SIGTRAP);
        assert_true(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
        assert_true(was_done);
        kill(child, SIGKILL);
        waitpid(child, &status, 0);
    } else {
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == NO_TRACING);
    }
    munmap((void *)(uintptr_t)file, size);
    free(image);
    return steps;
}

static void a_journal_is_whole_between_any_two_instructions(void **state)
{
    static const struct walk walks[] = {
        {"append", nearly_fill, append_made_up, has_another},
        {"batch", nearly_fill, append_batch, has_whole_batch},
        {"set_feed", nearly_fill, grant_to_two, is_granted_to_two},
        {"begin", nearly_fill, begin_again, is_begun_again},
    };

    (void)state;
    if (IS_INSTRUMENTED)
        skip();
    for (size_t i = 0; i < sizeof walks / sizeof *walks; i++) {
        struct journal *j = begun();
        unsigned steps;

        walks[i].prepare(j);
        journal_close(j, false);
        steps = lead(&walks[i]);
        if (!steps)
            skip();
        print_message("%s: %u instructions\n", walks[i].name, steps);
        unlink(path);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_killed_broker_loses_no_record_it_has_sent),
        TEST(a_journal_is_whole_between_any_two_instructions),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
