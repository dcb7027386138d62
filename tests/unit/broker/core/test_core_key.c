/* Keys of requests to publish after a restart, whatever the clocks were set to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "broker/core/core_private.h"
#include "broker/core/key_table.h"
#include "shared/wire/publish.h"
#include "tests/unit/broker/core/core_store_fixture.h"

#define HOUR_MS ((int64_t)3600000)
#define PUBLISH(key) \
    "{'op':'publish','id':3,'feed':'web','key':'" key "','quotes':[['A',{'last':'1'}]]}"

/* boot_ms: since the machine started; wall_ms: how far the wall clock is ahead of WALL_US. */
static void open_at(const char *boot, int64_t boot_ms, int64_t wall_ms)
{
    char error[LOG_WRITER_ERROR_MAX];

    config.journal_bytes = 1 << 20;
    config.publish_keys = 100;
    config.publish_timeout = 60000;
    core = (struct core){.config = &config,
                         .out = {.ctx = &core, .publish = on_publish, .send = on_reply},
                         .time = {5000, 5000, WALL_US + wall_ms * 1000}};
    core_clock_begin(&core, boot_ms, core.time.wall_us);
    span_copy(core.clock.boot, sizeof core.clock.boot, span_of(boot));
    assert_int_equal(
        log_writer_open(&config, (uint64_t)core.time.wall_us, &core.log.log_writer, error), OK);
    core.log.journal = log_writer_journal(core.log.log_writer);
    core_init(&core, 0);
    assert_int_equal(core_restore(&core, error), OK);
    assert_int_equal(log_writer_start(core.log.log_writer, error), OK);
}

static void restart_at(const char *boot, int64_t boot_ms, int64_t wall_ms)
{
    keep_all();
    close_core();
    open_at(boot, boot_ms, wall_ms);
}

static bool is_repeated(const char *request)
{
    const char *answer = answer_to("gw", request);

    assert_null(strstr(answer, "'error'"));
    return strstr(answer, "'repeated':true") != NULL;
}

static void a_key_lives_ten_minutes_of_the_machine_whatever_the_wall_clock_is(void **state)
{
    (void)state;
    restart_at("boot-1", HOUR_MS, 0);
    assert_false(is_repeated(PUBLISH("k1")));
    restart_at("boot-1", HOUR_MS + 1000, 24 * HOUR_MS);
    assert_true(is_repeated(PUBLISH("k1")));
    restart_at("boot-1", HOUR_MS + 2000, -24 * HOUR_MS);
    assert_true(is_repeated(PUBLISH("k1")));
    restart_at("boot-1", HOUR_MS + 1000 + KEY_TABLE_MS, 0);
    assert_false(is_repeated(PUBLISH("k1")));
}

static void after_a_start_of_the_machine_the_wall_clock_counts(void **state)
{
    (void)state;
    restart_at("boot-1", HOUR_MS, 0);
    assert_false(is_repeated(PUBLISH("k1")));
    restart_at("boot-2", 1000, 60000);
    assert_true(is_repeated(PUBLISH("k1")));
    restart_at("", 1000, 120000);
    assert_true(is_repeated(PUBLISH("k1")));
    restart_at("boot-3", 1000, KEY_TABLE_MS + 1000);
    assert_false(is_repeated(PUBLISH("k1")));
}

static void a_kept_answer_names_its_epoch_after_a_restart(void **state)
{
    char ring[200];
    uint64_t epoch;

    (void)state;
    restart_at("boot-1", HOUR_MS, 0);
    epoch = core.log.epoch;
    assert_false(is_repeated(PUBLISH("k1")));
    keep_all();
    close_core();
    snprintf(ring, sizeof ring, "%s/log.db-ring", folder);
    assert_int_equal(unlink(ring), 0);
    open_at("boot-1", HOUR_MS, 0);
    assert_true(core.log.epoch != epoch);
    assert_true(is_repeated(PUBLISH("k1")));
    assert_true(pack_find_u(last_answer(), "epoch", 0) == epoch);
    assert_false(is_repeated(PUBLISH("k2")));
    assert_true(pack_find_u(last_answer(), "epoch", 0) == core.log.epoch);
}

/* The longest feed, key, reasons and fields: the key's record must not be too large for the log. */
static void the_largest_answer_outlives_a_restart_too(void **state)
{
    struct buf request = {0};

    (void)state;
    restart_at("01234567-89ab-cdef-0123-456789abcdef", HOUR_MS, 0);
    buf_adds(&request, "{'op':'publish','id':3,'part':31,'whole':18446744073709551615,'feed':'");
    for (int i = 0; i < FEED_NAME_MAX; i++)
        buf_addc(&request, 'f');
    buf_adds(&request, "','key':'");
    for (int i = 0; i < PUBLISH_KEY_MAX; i++)
        buf_addc(&request, 'k');
    buf_adds(&request, "','quotes':[['A',{'last':'1'}]");
    for (int i = 1; i < PUBLISH_QUOTES_MAX; i++)
        buf_adds(&request, ",['','reserved_name','recorded_at']");
    buf_adds(&request, "]}");
    assert_false(is_repeated(buf_text(&request)));
    restart_at("01234567-89ab-cdef-0123-456789abcdef", HOUR_MS + 1, 0);
    assert_true(is_repeated(buf_text(&request)));
    assert_non_null(strstr(unpacked(&text, last_answer()), "[255,'reserved_name','recorded_at']]"));
    buf_free(&request);
}

static void a_stamp_from_a_damaged_store_does_no_harm(void **state)
{
    static const uint64_t stamps[] = {0, 1, INT64_MAX, (uint64_t)INT64_MAX + 1, UINT64_MAX};
    struct wire_record r = {.kind = WIRE_KEY, .body = SPAN("\x80")};

    (void)state;
    for (size_t i = 0; i < LENGTH(stamps); i++) {
        r.accepted_us = stamps[i];
        assert_int_equal(core_key_age_ms(&core, &r), i < 2 ? KEY_TABLE_MS : 0);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up_store, tear_down_store)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_key_lives_ten_minutes_of_the_machine_whatever_the_wall_clock_is),
        TEST(after_a_start_of_the_machine_the_wall_clock_counts),
        TEST(a_kept_answer_names_its_epoch_after_a_restart),
        TEST(the_largest_answer_outlives_a_restart_too),
        TEST(a_stamp_from_a_damaged_store_does_no_harm),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
