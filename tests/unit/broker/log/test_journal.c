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
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "broker/log/journal.h"
#include "broker/log/journal_file.h"
#include "tests/unit/dice.h"

#define EPOCH 7777
#define STORE 4242
#define NOBODY 65534
#define KILLS 100
#define NO_TRACING 77
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define IS_INSTRUMENTED true /* most instructions are then not ours, and millions */
#else
#define IS_INSTRUMENTED false
#endif
#define AT(field) offsetof(struct journal_layout, field)

static char folder[] = "/tmp/pregon-journal-XXXXXX", path[100], being_made[120];
static char error[JOURNAL_ERROR_MAX];
static char filler[WIRE_RECORD_MAX];

static int set_up(void **state)
{
    (void)state;
    strcpy(folder + sizeof folder - 7, "XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/journal", folder);
    snprintf(being_made, sizeof being_made, "%s.pregon-new", path);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    unlink(path);
    unlink(being_made);
    assert_int_equal(rmdir(folder), 0); /* nothing else was left in it */
    return 0;
}

static struct journal *opened_with(const char *at, size_t bytes)
{
    struct journal *j = NULL;
    enum err e = journal_open(at, bytes, &j, error);

    if (e)
        print_error("%s\n", error);
    assert_int_equal(e, OK);
    return j;
}

static struct journal *opened(void)
{
    return opened_with(path, JOURNAL_BYTES_MIN);
}

static struct journal *begun_with(const char *at, size_t bytes)
{
    struct journal *j = opened_with(at, bytes);

    assert_true(journal_identity(j)->is_new);
    journal_begin(j, EPOCH, STORE, 1);
    return j;
}

static struct journal *begun(void)
{
    return begun_with(path, JOURNAL_BYTES_MIN);
}

static void append(struct journal *j, const char *topic, const char *record)
{
    journal_append(j, JOURNAL_NO_FEED, 0, span_of(topic), span_of(record));
}

static void append_of(struct journal *j, uint32_t feed, uint64_t line)
{
    journal_append(j, feed, line, SPAN("A "), SPAN("x"));
}

static void check_read(const struct journal *j, uint64_t seq, const char *topic,
                       const char *record)
{
    struct journal_entry e;

    assert_int_equal(journal_read(j, seq, &e), OK);
    assert_int_equal(e.seq, seq);
    assert_true(span_eq(e.topic, topic));
    assert_true(span_eq(e.record, record));
}

static void check_refused(enum err want, const char *text)
{
    struct journal *j = (struct journal *)(uintptr_t)1;
    enum err e = journal_open(path, JOURNAL_BYTES_MIN, &j, error);

    assert_int_equal(e, want);
    assert_ptr_equal(j, (void *)(uintptr_t)1);
    if (!strstr(error, text) || !strstr(error, path))
        fail_msg("\"%s\" has no \"%s\" or no path", error, text);
}

/* Another value into the file of a journal that nobody has open. */
static void poke(size_t at, const void *bytes, size_t len)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);

    assert_int_equal(pwrite(fd, bytes, len, (off_t)at), len);
    close(fd);
}

static void poke_number(size_t at, uint64_t value)
{
    poke(at, &value, sizeof value);
}

static uint64_t peek_number(size_t at)
{
    uint64_t value;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    assert_int_equal(pread(fd, &value, sizeof value, (off_t)at), sizeof value);
    close(fd);
    return value;
}

static void restart_machine(void)
{
    poke(AT(boot), "11111111-2222-3333-4444-555555555555", 37);
}

static void an_empty_journal_begins_where_it_is_told(void **state)
{
    struct journal *j = opened_with(NULL, JOURNAL_BYTES_MIN);
    const struct journal_identity *id = journal_identity(j);
    struct journal_entry e = {.line = 5};

    (void)state;
    assert_true(id->is_new && id->is_clean && id->is_same_boot && !id->is_damaged);
    assert_int_equal(id->epoch, 0);
    assert_int_equal(id->next, 1);
    assert_int_equal(journal_head(j), 0);
    journal_begin(j, EPOCH, STORE, 12);
    assert_int_equal(id->epoch, EPOCH);
    assert_int_equal(id->store_id, STORE);
    assert_int_equal(id->stored, 11);
    assert_int_equal(id->next, 12);
    assert_int_equal(journal_head(j), 11);
    assert_int_equal(journal_first(j), 12);
    assert_int_equal(journal_stored(j), 11);
    assert_int_equal(journal_bytes(j), 0);
    assert_int_equal(journal_size(j), JOURNAL_BYTES_MIN);
    for (uint64_t seq = 10; seq < 14; seq++)
        assert_int_equal(journal_read(j, seq, &e), ERR_NOT_FOUND);
    assert_int_equal(e.line, 5);
    append(j, "A ", "first");
    check_read(j, 12, "A ", "first");
    journal_close(j, true);
    journal_close(NULL, true);
    assert_int_equal(journal_open(NULL, JOURNAL_BYTES_MIN - 1, &j, error), ERR_INVALID);
    assert_non_null(strstr(error, "least"));
}

static void a_record_is_found_by_its_position_only(void **state)
{
    struct journal *j = begun_with(NULL, JOURNAL_BYTES_MIN);
    struct journal_entry e;

    (void)state;
    append(j, "A ", "first");
    append(j, "B ", "");
    journal_append(j, JOURNAL_FEEDS - 1, 99, SPAN("C "), SPAN("third"));
    assert_int_equal(journal_head(j), 3);
    assert_int_equal(journal_first(j), 1);
    assert_int_equal(journal_bytes(j), 3 * 40);
    check_read(j, 1, "A ", "first");
    check_read(j, 2, "B ", "");
    check_read(j, 3, "C ", "third");
    assert_int_equal(journal_read(j, 2, &e), OK);
    assert_int_equal(e.feed, JOURNAL_NO_FEED);
    assert_int_equal(e.line, 0);
    assert_int_equal(journal_read(j, 3, &e), OK);
    assert_int_equal(e.feed, JOURNAL_FEEDS - 1);
    assert_int_equal(e.line, 99);
    assert_int_equal(journal_read(j, 0, &e), ERR_NOT_FOUND);
    assert_int_equal(journal_read(j, 4, &e), ERR_NOT_FOUND);
    assert_int_equal(journal_read(j, UINT64_MAX, &e), ERR_NOT_FOUND);
    journal_close(j, false);
}

static void a_full_journal_loses_its_oldest(void **state)
{
    struct journal *j = begun_with(NULL, 32000);
    struct journal_entry e;
    struct span record = {filler, 8000 - 32 - 2};

    (void)state;
    for (int i = 0; i < 4; i++) /* fills it exactly */
        journal_append(j, JOURNAL_NO_FEED, 0, SPAN("A "), record);
    assert_int_equal(journal_first(j), 1);
    assert_int_equal(journal_bytes(j), 32000);
    append(j, "B ", "1");
    assert_int_equal(journal_first(j), 2);
    assert_int_equal(journal_read(j, 1, &e), ERR_NOT_FOUND);
    check_read(j, 5, "B ", "1");
    for (int i = 0; i < 3; i++)
        journal_append(j, JOURNAL_NO_FEED, 0, SPAN("A "), record);
    assert_int_equal(journal_first(j), 5);
    journal_append(j, JOURNAL_NO_FEED, 0, SPAN("A "), record);
    /* It does not fit behind the others: from the start again, over B and the next. */
    assert_int_equal(journal_first(j), 7);
    journal_close(j, false);
}

/*
 * The model paints every eight bytes with the position that owns them.  What still has all its
 * bytes, and everything after it, is kept: so the journal may lose only what was
 * written over.
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

static void model_append(struct model *m, size_t topic_len, size_t record_len,
                         char fill, uint32_t feed, uint64_t line)
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

static bool is_filled(struct span s, char fill)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.at[i] != fill)
            return false;
    return true;
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
    size_t topic_len = 1 + dice(WIRE_TOPIC_MAX),
           record_len = dice((unsigned)record_max);
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
    /* As if killed before, sometimes: then it is found again at open only. */
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

static void random_operations(const char *at, size_t size, size_t record_max,
                              unsigned count)
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

static void it_keeps_the_newest_as_many_as_fit(void **state)
{
    (void)state;
    dice_seed();
    for (int round = 0; round < 20; round++)
        random_operations(NULL, JOURNAL_BYTES_MIN + dice(20000),
                          2 + dice(WIRE_RECORD_MAX - 2), 300);
    /* The least it may have: three of the largest. */
    random_operations(NULL, JOURNAL_BYTES_MIN, WIRE_RECORD_MAX, 1000);
    /* More records than it first has offsets for. */
    random_operations(NULL, 160000, 30, 6000);
}

static void it_keeps_them_across_restarts(void **state)
{
    (void)state;
    dice_seed();
    for (int round = 0; round < 10; round++)
        random_operations(path, JOURNAL_BYTES_MIN + dice(20000),
                          2 + dice(WIRE_RECORD_MAX - 2), 300);
    random_operations(path, JOURNAL_BYTES_MIN, WIRE_RECORD_MAX, 600);
    random_operations(path, 160000, 30, 3000);
}

static void a_line_counts_as_received_once_its_entry_is_in(void **state)
{
    struct journal *j = begun();
    struct journal_feed sim = {.name = "sim", .owner = "one", .epoch = 5};

    (void)state;
    journal_set_feed(j, 7, &sim);
    append_of(j, 7, 1);
    append_of(j, 7, 2);
    append_of(j, 8, 3);
    journal_feed(j, 7)->received = 1;
    journal_close(j, false);
    j = opened();
    assert_string_equal(journal_feed(j, 7)->name, "sim");
    assert_string_equal(journal_feed(j, 7)->owner, "one");
    assert_int_equal(journal_feed(j, 7)->epoch, 5);
    assert_int_equal(journal_feed(j, 7)->received, 2);
    assert_int_equal(journal_feed(j, 8)->received, 3);
    assert_string_equal(journal_feed(j, 9)->name, "");
    journal_feed(j, 7)->received = 20; /* refused lines have no entry */
    journal_close(j, true);
    j = opened();
    assert_int_equal(journal_feed(j, 7)->received, 20);
    journal_close(j, true);
}

static void lines_of_an_earlier_owner_do_not_count(void **state)
{
    struct journal *j = begun();
    struct journal_feed sim = {.name = "sim", .owner = "one", .epoch = 5};

    (void)state;
    journal_set_feed(j, 0, &sim);
    append_of(j, 0, 1000);
    strcpy(sim.owner, "two");
    journal_set_feed(j, 0, &sim);
    journal_close(j, false);
    j = opened();
    assert_int_equal(journal_feed(j, 0)->received, 0);
    append_of(j, 0, 1);
    journal_close(j, false);
    j = opened();
    assert_int_equal(journal_feed(j, 0)->received, 1);
    journal_close(j, false);
}

static void a_new_log_knows_nothing_of_the_old(void **state)
{
    struct journal *j = begun();
    struct journal_feed sim = {.name = "sim", .owner = "one", .epoch = 5};

    (void)state;
    journal_set_feed(j, 0, &sim);
    append_of(j, 0, 3);
    journal_begin(j, EPOCH + 1, STORE + 1, 500);
    assert_int_equal(journal_first(j), 500);
    append(j, "B ", "new");
    journal_close(j, false);
    j = opened();
    assert_int_equal(journal_identity(j)->epoch, EPOCH + 1);
    assert_int_equal(journal_identity(j)->store_id, STORE + 1);
    assert_int_equal(journal_identity(j)->stored, 499);
    assert_int_equal(journal_first(j), 500);
    assert_int_equal(journal_head(j), 500);
    check_read(j, 500, "B ", "new");
    assert_string_equal(journal_feed(j, 0)->name, "");
    assert_int_equal(journal_feed(j, 0)->received, 0);
    journal_close(j, true);
    poke_number(AT(is_begun), 0); /* killed within journal_begin */
    j = opened();
    assert_true(journal_identity(j)->is_new);
    assert_int_equal(journal_head(j), 0);
    journal_begin(j, EPOCH + 2, STORE, 600);
    assert_int_equal(journal_head(j), 599);
    journal_close(j, true);
}

static void stored_goes_up_only(void **state)
{
    struct journal *j = begun();

    (void)state;
    for (int i = 0; i < 5; i++)
        append(j, "A ", "1");
    journal_set_stored(j, 4);
    journal_set_stored(j, 2);
    assert_int_equal(journal_stored(j), 4);
    journal_close(j, false);
    j = opened();
    assert_int_equal(journal_stored(j), 4);
    assert_int_equal(journal_identity(j)->stored, 4);
    assert_int_equal(journal_identity(j)->next, 6);
    journal_close(j, false);
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
    j = opened(); /* it knows this machine by now */
    assert_true(!journal_identity(j)->is_clean && journal_identity(j)->is_same_boot);
    journal_close(j, false);
    restart_machine();
    for (int i = 0; i < 2; i++) { /* looking at it does not make it better */
        j = opened();
        assert_true(!journal_identity(j)->is_clean &&
                    !journal_identity(j)->is_same_boot);
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
        /* What was given is still to be seen. */
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
    static const char entry[] =
        "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\xFF\xFF\xFF\xFF\2\0\5\0"
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

/* Whatever the bytes: it opens and what it then has is right, or it says what is wrong. */
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

static void check_nothing_was_made(void)
{
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(access(being_made, F_OK), -1);
}

static void where_none_can_be_made_it_says_why(void **state)
{
    struct rlimit limit, low;
    struct journal *j;
    char whole[sizeof path];

    (void)state;
    strcpy(whole, path);
    snprintf(path, sizeof path, "%s/no/journal", folder);
    check_refused(ERR_NOT_FOUND, "folder does not exist");
    snprintf(path, sizeof path, "%s", folder);
    check_refused(ERR_SYS, "is a folder");
    snprintf(path, sizeof path, "/dev/null");
    check_refused(ERR_MALFORMED, "not a regular file");
    strcpy(path, whole);

    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    low = limit;
    low.rlim_cur = 1000;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &low), 0);
    check_refused(ERR_FULL, "ulimit -f");
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    check_nothing_was_made();
    assert_int_equal(journal_open(path, SIZE_MAX / 4, &j, error), ERR_FULL);
    assert_int_equal(journal_open(path, SIZE_MAX, &j, error), ERR_INVALID);
    check_nothing_was_made();

    chmod(folder, 0555);
    if (geteuid() == 0)
        assert_int_equal(seteuid(NOBODY), 0);
    check_refused(ERR_SYS, "permission denied");
    if (getuid() == 0)
        assert_int_equal(seteuid(0), 0);
    chmod(folder, 0755);
    check_nothing_was_made();
}

static void on_a_full_disk_it_says_so(void **state)
{
    static const char full[] = "/dev/shm/pregon-journal-of-a-test";
    struct statvfs space;
    struct statfs kind;
    struct journal *j;

    (void)state;
    /* tmpfs knows before it takes anything that this is more than there is. */
    if (statfs("/dev/shm", &kind) || kind.f_type != 0x01021994 ||
        statvfs("/dev/shm", &space) || !space.f_blocks)
        skip();
    assert_int_equal(
        journal_open(full, (size_t)((space.f_blocks + 1) * space.f_frsize), &j, error),
        ERR_FULL);
    assert_non_null(strstr(error, full));
    assert_non_null(strstr(error, "no space"));
    assert_int_equal(access(full, F_OK), -1);
}

static void what_a_killed_maker_left_is_in_nobodys_way(void **state)
{
    int fd = open(being_made, O_WRONLY | O_CREAT | O_CLOEXEC, 0640);
    struct stat status;

    (void)state;
    assert_int_equal(write(fd, filler, 1000), 1000);
    close(fd);
    journal_close(begun(), true);
    assert_int_equal(access(being_made, F_OK), -1);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0137, 0);
    assert_int_equal(status.st_size, AT(ring) + JOURNAL_BYTES_MIN);
    assert_true((size_t)status.st_blocks * 512 >= JOURNAL_BYTES_MIN);
}

static void a_long_path_is_told_from_its_end(void **state)
{
    char longer[300];
    struct journal *j;

    (void)state;
    memset(longer, 'x', sizeof longer);
    snprintf(longer + 200, 100, "/no/such/folder/journal");
    longer[0] = '/';
    assert_int_equal(journal_open(longer, JOURNAL_BYTES_MIN, &j, error), ERR_NOT_FOUND);
    assert_int_equal(strncmp(error, "…x", 4), 0);
    assert_non_null(
        strstr(error, "/no/such/folder/journal: its folder does not exist"));
}

static void resize_keeps_identity_and_feeds(void **state)
{
    struct journal *j = begun();
    struct journal_feed sim = {.name = "sim", .owner = "one", .epoch = 5};
    struct journal_entry e;

    (void)state;
    journal_set_feed(j, 3, &sim);
    append_of(j, 3, 1);
    append_of(j, 3, 2);
    journal_feed(j, 3)->received = 2;
    journal_set_stored(j, 1);
    assert_int_equal(journal_resize(j, 50001, error), ERR_INVALID);
    assert_non_null(strstr(error, "not stored"));
    journal_set_stored(j, 2);
    assert_int_equal(journal_resize(j, 100, error), ERR_INVALID);
    assert_int_equal(journal_resize(j, SIZE_MAX / 4, error), ERR_FULL);
    assert_non_null(strstr(error, path));
    check_read(j, 2, "A ", "x");
    assert_int_equal(journal_resize(j, 50001, error), OK);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(journal_size(j), 50001);
        assert_int_equal(journal_bytes(j), 0);
        assert_int_equal(journal_head(j), 2);
        assert_int_equal(journal_first(j), 3);
        assert_int_equal(journal_stored(j), 2);
        assert_int_equal(journal_identity(j)->epoch, EPOCH);
        assert_int_equal(journal_identity(j)->store_id, STORE);
        assert_int_equal(journal_read(j, 2, &e), ERR_NOT_FOUND);
        assert_string_equal(journal_feed(j, 3)->name, "sim");
        assert_int_equal(journal_feed(j, 3)->received, 2);
        journal_close(j, true);
        j = opened();
        assert_true(journal_identity(j)->is_clean);
    }
    append_of(j, 3, 3);
    journal_close(j, false);
    j = opened();
    check_read(j, 3, "A ", "x");
    assert_int_equal(journal_feed(j, 3)->received, 3);
    journal_close(j, false);
}

static void resize_in_memory_and_through_a_link(void **state)
{
    struct journal *j = begun_with(NULL, JOURNAL_BYTES_MIN);
    struct stat status;
    char link_path[120];

    (void)state;
    assert_int_equal(journal_resize(j, 50000, error), OK);
    append(j, "A ", "x");
    check_read(j, 1, "A ", "x");
    journal_close(j, false);
    journal_close(begun(), true);
    snprintf(link_path, sizeof link_path, "%s/link", folder);
    assert_int_equal(symlink("journal", link_path), 0);
    j = opened_with(link_path, 1 << 20);
    assert_int_equal(journal_size(j), JOURNAL_BYTES_MIN);
    assert_int_equal(journal_resize(j, 1 << 20, error), OK);
    journal_close(j, true);
    assert_int_equal(lstat(link_path, &status), 0);
    assert_true(S_ISLNK(status.st_mode));
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_size, AT(ring) + (1 << 20));
    unlink(link_path);
}

/* What stands at a position is a matter of the position alone. */
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

static _Noreturn void append_until_killed(int told)
{
    struct journal *j;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (journal_open(path, JOURNAL_BYTES_MIN, &j, error))
        _exit(1);
    for (;;) {
        uint64_t head;

        append_made_up(j);
        head = journal_head(j);
        if (write(told, &head, sizeof head) != sizeof head)
            _exit(1);
    }
}

static uint64_t kill_after(unsigned count)
{
    uint64_t seq = 0, last = 0;
    int told[2], status;
    pid_t child;

    assert_int_equal(pipe(told), 0);
    child = fork();
    assert_true(child >= 0);
    if (!child)
        append_until_killed(told[1]);
    close(told[1]);
    /* It runs ahead of us by what the pipe holds: so the count is where, by accident, it is. */
    for (unsigned i = 0; i < count && read(told[0], &seq, sizeof seq) == sizeof seq;
         i++)
        last = seq;
    for (volatile unsigned spin = dice(20000); spin; spin--)
        continue;
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    while (read(told[0], &seq, sizeof seq) == sizeof seq)
        last = seq;
    close(told[0]);
    return last;
}

static void a_killed_broker_loses_nothing_it_told(void **state)
{
    uint64_t told, head = 0;
    struct journal *j = begun();

    (void)state;
    dice_seed();
    journal_close(j, false);
    for (int i = 0; i < KILLS; i++) {
        told = kill_after(1 + dice(3000));
        assert_true(told > head);
        j = opened();
        head = journal_head(j);
        assert_true(head == told || head == told + 1);
        assert_int_equal(journal_feed(j, 1)->received, head);
        assert_false(journal_identity(j)->is_clean);
        check_made_up(j);
        journal_close(j, false);
    }
    assert_true(head > 1000);
}

/*
 * The same without luck: a child is led through the code one instruction at a time, and
 * after each we open a copy of the file as it stands.
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

static void grant_to_two(struct journal *j)
{
    struct journal_feed sim = {
        .name = "sim", .owner = "two", .epoch = 6, .received = 40};

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

static void it_is_whole_between_any_two_instructions(void **state)
{
    static const struct walk walks[] = {
        {"append", nearly_fill, append_made_up, has_another},
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
        TEST(an_empty_journal_begins_where_it_is_told),
        TEST(a_record_is_found_by_its_position_only),
        TEST(a_full_journal_loses_its_oldest),
        TEST(it_keeps_the_newest_as_many_as_fit),
        TEST(it_keeps_them_across_restarts),
        TEST(a_line_counts_as_received_once_its_entry_is_in),
        TEST(lines_of_an_earlier_owner_do_not_count),
        TEST(a_new_log_knows_nothing_of_the_old),
        TEST(stored_goes_up_only),
        TEST(after_a_restart_of_the_machine_only_a_clean_one_is_trusted),
        TEST(a_ring_that_makes_no_sense_is_an_empty_one),
        TEST(a_damaged_entry_costs_its_position_and_no_other),
        TEST(a_page_of_zeros_costs_what_was_in_it),
        TEST(a_ring_of_the_earlier_format_is_read_and_then_replaced),
        TEST(a_second_broker_is_refused),
        TEST(what_is_not_a_whole_journal_is_refused_and_left_alone),
        TEST(a_file_of_random_bytes_does_no_harm),
        TEST(where_none_can_be_made_it_says_why),
        TEST(on_a_full_disk_it_says_so),
        TEST(what_a_killed_maker_left_is_in_nobodys_way),
        TEST(a_long_path_is_told_from_its_end),
        TEST(resize_keeps_identity_and_feeds),
        TEST(resize_in_memory_and_through_a_link),
        TEST(a_killed_broker_loses_nothing_it_told),
        TEST(it_is_whole_between_any_two_instructions),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
