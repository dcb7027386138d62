#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/broker/core/core_store_fixture.h"
#include "tests/unit/dice.h"

#define SYMBOLS 12

static bool is_lively; /* quotes arrive while a request is answered */

static void quote(unsigned symbol)
{
    char topic[16], price[40];

    snprintf(topic, sizeof topic, "S%u ", symbol);
    snprintf(price, sizeof price, "%llu%0*u", (unsigned long long)lines + 1, (int)dice(20), 1u);
    line(feed_epoch, ++lines, topic, price);
}

/* Some symbols are a large part of the log, others are rare. */
static void quote_random(unsigned count)
{
    while (count--) {
        unsigned kind = dice(20);

        quote(kind < 12 ? 0 : kind < 17 ? 1 : dice(SYMBOLS));
        if (!dice(10))
            pass_time(dice(10));
        if (!dice(1000))
            core.time.wall_us -= 50000; /* a clock that is set back */
    }
}

/* Events between two requests. */
static void go_on(void)
{
    if (dice(3))
        quote_random(dice(10) ? dice(60) : dice(900));
    if (!dice(30)) { /* states */
        char goodbye[100];

        snprintf(goodbye, sizeof goodbye, "{'op':'goodbye','id':2,'epoch':%llu}",
                 (unsigned long long)feed_epoch);
        answer_to("peer", goodbye);
        say_hello();
    }
    if (!core.log.log_writer)
        return;
    if (dice(3)) {
        pass_time(dice(100));
        (void)keep();
    }
    if (!dice(3))
        core_take_answers(&core);
    if (!dice(4))
        keep_all();
}

/* --- the naive log ------------------------------------------------------------------ */

/* A request that continues page by page; after and before move. */
struct history {
    char symbol[8];
    bool newest;
    uint64_t after, before; /* 0: the head */
    uint64_t since, until, limit;
    uint64_t missing; /* positions that were reported as missing */
};

static bool is_in_history(const struct history *h, uint64_t seq)
{
    struct wire_record r = published_record((size_t)(seq - 1));
    struct span symbol = wire_topic_symbol(buf_span(&published[seq - 1].to));

    assert_int_equal(r.seq, seq);
    return span_eq(symbol, h->symbol) && r.accepted_us >= h->since &&
           (!h->until || r.accepted_us < h->until);
}

static bool is_in_gap(struct span gaps, uint64_t seq)
{
    struct pack_value head, v[4];

    pack_next(&gaps, &head);
    for (uint32_t i = 0; i < head.count; i++) {
        for (int k = 0; k < 4; k++)
            assert_true(pack_next(&gaps, &v[k]));
        assert_true(v[1].u <= v[2].u);
        if (seq >= v[1].u && seq <= v[2].u)
            return true;
    }
    return false;
}

static void check_record(struct span *records, uint64_t seq)
{
    struct pack_value pair, topic, frame;

    if (!pack_next(records, &pair))
        fail_msg("position %llu is not told", (unsigned long long)seq);
    assert_true(pack_next(records, &topic) && pack_next(records, &frame));
    assert_int_equal(topic.text.len, published[seq - 1].to.len);
    assert_memory_equal(topic.text.at, published[seq - 1].to.data, topic.text.len);
    if (frame.text.len != published[seq - 1].message.len ||
        memcmp(frame.text.at, published[seq - 1].message.data, frame.text.len) != 0)
        fail_msg("another record than %llu is told", (unsigned long long)seq);
}

static struct span history_answer(const struct history *h)
{
    char json[300];

    snprintf(json, sizeof json,
             "{'op':'history','id':5,'symbol':'%s','order':'%s','after':%llu,"
             "'before':%llu,'since':%llu,'until':%llu,'limit':%llu}",
             h->symbol, h->newest ? "newest" : "oldest", (unsigned long long)h->after,
             (unsigned long long)h->before, (unsigned long long)h->since,
             (unsigned long long)h->until, (unsigned long long)h->limit);
    forget_sent(replies, &reply_count);
    answer_to("p", json);
    if (is_lively && !reply_count && dice(2))
        quote_random(dice(300)); /* while the store reads */
    wait_for_answer();
    assert_true(span_eq(pack_find_text(last_answer(), "re"), "history"));
    return last_answer();
}

/* Check one page: everything in its range comes once and in order.  false: it was the last page. */
static bool check_page(struct history *h)
{
    struct span answer = history_answer(h), records, gaps;
    struct pack_value v;
    uint64_t next = pack_find_u(answer, "next", 0), first = pack_find_u(answer, "first", 0),
             head = pack_find_u(answer, "head", 0),
             high = h->before && h->before <= head ? h->before - 1 : head,
             from = h->newest && next ? next - 1 : h->after, to = !h->newest && next ? next : high;
    uint32_t count;

    assert_true(first > 0 && head <= published_count);
    assert_true(pack_find(answer, "records", &v, &records));
    count = v.count;
    assert_true(count <= h->limit);
    assert_true(pack_find(answer, "gaps", &v, &gaps));
    pack_next(&records, &v);
    if (next)
        assert_true(h->newest ? !h->before || next < h->before : next > h->after);
    for (uint64_t i = 0; i + from < to; i++) {
        uint64_t seq = h->newest ? to - i : from + 1 + i;

        if (is_in_gap(gaps, seq))
            h->missing++;
        else if (seq >= first && is_in_history(h, seq)) {
            check_record(&records, seq);
            count--;
        }
    }
    assert_int_equal(count, 0);
    *(h->newest ? &h->before : &h->after) = next;
    return next != 0;
}

static struct history random_history(void)
{
    struct history h = {.newest = dice(2), .limit = dice(3) ? 30 + dice(200) : 2000};
    unsigned head = (unsigned)published_count;

    snprintf(h.symbol, sizeof h.symbol, "S%u", dice(2) ? dice(SYMBOLS + 1) : dice(2));
    if (dice(2))
        h.after = dice(head + 1);
    if (dice(2))
        h.before = 1 + h.after + dice(head - (unsigned)h.after + 10);
    if (head > 500 && !dice(4)) { /* small pages, of little */
        h.after = head - 1 - dice(500);
        h.before = h.after + dice(100) + 1;
        h.limit = 1 + dice(3);
    }
    if (!dice(4))
        h.since = WALL_US + dice((unsigned)(core.time.wall_us - WALL_US) + 1);
    if (!dice(4))
        h.until = WALL_US + 1 + dice((unsigned)(core.time.wall_us - WALL_US) + 1);
    return h;
}

/* The ring moves on, at times by more than it holds, and slices are of any size. */
static void go_on_between_slices(void)
{
    core.turn_work = 20 + dice(300);
    if (dice(3) == 0)
        quote_random(dice(30) ? dice(5) : dice(400));
}

static void read_at_random(unsigned rounds)
{
    is_lively = true;
    between_slices = go_on_between_slices;
    for (unsigned i = 0; i < rounds; i++) {
        struct history h;
        int lives = 20; /* then it must come to an end */

        go_on();
        h = random_history();
        while (check_page(&h))
            if (lives-- > 0)
                go_on();
        core.turn_work = 20 + dice(300);
    }
    is_lively = false;
    between_slices = NULL;
    core.turn_work = CORE_TURN_WORK;
}

/* Read all records of every symbol, in both orders, while nothing changes. */
static void read_all(uint64_t missing)
{
    for (unsigned i = 0; i < SYMBOLS * 2; i++) {
        struct history h = {.newest = i % 2, .limit = 1 + dice(500)};

        snprintf(h.symbol, sizeof h.symbol, "S%u", i / 2);
        while (check_page(&h))
            ;
        assert_int_equal(h.missing, missing);
    }
}

/* --- promises ----------------------------------------------------------------------- */

static void store_and_ring_are_read_as_one(void **state)
{
    struct log_writer_status status;

    (void)state;
    dice_seed();
    for (int life = 0; life < 3; life++) {
        read_at_random(40);
        keep_all();
        log_writer_status(core.log.log_writer, (uint64_t)core.time.wall_us, &status);
        if (!life) /* the status counts those since the restart */
            read_all(status.gaps);
        close_core();
        open_core();
        say_hello();
    }
}

static void in_memory_it_reaches_back_as_far_as_the_ring(void **state)
{
    (void)state;
    dice_seed();
    quote(0);
    /*
     * A request covers one state of the ring: records that are overwritten between its pages are
     * not reported.
     */
    for (int i = 0; i < 1000; i++) {
        struct history h;

        go_on();
        h = random_history();
        while (check_page(&h))
            ;
    }
    assert_true(journal_first(core.log.journal) > 1);
    read_all(0);
}

static void what_is_neither_in_the_ring_nor_stored_is_named(void **state)
{
    struct history newest = {.symbol = "S1", .newest = true, .limit = 1000},
                   oldest = {.symbol = "S1", .limit = 1000};
    uint64_t first, kept;

    (void)state;
    dice_seed();
    for (int i = 0; i < 100; i++)
        quote(1);
    keep_all();
    kept = journal_head(core.log.journal);
    for (int i = 0; i < 2000; i++)
        quote((unsigned)i % 3);
    first = journal_first(core.log.journal);
    assert_true(first > kept + 1);
    while (check_page(&newest))
        ;
    while (check_page(&oldest))
        ;
    assert_int_equal(newest.missing, first - kept - 1);
    assert_int_equal(oldest.missing, first - kept - 1);
    keep_all();
    read_all(first - kept - 1);
}

static void a_rare_symbol_is_found_at_once_a_common_one_in_bounded_pages(void **state)
{
    struct history h = {.symbol = "S1", .newest = true, .limit = 10};
    int pages = 0;

    (void)state;
    config.journal_bytes = 64 << 20;
    core_fini(&core);
    core_init(&core, LOG_EPOCH);
    say_hello();
    dice_seed();
    lines = 0;
    for (int i = 0; i < 120000; i++)
        quote(i % 30000 == 10 ? 1 : i % 3 ? 2 : 0);
    assert_false(check_page(&h));
    h = (struct history){.symbol = "S1", .limit = 10};
    assert_false(check_page(&h));
    /* The chain back to there is long, but one page looks at a bounded number of entries. */
    h = (struct history){.symbol = "S2", .newest = true, .before = 20000, .limit = 1000};
    while (check_page(&h))
        pages++;
    assert_in_range(pages, 13, 14);
    h = (struct history){.symbol = "S0", .since = UINT64_MAX / 2, .limit = 10};
    for (pages = 0; check_page(&h); pages++)
        ;
    assert_in_range(pages, 3, 4);
    h = (struct history){.symbol = "S0", .newest = true, .since = UINT64_MAX / 2, .limit = 10};
    for (pages = 0; check_page(&h); pages++)
        ;
    assert_in_range(pages, 1, 3);
}

static void requests_that_make_no_sense_are_answered_with_an_error(void **state)
{
    static const char *const bad[] = {
        "{'op':'history','id':1}",
        "{'op':'history','id':1,'symbol':''}",
        "{'op':'history','id':1,'symbol':'a'}",
        "{'op':'history','id':1,'symbol':'A,B'}",
        "{'op':'history','id':1,'symbol':'A*'}",
        "{'op':'history','id':1,'symbol':7}",
    };

    (void)state;
    for (size_t i = 0; i < LENGTH(bad); i++)
        assert_string_equal(answer_to("p", bad[i]), "{'re':'history','id':1,'error':'invalid',"
                                                    "'message':'symbol must be one symbol'}");
}

static void an_unknown_symbol_has_no_last_position(void **state)
{
    (void)state;
    quote(1);
    assert_string_equal(answer_to("p", "{'op':'history','id':1,'symbol':'NONE'}"),
                        "{'re':'history','id':1,'epoch':7777,'first':1,'head':1,"
                        "'gaps':[],'records':[],'last':0,'next':0}");
    assert_non_null(strstr(answer_to("p", "{'op':'history','id':1,'symbol':'S1','limit':0,"
                                          "'after':18446744073709551615,"
                                          "'before':18446744073709551615}"),
                           "'records':[],'last':1,'next':0}"));
}

int main(void)
{
#define TEST(name, kind) cmocka_unit_test_setup_teardown(name, set_up_##kind, tear_down_##kind)
#define tear_down_memory tear_down
    const struct CMUnitTest tests[] = {
        TEST(store_and_ring_are_read_as_one, store),
        TEST(what_is_neither_in_the_ring_nor_stored_is_named, store),
        TEST(in_memory_it_reaches_back_as_far_as_the_ring, memory),
        TEST(a_rare_symbol_is_found_at_once_a_common_one_in_bounded_pages, memory),
        TEST(requests_that_make_no_sense_are_answered_with_an_error, memory),
        TEST(an_unknown_symbol_has_no_last_position, memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
