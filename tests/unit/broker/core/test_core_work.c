/* The number of turns with a fixed amount of work that each kind of request takes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "broker/core/core_private.h"
#include "tests/unit/broker/core/core_fixture.h"

#define SYMBOLS 64
#define QUOTES 1280 /* each symbol has 20 */
#define TURN 50     /* units of work in a turn */

static int set_up_quotes(void **state)
{
    uint64_t number = 0;

    set_up(state);
    grant();
    for (unsigned i = 0; i < QUOTES; i++) {
        char topic[16], price[16];

        snprintf(topic, sizeof topic, "S%u ", i % SYMBOLS);
        snprintf(price, sizeof price, "%u", i + 1);
        line(FIRST_FEED_EPOCH, ++number, topic, price);
    }
    forget_sent(replies, &reply_count);
    core.turn_work = TURN;
    return 0;
}

/* How many turns a request takes until it is answered. */
static unsigned turns_of(const char *request)
{
    struct buf message = {0};
    unsigned turns;

    packed(&message, request);
    core_control(&core, SPAN("p"), buf_span(&message));
    buf_free(&message);
    turns = work();
    assert_int_equal(reply_count, 1);
    forget_sent(replies, &reply_count);
    return turns;
}

/* A turn ends after the entry with which its work is used up, and may end before that. */
static void check(const char *request, unsigned units)
{
    unsigned turns = turns_of(request);

    if (turns < units / (TURN + CORE_WORK_ENTRY) || turns > units * 2 / TURN + 2)
        fail_msg("%u turns for %u units of work: %s", turns, units, request);
}

static void a_snapshot_costs_its_entries_and_what_it_looks_for(void **state)
{
    (void)state;
    check("{'op':'snapshot','id':1,'pattern':'*'}", SYMBOLS * CORE_WORK_ENTRY);
    /* A prefix is walked once to mark the matching symbols. */
    check("{'op':'snapshot','id':1,'pattern':'S*'}", SYMBOLS + SYMBOLS * CORE_WORK_ENTRY);
}

static void a_snapshot_costs_each_symbol_that_it_names(void **state)
{
    struct buf request = {0};

    (void)state;
    buf_adds(&request, "{'op':'snapshot','id':1,'pattern':'");
    for (int i = 0; i < 120; i++)
        buf_printf(&request, "%sX%d", i ? "," : "", i);
    buf_adds(&request, "'}");
    check(buf_text(&request), 120);
    buf_free(&request);
}

static void a_replay_costs_each_entry_and_more_if_it_is_sent(void **state)
{
    (void)state;
    check("{'op':'replay','id':1,'pattern':'NONE','after':0}", QUOTES);
    check("{'op':'replay','id':1,'pattern':'S1','after':0}",
          QUOTES + QUOTES / SYMBOLS * CORE_WORK_ENTRY);
    check("{'op':'replay','id':1,'pattern':'*','after':0}", QUOTES * (1 + CORE_WORK_ENTRY));
    check("{'op':'replay','id':1,'pattern':'*','after':640}", QUOTES / 2 * (1 + CORE_WORK_ENTRY));
}

static void a_history_costs_the_entries_of_its_symbol(void **state)
{
    (void)state;
    check("{'op':'history','id':1,'symbol':'S1','order':'newest'}",
          QUOTES / SYMBOLS * (1 + CORE_WORK_ENTRY));
    /* Found backwards, and put in order. */
    check("{'op':'history','id':1,'symbol':'S1','order':'oldest'}",
          QUOTES / SYMBOLS * (2 + CORE_WORK_ENTRY));
    /* Newest first below a position of another symbol: ten are found on the way. */
    check("{'op':'history','id':1,'symbol':'S1','order':'newest','before':640}",
          QUOTES / SYMBOLS + QUOTES / SYMBOLS / 2 * CORE_WORK_ENTRY);
    check("{'op':'history','id':1,'symbol':'NONE','order':'newest'}", 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up_quotes, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_snapshot_costs_its_entries_and_what_it_looks_for),
        TEST(a_snapshot_costs_each_symbol_that_it_names),
        TEST(a_replay_costs_each_entry_and_more_if_it_is_sent),
        TEST(a_history_costs_the_entries_of_its_symbol),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
