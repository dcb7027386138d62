#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "broker/core/registry.h"
#include "shared/wire/wire.h"
#include "tests/unit/dice.h"

static struct registry *r;

static int set_up(void **state)
{
    (void)state;
    r = registry_new();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    registry_free(r);
    registry_free(NULL);
    return 0;
}

static enum err hello(const char *peer, const char *name, uint64_t pid, int64_t now)
{
    struct registry_hello h = {.peer = span_of(peer),
                               .name = span_of(name),
                               .host = SPAN("host-1"),
                               .http = SPAN("http://127.0.0.1:8000"),
                               .pid = pid,
                               .limit = REGISTRY_CONNECTIONS_MAX,
                               .wall_us = 7};

    return registry_hello(r, &h, now);
}

static void open_id(struct registry_gateway *g, uint64_t id)
{
    struct registry_connection c = {.id = id, .port = (uint16_t)id, .since_us = 3};

    snprintf(c.host, sizeof c.host, "192.0.2.%u", (unsigned)(id % 250));
    assert_int_equal(registry_open(r, g, &c), OK);
}

static void a_gateway_is_known_by_its_peer_after_hello(void **state)
{
    struct registry_gateway *g;

    (void)state;
    assert_null(registry_renew(r, SPAN("p1"), 0));
    assert_int_equal(hello("p1", "gw-1", 10, 0), OK);
    g = registry_renew(r, SPAN("p1"), 5);
    assert_non_null(g);
    assert_ptr_equal(registry_at(r, 0), g);
    assert_string_equal(g->name, "gw-1");
    assert_string_equal(g->host, "host-1");
    assert_string_equal(g->http, "http://127.0.0.1:8000");
    assert_true(g->pid == 10 && g->limit == REGISTRY_CONNECTIONS_MAX && g->since_us == 7 &&
                g->heard_at == 5);
    assert_null(registry_renew(r, SPAN("p"), 0));
    assert_null(registry_renew(r, SPAN("p11"), 0));
}

static void saying_hello_again_forgets_its_connections(void **state)
{
    struct registry_gateway *g;

    (void)state;
    assert_int_equal(hello("p1", "gw-1", 10, 0), OK);
    assert_int_equal(hello("p2", "gw-2", 11, 0), OK);
    g = registry_renew(r, SPAN("p1"), 0);
    open_id(g, 1);
    open_id(registry_renew(r, SPAN("p2"), 0), 1);
    assert_int_equal(hello("p1", "gw-1", 10, 1), OK);
    assert_ptr_equal(registry_renew(r, SPAN("p1"), 1), g);
    assert_int_equal(g->count, 0);
    assert_int_equal(registry_total(r), 1);
    assert_int_equal(registry_gateways(r), 2);
}

static void a_gateway_behind_a_new_connection_is_the_same_one(void **state)
{
    (void)state;
    assert_int_equal(hello("p1", "gw-1", 10, 0), OK);
    open_id(registry_renew(r, SPAN("p1"), 0), 1);
    assert_int_equal(hello("p2", "gw-1", 10, 1), OK);
    assert_int_equal(registry_gateways(r), 1);
    assert_int_equal(registry_total(r), 0);
    assert_null(registry_renew(r, SPAN("p1"), 1));
    assert_non_null(registry_renew(r, SPAN("p2"), 1));
    /* The same name in another process is another gateway. */
    assert_int_equal(hello("p3", "gw-1", 11, 1), OK);
    assert_int_equal(registry_gateways(r), 2);
}

static void names_out_of_bounds_are_refused(void **state)
{
    char text[100];

    (void)state;
    memset(text, 'x', sizeof text - 1);
    text[65] = '\0';
    assert_int_equal(hello("p", "", 1, 0), ERR_INVALID);
    assert_int_equal(hello("p", text, 1, 0), ERR_INVALID);
    assert_int_equal(hello(text, "gw", 1, 0), ERR_INVALID);
    assert_int_equal(registry_gateways(r), 0);
    text[64] = '\0';
    assert_int_equal(hello(text, text, 1, 0), OK);
    assert_string_equal(registry_at(r, 0)->name, text);
}

static void there_are_only_so_many_gateways(void **state)
{
    char peer[16];

    (void)state;
    for (unsigned i = 0; i < REGISTRY_GATEWAYS_MAX; i++) {
        snprintf(peer, sizeof peer, "p%u", i);
        assert_int_equal(hello(peer, "gw", i, 0), OK);
    }
    for (unsigned i = 0; i < REGISTRY_GATEWAYS_MAX; i++) {
        snprintf(peer, sizeof peer, "p%u", i);
        if (i != 9)
            open_id(registry_renew(r, span_of(peer), 0), 1);
    }
    /* in place of the gateway without connections */
    assert_int_equal(hello("more", "gw", 9999, 0), OK);
    assert_null(registry_renew(r, SPAN("p9"), 0));
    open_id(registry_renew(r, SPAN("more"), 0), 1);
    assert_int_equal(hello("yet-more", "gw", 9998, 0), ERR_FULL);
    assert_int_equal(hello("p7", "gw", 7, 0), OK);
    assert_int_equal(registry_gateways(r), REGISTRY_GATEWAYS_MAX);
}

static void there_are_only_so_many_connections_in_all(void **state)
{
    struct registry_connection c = {.id = 0};
    struct registry_gateway *a, *b;

    (void)state;
    assert_int_equal(hello("a", "a", 1, 0), OK);
    assert_int_equal(hello("b", "b", 2, 0), OK);
    a = registry_renew(r, SPAN("a"), 0);
    b = registry_renew(r, SPAN("b"), 0);
    for (c.id = 1; c.id <= REGISTRY_CONNECTIONS_MAX; c.id++)
        if (registry_open(r, c.id % 2 ? a : b, &c))
            fail_msg("%llu was refused", (unsigned long long)c.id);
    assert_int_equal(registry_open(r, a, &c), ERR_FULL);
    c.id = 1;
    assert_int_equal(registry_open(r, a, &c), OK); /* a connection that exists already */
    assert_int_equal(registry_total(r), REGISTRY_CONNECTIONS_MAX);
    registry_close(r, b, 2);
    c.id = REGISTRY_CONNECTIONS_MAX + 1;
    assert_int_equal(registry_open(r, a, &c), OK);
    registry_remove(r, a);
    assert_int_equal(registry_total(r), REGISTRY_CONNECTIONS_MAX / 2 - 1);
}

static void a_gateway_has_no_more_connections_than_its_limit_allows(void **state)
{
    struct registry_hello h = {
        .peer = SPAN("p"), .name = SPAN("gw"), .host = SPAN("h"), .limit = 100};
    struct registry_connection c = {.id = 0};
    struct registry_gateway *g;

    (void)state;
    assert_int_equal(registry_hello(r, &h, 0), OK);
    g = registry_renew(r, SPAN("p"), 0);
    for (; c.id < 2 * 100 + REGISTRY_ABOVE_LIMIT; c.id++)
        assert_int_equal(registry_open(r, g, &c), OK);
    assert_int_equal(registry_open(r, g, &c), ERR_FULL);
    h.limit = UINT64_MAX;
    assert_int_equal(registry_hello(r, &h, 0), OK);
    assert_int_equal(g->limit, REGISTRY_CONNECTIONS_MAX);
}

static void a_silent_gateway_expires_and_takes_its_connections_along(void **state)
{
    struct registry_gateway *g;

    (void)state;
    assert_int_equal(hello("p1", "gw-1", 1, 0), OK);
    assert_int_equal(hello("p2", "gw-2", 2, 0), OK);
    g = registry_renew(r, SPAN("p1"), 0);
    open_id(g, 1);
    open_id(g, 2);
    registry_renew(r, SPAN("p2"), 1);
    assert_null(registry_expired(r, WIRE_GATEWAY_LEASE_MS - 1));
    assert_ptr_equal(registry_expired(r, WIRE_GATEWAY_LEASE_MS), g);
    assert_ptr_equal(registry_expired(r, WIRE_GATEWAY_LEASE_MS), g); /* until removed */
    registry_remove(r, g);
    assert_null(registry_expired(r, WIRE_GATEWAY_LEASE_MS));
    assert_int_equal(registry_total(r), 0);
    assert_int_equal(registry_gateways(r), 1);
}

/* The model: for every gateway slot and id, the port it was last opened with, 0:
 * closed. */
#define GATEWAYS 4
#define IDS 600

static struct {
    bool is_here;
    int64_t heard_at;
    uint16_t ports[IDS];
    size_t count;
} model[GATEWAYS];

static void model_forget(unsigned i)
{
    memset(model[i].ports, 0, sizeof model[i].ports);
    model[i].count = 0;
}

/* Ids as gateways give them: close together; and some that are far apart. */
static uint64_t id_of(unsigned i)
{
    return i % 7 ? i : (uint64_t)i << 43;
}

static void check_gateway(unsigned i, const struct registry_gateway *g)
{
    static bool seen[IDS];

    memset(seen, 0, sizeof seen);
    assert_int_equal(g->count, model[i].count);
    for (size_t k = 0; k < g->count; k++) {
        const struct registry_connection *c = g->connections[k];
        unsigned id = 0;

        while (id < IDS && id_of(id) != c->id)
            id++;
        assert_true(id < IDS);
        assert_false(seen[id]);
        seen[id] = true;
        assert_int_equal(c->port, model[i].ports[id]);
    }
}

static void random_reports_leave_what_the_model_says(void **state)
{
    int64_t now = 0;

    (void)state;
    memset(model, 0, sizeof model);
    dice_seed();
    for (int step = 0; step < 100000; step++) {
        unsigned i = dice(GATEWAYS), id = dice(dice(2) ? IDS : 40);
        char peer[8];
        struct registry_gateway *g;
        struct registry_connection c = {.id = id_of(id), .port = (uint16_t)(1 + dice(60000))};
        size_t total = 0, here = 0;

        snprintf(peer, sizeof peer, "p%u", i);
        if (!model[i].is_here) {
            assert_null(registry_renew(r, span_of(peer), now));
            assert_int_equal(hello(peer, peer, i, now), OK);
            model[i].is_here = true;
            model[i].heard_at = now;
        }
        now += dice(3);
        g = registry_renew(r, span_of(peer), now);
        assert_non_null(g);
        model[i].heard_at = now;
        switch (dice(2000) ? dice(20) : 20 + dice(3)) {
        case 20:
            registry_reset(r, g);
            model_forget(i);
            break;
        case 21:
            assert_int_equal(hello(peer, peer, i, now), OK);
            model_forget(i);
            break;
        case 22:
            now += dice(2 * WIRE_GATEWAY_LEASE_MS);
            while ((g = registry_expired(r, now))) {
                i = (unsigned)(g->name[1] - '0');
                assert_true(model[i].is_here && now - model[i].heard_at >= WIRE_GATEWAY_LEASE_MS);
                model[i].is_here = false;
                model_forget(i);
                registry_remove(r, g);
            }
            for (unsigned k = 0; k < GATEWAYS; k++)
                assert_false(model[k].is_here && now - model[k].heard_at >= WIRE_GATEWAY_LEASE_MS);
            break;
        default:
            if (dice(step / 5000 % 2 ? 3 : 2)) { /* it grows and shrinks */
                assert_int_equal(registry_open(r, g, &c), OK);
                model[i].count += !model[i].ports[id];
                model[i].ports[id] = c.port;
            } else {
                registry_close(r, g, c.id);
                model[i].count -= model[i].ports[id] != 0;
                model[i].ports[id] = 0;
            }
        }
        for (unsigned k = 0; k < GATEWAYS; k++) {
            total += model[k].count;
            here += model[k].is_here;
        }
        assert_int_equal(registry_total(r), total);
        assert_int_equal(registry_gateways(r), here);
        for (size_t k = 0; !dice(100) && k < here; k++)
            check_gateway((unsigned)(registry_at(r, k)->name[1] - '0'), registry_at(r, k));
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_gateway_is_known_by_its_peer_after_hello),
        TEST(saying_hello_again_forgets_its_connections),
        TEST(a_gateway_behind_a_new_connection_is_the_same_one),
        TEST(names_out_of_bounds_are_refused),
        TEST(there_are_only_so_many_gateways),
        TEST(there_are_only_so_many_connections_in_all),
        TEST(a_gateway_has_no_more_connections_than_its_limit_allows),
        TEST(a_silent_gateway_expires_and_takes_its_connections_along),
        TEST(random_reports_leave_what_the_model_says),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
