/* Entries of a snapshot, and pages of the log: each part of another type is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "shared/wire/replay.h"
#include "shared/wire/wire.h"
#include "tests/unit/packed.h"

#define RECORD NULL /* the record of position 5, as bytes */

static void put_record(struct buf *out, uint64_t seq, struct span body)
{
    struct wire_record r = {.kind = WIRE_QUOTE, .epoch = 1, .seq = seq, .body = body};
    struct buf frame = {0};
    msgpack_packer pk;

    wire_put(&frame, &r);
    msgpack_packer_init(&pk, out, buf_pack_write);
    msgpack_pack_bin_with_body(&pk, frame.data, frame.len);
    buf_free(&frame);
}

/* An array of the parts, given as JSON; NULL is the record. */
static void put_parts(struct buf *out, const char *const *parts, uint32_t count)
{
    msgpack_packer pk;

    msgpack_packer_init(&pk, out, buf_pack_write);
    msgpack_pack_array(&pk, count);
    for (uint32_t i = 0; i < count; i++)
        if (parts[i])
            packed(out, parts[i]);
        else
            put_record(out, 5, SPAN("\x80"));
}

static bool takes(const char *const *parts, uint32_t count, struct wire_entry *e)
{
    struct buf b = {0};
    struct span exact, c;
    bool taken;

    put_parts(&b, parts, count);
    c = exact = exact_copy(buf_span(&b));
    *e = (struct wire_entry){0};
    taken = wire_take_entry(&c, e);
    if (taken)
        assert_int_equal(c.len, 0);
    free((void *)(uintptr_t)exact.at);
    buf_free(&b);
    return taken;
}

static void an_entry_has_four_parts_of_their_types(void **state)
{
    static const char *const right[] = {"'A'", "7", "'live'", RECORD, "1"};
    static const char *const wrong[][4] = {
        {"7", "7", "'live'", RECORD},       {"null", "7", "'live'", RECORD},
        {"'a'", "7", "'live'", RECORD},     {"''", "7", "'live'", RECORD},
        {"'A'", "'7'", "'live'", RECORD},   {"'A'", "-7", "'live'", RECORD},
        {"'A'", "7", "1", RECORD},          {"'A'", "7", "null", RECORD},
        {"'A'", "7", "'live'", "'record'"}, {"'A'", "7", "'live'", "1"},
    };
    struct wire_entry e;
    struct span c = SPAN("\x01");

    (void)state;
    assert_true(takes(right, 4, &e));
    assert_true(e.seq == 7 && !e.is_stale && e.quote.seq == 5);
    assert_int_equal(e.symbol.len, 1);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        if (takes(wrong[i], 4, &e))
            fail_msg("case %zu was taken", i);
    for (uint32_t count = 0; count <= 5; count++)
        assert_int_equal(takes(right, count, &e), count == 4);
    assert_false(wire_take_entry(&c, &e)); /* no array */
    c = SPAN("");
    assert_false(wire_take_entry(&c, &e)); /* nothing */
}

static void the_state_is_stale_or_it_is_live(void **state)
{
    static const char *const stale[] = {"'A'", "7", "'stale'", RECORD};
    static const char *const other[] = {"'A'", "7", "'stal'", RECORD};
    struct wire_entry e;

    (void)state;
    assert_true(takes(stale, 4, &e) && e.is_stale);
    assert_true(takes(other, 4, &e) && !e.is_stale);
}

static void the_body_of_an_entry_is_msgpack_or_the_entry_none(void **state)
{
    static const struct span bodies[] = {
        {"\x80", 1},
        {"\x82\xa1"
         "a\x01\xa1"
         "a\x02",
         7}, /* a key twice */
    };
    struct wire_entry e;

    (void)state;
    for (int i = 0; i < 2; i++) {
        struct buf b = {0};
        struct span c;

        buf_adds(&b, "\x94\xa1"
                     "A\x07\xa4live");
        put_record(&b, 5, bodies[i]);
        c = buf_span(&b);
        assert_int_equal(wire_take_entry(&c, &e), i == 0);
        buf_free(&b);
    }
}

/* --- pages of the log ----------------------------------------------------------------------- */

static void note(void *ctx, struct span topic, const struct wire_record *r)
{
    struct buf text = {0};

    buf_printf(ctx, "%.*s%llu %s;", (int)topic.len, topic.at, (unsigned long long)r->seq,
               r->kind == WIRE_LOST ? unpacked(&text, r->body) : "");
    buf_free(&text);
}

/* A page with one element in `gaps`, and one in `records`. */
static const char *handed_out(const char *const *gap, uint32_t gap_count, const char *const *pair,
                              uint32_t pair_count)
{
    static char text[512];
    struct buf b = {0}, out = {0};
    struct span exact;

    buf_adds(&b, "\x83\xa4upto\x09\xa4gaps\x91");
    put_parts(&b, gap, gap_count);
    buf_adds(&b, "\xa7records\x91");
    put_parts(&b, pair, pair_count);
    exact = exact_copy(buf_span(&b));
    replay_each(exact, 1, note, &out);
    snprintf(text, sizeof text, "%s", buf_text(&out));
    free((void *)(uintptr_t)exact.at);
    buf_free(&b);
    buf_free(&out);
    return text;
}

#define HOLE "!lost 4 {'feed':'','first':2,'last':4,'count':3,'reason':'x'};"

static void a_hole_has_three_parts_of_their_types(void **state)
{
    static const char *const right[] = {"2", "4", "'x'", "1"}, *const pair[] = {"'A '", RECORD};
    static const char *const wrong[][3] = {
        {"'2'", "4", "'x'"}, {"-2", "4", "'x'"}, {"2", "'4'", "'x'"},
        {"2", "-4", "'x'"},  {"2", "4", "1"},    {"4", "3", "'x'"},
    };
    static const char *const one[] = {"4", "4", "'x'"};

    (void)state;
    assert_string_equal(handed_out(right, 3, pair, 2), HOLE "A 5 ;");
    assert_string_equal(handed_out(one, 3, pair, 2),
                        "!lost 4 {'feed':'','first':4,'last':4,'count':1,'reason':'x'};A 5 ;");
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_string_equal(handed_out(wrong[i], 3, pair, 2), "A 5 ;");
    assert_string_equal(handed_out(right, 2, pair, 2), "A 5 ;");
    assert_string_equal(handed_out(right, 4, pair, 2), "A 5 ;");
}

static void a_record_has_two_parts_of_their_types(void **state)
{
    static const char *const gap[] = {"2", "4", "'x'"};
    static const char *const wrong[][2] = {
        {"7", RECORD}, {"null", RECORD}, {"'A '", "'record'"}, {"'A '", "5"}};
    static const char *const right[] = {"'A '", RECORD, "1"}, *const lock[] = {"'!lock/x '",
                                                                               RECORD};

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_string_equal(handed_out(gap, 3, wrong[i], 2), HOLE);
    assert_string_equal(handed_out(gap, 3, right, 1), HOLE);
    assert_string_equal(handed_out(gap, 3, right, 3), HOLE);
    assert_string_equal(handed_out(gap, 3, lock, 2), HOLE); /* no symbol's topic */
}

/* Without a list of records there is no page, whatever holes it names; without holes there is. */
static void an_answer_without_its_lists(void **state)
{
    static const struct {
        const char *answer, *meaning;
    } cases[] = {
        {"{'upto':9,'gaps':[[2,4,'x']]}", ""},
        {"{'upto':9,'gaps':[[2,4,'x']],'records':7}", ""},
        {"{'upto':9,'gaps':[[2,4,'x']],'records':[]}", HOLE},
        {"{'upto':4,'gaps':[[2,4,'x']],'records':[]}", HOLE},
        {"{'upto':3,'gaps':[[2,4,'x']],'records':[]}", ""},
        {"{'gaps':[[2,4,'x']],'records':[]}", ""},
        {"{'upto':9,'gaps':7,'records':[]}", ""},
        {"{'upto':9,'records':[]}", ""},
        {"{'upto':9,'gaps':[7,[2,4,'x']],'records':[]}", ""},
        {"{'upto':9,'gaps':[[0,1,'x'],[2,4,'x']],'records':[]}", HOLE},
        {"{'upto':9,'gaps':[[0,1,'x'],[1,4,'x']],'records':[]}", HOLE},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buf b = {0}, out = {0};

        packed(&b, cases[i].answer);
        replay_each(buf_span(&b), 1, note, &out);
        assert_string_equal(buf_text(&out), cases[i].meaning);
        buf_free(&b);
        buf_free(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_entry_has_four_parts_of_their_types),
        cmocka_unit_test(the_state_is_stale_or_it_is_live),
        cmocka_unit_test(the_body_of_an_entry_is_msgpack_or_the_entry_none),
        cmocka_unit_test(a_hole_has_three_parts_of_their_types),
        cmocka_unit_test(a_record_has_two_parts_of_their_types),
        cmocka_unit_test(an_answer_without_its_lists),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
