#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "broker/core/request_queue.h"
#include "shared/wire/patterns.h"
#include "tests/unit/broker/core/core_fixture.h"
#include "tests/unit/dice.h"

#define SYMBOLS 5000

static uint64_t lines;

/* Symbols with many common beginnings: "AAA0", "BAA0" … */
static const char *name_of(unsigned i)
{
    static char name[16];

    snprintf(name, sizeof name, "%c%c%u", 'A' + i % 26, 'A' + i / 26 % 3, i);
    return name;
}

static void quote(const char *symbol)
{
    char topic[40];

    snprintf(topic, sizeof topic, "%s ", symbol);
    line(FIRST_FEED_EPOCH, ++lines, topic, "1");
}

static void quote_all(unsigned count)
{
    lines = 0;
    grant();
    for (unsigned i = 0; i < count; i++)
        quote(name_of(i));
    forget_sent(published, &published_count);
}

static void put(const char *peer, const char *request)
{
    struct buf message = {0};

    packed(&message, request);
    core_control(&core, span_of(peer), buf_span(&message));
    buf_free(&message);
}

static void quote_some(void)
{
    for (unsigned n = dice(20); n > 0; n--)
        quote(name_of(dice(2 * SYMBOLS))); /* old ones and new ones */
}

/* Check that every symbol of an answer matches, comes once and in order; returns the next one. */
static uint64_t check_snapshot(const char *list, bool *seen)
{
    struct span answer = last_answer(), c;
    struct pack_value v;
    struct wire_entry e;

    assert_true(pack_find(answer, "quotes", &v, &c));
    pack_next(&c, &v);
    for (uint32_t i = 0; i < v.count; i++) {
        const struct book_entry *b;

        assert_true(wire_take_entry(&c, &e));
        assert_true(quote_patterns_match(span_of(list), e.symbol));
        b = book_find(core.log.book, e.symbol);
        assert_false(seen[b->index]);
        seen[b->index] = true;
    }
    return pack_find_u(answer, "next", 0);
}

static void a_snapshot_in_slices_has_every_symbol_that_matches_once(void **state)
{
    static const char *const lists[] = {"*", "A*", "B*,AB*,CC2*,ZZ*", "AA0,BA1,CA2,NONE",
                                        "A*,B*,C*,D*,E*,F*,G*,AA*,*"};
    static bool seen[3 * SYMBOLS];

    (void)state;
    dice_seed();
    quote_all(SYMBOLS);
    between_slices = quote_some;
    for (size_t i = 0; i < LENGTH(lists) * 4; i++) {
        const char *list = lists[i % LENGTH(lists)];
        size_t known = book_count(core.log.book);
        uint64_t from = 0;
        char request[200];

        memset(seen, 0, sizeof seen);
        core.turn_work = 20 + dice(1000);
        do {
            snprintf(request, sizeof request,
                     "{'op':'snapshot','id':1,'pattern':'%s','limit':%u,'from':%llu}", list,
                     1 + dice(3000), (unsigned long long)from);
            put("p", request);
            work();
            from = check_snapshot(list, seen);
            forget_sent(replies, &reply_count);
            forget_sent(published, &published_count);
        } while (from);
        for (size_t k = 0; k < known; k++) {
            const struct book_entry *e = book_at(core.log.book, k);
            struct span symbol = {e->symbol, e->symbol_len};

            assert_int_equal(seen[k], quote_patterns_match(span_of(list), symbol));
        }
    }
    between_slices = NULL;
}

/* 84 patterns that no symbol matches cost next to nothing; the book is not walked through. */
static void patterns_that_match_little_cost_little(void **state)
{
    struct buf request = {0};

    (void)state;
    quote_all(SYMBOLS);
    buf_adds(&request, "{'op':'snapshot','id':1,'pattern':'");
    for (int i = 0; i < 84; i++)
        buf_printf(&request, "Z%d*,", i);
    buf_adds(&request, "'}");
    core.turn_work = 300;
    put("p", buf_text(&request));
    assert_int_equal(work(), 1);
    buf_free(&request);
}

static void the_work_of_a_turn_is_bounded(void **state)
{
    static const char *const requests[] = {
        "{'op':'snapshot','id':1,'pattern':'A*,B*,C*,D*,E*,F*,G*'}",
        "{'op':'replay','id':1,'pattern':'NONE','after':0}",
        "{'op':'history','id':1,'symbol':'AA0','order':'newest'}"};

    (void)state;
    quote_all(SYMBOLS);
    core.turn_work = 100;
    for (size_t i = 0; i < LENGTH(requests); i++) {
        put("p", requests[i]);
        assert_int_equal(reply_count, 0);
        if (i < 2)
            assert_true(work() > 10);
        else
            work();
        assert_int_equal(reply_count, 1);
        forget_sent(replies, &reply_count);
    }
}

/* A quote that arrives meanwhile waits for one turn at most. */
static void a_turn_as_it_is_set_packs_a_hundred_values_at_most(void **state)
{
    (void)state;
    quote_all(SYMBOLS);
    put("p", "{'op':'snapshot','id':1,'pattern':'*','limit':2000}");
    assert_true(work() >= 2000 / 100);
    assert_int_equal(reply_count, 1);
}

/* The ring loses its oldest entries while a replay reads it: missing positions are reported. */
static void a_replay_in_slices_leaves_out_nothing_that_it_covers(void **state)
{
    uint64_t after = 0;

    (void)state;
    dice_seed();
    config.journal_bytes = 200000;
    core_fini(&core);
    core_init(&core, LOG_EPOCH);
    quote_all(SYMBOLS);
    between_slices = quote_some;
    for (int i = 0; i < 200; i++) {
        struct pack_value list, v[3];
        uint64_t upto, first;
        struct span c;
        char request[100];

        core.turn_work = 20 + dice(500);
        snprintf(request, sizeof request, "{'op':'replay','id':1,'pattern':'*','after':%llu}",
                 (unsigned long long)after);
        put("p", request);
        work();
        upto = pack_find_u(last_answer(), "upto", 0);
        first = pack_find_u(last_answer(), "first", 0);
        assert_true(pack_find(last_answer(), "records", &list, &c));
        pack_next(&c, &list);
        assert_true(upto >= after);
        for (uint32_t k = 0; k < list.count; k++) {
            struct wire_record r;

            for (int m = 0; m < 3; m++)
                assert_true(pack_next(&c, &v[m]));
            assert_int_equal(wire_read(v[2].text, &r, NULL), OK);
            /* Everything omitted is below `first`, which the answer states. */
            assert_true(r.seq == after + 1 || first > after + 1);
            after = r.seq;
        }
        assert_int_equal(upto, after > upto ? 0 : upto);
        assert_true(!list.count || after == upto);
        after = dice(3) ? upto : journal_first(core.log.journal);
        forget_sent(replies, &reply_count);
        forget_sent(published, &published_count);
    }
    between_slices = NULL;
}

static void quotes_and_leases_do_not_wait_for_requests(void **state)
{
    (void)state;
    quote_all(SYMBOLS);
    for (int i = 0; i < 100; i++)
        put("loud", "{'op':'snapshot','id':1,'pattern':'A*,B*,C*'}");
    put("quiet", "{'op':'ping','id':2}");
    assert_int_equal(reply_count, 1); /* at once */
    put("quiet", "{'op':'snapshot','id':3,'pattern':'AA0'}");
    for (int turns = 0;
         reply_count == 1 || !span_eq(buf_span(&replies[reply_count - 1].to), "quiet"); turns++) {
        assert_true(turns < 100); /* one request of the other peer, not a hundred */
        core_work(&core);
    }
    assert_true(reply_count <= 4);
}

static void requests_that_are_too_many_are_refused(void **state)
{
    char peer[16];

    (void)state;
    for (int i = 0; i < REQUEST_QUEUE_PEER; i++)
        put("loud", "{'op':'status','id':1}");
    assert_int_equal(reply_count, 0);
    put("loud", "{'op':'status','id':7}");
    assert_int_equal(reply_count, 1);
    assert_string_equal(unpacked(&text, last_answer()),
                        "{'re':'status','id':7,'error':'full','message':'too many "
                        "requests wait for the broker: ask again'}");
    for (int i = 0; i < REQUEST_QUEUE_MAX; i++) {
        snprintf(peer, sizeof peer, "p%d", i);
        put(peer, "{'op':'status','id':1}");
    }
    work();
    assert_int_equal(reply_count, 1 + REQUEST_QUEUE_PEER + REQUEST_QUEUE_MAX);
    assert_int_equal(core_work(&core), false);
}

static const char *behind; /* a peer with answers to read, or NULL */
static int refusals;       /* of requests of that peer */

static bool is_behind(void *ctx, struct span peer)
{
    (void)ctx;
    return behind && span_eq(peer, behind);
}

static void count_refusal(void *ctx, struct span peer)
{
    refusals += is_behind(ctx, peer);
}

static void requests_of_a_peer_wait_until_it_has_read_and_delay_no_other(void **state)
{
    (void)state;
    core.out.is_behind = is_behind;
    core.out.refused = count_refusal;
    behind = "deaf";
    refusals = 0;
    for (int i = 0; i <= REQUEST_QUEUE_PEER; i++)
        put("deaf", "{'op':'status','id':1}");
    assert_int_equal(refusals, 1);
    assert_int_equal(reply_count, 1);
    put("quiet", "{'op':'status','id':2}");
    assert_int_equal(work(), 2);
    assert_int_equal(reply_count, 2);
    assert_true(span_eq(buf_span(&replies[1].to), "quiet"));
    assert_int_equal(core_work(&core), false); /* the work is not urgent */
    (void)core_tick(&core);
    assert_true(core_tick(&core) <= CORE_BEHIND_MS);
    behind = NULL;
    work();
    assert_int_equal(reply_count, 2 + REQUEST_QUEUE_PEER);
    (void)core_tick(&core);
    assert_true(core_tick(&core) > CORE_BEHIND_MS);
}

static const char *refusal(const char *op, const char *list, size_t len)
{
    struct buf message = {0};
    msgpack_packer pk;

    msgpack_packer_init(&pk, &message, buf_pack_write);
    msgpack_pack_map(&pk, 3);
    pack_kv_text(&pk, "op", span_of(op));
    pack_kv_u(&pk, "id", 1);
    pack_kv_text(&pk, "pattern", (struct span){list, len});
    forget_sent(replies, &reply_count);
    core_control(&core, SPAN("p"), buf_span(&message));
    buf_free(&message);
    work();
    assert_int_equal(reply_count, 1);
    span_copy(buf_room(&text, 64), 64, pack_find_text(last_answer(), "error"));
    return text.data + text.len - 64;
}

static void patterns_that_are_too_many_or_none_are_refused_by_name(void **state)
{
    static const char *const ops[] = {"snapshot", "replay"};
    struct buf many = {0};
    char *large = malloc(1 << 20);

    (void)state;
    assert_non_null(large);
    memset(large, 'A', 1 << 20);
    for (int i = 0; i <= PATTERNS_MAX; i++)
        buf_printf(&many, "S%d,", i);
    for (size_t i = 0; i < LENGTH(ops); i++) {
        assert_string_equal(refusal(ops[i], many.data, many.len), "too_many_patterns");
        assert_string_equal(refusal(ops[i], large, 1 << 20), "bad_pattern");
        assert_string_equal(refusal(ops[i], "A,not one", 9), "bad_pattern");
        assert_string_equal(refusal(ops[i], "A,B*", 4), "");
    }
    for (size_t at = 1; at < 1 << 20; at += 2)
        large[at] = ',';
    assert_string_equal(refusal("replay", large, 1 << 20), "too_many_patterns");
    free(large);
    buf_free(&many);
}

static unsigned looks; /* at whether a peer has answers to read */

static bool is_behind_as_all(void *ctx, struct span peer)
{
    (void)ctx;
    (void)peer;
    looks++;
    return true;
}

static void a_turn_looks_at_64_peers_with_answers_to_read_and_at_each_once(void **state)
{
    char peer[16];

    (void)state;
    core.out.is_behind = is_behind_as_all;
    for (int i = 0; i < 100; i++) {
        snprintf(peer, sizeof peer, "p%d", i);
        put(peer, "{'op':'status','id':1}");
    }
    looks = 0;
    (void)core_work(&core);
    assert_int_equal(looks, 64);
    (void)core_work(&core);
    assert_int_equal(looks, 100);
    assert_int_equal(reply_count, 0);
    core.out.is_behind = NULL;
    work();
    assert_int_equal(reply_count, 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        T(a_snapshot_in_slices_has_every_symbol_that_matches_once),
        T(patterns_that_match_little_cost_little),
        T(the_work_of_a_turn_is_bounded),
        T(a_turn_as_it_is_set_packs_a_hundred_values_at_most),
        T(a_replay_in_slices_leaves_out_nothing_that_it_covers),
        T(quotes_and_leases_do_not_wait_for_requests),
        T(requests_that_are_too_many_are_refused),
        T(requests_of_a_peer_wait_until_it_has_read_and_delay_no_other),
        T(a_turn_looks_at_64_peers_with_answers_to_read_and_at_each_once),
        T(patterns_that_are_too_many_or_none_are_refused_by_name),
#undef T
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
