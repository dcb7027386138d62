/* The callbacks of a program for each event of its subscription. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/consumer/lib/connection_fixture.h"

static const char *state_of(enum pregon_state s)
{
    return s == PREGON_STALE ? "stale" : "live";
}

static void on_quote(void *ctx, const struct pregon_quote *q)
{
    char bid[64];

    assert_ptr_equal(ctx, &c);
    report("%s %s %llu:%llu prev %llu, %s, sent %lld accepted %lld, bid %s",
           q->is_snapshot ? "snapshot" : "quote", q->symbol, (unsigned long long)q->epoch,
           (unsigned long long)q->seq, (unsigned long long)q->prev, state_of(q->state),
           (long long)q->sent_us, (long long)q->accepted_us,
           pregon_quote_text(q, "bid", bid, sizeof bid));
}

static void on_state(void *ctx, const struct pregon_state_change *s)
{
    assert_ptr_equal(ctx, &c);
    report("state %s %llu:%llu prev %llu, %s of %s", s->symbol, (unsigned long long)s->epoch,
           (unsigned long long)s->seq, (unsigned long long)s->prev, state_of(s->state), s->feed);
}

static void on_lost(void *ctx, const struct pregon_loss *l)
{
    assert_ptr_equal(ctx, &c);
    report("lost %llu:%llu of '%s', %llu to %llu, %llu, %s", (unsigned long long)l->epoch,
           (unsigned long long)l->seq, l->feed, (unsigned long long)l->first,
           (unsigned long long)l->last, (unsigned long long)l->count, l->reason);
}

static void on_reset(void *ctx, const struct pregon_reset *r)
{
    assert_ptr_equal(ctx, &c);
    report("reset %llu after %llu, %s", (unsigned long long)r->epoch,
           (unsigned long long)r->old_epoch, r->reason);
}

static void on_synced(void *ctx)
{
    assert_ptr_equal(ctx, &c);
    report("synced");
}

static void on_link(void *ctx, bool is_up, const char *why)
{
    assert_ptr_equal(ctx, &c);
    report("%s: %s", is_up ? "up" : "down", why);
}

static struct pregon_options all(void)
{
    struct pregon_options o = PREGON_OPTIONS;

    o.on_quote = on_quote;
    o.on_state = on_state;
    o.on_lost = on_lost;
    o.on_reset = on_reset;
    o.on_synced = on_synced;
    o.on_link = on_link;
    o.on_note = on_note;
    return o;
}

/* A snapshot of one symbol, at the position 3 of a log that has 4. */
static void answer_snapshot(const char *request)
{
    struct wire_record r = {.kind = WIRE_QUOTE, .epoch = EPOCH, .seq = 3, .sent_us = 1, .prev = 2};
    struct buf answer = {0}, record = {0}, body = {0};
    struct span frames[2] = {buf_span(&c.peer)};
    msgpack_packer pk;

    packed(&body, "{'bid':'1.5'}");
    r.accepted_us = 2;
    r.body = buf_span(&body);
    wire_put(&record, &r);
    msgpack_packer_init(&pk, &answer, buf_pack_write);
    msgpack_pack_map(&pk, 4);
    pack_kv_u(&pk, "id", id_of(request));
    pack_kv_u(&pk, "epoch", EPOCH);
    pack_kv_u(&pk, "seq", 4);
    pack_key(&pk, "quotes");
    msgpack_pack_array(&pk, 1);
    msgpack_pack_array(&pk, 4);
    pack_text(&pk, SPAN("A"));
    msgpack_pack_uint64(&pk, 3);
    pack_text(&pk, SPAN("stale"));
    msgpack_pack_bin_with_body(&pk, record.data, record.len);
    frames[1] = buf_span(&answer);
    assert_int_equal(bus_send(c.control, frames, 2), OK);
    buf_free(&answer);
    buf_free(&record);
    buf_free(&body);
}

/* A program that follows the pattern A*, and has its snapshot. */
static void open_following(struct pregon_options o)
{
    const char *request;

    open_greeted(o);
    assert_int_equal(pregon_subscribe(c.p, "A*"), PREGON_OK);
    request = receives("snapshot");
    assert_non_null(strstr(request, ",'pattern':'A*','from':0}"));
    answer_snapshot(request);
    until(pregon_position(c.p).seq == 4);
    assert_int_equal(pregon_position(c.p).epoch, EPOCH);
}

static void what_the_broker_says_arrives_with_all_its_members(void **state)
{
    (void)state;
    open_following(all());
    assert_reported("snapshot A 7:3 prev 0, stale, sent 1 accepted 2, bid 1.5\nsynced\n");
    heartbeat(4);
    until(is_reported("up"));
    assert_true(pregon_is_up(c.p));
    assert_reported("up: The broker is here.\n");
    publishes("A ", WIRE_QUOTE, 5, 3, "{'bid':'2'}");
    publishes("A ", WIRE_STATE, 6, 5, "{'state':'stale','feed':'demo'}");
    publishes("A ", WIRE_STATE, 7, 6, "{'state':'live','feed':'demo'}");
    publishes(WIRE_TOPIC_LOST, WIRE_LOST, 8, 0,
              "{'feed':'demo','first':3,'last':5,'count':2,'reason':'ring_overflow'}");
    until(is_reported("lost"));
    assert_reported("quote A 7:5 prev 3, live, sent 1005 accepted 2005, bid 2\n"
                    "state A 7:6 prev 5, stale of demo\n"
                    "state A 7:7 prev 6, live of demo\n"
                    "lost 7:8 of 'demo', 3 to 5, 2, ring_overflow\n");
    assert_int_equal(pregon_position(c.p).seq, 8);
    close_all();
}

static void after_three_seconds_without_a_heartbeat_the_link_is_down(void **state)
{
    (void)state;
    open_following(all());
    heartbeat(4);
    until(is_reported("up"));
    buf_clear(&c.reported);
    boot_ms += 1500;
    step();
    boot_ms += 1500;
    step();
    assert_false(pregon_is_up(c.p));
    assert_reported("down: No heartbeat of the broker has come for 3 seconds.\n");
    close_all();
}

/* What was requested of the log is what is missing; a program with positions needs no snapshot. */
static void a_position_to_continue_from_is_a_replay_of_what_followed(void **state)
{
    struct pregon_options o = all();
    const char *request;

    (void)state;
    o.since = (struct pregon_position){EPOCH, 2};
    open_broker();
    open_connection(o);
    assert_int_equal(pregon_subscribe(c.p, "A"), PREGON_OK);
    assert_int_equal(pregon_subscribe(c.p, "B*"), PREGON_OK);
    answers(receives_greeting(), "'epoch':7");
    request = receives("replay");
    assert_non_null(strstr(request, ",'pattern':'A,B*','after':2,'until':4}"));
    answers(request, "'epoch':7,'first':1,'upto':4,'records':[],'gaps':[]");
    until(is_reported("synced"));
    assert_int_equal(pregon_position(c.p).seq, 4);
    assert_false(is_reported("snapshot"));
    close_all();
}

static void a_position_in_another_log_is_a_reset(void **state)
{
    struct pregon_options o = all();

    (void)state;
    o.since = (struct pregon_position){5, 2};
    open_broker();
    open_connection(o);
    assert_int_equal(pregon_subscribe(c.p, "A"), PREGON_OK);
    answers(receives_greeting(), "'epoch':7");
    until(is_reported("reset"));
    assert_reported("reset 7 after 5, other_log\n");
    close_all();
}

static void without_snapshots_the_next_records_come_first(void **state)
{
    struct pregon_options o = all();

    (void)state;
    o.no_snapshot = true;
    open_greeted(o);
    assert_int_equal(pregon_subscribe(c.p, "A"), PREGON_OK);
    until(is_reported("synced"));
    assert_true(receives_no("snapshot"));
    publishes("A ", WIRE_QUOTE, 5, 3, "{'bid':'2'}");
    until(is_reported("quote"));
    assert_reported("synced\nquote A 7:5 prev 3, live, sent 1005 accepted 2005, bid 2\n");
    close_all();
}

/* Three records in one turn are one in mode newest; and a program without callbacks gets none. */
static void mode_newest_skips_what_is_older_and_callbacks_may_be_missing(void **state)
{
    struct pregon_options o = PREGON_OPTIONS;

    (void)state;
    open_following(o);
    heartbeat(4);
    publishes("A ", WIRE_QUOTE, 5, 3, "{'bid':'2'}");
    publishes("A ", WIRE_STATE, 6, 5, "{'state':'stale','feed':'demo'}");
    publishes(WIRE_TOPIC_LOST, WIRE_LOST, 7, 0, "{'feed':'demo','first':3,'last':5,'count':2}");
    until(pregon_position(c.p).seq == 7);
    assert_reported("");
    close_all();
    o = all();
    o.mode = PREGON_NEWEST;
    o.no_snapshot = true;
    open_greeted(o);
    assert_int_equal(pregon_subscribe(c.p, "A"), PREGON_OK);
    until(is_reported("synced"));
    buf_clear(&c.reported);
    publishes("A ", WIRE_QUOTE, 5, 3, "{'bid':'2'}");
    publishes("A ", WIRE_QUOTE, 6, 5, "{'bid':'3'}");
    publishes("B ", WIRE_QUOTE, 7, 0, "{'bid':'4'}"); /* not subscribed */
    assert_int_equal(
        zmq_poll(&(zmq_pollitem_t){.socket = c.p->records, .events = ZMQ_POLLIN}, 1, 10000), 1);
    until(is_reported("7:6"));
    assert_non_null(strstr(buf_text(&c.reported), "bid 3\n"));
    close_all();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_the_broker_says_arrives_with_all_its_members),
        cmocka_unit_test(after_three_seconds_without_a_heartbeat_the_link_is_down),
        cmocka_unit_test(a_position_to_continue_from_is_a_replay_of_what_followed),
        cmocka_unit_test(a_position_in_another_log_is_a_reset),
        cmocka_unit_test(without_snapshots_the_next_records_come_first),
        cmocka_unit_test(mode_newest_skips_what_is_older_and_callbacks_may_be_missing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
