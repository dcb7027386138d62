#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "broker/answer/answer.h"
#include "shared/wire/pack.h"
#include "tests/unit/packed.h"

static struct buf peer, sent, text, request_bytes;
static unsigned count;

static void on_send(void *ctx, struct span to, struct span message)
{
    assert_ptr_equal(ctx, &count);
    assert_int_equal(pack_check(message), OK);
    count++;
    buf_clear(&peer);
    buf_clear(&sent);
    buf_add(&peer, to.at, to.len);
    buf_add(&sent, message.at, message.len);
}

static struct answers answers;

static int set_up(void **state)
{
    (void)state;
    answers = (struct answers){.send = on_send, .ctx = &count};
    count = 0;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    answer_fini(&answers);
    buf_free(&peer);
    buf_free(&sent);
    buf_free(&text);
    buf_free(&request_bytes);
    return 0;
}

static struct control_request request(const char *json)
{
    buf_clear(&request_bytes);
    packed(&request_bytes, json);
    return answer_request(&answers, SPAN("p1"), buf_span(&request_bytes));
}

static void expect(const char *to, const char *message)
{
    assert_string_equal(buf_text(&peer), to);
    buf_clear(&text);
    unpacked(&text, buf_span(&sent));
    assert_string_equal(buf_text(&text), message);
}

static void an_answer_names_its_request_and_goes_to_the_peer_that_made_it(void **state)
{
    struct control_request q = request("{'op':'ping','id':7,'x':1}");

    (void)state;
    answer_begin(&q, 1);
    pack_kv_u(&q.pk, "n", 3);
    answer_send(&q);
    expect("p1", "{'re':'ping','id':7,'n':3}");
    assert_int_equal(count, 1);
}

static void an_error_has_a_name_and_a_sentence(void **state)
{
    struct control_request q = request("{'op':'lock','id':1}");

    (void)state;
    answer_error(&q, ERR_FULL, "no room");
    expect("p1", "{'re':'lock','id':1,'error':'full','message':'no room'}");
}

static void each_answer_begins_anew_in_the_same_buffer(void **state)
{
    struct control_request q = request("{'op':'a','id':1}");

    (void)state;
    answer_begin(&q, 5); /* given up */
    pack_kv_u(&q.pk, "n", 3);
    answer_begin(&q, 0);
    answer_send(&q);
    expect("p1", "{'re':'a','id':1}");
}

static void members_packed_before_can_be_added(void **state)
{
    struct control_request q = request("{'op':'a','id':1}");
    struct buf list = {0};
    msgpack_packer pk;

    (void)state;
    msgpack_packer_init(&pk, &list, buf_pack_write);
    msgpack_pack_uint64(&pk, 8);
    answer_begin(&q, 1);
    pack_key(&q.pk, "list");
    msgpack_pack_array(&q.pk, 1);
    answer_add(&q, buf_span(&list));
    answer_send(&q);
    expect("p1", "{'re':'a','id':1,'list':[8]}");
    buf_free(&list);
}

static void an_answer_can_be_kept_and_sent_later(void **state)
{
    struct control_request q = request("{'op':'a','id':1}");
    struct buf kept = {0};

    (void)state;
    answer_begin(&q, 0);
    buf_add(&kept, answer_message(&q).at, answer_message(&q).len);
    answer_error(&q, ERR_AGAIN, "later");
    answer_send_to(&answers, SPAN("p2"), buf_span(&kept));
    expect("p2", "{'re':'a','id':1}");
    buf_free(&kept);
}

static void a_message_that_answers_nothing_has_an_op(void **state)
{
    msgpack_packer pk;

    (void)state;
    answer_begin_op(&answers, "resend", 1, &pk);
    pack_kv_u(&pk, "from", 9);
    answer_send_op(&answers, SPAN("f"));
    expect("f", "{'op':'resend','from':9}");
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(an_answer_names_its_request_and_goes_to_the_peer_that_made_it),
        T(an_error_has_a_name_and_a_sentence),
        T(each_answer_begins_anew_in_the_same_buffer),
        T(members_packed_before_can_be_added),
        T(an_answer_can_be_kept_and_sent_later),
        T(a_message_that_answers_nothing_has_an_op),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
