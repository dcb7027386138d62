/* A broker that falls silent while a subscriber joins. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "gateway/fanout/hub.h"
#include "shared/wire/wire.h"

static void apply(struct hub *h, const char *name, uint64_t seq)
{
    struct wire_record r = {.kind = WIRE_QUOTE,
                            .epoch = 1,
                            .seq = seq,
                            .body = SPAN("\x81\xA3"
                                         "bid\xA1"
                                         "1")};

    hub_apply(h, hub_know(h, span_of(name)), &r);
}

/* Three symbols; the join has found `steps` worth of them when all go stale. */
static void check_join(size_t steps)
{
    struct hub *h = hub_new(1 << 20);
    struct hub_subscriber s = {.wants_all = true};
    struct hub_topic *t;
    uint64_t before = 99;
    size_t rest = 1000;

    hub_reset(h, 1);
    t = hub_topic_retain(h, SPAN("*"));
    hub_topic_synced(t, 0);
    hub_thaw(h);
    apply(h, "A", 1);
    apply(h, "B", 2);
    apply(h, "C", 3);
    hub_fan_out(h);
    s.backlog.quote_as = MESSAGE_QUOTE;
    hub_join_begin(h, &s, &t, 1, 0, 1000, 1 << 20);
    hub_join_find(h, &s, &steps);
    hub_go_stale(h);
    assert_true(hub_join_find(h, &s, &rest));
    assert_int_equal(hub_join_changed(&s, &before), 3);
    assert_int_equal(before, 0);
    assert_true(hub_join_queue(h, &s, &rest));
    assert_true(s.backlog.queue_count >= 3);
    for (uint32_t i = 0; i < 3; i++) {
        struct frame *f = backlog_peek(&s.backlog, s.encoding, i);

        assert_non_null(
            memmem(f->bytes, f->len, (const char *[]){"\"A\"", "\"B\"", "\"C\""}[i], 3));
        assert_non_null(memmem(f->bytes, f->len, "\"snapshot\"", 10));
        assert_non_null(memmem(f->bytes, f->len, "stale", 5));
    }
    hub_leave_all(h, &s);
    hub_topic_release(h, t);
    while (hub_tidy(h, 100))
        ;
    hub_free(h);
}

static void a_symbol_that_goes_stale_while_a_join_looks_for_it_gets_its_snapshot(void **state)
{
    (void)state;
    for (size_t steps = 0; steps < 12; steps++)
        check_join(steps);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_symbol_that_goes_stale_while_a_join_looks_for_it_gets_its_snapshot),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
