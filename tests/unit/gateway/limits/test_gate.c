#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "gateway/limits/gate.h"
#include "shared/base/json.h"
#include "tests/unit/logged.h"
#include "shared/base/log.h"

#define THREADS 8
#define ROUNDS 20000
#define LIMIT 5

static struct gate *gate;
static atomic_int inside, most, granted;

static int set_up(void **state)
{
    (void)state;
    log_init("test", "critical", "text");
    gate = gate_new();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    gate_free(gate);
    return 0;
}

static void *hammer(void *arg)
{
    (void)arg;
    for (int i = 0; i < ROUNDS; i++) {
        int now, seen;

        if (!gate_reserve(gate))
            continue;
        now = atomic_fetch_add(&inside, 1) + 1;
        seen = atomic_load(&most);
        while (now > seen && !atomic_compare_exchange_weak(&most, &seen, now))
            ;
        atomic_fetch_add(&granted, 1);
        atomic_fetch_sub(&inside, 1);
        gate_release(gate);
    }
    return NULL;
}

static void the_limit_holds_however_many_come_at_once(void **state)
{
    pthread_t threads[THREADS];

    (void)state;
    gate_set_limit(gate, LIMIT, 1000);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, hammer, NULL), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_true(atomic_load(&most) <= LIMIT);
    assert_true(atomic_load(&granted) > 0);
    assert_int_equal(gate_active(gate), 0);
}

static void *reserve_some(void *count)
{
    for (int i = 0; i < 100; i++)
        if (gate_reserve(gate))
            atomic_fetch_add((atomic_int *)count, 1);
    return NULL;
}

static void exactly_as_many_are_let_in_as_there_are_places(void **state)
{
    pthread_t threads[THREADS];
    atomic_int count = 0;

    (void)state;
    gate_set_limit(gate, 100, 1000);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, reserve_some, &count), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(atomic_load(&count), 100);
    assert_int_equal(gate_active(gate), 100);
    gate_release(gate);
    assert_true(gate_reserve(gate));
    assert_false(gate_reserve(gate));
}

static void the_lower_of_setting_and_descriptors_is_the_limit(void **state)
{
    (void)state;
    assert_false(gate_reserve(gate));
    gate_set_limit(gate, 5000, 2);
    assert_int_equal(gate_limit(gate), 2);
    assert_int_equal(gate_live(gate).configured, 5000);
    assert_true(gate_reserve(gate) && gate_reserve(gate));
    assert_false(gate_reserve(gate));
    gate_set_limit(gate, 1, 2); /* below the current number: no client is closed */
    assert_int_equal(gate_active(gate), 2);
    gate_release(gate);
    assert_false(gate_reserve(gate));
    gate_release(gate);
    assert_true(gate_reserve(gate));
}

static void it_starts_once_and_drains_once(void **state)
{
    struct admission_live live = gate_live(gate);

    (void)state;
    assert_false(live.is_started || live.is_draining);
    gate_set_started(gate);
    gate_set_draining(gate);
    live = gate_live(gate);
    assert_true(live.is_started && live.is_draining);
    assert_true(gate_is_started(gate) && gate_is_draining(gate));
}

static void refuse(enum admission_rule rule, const char *origin, const char *path, int64_t wall_us)
{
    struct admission_verdict v = {.rule = rule, .status = admission_status(rule)};
    const struct gate_refusal r = {&v, "192.0.2.1:1", path, origin, false, "WebSocket"};

    gate_refuse(gate, &r, 1000, wall_us);
}

static void refusals_are_counted_by_code_and_the_last_fifty_kept(void **state)
{
    struct buf out = {0};
    struct json *j = json_new();
    const struct json_value *root, *last, *by_code;

    (void)state;
    for (int i = 0; i < 60; i++)
        refuse(ADMISSION_max_connections, NULL, "/ws/cotizaciones", 1000000 * i);
    refuse(ADMISSION_origin_not_allowed, "https://\"evil\"\xff", "/ws\n", 99000000);
    assert_int_equal(gate_refused(gate, ADMISSION_max_connections), 60);
    gate_refusals_json(gate, &out);
    assert_int_equal(json_parse(j, buf_span(&out), &root), OK);
    assert_true(span_eq(json_member(root, "total")->text, "61"));
    by_code = json_member(root, "by_code");
    assert_true(span_eq(json_member(by_code, "max_connections")->text, "60"));
    assert_true(span_eq(json_member(by_code, "origin_not_allowed")->text, "1"));
    last = json_member(root, "last");
    assert_int_equal(last->size, GATE_REFUSALS_KEPT);
    last++; /* the newest */
    assert_true(span_eq(json_member(last, "code")->text, "origin_not_allowed"));
    assert_true(span_eq(json_member(last, "setting")->text, "CORS_ORIGINS"));
    assert_true(span_eq(json_member(last, "path")->text, "/ws\n"));
    assert_memory_equal(json_member(last, "timestamp")->text.at, "99", 2);
    assert_null(memmem(out.data, out.len, "192.0.2.1", 9));
    last += last->skip;
    assert_int_equal(json_member(last, "origin")->type, JSON_NULL);
    json_free(j);
    buf_free(&out);
}

static void every_rule_has_a_count_of_its_own(void **state)
{
    struct buf out = {0};
    struct json *j = json_new();
    const struct json_value *root, *by_code;
    int total = 0;

    (void)state;
    for (int rule = 0; rule < ADMISSION_RULE_END; rule++)
        for (int i = 0; i <= rule; i++, total++)
            refuse((enum admission_rule)rule, NULL, "/ws", 1000000);
    gate_refusals_json(gate, &out);
    assert_int_equal(json_parse(j, buf_span(&out), &root), OK);
    assert_int_equal(atoi(json_member(root, "total")->text.at), total);
    by_code = json_member(root, "by_code");
    assert_int_equal(by_code->size, ADMISSION_RULE_END);
    for (int rule = 0; rule < ADMISSION_RULE_END; rule++)
        assert_int_equal(
            atoi(json_member(by_code, admission_code((enum admission_rule)rule))->text.at),
            rule + 1);
    json_free(j);
    buf_free(&out);
}

static void overlong_origins_are_cut_at_a_whole_character(void **state)
{
    char origin[400] = "", expected[1000];
    struct buf out = {0};

    (void)state;
    for (int i = 0; i < 100; i++)
        strcat(origin, "\xe2\x82\xac");
    refuse(ADMISSION_origin_not_allowed, origin, origin, 0);
    gate_refusals_json(gate, &out);
    assert_null(memmem(out.data, out.len, "\xef\xbf\xbd", 3)); /* U+FFFD */
    origin[42 * 3] = '\0';
    snprintf(expected, sizeof expected, "\"origin\":\"%s\",\"path\":\"%s\",", origin, origin);
    assert_non_null(strstr(buf_text(&out), expected));
    buf_clear(&out);
    memset(origin, 'a', 128);
    origin[128] = '\0';
    refuse(ADMISSION_origin_not_allowed, origin + 1, origin, 0); /* 127 bytes fit, 128 do not */
    gate_refusals_json(gate, &out);
    snprintf(expected, sizeof expected, "\"origin\":\"%s\",\"path\":\"%s\",", origin + 1,
             origin + 1);
    assert_non_null(strstr(buf_text(&out), expected));
    buf_free(&out);
}

static void a_refusal_is_kept_with_code_status_setting_and_time(void **state)
{
    struct buf out = {0};

    (void)state;
    gate_refusals_json(gate, &out);
    assert_string_equal(buf_text(&out), "{\"total\":0,\"by_code\":{},\"last\":[]}");
    refuse(ADMISSION_draining, NULL, "/ws", 1500000);
    refuse(ADMISSION_origin_not_allowed, "http://a", "/x", 2500000);
    buf_clear(&out);
    gate_refusals_json(gate, &out);
    assert_string_equal(
        buf_text(&out),
        "{\"total\":2,\"by_code\":{\"origin_not_allowed\":1,\"draining\":1},\"last\":["
        "{\"code\":\"origin_not_allowed\",\"status\":403,\"origin\":\"http://a\",\"path\":\"/x\","
        "\"setting\":\"CORS_ORIGINS\",\"timestamp\":2.5},"
        "{\"code\":\"draining\",\"status\":503,\"origin\":null,\"path\":\"/ws\","
        "\"setting\":\"\",\"timestamp\":1.5}]}");
    buf_free(&out);
}

static void each_kind_of_refused_head_has_a_count_and_a_name(void **state)
{
    static const char *const kinds[] = {"malformed", "late", "target_too_long", "too_large",
                                        "pushed_out"};

    (void)state;
    for (int kind = 0; kind < GATE_HEAD_END; kind++)
        for (int i = 0; i <= kind; i++)
            gate_count_head(gate, (enum gate_head)kind);
    for (int kind = 0; kind < GATE_HEAD_END; kind++) {
        assert_int_equal(gate_heads(gate, (enum gate_head)kind), kind + 1);
        assert_string_equal(gate_head_name((enum gate_head)kind), kinds[kind]);
    }
}

static size_t lines_of(const char *text)
{
    size_t count = 0;

    for (; *text; text++)
        count += *text == '\n';
    return count;
}

static void refusals_are_logged_up_to_twenty_of_a_code_in_ten_seconds(void **state)
{
    struct admission_verdict v = {.rule = ADMISSION_unauthorized,
                                  .status = 401,
                                  .message = "A token is needed.",
                                  .hint = "Send it."};
    struct gate_refusal r = {&v, "192.0.2.1:1", "/ws", "http://a", true, "WebSocket"};

    (void)state;
    log_begin("warning");
    gate_refuse(gate, &r, 0, 0);
    assert_string_equal(logged(), "WARNING:  192.0.2.1:1 - \"WebSocket /ws\" 4401 unauthorized "
                                  "(explained): origin http://a: A token is needed. Send it. "
                                  "[WEBSOCKET_TOKEN]\n");
    v.rule = ADMISSION_draining;
    v.status = 503;
    r = (struct gate_refusal){&v, "192.0.2.1:1", "/ws", NULL, false, "WebSocket"};
    log_begin("warning");
    for (int i = 0; i < 25; i++)
        gate_refuse(gate, &r, 9999, 0);
    assert_int_equal(lines_of(logged()), 20);
    log_begin("warning");
    gate_refuse(gate, &r, 9999 + 9999, 0);
    assert_string_equal(logged(), "");
    log_begin("warning");
    gate_refuse(gate, &r, 9999 + 10000, 0);
    assert_non_null(strstr(logged(), "503 draining: origin -: A token is needed. Send it."));
}

static void *refuse_many(void *arg)
{
    (void)arg;
    for (int i = 0; i < 500; i++)
        refuse(ADMISSION_draining, "http://a", "/ws/cotizaciones", i);
    return NULL;
}

static void refusals_from_many_threads_are_all_counted(void **state)
{
    pthread_t threads[THREADS];
    struct buf out = {0};

    (void)state;
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, refuse_many, NULL), 0);
    gate_refusals_json(gate, &out); /* while they go on */
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(gate_refused(gate, ADMISSION_draining), THREADS * 500);
    buf_free(&out);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(the_limit_holds_however_many_come_at_once),
        TEST(exactly_as_many_are_let_in_as_there_are_places),
        TEST(the_lower_of_setting_and_descriptors_is_the_limit),
        TEST(it_starts_once_and_drains_once),
        TEST(refusals_are_counted_by_code_and_the_last_fifty_kept),
        TEST(every_rule_has_a_count_of_its_own),
        TEST(overlong_origins_are_cut_at_a_whole_character),
        TEST(a_refusal_is_kept_with_code_status_setting_and_time),
        TEST(each_kind_of_refused_head_has_a_count_and_a_name),
        TEST(refusals_are_logged_up_to_twenty_of_a_code_in_ten_seconds),
        TEST(refusals_from_many_threads_are_all_counted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
