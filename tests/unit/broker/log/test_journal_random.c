#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <unistd.h>

#include <cmocka.h>

#include "broker/log/journal.h"
#include "tests/unit/broker/log/journal_fixture.h"
#include "tests/unit/dice.h"

/*
 * The model marks every eight bytes with the position that owns them.  An entry that still has all
 * its bytes is kept, and so is everything after it: the journal may lose only what was overwritten.
 */
struct model {
    uint64_t *owner;
    size_t size, at; /* in eights */
    uint64_t head;
    struct {
        size_t at, len, topic_len, record_len;
        char fill;
        uint32_t feed;
        uint64_t line;
    } * records; /* by position */
    struct journal_feed feeds[3];
    uint64_t stored;
};

static void model_append(struct model *m, size_t topic_len, size_t record_len, char fill,
                         uint32_t feed, uint64_t line)
{
    size_t len = (32 + topic_len + record_len + 7) / 8;

    if (m->at + len > m->size) {
        memset(m->owner + m->at, 0, (m->size - m->at) * sizeof *m->owner);
        m->at = 0;
    }
    m->head++;
    m->records[m->head].at = m->at;
    m->records[m->head].len = len;
    m->records[m->head].topic_len = topic_len;
    m->records[m->head].record_len = record_len;
    m->records[m->head].fill = fill;
    m->records[m->head].feed = feed;
    m->records[m->head].line = line;
    for (size_t i = 0; i < len; i++)
        m->owner[m->at++] = m->head;
}

static bool model_has(const struct model *m, uint64_t seq)
{
    for (size_t i = 0; i < m->records[seq].len; i++)
        if (m->owner[m->records[seq].at + i] != seq)
            return false;
    return true;
}

static uint64_t model_first(const struct model *m)
{
    uint64_t first = m->head + 1;

    while (first > 1 && model_has(m, first - 1))
        first--;
    return first;
}

static void check_all(struct journal *j, const struct model *m, bool is_thorough)
{
    uint64_t first = model_first(m);
    struct journal_entry e;

    assert_int_equal(journal_head(j), m->head);
    assert_int_equal(journal_first(j), first);
    for (uint64_t seq = first; seq <= m->head; seq++) {
        if (!is_thorough && seq > first + 2 && seq + 2 < m->head)
            continue;
        assert_int_equal(journal_read(j, seq, &e), OK);
        assert_int_equal(e.seq, seq);
        assert_int_equal(e.topic.len, m->records[seq].topic_len);
        assert_int_equal(e.record.len, m->records[seq].record_len);
        assert_int_equal(e.feed, m->records[seq].feed);
        assert_int_equal(e.line, m->records[seq].line);
        assert_true(is_filled(e.topic, m->records[seq].fill));
        assert_true(is_filled(e.record, m->records[seq].fill));
    }
    assert_int_equal(journal_read(j, first - 1, &e), ERR_NOT_FOUND);
    assert_int_equal(journal_read(j, m->head + 1, &e), ERR_NOT_FOUND);
    assert_int_equal(journal_stored(j), m->stored);
    for (uint32_t i = 0; i < 3; i++) {
        assert_string_equal(journal_feed(j, i)->owner, m->feeds[i].owner);
        assert_int_equal(journal_feed(j, i)->epoch, m->feeds[i].epoch);
        assert_int_equal(journal_feed(j, i)->received, m->feeds[i].received);
    }
}

static void random_append(struct journal *j, struct model *m, size_t record_max)
{
    size_t topic_len = 1 + dice(WIRE_TOPIC_MAX), record_len = dice((unsigned)record_max);
    char fill = (char)random();
    uint32_t feed = dice(4);
    uint64_t line = 0;

    if (!dice(50))
        record_len = record_max;
    if (feed == 3)
        feed = JOURNAL_NO_FEED;
    else
        line = ++m->feeds[feed].received;
    memset(filler, fill, sizeof filler);
    model_append(m, topic_len, record_len, fill, feed, line);
    journal_append(j, feed, line, (struct span){filler, topic_len},
                   (struct span){filler, record_len});
    /* Sometimes as if killed before this: then only open finds it. */
    if (feed != JOURNAL_NO_FEED)
        journal_feed(j, feed)->received = line;
}

static void random_grant(struct journal *j, struct model *m)
{
    uint32_t i = dice(3);
    struct journal_feed *f = &m->feeds[i];

    f->epoch++;
    f->received = dice(1000);
    snprintf(f->name, sizeof f->name, "feed-%u", i);
    snprintf(f->owner, sizeof f->owner, "owner-%u", dice(100));
    journal_set_feed(j, i, f);
}

static struct journal *random_restart(struct journal *j)
{
    bool is_clean = dice(2);

    journal_close(j, is_clean);
    j = opened();
    assert_int_equal(journal_identity(j)->is_clean, is_clean);
    assert_true(journal_identity(j)->is_same_boot && !journal_identity(j)->is_new);
    assert_int_equal(journal_identity(j)->epoch, EPOCH);
    assert_int_equal(journal_identity(j)->store_id, STORE);
    assert_int_equal(journal_identity(j)->next, journal_head(j) + 1);
    assert_int_equal(journal_identity(j)->stored, journal_stored(j));
    return j;
}

static void random_operations(const char *at, size_t size, size_t record_max, unsigned count)
{
    struct journal *j = begun_with(at, size);
    struct model m = {.size = size / 8};

    m.owner = calloc(m.size, sizeof *m.owner);
    m.records = calloc(count + 1, sizeof *m.records);
    assert_true(m.owner && m.records);
    for (unsigned n = 0; n < count; n++) {
        unsigned what = dice(40);
        bool is_restart = at && what == 0;

        if (is_restart)
            j = random_restart(j);
        else if (what == 1)
            random_grant(j, &m);
        else if (what == 2 && m.head)
            journal_set_stored(j, m.stored += dice((unsigned)(m.head - m.stored) + 1));
        else
            random_append(j, &m, record_max);
        check_all(j, &m, is_restart || !dice(20));
        if (journal_first(j) > 1) /* less than two records' room is idle */
            assert_true(journal_bytes(j) + 2 * (record_max + 95) > size);
    }
    free(m.owner);
    free(m.records);
    journal_close(j, false);
    if (at)
        unlink(at);
}

static void a_journal_keeps_as_many_of_the_newest_records_as_fit(void **state)
{
    (void)state;
    dice_seed();
    for (int round = 0; round < 20; round++)
        random_operations(NULL, JOURNAL_BYTES_MIN + dice(20000), 2 + dice(WIRE_RECORD_MAX - 2),
                          300);
    /* The least it may have: three of the largest. */
    random_operations(NULL, JOURNAL_BYTES_MIN, WIRE_RECORD_MAX, 1000);
    /* More records than it first has offsets for. */
    random_operations(NULL, 160000, 30, 6000);
}

static void a_journal_keeps_its_records_across_restarts(void **state)
{
    (void)state;
    dice_seed();
    for (int round = 0; round < 10; round++)
        random_operations(path, JOURNAL_BYTES_MIN + dice(20000), 2 + dice(WIRE_RECORD_MAX - 2),
                          300);
    random_operations(path, JOURNAL_BYTES_MIN, WIRE_RECORD_MAX, 600);
    random_operations(path, 160000, 30, 3000);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_journal_keeps_as_many_of_the_newest_records_as_fit),
        TEST(a_journal_keeps_its_records_across_restarts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
