#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "broker/core/feed.h"
#include "shared/wire/wire.h"
#include "tests/unit/broker/core/feed_fixture.h"
#include "tests/unit/dice.h"

/* The model of one name. */
struct model {
    bool exists, is_held;
    int owner;
    uint64_t epoch, received;
    int64_t heard_at;
};

#define NAMES 5
#define OWNERS 3

static void check_model(const struct model *m)
{
    for (size_t i = 0; i < feed_table_count(table); i++) {
        const struct feed *f = feed_table_at(table, i);
        const struct model *own = &m[f->name[0] - 'a'];

        assert_int_equal(f->index, i);
        assert_true(own->exists);
        assert_true(f->is_held == own->is_held);
        assert_int_equal(f->owner[0], 'A' + own->owner);
        assert_int_equal(f->epoch, own->epoch);
        assert_int_equal(f->received, own->received);
    }
}

static void at_any_time_a_name_has_one_holder_as_in_the_model(void **state)
{
    struct model m[NAMES] = {0};
    uint64_t last_epoch = FLOOR;
    int64_t now = 0;

    (void)state;
    dice_seed();
    for (int step = 0; step < 50000; step++) {
        int n = (int)dice(NAMES), owner = (int)dice(OWNERS);
        char name[2] = {(char)('a' + n)}, who[2] = {(char)('A' + owner)};
        struct model *own = &m[n];
        struct feed *f = NULL, *heard;
        bool is_new = false;
        uint64_t acked, line;

        now += dice(4) ? dice(50) : dice(1500);
        switch (dice(6)) {
        case 0:
            acked = dice(20);
            if (own->is_held && own->owner != owner) {
                assert_int_equal(hello(name, who, acked, now, &f, &is_new), ERR_HELD);
                break;
            }
            assert_int_equal(hello(name, who, acked, now, &f, &is_new), OK);
            assert_true(is_new == !own->is_held);
            if (is_new) {
                assert_true(f->epoch > last_epoch);
                last_epoch = f->epoch;
            }
            if (!own->exists || own->owner != owner)
                own->received = acked;
            *own = (struct model){true, true, owner, f->epoch, own->received, now};
            break;
        case 1:
        case 2:
        case 3: /* a line, now and then of an older grant */
            line = own->epoch - !dice(5);
            heard = feed_table_renew(table, line, now);
            for (int i = 0; i < NAMES && !heard; i++)
                assert_false(m[i].is_held && m[i].epoch == line);
            if (!heard)
                break;
            own = &m[heard->name[0] - 'a'];
            assert_true(own->is_held && own->epoch == line);
            own->heard_at = now;
            line = own->received + dice(4);
            switch (feed_judge(heard, line)) {
            case FEED_TAKE:
                assert_int_equal(line, ++own->received);
                break;
            case FEED_DUPLICATE:
                assert_true(line <= own->received);
                break;
            case FEED_GAP:
                assert_true(line > own->received + 1);
                break;
            }
            break;
        case 4:
            if (!own->is_held || dice(3))
                break;
            feed_release(feed_table_renew(table, own->epoch, now));
            assert_null(feed_table_renew(table, own->epoch, now));
            own->is_held = false;
            break;
        case 5:
            while ((f = feed_table_expire(table, now))) {
                own = &m[f->name[0] - 'a'];
                assert_true(own->is_held && now - own->heard_at >= WIRE_FEED_LEASE_MS);
                own->is_held = false;
            }
            for (int i = 0; i < NAMES; i++)
                assert_false(m[i].is_held && now - m[i].heard_at >= WIRE_FEED_LEASE_MS);
            break;
        }
        check_model(m);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(at_any_time_a_name_has_one_holder_as_in_the_model),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
