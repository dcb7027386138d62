#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <msgpack.h>

#include "gateway/upstream/report.h"
#include "shared/wire/pack.h"
#include "shared/wire/wire.h"

#define CLIENTS 2500

static struct report report;

/* The next message, as upstream makes it; true: the last. */
static bool take(struct buf *out, uint32_t *opened, uint32_t *closed)
{
    struct buf members = {0};
    struct pack_value list;
    msgpack_packer pk;
    bool is_last = report_take(&report, 7, &members);

    buf_clear(out);
    msgpack_packer_init(&pk, out, buf_pack_write);
    msgpack_pack_map(&pk, REPORT_MEMBERS);
    buf_add(out, members.data, members.len);
    buf_free(&members);
    assert_int_equal(pack_check(buf_span(out)), OK);
    assert_true(out->len < WIRE_REQUEST_FRAME_MAX);
    assert_true(pack_find(buf_span(out), "opened", &list, NULL));
    *opened = list.count;
    assert_true(pack_find(buf_span(out), "closed", &list, NULL));
    *closed = list.count;
    assert_int_equal(pack_find_u(buf_span(out), "count", 999), is_last ? 7 : 999);
    return is_last;
}

static void a_report_of_many_comes_in_parts_that_the_broker_takes(void **state)
{
    char host[] = "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255";
    struct report_client c = {.id = UINT64_MAX, .protocol = "msgpack"};
    struct buf message = {0};
    uint32_t opened, closed, parts = 0, all_opened = 0, all_closed = 0;
    bool is_last;

    (void)state;
    c.host = host;
    c.port = 65535;
    c.since_us = INT64_MAX;
    for (int i = 0; i < CLIENTS; i++) {
        report_open(&report, &c);
        report_close(&report, c.id);
    }
    do {
        is_last = take(&message, &opened, &closed);
        all_opened += opened;
        assert_true(!closed || all_opened == CLIENTS); /* the report has opened ones first */
        all_closed += closed;
        assert_true(opened <= REPORT_PART_MAX && closed <= REPORT_PART_MAX);
        parts++;
    } while (!is_last);
    assert_true(all_opened == CLIENTS && all_closed == CLIENTS && parts > 2);
    assert_true(report_is_empty(&report));
    report_open(&report, &c);
    assert_true(take(&message, &opened, &closed));
    assert_true(opened == 1 && !closed);
    report_fini(&report);
    buf_free(&message);
}

static void as_many_as_fit_into_a_part_are_one_report(void **state)
{
    struct report_client c = {.id = 7, .host = (char[]){"192.0.2.1"}, .protocol = "json"};
    struct buf message = {0};
    uint32_t opened, closed;

    (void)state;
    for (int i = 0; i < REPORT_PART_MAX; i++) {
        report_open(&report, &c);
        report_close(&report, c.id);
    }
    assert_true(take(&message, &opened, &closed));
    assert_true(opened == REPORT_PART_MAX && closed == REPORT_PART_MAX);
    for (int i = 0; i <= REPORT_PART_MAX; i++)
        report_close(&report, c.id);
    assert_false(take(&message, &opened, &closed));
    assert_true(!opened && closed == REPORT_PART_MAX);
    assert_true(take(&message, &opened, &closed));
    assert_true(!opened && closed == 1);
    report_fini(&report);
    buf_free(&message);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_report_of_many_comes_in_parts_that_the_broker_takes),
        cmocka_unit_test(as_many_as_fit_into_a_part_are_one_report),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
