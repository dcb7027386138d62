#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "broker/log/journal_ring.h"
#include "tests/unit/broker/log/journal_fixture.h"
#include "tests/unit/dice.h"

static void restart_machine(void)
{
    poke(AT(boot), "11111111-2222-3333-4444-555555555555", 37);
}

static void after_a_restart_of_the_machine_only_a_clean_one_is_trusted(void **state)
{
    struct journal *j = begun();

    (void)state;
    append(j, "A ", "1");
    journal_close(j, true);
    restart_machine();
    j = opened();
    assert_true(journal_identity(j)->is_clean && !journal_identity(j)->is_same_boot);
    append(j, "A ", "2");
    journal_close(j, false);
    j = opened(); /* its file has this boot's id now */
    assert_true(!journal_identity(j)->is_clean && journal_identity(j)->is_same_boot);
    journal_close(j, false);
    restart_machine();
    for (int i = 0; i < 2; i++) { /* looking at it does not make it better */
        j = opened();
        assert_true(!journal_identity(j)->is_clean && !journal_identity(j)->is_same_boot);
        assert_false(journal_identity(j)->is_damaged);
        check_read(j, 2, "A ", "2");
        journal_close(j, true);
    }
    j = opened();
    journal_begin(j, EPOCH + 1, STORE, 100);
    append(j, "A ", "3");
    journal_close(j, false);
    j = opened();
    assert_true(journal_identity(j)->is_same_boot);
    check_read(j, 100, "A ", "3");
    journal_close(j, false);
}

/* Whether it is trusted or not: a new log has to begin. */
static void a_ring_that_makes_no_sense_is_an_empty_one(void **state)
{
    static const struct {
        size_t at;
        uint64_t value;
    } wrong[] = {
        {AT(head), UINT64_MAX},
        {AT(head), UINT64_MAX - 7},
        {AT(head), 31},
        {AT(head), 1 << 20},
        {AT(tail), 112},
        {AT(tail), 128},
        {AT(begin_next), 2},
        {AT(begin_next), 0},
        {AT(begin_next), UINT64_MAX},
        {AT(stored), 4},
        {AT(changing), JOURNAL_FEEDS + 1},
        {AT(feeds) + 64, 1},
        {AT(feeds) + 160 * 1000, 1},
        {AT(feeds) + 136, 1},
    };

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct journal *j = begun();

        for (int n = 0; n < 3; n++)
            append(j, "A ", "12345");
        journal_close(j, i % 2);
        poke_number(wrong[i].at, wrong[i].value);
        if (i % 3 == 0)
            restart_machine();
        j = opened();
        assert_true(journal_identity(j)->is_damaged);
        assert_int_equal(journal_identity(j)->epoch, EPOCH);
        /* The last position is still readable. */
        assert_int_equal(journal_identity(j)->next, 4);
        assert_int_equal(journal_bytes(j), 0);
        journal_begin(j, EPOCH + 1, STORE, 1000);
        append(j, "A ", "3");
        journal_close(j, false);
        j = opened();
        assert_false(journal_identity(j)->is_damaged);
        check_read(j, 1000, "A ", "3");
        journal_close(j, false);
        unlink(path);
    }
}

/* Their checksum is right: a name and an owner must end all the same. */
static void a_feed_without_an_end_of_its_name_is_damage(void **state)
{
    const struct journal_feed sim = {.name = "sim", .owner = "one", .epoch = 5};

    (void)state;
    for (int i = 0; i < 3; i++) {
        struct journal *j = begun();
        struct journal_feed f = sim;

        journal_set_feed(j, 1, &sim);
        append(j, "A ", "1");
        journal_close(j, true);
        if (i < 2)
            memset(i ? f.owner : f.name, 'x', i ? sizeof f.owner : sizeof f.name);
        f.sum = journal_feed_sum(&f);
        poke(AT(feeds) + sizeof f, &f, sizeof f);
        j = opened();
        assert_int_equal(journal_identity(j)->is_damaged, i < 2);
        journal_close(j, false);
        unlink(path);
    }
}

static void a_damaged_entry_costs_its_position_and_no_other(void **state)
{
    static const size_t places[] = {0, 8, 16, 20, 22, 24, 32, 34, 38};
    struct journal_entry e;

    (void)state;
    for (uint64_t bad = 1; bad <= 5; bad++)
        for (size_t i = 0; i < sizeof places / sizeof *places; i++)
            for (int is_open = 0; is_open < 2; is_open++) {
                struct journal *j = begun();

                for (int n = 0; n < 5; n++)
                    append(j, "A ", "12345");
                if (!is_open)
                    journal_close(j, false);
                poke(AT(ring) + (size_t)(bad - 1) * 40 + places[i], "\x5A", 1);
                if (!is_open)
                    j = opened();
                assert_false(journal_identity(j)->is_damaged);
                assert_int_equal(journal_first(j), 1);
                assert_int_equal(journal_head(j), 5);
                for (uint64_t seq = 1; seq <= 5; seq++)
                    if (seq == bad)
                        assert_int_equal(journal_read(j, seq, &e), ERR_MALFORMED);
                    else
                        check_read(j, seq, "A ", "12345");
                append(j, "B ", "goes on");
                check_read(j, 6, "B ", "goes on");
                journal_close(j, false);
                unlink(path);
            }
}

/* A page of zeros looks like the rest of a round. */
static void a_page_of_zeros_costs_what_was_in_it(void **state)
{
    static const char zeros[4096];
    struct journal_entry e;
    struct journal *j;
    uint64_t head;

    (void)state;
    for (int round = 0; round < 2; round++)
        for (size_t at = 0; at + sizeof zeros < JOURNAL_BYTES_MIN; at += sizeof zeros) {
            unsigned lost = 0;

            j = begun();
            for (int n = 0; n < (round ? 700 : 300); n++)
                append(j, "A ", "123456789 123456789 1234567");
            head = journal_head(j);
            journal_set_stored(j, head - 5);
            journal_close(j, false);
            poke(AT(ring) + at, zeros, sizeof zeros);
            j = opened();
            if (!journal_identity(j)->is_damaged) {
                assert_int_equal(journal_head(j), head);
                for (uint64_t seq = journal_first(j); seq <= head; seq++)
                    lost += journal_read(j, seq, &e) != OK;
                assert_true(lost <= sizeof zeros / 64 + 2);
                for (int n = 0; n < 1000; n++)
                    append(j, "B ", "goes on");
                check_read(j, head + 1000, "B ", "goes on");
            }
            journal_close(j, false);
            unlink(path);
        }
}

/* As version 1 wrote it: no checksum. */
static void a_ring_of_the_earlier_format_is_read_and_then_replaced(void **state)
{
    static const char entry[] = "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\xFF\xFF\xFF\xFF\2\0\5\0"
                                "A 12345";
    struct journal_feed sim = {.name = "sim", .owner = "one", .epoch = 5};
    struct journal *j = begun();

    (void)state;
    journal_set_feed(j, 0, &sim);
    journal_close(j, true);
    for (uint64_t seq = 1; seq <= 3; seq++) {
        poke(AT(ring) + (size_t)(seq - 1) * 32, entry, 32);
        poke_number(AT(ring) + (size_t)(seq - 1) * 32, seq);
    }
    poke_number(AT(head), 96);
    poke_number(AT(version), 1);
    poke(AT(feeds) + offsetof(struct journal_feed, sum), "\1\2\3\4", 4);
    j = opened();
    assert_true(journal_identity(j)->is_old && !journal_identity(j)->is_damaged);
    assert_int_equal(journal_identity(j)->next, 4);
    for (uint64_t seq = 1; seq <= 3; seq++)
        check_read(j, seq, "A ", "12345");
    journal_set_stored(j, 3);
    assert_int_equal(journal_resize(j, journal_size(j), error), OK);
    assert_false(journal_identity(j)->is_old);
    append(j, "B ", "4");
    journal_close(j, false);
    j = opened();
    assert_false(journal_identity(j)->is_old || journal_identity(j)->is_damaged);
    check_read(j, 4, "B ", "4");
    assert_string_equal(journal_feed(j, 0)->name, "sim");
    journal_close(j, true);
}

static void a_second_broker_is_refused(void **state)
{
    char pid[40];
    struct journal *j = begun();

    (void)state;
    snprintf(pid, sizeof pid, "another broker (pid %d)", getpid());
    check_refused(ERR_HELD, pid);
    journal_close(j, false);
    poke_number(AT(pid), 1);
    j = opened();
    check_refused(ERR_HELD, pid);
    journal_set_stored(j, 0);
    assert_int_equal(journal_resize(j, 50000, error), OK);
    check_refused(ERR_HELD, pid);
    journal_close(j, false);
}

static char *contents(size_t *size)
{
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    char *bytes;

    assert_int_equal(fstat(fd, &status), 0);
    *size = (size_t)status.st_size;
    bytes = malloc(*size + 1);
    assert_int_equal(read(fd, bytes, *size), *size);
    close(fd);
    return bytes;
}

static void check_left_alone(enum err want, const char *text)
{
    size_t before_size, after_size;
    char *before = contents(&before_size), *after;

    check_refused(want, text);
    after = contents(&after_size);
    assert_int_equal(after_size, before_size);
    assert_memory_equal(after, before, before_size);
    free(before);
    free(after);
}

static void what_is_not_a_whole_journal_is_refused_and_left_alone(void **state)
{
    static const struct {
        size_t at;
        uint64_t value;
        enum err want;
        const char *text;
    } wrong[] = {
        {AT(magic), 1, ERR_MALFORMED, "is not a journal"},
        {AT(version), 0, ERR_MALFORMED, "is not a journal"},
        {AT(version), 3, ERR_VERSION, "newer"},
        {AT(ring_size), 1 << 20, ERR_MALFORMED, "bytes"},
        {AT(ring_size), UINT64_MAX, ERR_MALFORMED, "bytes"},
    };
    struct journal *j = begun();

    (void)state;
    for (int i = 0; i < 3; i++)
        append(j, "A ", "12345");
    journal_close(j, true);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        uint64_t right = peek_number(wrong[i].at);

        poke_number(wrong[i].at, wrong[i].value);
        check_left_alone(wrong[i].want, wrong[i].text);
        poke_number(wrong[i].at, right);
    }
    j = opened();
    check_read(j, 3, "A ", "12345");
    journal_close(j, true);
    for (off_t size = 0; size < (off_t)AT(ring); size = size * 5 + 4) {
        assert_int_equal(truncate(path, size), 0);
        check_left_alone(ERR_MALFORMED, size < 8 ? "not a journal" : "bytes");
        unlink(path);
        journal_close(begun(), true);
    }
    assert_int_equal(truncate(path, (off_t)(AT(ring) + JOURNAL_BYTES_MIN - 1)), 0);
    check_left_alone(ERR_MALFORMED, "bytes");
    assert_int_equal(truncate(path, (off_t)(AT(ring) + JOURNAL_BYTES_MIN + 1)), 0);
    check_left_alone(ERR_MALFORMED, "bytes");
}

static size_t random_record(struct journal *j, unsigned i)
{
    char topic[8];
    size_t len = i * 7919u % 500;

    snprintf(topic, sizeof topic, "T%u ", i);
    journal_append(j, dice(3), i, span_of(topic), (struct span){filler, len});
    return len;
}

/* Any bytes: the journal opens and has valid records, or it returns an error. */
static void a_file_of_random_bytes_does_no_harm(void **state)
{
    struct journal *j = begun();
    struct journal_entry e;
    size_t size, lens[200];
    char *good, topic[8];

    (void)state;
    dice_seed();
    for (unsigned i = 0; i < 200; i++)
        lens[i] = random_record(j, i);
    journal_close(j, false);
    good = contents(&size);
    for (int i = 0; i < 300; i++) {
        size_t area = dice(2) ? AT(feeds) : size;

        poke(0, good, size);
        for (unsigned n = 1 + dice(4); n; n--)
            poke_number(AT(boot) + dice((unsigned)(area - AT(boot) - 8)),
                        dice(2) ? (uint64_t)random() << dice(34) : dice(100) * 8);
        if (journal_open(path, JOURNAL_BYTES_MIN, &j, error))
            continue;
        for (uint64_t seq = journal_first(j); seq <= journal_head(j); seq++) {
            enum err found = journal_read(j, seq, &e);

            assert_true(found == OK || found == ERR_MALFORMED);
            if (found)
                continue;
            assert_in_range(seq, 1, 200);
            snprintf(topic, sizeof topic, "T%u ", (unsigned)seq - 1);
            assert_true(span_eq(e.topic, topic));
            assert_int_equal(e.record.len, lens[seq - 1]);
            assert_memory_equal(e.record.at, filler, e.record.len);
        }
        if (!journal_identity(j)->is_new && !journal_identity(j)->is_damaged) {
            assert_in_range(journal_head(j), 200, 201);
            if (journal_identity(j)->is_clean || journal_identity(j)->is_same_boot)
                for (int n = 0; n < 300; n++)
                    append(j, "B ", "goes on");
        }
        journal_close(j, false);
    }
    free(good);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(after_a_restart_of_the_machine_only_a_clean_one_is_trusted),
        TEST(a_ring_that_makes_no_sense_is_an_empty_one),
        TEST(a_feed_without_an_end_of_its_name_is_damage),
        TEST(a_damaged_entry_costs_its_position_and_no_other),
        TEST(a_page_of_zeros_costs_what_was_in_it),
        TEST(a_ring_of_the_earlier_format_is_read_and_then_replaced),
        TEST(a_second_broker_is_refused),
        TEST(what_is_not_a_whole_journal_is_refused_and_left_alone),
        TEST(a_file_of_random_bytes_does_no_harm),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
