#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "gateway/fanout/message.h"
#include "shared/wire/quote.h"
#include "tests/unit/dice.h"
#include "tests/unit/packed.h"

/* The payload of the one frame in `out`. */
static struct span payload_of(const struct buf *out)
{
    size_t len = (unsigned char)out->data[1], head = len < 126 ? 2 : len == 126 ? 4 : 10;

    assert_true(len < 128);
    return (struct span){out->data + head, out->len - head};
}

/* The same calls in both encodings; as JSON they must read the same, and so it is
 * returned. */
static const char *in_both(void (*write)(struct message *m), struct buf *text)
{
    struct buf pack = {0}, json = {0}, from_pack = {0};
    struct message m;

    message_begin(&m, ENCODING_MSGPACK, "test");
    write(&m);
    message_end(&m, &pack);
    message_begin(&m, ENCODING_JSON, "test");
    write(&m);
    message_end(&m, &json);
    assert_int_equal((unsigned char)pack.data[0], 0x82);
    assert_int_equal((unsigned char)json.data[0], 0x81);
    unpacked(&from_pack, payload_of(&pack));
    buf_clear(text);
    buf_add(text, payload_of(&json).at, payload_of(&json).len);
    for (size_t i = 0; i < text->len; i++)
        if (text->data[i] == '"')
            text->data[i] = '\'';
    assert_string_equal(buf_text(text), buf_text(&from_pack));
    buf_free(&pack);
    buf_free(&json);
    buf_free(&from_pack);
    return buf_text(text);
}

static void nothing_more(struct message *m)
{
    (void)m;
}

static void scalars(struct message *m)
{
    message_text(m, "text", SPAN("a\nb\xE2\x82\xAC"));
    message_text(m, "empty", SPAN(""));
    message_u(m, "zero", 0);
    message_u(m, "most", UINT64_MAX);
    message_bool(m, "yes", true);
    message_bool(m, "no", false);
    message_time(m, "time", 1640995200123456);
    message_seconds(m, "whole", 5000);
    message_seconds(m, "part", 3700);
    message_seconds(m, "day", 86400000);
}

static void texts(struct message *m)
{
    struct message_texts some = {0}, none = {0};

    message_texts_add(&some, m->encoding, SPAN("EUR/USD"));
    message_texts_add(&some, m->encoding, SPAN("BTC*"));
    message_texts_add(&some, m->encoding, SPAN("\\"));
    message_put_texts(m, "symbols", &some);
    message_put_texts(m, "rejected", &none);
    message_u(m, "after", 1);
    assert_int_equal(some.count, 3);
    buf_free(&some.items);
    buf_free(&none.items);
}

static void maps(struct message *m)
{
    message_map(m, "limits", 2);
    message_u(m, "symbols", 10);
    message_map(m, "inner", 1);
    message_bool(m, "x", true);
    message_map_end(m);
    message_map_end(m);
    message_map(m, "empty", 0);
    message_map_end(m);
    message_u(m, "after", 1);
}

static void raw(struct message *m)
{
    message_raw(m, "id", m->encoding == ENCODING_JSON ? SPAN("[1,\"x\"]") : SPAN("\x92\x01\xA1x"));
    message_u(m, "seq", 7);
}

static void many(struct message *m)
{
    for (unsigned i = 0; i < 60; i++) {
        char key[16];

        snprintf(key, sizeof key, "k%u", i);
        message_u(m, key, i);
    }
}

static void both_encodings_have_the_same_keys_and_values(void **state)
{
    struct buf text = {0};

    (void)state;
    assert_string_equal(in_both(nothing_more, &text), "{'type':'test'}");
    assert_string_equal(in_both(scalars, &text),
                        "{'type':'test','text':'a\\nb\xE2\x82\xAC','empty':'','zero':0,"
                        "'most':18446744073709551615,'yes':true,'no':false,"
                        "'time':1640995200.123456,'whole':5,'part':3.7,'day':86400}");
    assert_string_equal(in_both(texts, &text),
                        "{'type':'test','symbols':['EUR/USD','BTC*','\\\\'],'rejected':[],"
                        "'after':1}");
    assert_string_equal(in_both(maps, &text),
                        "{'type':'test','limits':{'symbols':10,'inner':{'x':true}},"
                        "'empty':{},'after':1}");
    assert_string_equal(in_both(raw, &text), "{'type':'test','id':[1,'x'],'seq':7}");
    assert_non_null(strstr(in_both(many, &text), ",'k59':59}"));
    buf_free(&text);
}

static void a_message_is_appended_to_what_is_there(void **state)
{
    struct buf out = {0};
    struct message m;

    (void)state;
    buf_adds(&out, "before");
    message_begin(&m, ENCODING_JSON, "ping");
    message_end(&m, &out);
    message_begin(&m, ENCODING_JSON, "pong");
    message_end(&m, &out);
    assert_string_equal(buf_text(&out), "before\x81\x0F{\"type\":\"ping\"}"
                                        "\x81\x0F{\"type\":\"pong\"}");
    buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_encodings_have_the_same_keys_and_values),
        cmocka_unit_test(a_message_is_appended_to_what_is_there),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
