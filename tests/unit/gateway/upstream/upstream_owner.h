/*
 * upstream_owner: the functions of the gateway's main.c for the link to the broker and for its
 * sessions. Included by upstream_fixture.h.
 */
#ifndef TESTS_UNIT_GATEWAY_UPSTREAM_UPSTREAM_OWNER_H
#define TESTS_UNIT_GATEWAY_UPSTREAM_UPSTREAM_OWNER_H

#include <stdlib.h>

#include "gateway/session/session_private.h"
#include "gateway/session/sessions.h"
#include "gateway/upstream/upstream_private.h"

/* What the gateway's main.c has. */
static struct {
    struct gateway_config config;
    struct loop *loop;
    struct hub *hub;
    struct counters counters;
    struct sessions *sessions;
    int64_t now, awake;
} g;
static struct upstream u;

/* --- session functions that the fixture ignores ------------------------------------------ */

static bool io_watch(struct session *s)
{
    (void)s;
    return true;
}

static void io_nothing(struct session *s)
{
    (void)s;
}

static void io_free(struct session *s)
{
    free(s);
}

static void reserve_nothing(void *ctx, const struct session *s)
{
    (void)ctx;
    (void)s;
}

static bool is_broker_here(void *ctx)
{
    (void)ctx;
    return upstream_is_here(&u);
}

static void request(void *ctx, const char *op, uint32_t members, struct span body, void *answer_ctx,
                    session_answer *on_answer)
{
    (void)ctx;
    upstream_request(&u, op, members, body, answer_ctx, on_answer);
}

static struct upstream_self describe_self(void *ctx)
{
    (void)ctx;
    return (struct upstream_self){.name = "test", .http = "", .limit = 1000};
}

static void note_nothing(void *ctx)
{
    (void)ctx;
}

static void report_loss(void *ctx, uint64_t seq, struct span body)
{
    (void)ctx;
    sessions_report_loss(g.sessions, seq, body);
}

static void reset_sessions(void *ctx, const char *reason)
{
    (void)ctx;
    sessions_reset(g.sessions, reason);
}

#endif
