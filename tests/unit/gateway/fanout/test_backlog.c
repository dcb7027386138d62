#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "gateway/fanout/hub.h"
#include "tests/unit/dice.h"

#define SYMBOLS 300 /* several words of the mask */

static struct hub_symbol symbols[SYMBOLS];
static struct backlog b;
static uint32_t this_round;

static int set_up(void **state)
{
    (void)state;
    memset(symbols, 0, sizeof symbols);
    for (unsigned i = 0; i < SYMBOLS; i++) {
        symbols[i].name_len = (uint8_t)snprintf(symbols[i].name, sizeof symbols[i].name, "S%u", i);
        symbols[i].index = i;
        symbols[i].state = SYMBOL_LIVE;
    }
    b = (struct backlog){0};
    this_round = 1;
    return 0;
}

static void forget_frames(unsigned i)
{
    for (int kind = 0; kind < MESSAGE_COUNT; kind++)
        for (int e = 0; e < ENCODING_COUNT; e++)
            frame_release(&symbols[i].frames[kind][e]);
}

static int tear_down(void **state)
{
    (void)state;
    backlog_fini(&b);
    for (unsigned i = 0; i < SYMBOLS; i++)
        forget_frames(i);
    return 0;
}

static void mark(unsigned symbol, enum symbol_message kind, uint32_t updates)
{
    backlog_mark(&b, &symbols[symbol], kind, updates, this_round);
}

/* Which symbol's frame is `ahead`, and of what kind; "" if no more. */
static const char *peek(uint32_t ahead)
{
    static const char *const kinds[] = {"quote", "snapshot", "state", "traced"};
    static char text[40];
    struct frame *f = backlog_peek(&b, ENCODING_JSON, ahead);

    if (!f)
        return "";
    for (unsigned i = 0; i < SYMBOLS; i++)
        for (int kind = 0; kind < MESSAGE_COUNT; kind++)
            if (symbols[i].frames[kind][ENCODING_JSON] == f) {
                snprintf(text, sizeof text, "%s %u", kinds[kind], i);
                return text;
            }
    fail_msg("a frame of no symbol");
    return "";
}

static void what_is_owed_comes_in_the_order_it_was_marked(void **state)
{
    (void)state;
    assert_true(backlog_is_empty(&b));
    mark(2, MESSAGE_QUOTE, 1);
    mark(0, MESSAGE_SNAPSHOT, 0);
    mark(1, MESSAGE_STATE, 0);
    symbols[1].state = SYMBOL_STALE;
    assert_false(backlog_is_empty(&b));
    assert_string_equal(peek(0), "quote 2");
    assert_string_equal(peek(1), "snapshot 0");
    assert_string_equal(peek(2), "state 1");
    assert_string_equal(peek(3), "");
    backlog_took(&b, 1);
    assert_string_equal(peek(0), "snapshot 0");
    backlog_took(&b, 2);
    assert_true(backlog_is_empty(&b));
    assert_string_equal(peek(0), "");
}

static void a_second_marking_in_one_round_is_ignored(void **state)
{
    (void)state;
    mark(1, MESSAGE_QUOTE, 3);
    mark(1, MESSAGE_QUOTE, 3);
    assert_string_equal(peek(1), "");
    assert_int_equal(b.merged, 2);
}

static void behind_a_symbol_is_pending_once_and_keeps_its_place(void **state)
{
    (void)state;
    mark(1, MESSAGE_QUOTE, 1);
    mark(299, MESSAGE_QUOTE, 1);
    backlog_took(&b, 0);
    for (this_round = 2; this_round < 10; this_round++) {
        mark(299, MESSAGE_QUOTE, 1);
        mark(1, MESSAGE_QUOTE, 2);
    }
    assert_string_equal(peek(0), "quote 1");
    assert_string_equal(peek(1), "quote 299");
    assert_string_equal(peek(2), "");
    assert_int_equal(b.merged, 8 * 3);
    backlog_took(&b, 1);
    mark(1, MESSAGE_QUOTE, 1); /* taken, and pending again: now it is the last one */
    assert_string_equal(peek(0), "quote 299");
    assert_string_equal(peek(1), "quote 1");
}

static void once_a_snapshot_went_quotes_are_quotes_again(void **state)
{
    (void)state;
    mark(1, MESSAGE_QUOTE, 1);
    mark(2, MESSAGE_QUOTE, 1);
    backlog_took(&b, 0);
    this_round++;
    mark(1, MESSAGE_STATE, 0);
    assert_string_equal(peek(0), "snapshot 1");
    backlog_took(&b, 1);
    this_round++;
    mark(1, MESSAGE_QUOTE, 1);
    assert_string_equal(peek(0), "quote 2");
    assert_string_equal(peek(1), "quote 1");
}

/* The pending kind, the later mark, the symbol's state, and the message that is sent. */
static void what_is_sent_says_all_that_changed(void **state)
{
    static const struct {
        enum symbol_message first, second;
        bool is_twice, last_is_state;
        enum symbol_state now;
        const char *sent;
    } table[] = {
        {MESSAGE_QUOTE, 0, false, false, SYMBOL_LIVE, "quote 5"},
        {MESSAGE_STATE, 0, false, true, SYMBOL_STALE, "state 5"},
        {MESSAGE_STATE, 0, false, true, SYMBOL_LIVE, "state 5"},
        {MESSAGE_SNAPSHOT, 0, false, false, SYMBOL_LIVE, "snapshot 5"},
        {MESSAGE_QUOTE, MESSAGE_QUOTE, true, false, SYMBOL_LIVE, "quote 5"},
        {MESSAGE_QUOTE, MESSAGE_STATE, true, true, SYMBOL_STALE, "snapshot 5"},
        {MESSAGE_QUOTE, MESSAGE_STATE, true, false, SYMBOL_STALE, "snapshot 5"},
        {MESSAGE_STATE, MESSAGE_QUOTE, true, false, SYMBOL_LIVE, "snapshot 5"},
        /* to one that comes back: its value is the one it has */
        {MESSAGE_STATE, 0, false, false, SYMBOL_LIVE, "state 5"},
        {MESSAGE_STATE, MESSAGE_STATE, true, false, SYMBOL_LIVE, "state 5"},
        {MESSAGE_STATE, MESSAGE_SNAPSHOT, true, false, SYMBOL_LIVE, "snapshot 5"},
        {MESSAGE_QUOTE, MESSAGE_SNAPSHOT, true, false, SYMBOL_LIVE, "snapshot 5"},
        {MESSAGE_SNAPSHOT, MESSAGE_QUOTE, true, false, SYMBOL_LIVE, "snapshot 5"},
    };

    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        set_up(state);
        mark(5, table[i].first, 1);
        backlog_fall_behind(&b);
        this_round++;
        if (table[i].is_twice)
            mark(5, table[i].second, 1);
        symbols[5].last_is_state = table[i].last_is_state;
        symbols[5].state = table[i].now;
        assert_string_equal(peek(0), table[i].sent);
        assert_string_equal(peek(1), "");
        tear_down(state);
    }
}

static bool is_even(void *ctx, struct hub_symbol *s)
{
    assert_ptr_equal(ctx, symbols);
    return s->index % 2 == 0;
}

static void what_is_not_kept_is_no_longer_owed(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 8; i++)
        mark(i, MESSAGE_QUOTE, 1);
    backlog_took(&b, 1);
    this_round++;
    mark(4, MESSAGE_STATE, 0);
    backlog_suspect(&b);
    assert_int_equal(backlog_sendable(&b), 0); /* nothing is before it was looked at */
    backlog_verify(&b, is_even, symbols, 2);
    assert_string_equal(peek(0), "quote 2");
    assert_int_equal(backlog_sendable(&b), 1);
    backlog_verify(&b, is_even, symbols, UINT32_MAX);
    assert_false(b.is_dirty);
    assert_string_equal(peek(0), "quote 2");
    assert_string_equal(peek(1), "snapshot 4"); /* what it had become stays */
    assert_string_equal(peek(2), "quote 6");
    assert_string_equal(peek(3), "");
    this_round++;
    mark(6, MESSAGE_QUOTE, 1); /* still in the list */
    mark(3, MESSAGE_QUOTE, 1); /* no longer, so it is pending again */
    assert_string_equal(peek(2), "quote 6");
    assert_string_equal(peek(3), "quote 3");
    backlog_suspect(&b);
    backlog_verify(&b, is_even, symbols, 3);
    assert_int_equal(backlog_sendable(&b), 3);
    backlog_took(&b, 3);
    backlog_verify(&b, is_even, symbols, 3);
    assert_false(b.is_dirty);
    assert_true(backlog_is_empty(&b));
}

static struct frame *text_frame(unsigned n, size_t len)
{
    char text[200];

    memset(text, 'a' + (int)n % 26, len);
    return frame_new(OPCODE_TEXT, (struct span){text, len});
}

static void frames_are_queued_in_order_and_each_once(void **state)
{
    struct frame *kept[100];

    (void)state;
    for (unsigned i = 0; i < 100; i++) {
        kept[i] = text_frame(i, 50);
        backlog_queue(&b, kept[i], 100000);
        backlog_queue(&b, kept[i], 100000); /* another pattern matched */
        assert_int_equal(kept[i]->references, 2);
        if (i % 3 == 2) {
            assert_ptr_equal(backlog_peek(&b, ENCODING_JSON, 0), kept[i / 3]);
            backlog_took(&b, 1);
            assert_int_equal(kept[i / 3]->references, 1);
        }
    }
    for (unsigned i = 33; i < 100; i++)
        assert_ptr_equal(backlog_peek(&b, ENCODING_MSGPACK, i - 33), kept[i]);
    assert_null(backlog_peek(&b, ENCODING_JSON, 67));
    backlog_took(&b, 67);
    assert_true(backlog_is_empty(&b));
    assert_int_equal(b.queue_bytes, 0);
    for (unsigned i = 0; i < 100; i++)
        frame_release(&kept[i]);
}

static void over_its_limit_a_queue_has_overflowed_for_good(void **state)
{
    struct frame *f[3] = {text_frame(0, 48), text_frame(1, 48), text_frame(2, 48)};

    (void)state;
    backlog_queue(&b, f[0], 100); /* 50 bytes each with the header */
    backlog_queue(&b, f[1], 100);
    assert_false(b.has_overflowed);
    backlog_queue(&b, f[2], 100);
    assert_true(b.has_overflowed);
    backlog_took(&b, 2);
    backlog_queue(&b, f[2], 100); /* a hole is a hole */
    assert_true(backlog_is_empty(&b));
    assert_true(b.has_overflowed);
    for (int i = 0; i < 3; i++)
        frame_release(&f[i]);
}

static void a_queue_that_goes_back_is_not_ascending(void **state)
{
    const uint64_t seqs[] = {7, 9, 8, 0, 10}; /* 0: a snapshot */
    const bool are_ascending[] = {false, false, false, false, true, true};

    (void)state;
    for (unsigned i = 0; i < 5; i++) {
        struct frame *f = frame_new(OPCODE_TEXT, SPAN("frame"));

        f->seq = seqs[i];
        backlog_queue(&b, f, 1000);
        frame_release(&f);
    }
    b.sent_seq = 6;
    for (unsigned taken = 0; taken <= 5; taken++) {
        assert_int_equal(backlog_is_ascending(&b), are_ascending[taken]);
        if (taken < 5)
            backlog_took(&b, 1);
    }
}

static void queued_frames_come_before_pending_symbols(void **state)
{
    struct frame *f = text_frame(0, 10);

    (void)state;
    mark(7, MESSAGE_QUOTE, 1);
    backlog_queue(&b, f, 1000);
    assert_ptr_equal(backlog_peek(&b, ENCODING_JSON, 0), f);
    assert_string_equal(peek(1), "quote 7");
    backlog_took(&b, 2);
    assert_true(backlog_is_empty(&b));
    frame_release(&f);
}

static void a_burst_costs_no_memory_once_it_is_over(void **state)
{
    struct frame *f = text_frame(0, 10), *g = text_frame(1, 10);

    (void)state;
    for (unsigned i = 0; i < SYMBOLS; i++)
        mark(i, MESSAGE_QUOTE, 1);
    for (unsigned i = 0; i < 100; i++)
        backlog_queue(&b, i % 2 ? f : g, 100000);
    backlog_took(&b, SYMBOLS + 100);
    assert_true(backlog_is_empty(&b));
    assert_null(b.mask);
    assert_true(b.due_cap <= 16 && b.queue_cap <= 16);
    assert_true(f->references == 1 && g->references == 1);
    frame_release(&f);
    frame_release(&g);
}

static void emptying_keeps_only_the_count_of_what_was_merged(void **state)
{
    struct frame *f = text_frame(0, 10);

    (void)state;
    mark(1, MESSAGE_QUOTE, 5);
    backlog_queue(&b, f, 1000);
    backlog_fini(&b);
    assert_true(backlog_is_empty(&b));
    assert_int_equal(b.merged, 4);
    assert_int_equal(f->references, 1);
    assert_true(!b.due && !b.queue && !b.mask);
    frame_release(&f);
}

/* The model: the pending symbols, in order. */
static unsigned model[SYMBOLS];
static size_t model_count;

static bool model_has(unsigned symbol)
{
    for (size_t i = 0; i < model_count; i++)
        if (model[i] == symbol)
            return true;
    return false;
}

static bool is_kept_by_ctx(void *ctx, struct hub_symbol *s)
{
    return s->index % *(unsigned *)ctx != 0;
}

static void a_client_that_asked_for_traces_gets_only_quotes_with_them(void **state)
{
    (void)state;
    b.quote_as = MESSAGE_TRACED;
    mark(0, MESSAGE_QUOTE, 1);
    mark(1, MESSAGE_SNAPSHOT, 1);
    mark(2, MESSAGE_STATE, 0);
    mark(3, MESSAGE_QUOTE, 1);
    symbols[3].last_is_state = true;
    assert_string_equal(peek(0), "traced 0");
    assert_string_equal(peek(1), "snapshot 1");
    assert_string_equal(peek(2), "state 2");
    assert_string_equal(peek(3), "snapshot 3");
    symbols[3].last_is_state = false;
    backlog_fini(&b); /* as a new log does */
    this_round++;
    mark(0, MESSAGE_QUOTE, 1);
    assert_string_equal(peek(0), "traced 0");
}

static void random_marking_and_taking_goes_as_in_the_model(void **state)
{
    uint64_t happened = 0, sent = 0;

    (void)state;
    dice_seed();
    for (int turn = 0; turn < 20000; turn++) {
        unsigned count = dice(20), divisor = 2 + dice(20), taken;

        this_round++;
        for (unsigned i = 0; i < count; i++) {
            unsigned symbol = dice(dice(2) ? SYMBOLS : 10), n = 1 + dice(3);
            bool is_marked = symbols[symbol].updates == this_round;

            if (is_marked)
                continue; /* a fan-out marks each once, or twice in a row */
            symbols[symbol].updates = this_round;
            mark(symbol, MESSAGE_QUOTE, n);
            if (dice(2))
                mark(symbol, MESSAGE_QUOTE, n);
            happened += n;
            if (!model_has(symbol))
                model[model_count++] = symbol;
        }
        if (!dice(50)) {
            size_t kept = 0;

            backlog_suspect(&b);
            if (dice(2)) { /* a part of them first */
                backlog_verify(&b, is_kept_by_ctx, &divisor, dice(20));
                assert_true(!b.is_dirty || backlog_sendable(&b) <= b.due_count);
            }
            backlog_verify(&b, is_kept_by_ctx, &divisor, UINT32_MAX);
            assert_false(b.is_dirty);
            for (size_t i = 0; i < model_count; i++)
                if (model[i] % divisor)
                    model[kept++] = model[i];
                else
                    happened--; /* the pending update is neither sent nor merged */
            model_count = kept;
        }
        taken = dice(3) ? dice(15) : SYMBOLS;
        taken = taken > model_count ? (unsigned)model_count : taken;
        for (unsigned i = 0; i < taken; i++) {
            struct frame *f = backlog_peek(&b, ENCODING_JSON, i);

            assert_ptr_equal(f, symbols[model[i]].frames[MESSAGE_QUOTE][ENCODING_JSON]);
            sent++;
        }
        backlog_took(&b, taken);
        model_count -= taken;
        memmove(model, model + taken, model_count * sizeof *model);
        assert_true(backlog_is_empty(&b) == !model_count);
        assert_int_equal(b.due_count, model_count);
        assert_true(b.due_cap <= 2 * SYMBOLS + 16);
        /* Every update was sent, or replaced, or is pending. */
        assert_int_equal(b.merged, happened - sent - model_count);
    }
    model_count = 0;
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(what_is_owed_comes_in_the_order_it_was_marked),
        TEST(a_second_marking_in_one_round_is_ignored),
        TEST(behind_a_symbol_is_pending_once_and_keeps_its_place),
        TEST(once_a_snapshot_went_quotes_are_quotes_again),
        TEST(what_is_sent_says_all_that_changed),
        TEST(what_is_not_kept_is_no_longer_owed),
        TEST(frames_are_queued_in_order_and_each_once),
        TEST(over_its_limit_a_queue_has_overflowed_for_good),
        TEST(a_queue_that_goes_back_is_not_ascending),
        TEST(queued_frames_come_before_pending_symbols),
        TEST(a_burst_costs_no_memory_once_it_is_over),
        TEST(emptying_keeps_only_the_count_of_what_was_merged),
        TEST(a_client_that_asked_for_traces_gets_only_quotes_with_them),
        TEST(random_marking_and_taking_goes_as_in_the_model),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
