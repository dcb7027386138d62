#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "gateway/fanout/hub_state.h"
#include "tests/unit/dice.h"
#include "tests/unit/gateway/fanout/hub_fixture.h"

#define PATTERNS 70
#define READERS 3
#define STEPS 20000

static struct hub_topic *topics[PATTERNS]; /* each held by this test, too */
static struct hub_subscriber readers[READERS];
static bool is_in[READERS][PATTERNS];

static uint32_t place_of(const struct hub_subscriber *s, const struct hub_topic *t)
{
    for (uint32_t i = 0; i < s->topic_count; i++)
        if (s->topics[i].topic == t)
            return i;
    return HUB_NO_PLACE;
}

/* Both lists name each other, and nothing else. */
static void check(void)
{
    uint32_t members[PATTERNS] = {0}, in_all[PATTERNS] = {0};

    for (unsigned r = 0; r < READERS; r++) {
        uint32_t count = 0;

        for (unsigned p = 0; p < PATTERNS; p++) {
            uint32_t place = hub_member_place(&readers[r], topics[p]);

            assert_int_equal(hub_is_member(&readers[r], topics[p]), is_in[r][p]);
            assert_int_equal(place, place_of(&readers[r], topics[p]));
            if (!is_in[r][p])
                continue;
            count++;
            members[p]++;
            in_all[p] += readers[r].wants_all;
            assert_ptr_equal(topics[p]->members[readers[r].topics[place].place].subscriber,
                             &readers[r]);
            assert_int_equal(topics[p]->members[readers[r].topics[place].place].place, place);
        }
        assert_int_equal(readers[r].topic_count, count);
    }
    for (unsigned p = 0; p < PATTERNS; p++) {
        assert_int_equal(topics[p]->member_count, members[p]);
        assert_int_equal(topics[p]->all_count, in_all[p]);
        assert_int_equal(topics[p]->references, members[p] + 1);
    }
}

/* With few topics they are looked through, with many there is a table: both are crossed often. */
static void memberships_agree_with_a_naive_model(void **state)
{
    unsigned wanted = 0;

    (void)state;
    dice_seed();
    for (unsigned p = 0; p < PATTERNS; p++) {
        char name[8];

        snprintf(name, sizeof name, "S%u", p);
        topics[p] = hub_topic_retain(hub, span_of(name));
    }
    for (int i = 0; i < STEPS; i++) {
        unsigned r = dice(READERS), p = dice(PATTERNS);

        if (i % 300 == 0)
            wanted = dice(PATTERNS + 10); /* of each reader, from now on */
        if (dice(50) == 0)
            hub_set_mode(&readers[r], dice(2));
        else if (readers[r].topic_count < wanted) {
            assert_int_equal(hub_add_member(hub, &readers[r], topics[p], false), !is_in[r][p]);
            is_in[r][p] = true;
        } else if (is_in[r][p]) {
            hub_remove_member(hub, &readers[r], place_of(&readers[r], topics[p]));
            is_in[r][p] = false;
        }
        if (i % 16 == 0)
            check();
    }
    for (unsigned r = 0; r < READERS; r++) {
        while (readers[r].topic_count)
            hub_remove_member(hub, &readers[r], dice(readers[r].topic_count));
        assert_null(readers[r].slots);
        free(readers[r].topics);
    }
    for (unsigned p = 0; p < PATTERNS; p++)
        hub_topic_release(hub, topics[p]);
}

static void a_thousand_topics_are_each_found_and_then_forgotten(void **state)
{
    static struct hub_topic *many[1000];
    char name[8];

    (void)state;
    for (unsigned i = 0; i < LENGTH(many); i++) {
        snprintf(name, sizeof name, "T%u", i);
        many[i] = hub_topic_retain(hub, span_of(name));
    }
    for (unsigned i = 0; i < LENGTH(many); i++) {
        snprintf(name, sizeof name, "T%u", i);
        assert_ptr_equal(hub_topic_find(hub, span_of(name)), many[i]);
        assert_ptr_equal(hub_topic_retain(hub, span_of(name)), many[i]);
        hub_topic_release(hub, many[i]);
    }
    for (unsigned i = 0; i < LENGTH(many); i++)
        hub_topic_release(hub, many[i]);
    forget_all();
    for (unsigned i = 0; i < LENGTH(many); i++) {
        snprintf(name, sizeof name, "T%u", i);
        assert_null(hub_topic_find(hub, span_of(name)));
    }
}

static void a_symbol_is_stamped_with_any_of_its_topics(void **state)
{
    struct hub_topic *all[] = {hub_topic_retain(hub, SPAN("A1")), hub_topic_retain(hub, SPAN("B*")),
                               hub_topic_retain(hub, SPAN("C1"))};
    struct hub_symbol *a, *b, *c;

    (void)state;
    quote("A1", 1, 0, "v");
    quote("B7", 2, 0, "v");
    quote("C1", 3, 0, "v");
    a = hub_find(hub, SPAN("A1"));
    b = hub_find(hub, SPAN("B7"));
    c = hub_find(hub, SPAN("C1"));
    hub_stamp(hub, all, 2);
    assert_true(hub_is_stamped(hub, a) && hub_is_stamped(hub, b));
    assert_false(hub_is_stamped(hub, c));
    hub_stamp(hub, all + 2, 1); /* the stamp before counts no more */
    assert_false(hub_is_stamped(hub, a) || hub_is_stamped(hub, b));
    assert_true(hub_is_stamped(hub, c));
    for (int i = 0; i < 3; i++)
        hub_topic_release(hub, all[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(memberships_agree_with_a_naive_model, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_thousand_topics_are_each_found_and_then_forgotten, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_symbol_is_stamped_with_any_of_its_topics, set_up,
                                        tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
