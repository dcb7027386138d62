/* resume_fixture: a client that connects again, and how its answers begin. */
#ifndef TESTS_UNIT_GATEWAY_SESSION_RESUME_FIXTURE_H
#define TESTS_UNIT_GATEWAY_SESSION_RESUME_FIXTURE_H

#include "tests/unit/gateway/session/session_fixture.h"

#define SUBSCRIBED "{\"type\":\"ack\",\"op\":\"subscribe\""
#define QUOTE(symbol, seq) "{\"type\":\"quote\",\"symbol\":\"" symbol "\",\"seq\":" seq ","

static inline struct peer *come_back(const char *query)
{
    struct peer *p = come(query);

    turn();
    turn();
    receives(p, "{\"type\":\"welcome\"");
    return p;
}

#endif
