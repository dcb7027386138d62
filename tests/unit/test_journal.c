#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "broker/journal.h"
#include "tests/unit/dice.h"

static void append(struct journal *j, const char *topic, const char *record)
{
    journal_append(j, span_of(topic), span_of(record));
}

static void check_read(const struct journal *j, uint64_t seq, const char *topic,
                       const char *record)
{
    struct span t, r;

    assert_int_equal(journal_read(j, seq, &t, &r), OK);
    assert_true(span_eq(t, topic));
    assert_true(span_eq(r, record));
}

static void an_empty_journal_begins_at_position_one(void **state)
{
    struct journal *j = journal_new(100);
    struct span t = SPAN("t"), r = SPAN("r");

    (void)state;
    assert_int_equal(journal_head(j), 0);
    assert_int_equal(journal_first(j), 1);
    assert_int_equal(journal_bytes(j), 0);
    for (uint64_t seq = 0; seq < 3; seq++)
        assert_int_equal(journal_read(j, seq, &t, &r), ERR_NOT_FOUND);
    assert_true(span_eq(t, "t") && span_eq(r, "r"));
    journal_free(j);
    journal_free(NULL);
}

static void a_record_is_found_by_its_position_only(void **state)
{
    struct journal *j = journal_new(100);
    struct span t, r;

    (void)state;
    append(j, "A ", "first");
    append(j, "B ", "");
    append(j, "C ", "third");
    assert_int_equal(journal_head(j), 3);
    assert_int_equal(journal_first(j), 1);
    assert_int_equal(journal_bytes(j), 16);
    check_read(j, 1, "A ", "first");
    check_read(j, 2, "B ", "");
    check_read(j, 3, "C ", "third");
    assert_int_equal(journal_read(j, 0, &t, &r), ERR_NOT_FOUND);
    assert_int_equal(journal_read(j, 4, &t, &r), ERR_NOT_FOUND);
    assert_int_equal(journal_read(j, UINT64_MAX, &t, &r), ERR_NOT_FOUND);
    journal_free(j);
}

static void a_full_journal_loses_its_oldest(void **state)
{
    struct journal *j = journal_new(20);
    struct span t, r;

    (void)state;
    append(j, "A ", "12345678"); /* fills it exactly */
    append(j, "B ", "12345678");
    assert_int_equal(journal_first(j), 1);
    assert_int_equal(journal_bytes(j), 20);
    append(j, "C ", "1");
    assert_int_equal(journal_first(j), 2);
    assert_int_equal(journal_read(j, 1, &t, &r), ERR_NOT_FOUND);
    check_read(j, 2, "B ", "12345678");
    check_read(j, 3, "C ", "1");
    append(j, "D ", "12345678"); /* over the rest of A and into B */
    assert_int_equal(journal_first(j), 3);
    append(j, "E ", "12345678"); /* does not fit behind D: from the start again */
    assert_int_equal(journal_first(j), 5);
    check_read(j, 5, "E ", "12345678");
    journal_free(j);
}

/*
 * The model paints every byte with the position that owns it.  What still has all its
 * bytes, and everything after it, is kept: so the journal may lose only what was
 * written over.
 */
struct model {
    uint64_t *owner;
    size_t size, at;
    uint64_t head;
    struct {
        size_t at, topic_len, record_len;
        unsigned char fill;
    } * records; /* by position */
};

static void model_append(struct model *m, size_t topic_len, size_t record_len,
                         unsigned char fill)
{
    size_t len = topic_len + record_len;

    if (m->at + len > m->size) {
        memset(m->owner + m->at, 0, (m->size - m->at) * sizeof *m->owner);
        m->at = 0;
    }
    m->head++;
    m->records[m->head].at = m->at;
    m->records[m->head].topic_len = topic_len;
    m->records[m->head].record_len = record_len;
    m->records[m->head].fill = fill;
    for (size_t i = 0; i < len; i++)
        m->owner[m->at++] = m->head;
}

static bool model_has(const struct model *m, uint64_t seq)
{
    size_t at = m->records[seq].at,
           len = m->records[seq].topic_len + m->records[seq].record_len;

    for (size_t i = 0; i < len; i++)
        if (m->owner[at + i] != seq)
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

static void check_all(const struct journal *j, const struct model *m, bool is_thorough)
{
    uint64_t first = model_first(m);
    size_t bytes = 0;
    struct span t, r;

    assert_int_equal(journal_head(j), m->head);
    assert_int_equal(journal_first(j), first);
    for (uint64_t seq = first; seq <= m->head; seq++) {
        size_t len = m->records[seq].topic_len + m->records[seq].record_len;

        bytes += len;
        if (!is_thorough && seq > first + 2 && seq + 2 < m->head)
            continue;
        assert_int_equal(journal_read(j, seq, &t, &r), OK);
        assert_int_equal(t.len, m->records[seq].topic_len);
        assert_int_equal(r.len, m->records[seq].record_len);
        assert_ptr_equal(r.at, t.at + t.len);
        for (size_t i = 0; i < len; i++)
            assert_int_equal((unsigned char)t.at[i], m->records[seq].fill);
    }
    assert_int_equal(journal_bytes(j), bytes);
    assert_int_equal(journal_read(j, first - 1, &t, &r), ERR_NOT_FOUND);
    assert_int_equal(journal_read(j, m->head + 1, &t, &r), ERR_NOT_FOUND);
}

static void random_appends(size_t size, size_t record_max, unsigned count)
{
    struct journal *j = journal_new(size);
    struct model m = {.size = size};
    char *bytes = malloc(record_max);
    size_t longest = 0;

    m.owner = calloc(size, sizeof *m.owner);
    m.records = calloc(count + 1, sizeof *m.records);
    assert_true(bytes && m.owner && m.records);
    for (unsigned n = 0; n < count; n++) {
        size_t len = 2 + dice((unsigned)record_max - 1),
               topic_len = 1 + dice((unsigned)len);
        unsigned char fill = (unsigned char)random();

        memset(bytes, fill, len);
        longest = len > longest ? len : longest;
        model_append(&m, topic_len, len - topic_len, fill);
        journal_append(j, (struct span){bytes, topic_len},
                       (struct span){bytes + topic_len, len - topic_len});
        check_all(j, &m, !dice(20));
        if (journal_first(j) > 1) /* less than two records' room is idle */
            assert_true(journal_bytes(j) + 2 * longest > size);
    }
    free(bytes);
    free(m.owner);
    free(m.records);
    journal_free(j);
}

static void it_keeps_the_newest_as_many_as_fit(void **state)
{
    (void)state;
    dice_seed();
    for (int round = 0; round < 60; round++) {
        size_t record_max = 2 + dice(60);

        random_appends(2 * record_max + dice(300), record_max, 400);
    }
    random_appends(100, 50, 3000);  /* the least it may have: two records */
    random_appends(9000, 4, 12000); /* more records than it first has entries for */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_journal_begins_at_position_one),
        cmocka_unit_test(a_record_is_found_by_its_position_only),
        cmocka_unit_test(a_full_journal_loses_its_oldest),
        cmocka_unit_test(it_keeps_the_newest_as_many_as_fit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
