/*
 * wire_fixture: golden bytes of every kind of record, for tests.  Include it after <cmocka.h>.
 */
#ifndef TESTS_UNIT_SHARED_WIRE_WIRE_FIXTURE_H
#define TESTS_UNIT_SHARED_WIRE_WIRE_FIXTURE_H

#include <string.h>

#include "shared/wire/wire.h"
#include "tests/unit/packed.h"

#define LENGTH(array) (sizeof(array) / sizeof(array)[0])

/* What crosses the sockets, written down independently of the code that writes it. */
static const struct golden {
    const char *name;
    struct wire_record r;
    const char *body; /* as JSON, NULL: none */
    const char *header, *bytes;
} golden[] = {
    {"a line from a feeder",
     {.kind = WIRE_QUOTE, .epoch = 0x0102030405060708, .seq = 7, .sent_us = 1640995200100000},
     "{'bid':'1.0842','ask':'1.0843','timestamp':1640995200.125}",
     "97 01 cf0102030405060708 cf0000000000000007 cf0000000000000000"
     " cf0005d479f7fae6a0 cf0000000000000000",
     "83a3626964a6312e30383432a361736ba6312e30383433a974696d657374616d70"
     "cb41d873e660080000"},
    {"the same as the broker publishes it",
     {.kind = WIRE_QUOTE,
      .epoch = 0xFEDCBA9876543210,
      .seq = 991,
      .prev = 981,
      .sent_us = 1640995200100000,
      .accepted_us = 1640995200100250},
     "{'bid':'1.0842','ask':'1.0843','timestamp':1640995200.125}",
     "97 01 cffedcba9876543210 cf00000000000003df cf00000000000003d5"
     " cf0005d479f7fae6a0 cf0005d479f7fae79a",
     "83a3626964a6312e30383432a361736ba6312e30383433a974696d657374616d70"
     "cb41d873e660080000"},
    {"a state",
     {.kind = WIRE_STATE,
      .epoch = 0xFEDCBA9876543210,
      .seq = 995,
      .prev = 991,
      .accepted_us = 1640995203000000},
     "{'state':'stale','feed':'sim'}",
     "97 02 cffedcba9876543210 cf00000000000003e3 cf00000000000003df"
     " cf0000000000000000 cf0005d479f82726c0",
     "82a57374617465a57374616c65a466656564a373696d"},
    {"a loss",
     {.kind = WIRE_LOST,
      .epoch = 0xFEDCBA9876543210,
      .seq = 996,
      .prev = 3,
      .accepted_us = 1640995203000001},
     "{'feed':'sim','first':500,'last':600,'count':101,'reason':'ring_overflow'}",
     "97 03 cffedcba9876543210 cf00000000000003e4 cf0000000000000003"
     " cf0000000000000000 cf0005d479f82726c1",
     "85a466656564a373696da56669727374cd01f4a46c617374cd0258a5636f756e7465a6726561736f"
     "6ead72696e675f6f766572666c6f77"},
    {"a feeder's heartbeat",
     {.kind = WIRE_HEARTBEAT, .epoch = 0x0102030405060708, .seq = 600, .sent_us = 1640995203500000},
     NULL,
     "97 04 cf0102030405060708 cf0000000000000258 cf0000000000000000"
     " cf0005d479f82ec7e0 cf0000000000000000",
     "c0"},
    {"the broker's heartbeat",
     {.kind = WIRE_HEARTBEAT,
      .epoch = 0xFEDCBA9876543210,
      .seq = 996,
      .prev = 12,
      .accepted_us = 1640995204000000},
     "{'complete':true,'changed':[['EUR/USD',995],['BTC',990]]}",
     "97 04 cffedcba9876543210 cf00000000000003e4 cf000000000000000c"
     " cf0000000000000000 cf0005d479f8366900",
     "82a8636f6d706c657465c3a76368616e6765649292a74555522f555344cd03e392a3425443cd03d"
     "e"},
    {"a mark",
     {.kind = WIRE_MARK, .epoch = 0xFEDCBA9876543210, .seq = 996, .accepted_us = 1640995204000001},
     NULL,
     "97 05 cffedcba9876543210 cf00000000000003e4 cf0000000000000000"
     " cf0000000000000000 cf0005d479f8366901",
     "c0"},
    {"a change of a lock",
     {.kind = WIRE_LOCK,
      .epoch = 0xFEDCBA9876543210,
      .seq = 17,
      .prev = 12,
      .accepted_us = 1640995204000002},
     "{'name':'telegram:bot','state':'held','token':7}",
     "97 06 cffedcba9876543210 cf0000000000000011 cf000000000000000c"
     " cf0000000000000000 cf0005d479f8366902",
     "83a46e616d65ac74656c656772616d3a626f74a57374617465a468656c64a5746f6b656e07"},
};

static inline void golden_bytes(const struct golden *g, struct buf *out)
{
    unhex(out, g->header);
    unhex(out, g->bytes);
}

static inline void check_same(const struct wire_record *a, const struct wire_record *b)
{
    assert_int_equal(a->kind, b->kind);
    assert_int_equal(a->epoch, b->epoch);
    assert_int_equal(a->seq, b->seq);
    assert_int_equal(a->prev, b->prev);
    assert_int_equal(a->sent_us, b->sent_us);
    assert_int_equal(a->accepted_us, b->accepted_us);
    assert_int_equal(a->received_us, b->received_us);
}

#endif
