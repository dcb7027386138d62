/*
 * Joins in slices, at random: symbols, prefixes and exact patterns appear and disappear, names are
 * forgotten, and what each subscriber gets is checked against a naive model.  The shape (how
 * many symbols, patterns and subscribers, which names) is drawn, too.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/dice.h"
#include "tests/unit/gateway/fanout/hub_fixture.h"

#define PATTERNS 24
#define SUBSCRIBERS 5
#define RECORDS 3000 /* of one log */

static unsigned symbol_count, pattern_count, subscriber_count;
static char names[SYMBOLS][8], patterns[PATTERNS][8];

/* The truth: every record of this log, and the newest of each symbol. */
static struct record {
    unsigned symbol;
    uint64_t seq;
} history[RECORDS];
static size_t history_count;
static struct truth {
    bool has_value, is_of_old_log;
    uint64_t seq;
} truths[SYMBOLS];
static uint64_t head, epoch_now;

static struct reader {
    struct hub_subscriber sub;
    bool holds[PATTERNS], is_new[PATTERNS]; /* new: of the join under way */
    bool is_acked;                          /* of it */
    uint64_t ack_seq, began_at;
    uint64_t newest_snapshot;    /* of it; mode all */
    uint64_t newest_record;      /* of it, and of its snapshots; mode all */
    bool has_records;            /* of it: a record after its begin came; mode all */
    bool is_expected[SYMBOLS];   /* a snapshot of it comes before all else of it */
    bool is_sent[SYMBOLS];       /* since it follows it */
    uint64_t sent_upto[SYMBOLS]; /* up to which position */
} readers[SUBSCRIBERS];

static bool matches(const char *pattern, const char *name)
{
    size_t len = strcspn(pattern, "*");

    return pattern[len] ? strncmp(pattern, name, len) == 0 : strcmp(pattern, name) == 0;
}

static bool follows(const struct reader *r, unsigned symbol, bool only_old)
{
    for (unsigned i = 0; i < pattern_count; i++)
        if (r->holds[i] && !(only_old && r->is_new[i]) && matches(patterns[i], names[symbol]))
            return true;
    return false;
}

static unsigned symbol_index(const char *name)
{
    for (unsigned i = 0; i < symbol_count; i++)
        if (strcmp(names[i], name) == 0)
            return i;
    fail_msg("%s", name);
    return 0;
}

/* --- what a subscriber gets --------------------------------------------------------------- */

static void check_record(struct reader *r, unsigned symbol, uint64_t seq)
{
    uint64_t after = r->is_sent[symbol] ? r->sent_upto[symbol] : 0;
    size_t i = 0;

    while (i < history_count && !(history[i].symbol == symbol && history[i].seq > after))
        i++;
    assert_true(i < history_count);
    assert_int_equal(history[i].seq, seq); /* the very next one, and each once */
}

static void is_told_in_all(struct reader *r, const char *kind, unsigned symbol, uint64_t seq)
{
    if (r->is_expected[symbol])
        assert_string_equal(kind, "snapshot");
    if (strcmp(kind, "snapshot") == 0) {
        assert_true(r->is_acked && !r->has_records && seq >= r->newest_snapshot);
        assert_true(seq > r->ack_seq || seq == 0);
        r->newest_snapshot = seq;
        if (r->newest_record < seq)
            r->newest_record = seq;
        if (r->is_sent[symbol])
            assert_int_equal(seq, r->sent_upto[symbol]); /* of a pattern that it had */
    } else {
        check_record(r, symbol, seq);
        if (r->is_acked && seq > r->began_at) {
            assert_true(seq > r->newest_record); /* a position goes up, behind the snapshots, too */
            r->newest_record = seq;
            r->has_records = true;
        }
    }
}

static void is_told_in_merge(struct reader *r, const char *kind, unsigned symbol, uint64_t seq)
{
    assert_int_equal(seq, truths[symbol].seq);
    if (!r->is_acked)
        assert_true(follows(r, symbol, true));
    if (r->is_expected[symbol] && !follows(r, symbol, true))
        assert_string_equal(kind, "snapshot");
}

static void reads(struct reader *r, unsigned room)
{
    struct frame *f;
    uint32_t count = 0;

    hub_verify_backlog(hub, &r->sub, dice(3) ? UINT32_MAX : dice(5));
    if (room > backlog_sendable(&r->sub.backlog))
        room = backlog_sendable(&r->sub.backlog);
    for (; count < room && (f = backlog_peek(&r->sub.backlog, ENCODING_JSON, count)); count++) {
        char kind[16], name[16];
        unsigned long long seq;
        unsigned symbol;

        assert_int_equal(sscanf(text_of(f), "%15s %15s %llu", kind, name, &seq), 3);
        symbol = symbol_index(name);
        assert_true(follows(r, symbol, false));
        if (r->sub.wants_all)
            is_told_in_all(r, kind, symbol, seq);
        else
            is_told_in_merge(r, kind, symbol, seq);
        r->is_expected[symbol] = false;
        r->is_sent[symbol] = true;
        r->sent_upto[symbol] = seq;
    }
    backlog_took(&r->sub.backlog, count);
}

static void check_knows_all(const struct reader *r)
{
    for (unsigned s = 0; s < symbol_count; s++)
        if (follows(r, s, false) && truths[s].has_value && !truths[s].is_of_old_log) {
            assert_true(r->is_sent[s]);
            assert_int_equal(r->sent_upto[s], truths[s].seq);
        }
}

/* --- what happens -------------------------------------------------------------------------- */

static void a_record_comes(void)
{
    unsigned s = dice(symbol_count);
    uint64_t prev = truths[s].seq;
    char value[16];

    if (history_count == RECORDS)
        return;
    head += 1 + dice(3);
    history[history_count++] = (struct record){s, head};
    snprintf(value, sizeof value, "v%llu", (unsigned long long)head);
    truths[s] = (struct truth){.has_value = true, .seq = head};
    assert_true(quote(names[s], head, prev, value));
    for (unsigned i = 0; i < subscriber_count; i++) {
        struct reader *r = &readers[i];

        if (!r->sub.join || !r->sub.wants_all)
            continue;
        if (follows(r, s, true))
            r->is_expected[s] = false; /* it follows it already */
    }
}

/* Those of the join before have not all been read. */
static bool has_snapshots(struct reader *r)
{
    struct frame *f;

    for (uint32_t i = 0; (f = backlog_peek(&r->sub.backlog, ENCODING_JSON, i)); i++)
        if (strncmp(text_of(f), "snapshot", 8) == 0)
            return true;
    return false;
}

static void a_join_begins(struct reader *r)
{
    struct hub_topic *topics[PATTERNS];
    size_t count = 1 + dice(6);

    if (r->sub.join || (r->sub.wants_all && has_snapshots(r)))
        return;
    memset(r->is_new, 0, sizeof r->is_new);
    for (size_t i = 0; i < count; i++) {
        unsigned p = dice(pattern_count);

        topics[i] = hub_topic_retain(hub, span_of(patterns[p]));
        r->is_new[p] |= !r->holds[p];
        r->holds[p] = true;
    }
    r->is_acked = r->has_records = false;
    r->newest_snapshot = r->newest_record = 0;
    r->began_at = head;
    for (unsigned s = 0; s < symbol_count; s++)
        r->is_expected[s] |= truths[s].has_value && follows(r, s, false) && !follows(r, s, true);
    hub_join_begin(hub, &r->sub, topics, count, 0, NO_LIMIT, dice(2) ? 200 : SIZE_MAX);
    for (size_t i = 0; i < count; i++)
        hub_topic_release(hub, topics[i]);
}

static void a_join_goes_on(struct reader *r)
{
    size_t steps = dice(3) ? dice(12) : 1000;

    if (!r->sub.join)
        return;
    if (!hub_join_find(hub, &r->sub, &steps))
        return;
    if (!r->is_acked) {
        r->is_acked = true;
        r->ack_seq = head;
        hub_join_changed(&r->sub, &r->ack_seq);
    }
    if (hub_join_queue(hub, &r->sub, &steps))
        assert_null(r->sub.join);
}

static void a_pattern_is_left(struct reader *r)
{
    unsigned p = dice(pattern_count);

    if (r->sub.join)
        return;
    assert_true(hub_leave(hub, &r->sub, span_of(patterns[p])) == r->holds[p]);
    r->holds[p] = false;
    for (unsigned s = 0; s < symbol_count; s++)
        if (!follows(r, s, false))
            r->is_sent[s] = r->is_expected[s] = false;
}

static void begins_anew(struct reader *r)
{
    hub_leave_all(hub, &r->sub);
    *r = (struct reader){.sub.wants_all = dice(2)};
}

/* As the stream does it: in mode all a join ends with the log. */
static void the_log_is_replaced(void)
{
    hub_reset(hub, ++epoch_now);
    history_count = 0;
    head = 0;
    for (unsigned s = 0; s < symbol_count; s++) {
        truths[s].seq = 0;
        truths[s].is_of_old_log = true;
        note_change(names[s]);
    }
    for (unsigned i = 0; i < subscriber_count; i++) {
        struct reader *r = &readers[i];

        if (r->sub.wants_all)
            begins_anew(r);
        r->ack_seq = 0;
        memset(r->is_sent, 0, sizeof r->is_sent);
        memset(r->is_expected, 0, sizeof r->is_expected);
    }
}

static void the_turn_ends(bool is_last)
{
    hub_fan_out(hub);
    while (hub_take_due(hub))
        ;
    for (unsigned i = 0; i < subscriber_count; i++) {
        struct reader *r = &readers[i];

        for (int k = 0; k < 1000 && (is_last || dice(3)); k++) {
            if (is_last)
                a_join_goes_on(r);
            reads(r, is_last ? UINT32_MAX : dice(8));
        }
        if (!r->sub.join && backlog_is_empty(&r->sub.backlog))
            check_knows_all(r);
    }
    if (dice(2))
        forget_all();
    for (unsigned s = 0; s < symbol_count; s++)
        if (!hub_find(hub, span_of(names[s]))) {
            assert_true(!truths[s].has_value || truths[s].is_of_old_log);
            truths[s] = (struct truth){0};
        }
}

static void draw_name(char name[8])
{
    static const char letters[] = "AB1";
    unsigned len = 1 + dice(6);

    for (unsigned i = 0; i < len; i++)
        name[i] = letters[dice(3)];
    name[len] = '\0';
}

static bool is_new_text(char texts[][8], unsigned count, const char *text)
{
    for (unsigned i = 0; i < count; i++)
        if (strcmp(texts[i], text) == 0)
            return false;
    return true;
}

static void draw_shape(void)
{
    char text[9];
    unsigned symbols = 1 + dice(SYMBOLS), wanted = 2 + dice(PATTERNS - 1);

    subscriber_count = 1 + dice(SUBSCRIBERS);
    for (symbol_count = 0; symbol_count < symbols;) {
        draw_name(text);
        if (is_new_text(names, symbol_count, text))
            strcpy(names[symbol_count++], text);
    }
    for (pattern_count = 0; pattern_count < wanted;) {
        draw_name(text);
        if (dice(2)) /* a prefix, of any length */
            strcpy(text + dice((unsigned)strlen(text) + 1), "*");
        else if (dice(2))
            strcpy(text, names[dice(symbol_count)]);
        if (strlen(text) < sizeof patterns[0] && is_new_text(patterns, pattern_count, text))
            strcpy(patterns[pattern_count++], text);
    }
}

static void during_joins_every_subscriber_receives_each_record_once_and_in_order(void **state)
{
    (void)state;
    dice_seed();
    for (int round = 0; round < 60; round++) {
        draw_shape();
        memset(truths, 0, sizeof truths);
        memset(readers, 0, sizeof readers);
        history_count = 0;
        head = 0;
        hub_reset(hub, ++epoch_now);
        for (unsigned i = 0; i < subscriber_count; i++)
            begins_anew(&readers[i]);
        for (int step = 0; step < 800; step++) {
            struct reader *r = &readers[dice(subscriber_count)];
            unsigned act = dice(100);

            if (act < 40)
                a_record_comes();
            else if (act < 50)
                a_join_begins(r);
            else if (act < 75)
                a_join_goes_on(r);
            else if (act < 80)
                a_pattern_is_left(r);
            else if (act < 99 || dice(3))
                the_turn_ends(false);
            else if (dice(2))
                begins_anew(r);
            else
                the_log_is_replaced();
        }
        the_turn_ends(true);
        for (unsigned i = 0; i < subscriber_count; i++) {
            assert_true(backlog_is_empty(&readers[i].sub.backlog));
            hub_leave_all(hub, &readers[i].sub);
        }
        hub_reset(hub, ++epoch_now);
        forget_all();
        assert_null(hub_topic_first(hub));
        assert_int_equal(hub_symbol_count(hub), 0);
        assert_int_equal(hub_symbol_end(hub), 0);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(during_joins_every_subscriber_receives_each_record_once_and_in_order),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
