/* Replays and histories from ring and store, page by page. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "broker/core/core_private.h"
#include "tests/unit/broker/core/core_store_fixture.h"

static struct buf shown;

/* Quotes of A and B, turn by turn: A has the odd positions. */
static void quotes(unsigned count)
{
    while (count--) {
        ++lines;
        line(feed_epoch, lines, lines % 2 ? "A " : "B ", "1");
    }
}

/* Until the position n has left the ring. */
static void push_out(uint64_t n)
{
    while (journal_first(core.log.journal) <= n)
        quotes(1);
}

static uint64_t first(void)
{
    return journal_first(core.log.journal);
}

/* The last answer in short: "6-7 not_stored, 8 ..12 13 14 upto 14"; of records the last three. */
static const char *page(void)
{
    struct pack_value v, from, to, reason, topic, frame;
    struct span at, answer = last_answer();
    struct wire_record r;

    buf_clear(&shown);
    assert_int_equal(pack_find_u(answer, "epoch", 0), core.log.epoch);
    assert_true(pack_find(answer, "gaps", &v, &at) && pack_next(&at, &v));
    for (uint32_t n = v.count; n; n--) {
        assert_true(pack_next(&at, &v) && pack_next(&at, &from) && pack_next(&at, &to) &&
                    pack_next(&at, &reason));
        buf_printf(&shown, "%llu-%llu %.*s, ", (unsigned long long)from.u, (unsigned long long)to.u,
                   (int)reason.text.len, reason.text.at);
    }
    assert_true(pack_find(answer, "records", &v, &at) && pack_next(&at, &v));
    for (uint32_t n = v.count, count = n; n; n--) {
        assert_true(pack_next(&at, &v) && pack_next(&at, &topic) && pack_next(&at, &frame));
        assert_int_equal(wire_read(frame.text, &r, NULL), OK);
        if (n <= 3 || n == count)
            buf_printf(&shown, n > 3 ? "%llu .." : "%llu ", (unsigned long long)r.seq);
    }
    if (pack_find(answer, "upto", &v, NULL))
        buf_printf(&shown, "upto %llu", (unsigned long long)v.u);
    if (pack_find(answer, "next", &v, NULL))
        buf_printf(&shown, "next %llu", (unsigned long long)v.u);
    return buf_text(&shown);
}

__attribute__((format(printf, 1, 2))) static const char *answered(const char *request, ...)
{
    char json[300];
    va_list args;

    va_start(args, request);
    vsnprintf(json, sizeof json, request, args);
    va_end(args);
    forget_sent(replies, &reply_count);
    answer_to("p", json);
    wait_for_answer();
    return page();
}

__attribute__((format(printf, 1, 2))) static const char *wanted(const char *format, ...)
{
    static char text_wanted[300];
    va_list args;

    va_start(args, format);
    vsnprintf(text_wanted, sizeof text_wanted, format, args);
    va_end(args);
    return text_wanted;
}

static void damage(uint64_t seq)
{
    struct journal_entry e;

    assert_int_equal(journal_read(core.log.journal, seq, &e), OK);
    ((char *)e.record.at)[e.record.len - 1] ^= 1;
}

#define ULL unsigned long long

/* --- replays ------------------------------------------------------------------------------ */

static void a_replay_from_the_ring_ends_where_it_is_asked_to(void **state)
{
    (void)state;
    quotes(9);
    assert_string_equal(answered("{'op':'replay','id':1,'pattern':'A','after':0}"),
                        "1 ..5 7 9 upto 9");
    assert_string_equal(answered("{'op':'replay','id':1,'pattern':'A','after':4,'until':7}"),
                        "5 7 upto 7");
    assert_string_equal(answered("{'op':'replay','id':1,'pattern':'*','after':7,'until':99}"),
                        "8 9 upto 9");
    assert_string_equal(answered("{'op':'replay','id':1,'pattern':'*','after':9}"), "upto 9");
    assert_string_equal(answered("{'op':'replay','id':1,'pattern':'*','after':99}"), "upto 9");
    assert_string_equal(answered("{'op':'replay','id':1,'pattern':'*','after':0,'limit':2}"),
                        "1 2 upto 2");
    assert_string_equal(answered("{'op':'replay','id':1,'pattern':'A','after':0,'limit':2}"),
                        "1 3 upto 3");
    assert_int_equal(pack_find_u(last_answer(), "first", 0), 1);
    assert_int_equal(pack_find_u(last_answer(), "head", 0), 9);
}

static void what_has_left_the_ring_is_replayed_from_the_store(void **state)
{
    (void)state;
    quotes(9);
    keep_all();
    push_out(5);
    keep_all();
    assert_string_equal(answered("{'op':'replay','id':1,'pattern':'A','after':0,'until':4}"),
                        "1 3 upto 4");
    assert_int_equal(pack_find_u(last_answer(), "first", 0), 1);
    /* The ring answers from its oldest position on. */
    assert_string_equal(
        answered("{'op':'replay','id':1,'pattern':'*','after':%llu,'limit':1}", (ULL)first() - 1),
        wanted("%llu upto %llu", (ULL)first(), (ULL)first()));
    assert_string_equal(
        answered("{'op':'replay','id':1,'pattern':'*','after':%llu,'limit':1}", (ULL)first() - 2),
        wanted("%llu upto %llu", (ULL)first() - 1, (ULL)first() - 1));
}

#define ONE_AFTER(n) "{'op':'replay','id':1,'pattern':'*','after':" #n ",'limit':1}"

static void what_is_neither_there_nor_stored_is_a_gap(void **state)
{
    (void)state;
    quotes(5);
    keep_all();
    push_out(20);
    assert_int_equal(journal_stored(core.log.journal), 5);
    assert_string_equal(
        answered(ONE_AFTER(5)),
        wanted("6-%llu not_stored, %llu upto %llu", (ULL)first() - 1, (ULL)first(), (ULL)first()));
    assert_string_equal(
        answered(ONE_AFTER(7)),
        wanted("8-%llu not_stored, %llu upto %llu", (ULL)first() - 1, (ULL)first(), (ULL)first()));
    assert_string_equal(answered(ONE_AFTER(4)), "5 upto 5"); /* the store has it */
}

static void a_gap_is_said_once_though_the_request_had_no_work_in_its_first_turn(void **state)
{
    struct buf message = {0};

    (void)state;
    quotes(5);
    keep_all();
    push_out(20);
    packed(&message, "{'op':'replay','id':1,'pattern':'*','after':5,'limit':1}");
    core.turn_work = CORE_WORK_MESSAGE + 1 + CORE_WORK_ENTRY + 1; /* for the first of two */
    forget_sent(replies, &reply_count);
    for (int i = 0; i < 2; i++)
        core_control(&core, SPAN("p"), buf_span(&message));
    buf_free(&message);
    work();
    core.turn_work = CORE_TURN_WORK;
    assert_int_equal(reply_count, 2);
    assert_string_equal(page(), wanted("6-%llu not_stored, %llu upto %llu", (ULL)first() - 1,
                                       (ULL)first(), (ULL)first()));
}

static void without_a_store_what_has_left_the_ring_is_no_gap(void **state)
{
    (void)state;
    push_out(20);
    assert_string_equal(answered("{'op':'replay','id':1,'pattern':'*','after':0,'limit':1}"),
                        wanted("%llu upto %llu", (ULL)first(), (ULL)first()));
    assert_int_equal(pack_find_u(last_answer(), "first", 0), first());
    damage(first() + 1);
    assert_string_equal(answered("{'op':'replay','id':1,'pattern':'*','after':0,'limit':2}"),
                        wanted("%llu-%llu damaged, %llu %llu upto %llu", (ULL)first() + 1,
                               (ULL)first() + 1, (ULL)first(), (ULL)first() + 2, (ULL)first() + 2));
}

static void a_page_ends_before_damage_that_the_store_may_know_better(void **state)
{
    (void)state;
    quotes(6);
    keep_all();
    quotes(6);
    damage(4);
    damage(9);
    assert_string_equal(answered("{'op':'replay','id':1,'pattern':'*','after':0}"), "1 2 3 upto 3");
    assert_string_equal(answered("{'op':'replay','id':1,'pattern':'*','after':3,'until':4}"),
                        "4 upto 4"); /* from the store */
    assert_string_equal(answered("{'op':'replay','id':1,'pattern':'*','after':7}"),
                        "9-9 damaged, 8 ..10 11 12 upto 12"); /* not stored yet */
}

/* --- histories ---------------------------------------------------------------------------- */

#define HISTORY \
    "{'op':'history','id':1,'symbol':'A','order':'%s','after':%d,'before':%d,'limit':%d}"

static void a_history_crosses_the_seam_between_store_and_ring(void **state)
{
    (void)state;
    quotes(9);
    keep_all();
    push_out(5);
    keep_all();
    assert_string_equal(answered(HISTORY, "oldest", 0, 0, 2), "1 3 next 3");
    assert_string_equal(answered(HISTORY, "oldest", 0, 4, 9), "1 3 next 0");
    assert_string_equal(answered(HISTORY, "newest", 0, 6, 2), "5 3 next 3");
    assert_string_equal(answered(HISTORY, "newest", 0, 3, 2), "1 next 0");
    assert_string_equal(answered(HISTORY, "newest", 2, 6, 9), "5 3 next 0");
    while (journal_head(core.log.journal) % 2 == 0)
        quotes(1);
    assert_string_equal(
        answered(HISTORY, "newest", (int)first() - 1, 0, 1),
        wanted("%llu next %llu", (ULL)journal_head(core.log.journal),
               (ULL)journal_head(core.log.journal) - 1)); /* above the one before it */
}

static void a_history_names_what_is_not_stored_yet(void **state)
{
    (void)state;
    quotes(5);
    keep_all();
    push_out(20);
    assert_string_equal(answered(HISTORY, "oldest", 5, 8, 9), "6-7 not_stored_yet, next 0");
    assert_string_equal(
        answered(HISTORY, "oldest", 5, (int)first() + 1, 9),
        first() % 2 ? wanted("6-%llu not_stored_yet, %llu next 0", (ULL)first() - 1, (ULL)first())
                    : wanted("6-%llu not_stored_yet, next 0", (ULL)first() - 1));
    assert_string_equal(answered(HISTORY, "newest", 4, 9, 9), "6-8 not_stored_yet, 5 next 0");
    assert_string_equal(answered(HISTORY, "newest", 6, 9, 9), "7-8 not_stored_yet, next 0");
    assert_string_equal(answered(HISTORY, "oldest", 3, 0, 9), "5 next 5");
}

static void a_damaged_entry_of_a_history_comes_from_the_store(void **state)
{
    (void)state;
    quotes(9);
    keep_all();
    quotes(4);
    damage(5);
    assert_string_equal(answered(HISTORY, "newest", 0, 10, 9), "9 ..5 3 1 next 0");
    assert_string_equal(answered(HISTORY, "oldest", 0, 8, 9), "1 ..3 5 7 next 0");
    damage(9); /* the last one stored */
    assert_string_equal(answered(HISTORY, "oldest", 6, 0, 9), "7 9 next 9");
    damage(11); /* the store has not reached this position */
    assert_string_equal(answered(HISTORY, "newest", 9, 0, 9), "11-11 damaged, 13 next 11");
    assert_string_equal(answered(HISTORY, "oldest", 9, 0, 9), "11-11 damaged, 13 next 0");
}

static int tear_down_shown(void **state)
{
    buf_free(&shown);
    return tear_down_store(state);
}

static int tear_down_memory(void **state)
{
    buf_free(&shown);
    return tear_down(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up_store, tear_down_shown)
        TEST(a_replay_from_the_ring_ends_where_it_is_asked_to),
        TEST(what_has_left_the_ring_is_replayed_from_the_store),
        TEST(what_is_neither_there_nor_stored_is_a_gap),
        TEST(a_gap_is_said_once_though_the_request_had_no_work_in_its_first_turn),
        TEST(a_page_ends_before_damage_that_the_store_may_know_better),
        TEST(a_history_crosses_the_seam_between_store_and_ring),
        TEST(a_history_names_what_is_not_stored_yet),
        TEST(a_damaged_entry_of_a_history_comes_from_the_store),
        cmocka_unit_test_setup_teardown(without_a_store_what_has_left_the_ring_is_no_gap,
                                        set_up_memory, tear_down_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
