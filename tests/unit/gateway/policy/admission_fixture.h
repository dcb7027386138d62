/*
 * admission_fixture: a handshake that passes every rule, and its result; each test adds a fault.
 * Include it after <cmocka.h>, in one file of a program.
 */
#ifndef TESTS_UNIT_GATEWAY_POLICY_ADMISSION_FIXTURE_H
#define TESTS_UNIT_GATEWAY_POLICY_ADMISSION_FIXTURE_H

#include <string.h>

#include "gateway/policy/admission.h"

static struct origin_list *origins;
static struct admission_policy policy;
static struct host_list *hosts;
static struct admission_request request;
static struct admission_live live;
static struct admission_verdict verdict;

/* A handshake that passes every rule; each test adds a fault. */
static inline int set_up(void **state)
{
    char error[ORIGIN_ERROR_MAX];

    (void)state;
    origins = origin_list_new("CORS_ORIGINS", "http://localhost:3000", error);
    hosts = host_list_new("ALLOWED_HOSTS", "quotes.example,*.quotes.example:8000", error);
    policy = (struct admission_policy){.origins = origins, .is_enabled = true, .token = ""};
    request = (struct admission_request){
        .path = "/ws/cotizaciones",
        .is_stream = true,
        .method = "GET",
        .upgrade = "websocket",
        .connection = "keep-alive, Upgrade",
        .version = "13",
        .key = "dGhlIHNhbXBsZSBub25jZQ==",
        .origin = "http://localhost:3000",
        .own_origin = "https://own.example",
    };
    live = (struct admission_live){.is_started = true, .active = 99, .limit = 100};
    live.configured = 100;
    return 0;
}

static inline int tear_down(void **state)
{
    (void)state;
    origin_list_free(origins);
    host_list_free(hosts);
    return 0;
}

static inline enum admission_rule check(void)
{
    admission_check(&policy, &request, &live, &verdict);
    if (verdict.rule != ADMISSION_ADMITTED)
        assert_true(verdict.message[0] && verdict.hint[0]);
    assert_int_equal(verdict.status, admission_status(verdict.rule));
    return verdict.rule;
}

#endif
