/* The broker without sockets: a recorder stands in for them, and messages read as JSON. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "broker/desk.h"
#include "shared/log.h"
#include "tests/unit/dice.h"
#include "tests/unit/packed.h"

#define LENGTH(array) (sizeof(array) / sizeof(array)[0])
#define LOG_EPOCH 7777
#define WALL_US 1640995200000000
#define FIRST_FEED_EPOCH (WALL_US + 1)
#define FEED_EPOCH "1640995200000001" /* the same as text */

struct sent {
    struct buf to, message; /* topic or peer; record or message */
};

static struct broker_config config;
static struct desk desk;
static struct sent *published, *said;
static size_t published_count, published_cap, said_count, said_cap;
static struct buf text; /* of the last answer looked at */

static void record_sent(struct sent **list, size_t *count, size_t *cap, struct span to,
                        struct span message)
{
    if (*count == *cap) {
        *cap = *cap ? *cap * 2 : 64;
        *list = realloc(*list, *cap * sizeof **list);
        assert_non_null(*list);
    }
    (*list)[*count] = (struct sent){0};
    buf_add(&(*list)[*count].to, to.at, to.len);
    buf_add(&(*list)[*count].message, message.at, message.len);
    ++*count;
}

static void on_publish(void *ctx, struct span topic, struct span record)
{
    assert_ptr_equal(ctx, &desk);
    record_sent(&published, &published_count, &published_cap, topic, record);
}

static void on_say(void *ctx, struct span peer, struct span message)
{
    assert_ptr_equal(ctx, &desk);
    assert_int_equal(pack_check(message), OK);
    record_sent(&said, &said_count, &said_cap, peer, message);
}

static void forget_sent(struct sent *list, size_t *count)
{
    while (*count) {
        --*count;
        buf_free(&list[*count].to);
        buf_free(&list[*count].message);
    }
}

static int set_up(void **state)
{
    (void)state;
    log_init("test", "critical", "text");
    config = (struct broker_config){
        .journal_bytes = 1 << 20, .max_symbols_total = 100000, .max_future = 60000};
    desk = (struct desk){.config = &config,
                         .out = {&desk, on_publish, on_say},
                         .time = {5000, 5000, WALL_US}};
    desk_init(&desk, LOG_EPOCH);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    desk_fini(&desk);
    forget_sent(published, &published_count);
    forget_sent(said, &said_count);
    free(published);
    free(said);
    published = said = NULL;
    published_cap = said_cap = 0;
    buf_free(&text);
    return 0;
}

static void pass_time(int64_t ms)
{
    desk.time.now += ms;
    desk.time.awake += ms;
    desk.time.wall_us += ms * 1000;
}

/* A question to control; what it was answered, as JSON, "" if nothing was said. */
static const char *ask(const char *peer, const char *question)
{
    size_t before = said_count;
    struct buf message = {0};

    packed(&message, question);
    desk_control(&desk, span_of(peer), buf_span(&message));
    buf_free(&message);
    if (said_count == before)
        return "";
    assert_int_equal(said_count, before + 1);
    assert_true(span_eq(buf_span(&said[before].to), peer));
    return unpacked(&text, buf_span(&said[before].message));
}

static struct span last_answer(void)
{
    assert_true(said_count > 0);
    return buf_span(&said[said_count - 1].message);
}

/* What was said to a feeder since we last looked, one after the other. */
static const char *heard(const char *peer)
{
    struct buf one = {0};

    buf_clear(&text);
    for (size_t i = 0; i < said_count; i++) {
        assert_true(span_eq(buf_span(&said[i].to), peer));
        buf_adds(&text, i ? " " : "");
        buf_adds(&text, unpacked(&one, buf_span(&said[i].message)));
    }
    buf_free(&one);
    forget_sent(said, &said_count);
    return buf_text(&text);
}

/* Hand a message to the desk as main does: forwarded if it says so. */
static bool ingest(struct span topic, struct span message)
{
    struct buf copy = {0};
    bool is_forwarded;

    buf_add(&copy, message.at, message.len);
    is_forwarded = desk_ingest(&desk, topic, buf_span(&copy));
    if (is_forwarded)
        on_publish(&desk, topic, buf_span(&copy));
    buf_free(&copy);
    return is_forwarded;
}

static void line_of_kind(enum wire_kind kind, uint64_t epoch, uint64_t number,
                         const char *topic, const char *body)
{
    struct buf bytes = {0}, message = {0};
    struct wire_record r = {
        .kind = kind, .epoch = epoch, .seq = number, .sent_us = number + 100};

    if (body)
        packed(&bytes, body);
    r.body = buf_span(&bytes);
    wire_put(&message, &r);
    ingest(span_of(topic), buf_span(&message));
    buf_free(&bytes);
    buf_free(&message);
}

static void line(uint64_t epoch, uint64_t number, const char *topic, const char *last)
{
    char body[200];

    snprintf(body, sizeof body, "{'last':'%s','timestamp':1640995200.0}", last);
    line_of_kind(WIRE_QUOTE, epoch, number, topic, body);
}

static struct wire_record published_record(size_t i)
{
    struct wire_record r;

    assert_true(i < published_count);
    assert_int_equal(wire_read(buf_span(&published[i].message), &r, NULL), OK);
    return r;
}

/* A published record in short: "EUR/USD quote 3<1 {…}". */
static const char *published_text(size_t i)
{
    static const char *const kinds[] = {"", "quote", "state", "lost", "heartbeat", "mark"};
    struct wire_record r = published_record(i);
    struct buf body = {0};

    assert_int_equal(r.epoch, LOG_EPOCH);
    unpacked(&body, r.body);
    buf_clear(&text);
    buf_printf(&text, "%s%s %llu<%llu %s", buf_text(&published[i].to), kinds[r.kind],
               (unsigned long long)r.seq, (unsigned long long)r.prev, buf_text(&body));
    buf_free(&body);
    return buf_text(&text);
}

static const char *quote_text(const char *symbol, uint64_t seq, uint64_t prev,
                              const char *last)
{
    static char want[200];

    snprintf(want, sizeof want,
             "%s quote %llu<%llu {'last':'%s','timestamp':1640995200.0}", symbol,
             (unsigned long long)seq, (unsigned long long)prev, last);
    return want;
}

#define HELLO_AS(name, owner)                                                            \
    "{'op':'hello','id':1,'role':'feeder','name':'" name "','owner':'" owner             \
    "','oldest':1,'newest':1,'acked':0,'host':'h','pid':9}"

static void grant(void)
{
    assert_string_equal(ask("peer", HELLO_AS("sim", "one")),
                        "{'re':'hello','id':1,'version':1,'epoch':" FEED_EPOCH
                        ",'received':0,'lease_ms':2000}");
    forget_sent(said, &said_count);
}

/* --- feeders ------------------------------------------------------------------------- */

static void a_feeder_is_granted_its_name_and_told_where_to_go_on(void **state)
{
    (void)state;
    grant();
    line(FIRST_FEED_EPOCH, 1, "A ", "1");
    line(FIRST_FEED_EPOCH, 2, "A ", "2");
    assert_string_equal(ask("peer", HELLO_AS("sim", "one")),
                        "{'re':'hello','id':1,'version':1,'epoch':" FEED_EPOCH
                        ",'received':2,'lease_ms':2000}");
}

static void a_second_feeder_of_the_name_is_told_who_holds_it(void **state)
{
    (void)state;
    grant();
    assert_string_equal(ask("other", HELLO_AS("sim", "two")),
                        "{'re':'hello','id':1,'error':'held',"
                        "'message':'feed sim is held by pid 9 on h','retry_ms':250}");
}

static void a_hello_that_cannot_be_granted_is_told_why(void **state)
{
    static const struct {
        const char *hello, *begins;
    } table[] = {
        {"{'op':'hello','id':5,'role':'feeder','name':'sim','owner':'o','oldest':2,'newest':3}",
         "{'re':'hello','id':5,'error':'version',"},
        {"{'op':'hello','id':5,'role':'feeder','name':'sim','owner':'o','oldest':0,'newest':0}",
         "{'re':'hello','id':5,'error':'version',"},
        {"{'op':'hello','id':5,'role':'gateway','name':'gw'}",
         "{'re':'hello','id':5,'error':'version',"},
        {"{'op':'hello','id':5,'role':'consumer','oldest':2,'newest':9}",
         "{'re':'hello','id':5,'error':'version',"},
        {"{'op':'hello','id':5,'role':'feeder','name':'','owner':'o','oldest':1,'newest':1}",
         "{'re':'hello','id':5,'error':'invalid',"},
        {"{'op':'hello','id':5,'role':'feeder','name':'a b','owner':'o','oldest':1,'newest':1}",
         "{'re':'hello','id':5,'error':'invalid',"},
        {"{'op':'hello','id':5,'role':'feeder','name':'a','oldest':1,'newest':1}",
         "{'re':'hello','id':5,'error':'invalid',"},
        {"{'op':'hello','id':5,'role':'gateway','oldest':1,'newest':1}",
         "{'re':'hello','id':5,'error':'invalid',"},
        {"{'op':'hello','id':5,'role':'king','name':'a','owner':'o','oldest':1,'newest':1}",
         "{'re':'hello','id':5,'error':'invalid',"},
        {"{'op':'hello','id':5,'name':'a','owner':'o','oldest':1,'newest':1}",
         "{'re':'hello','id':5,'error':'invalid',"},
    };

    (void)state;
    for (size_t i = 0; i < LENGTH(table); i++) {
        const char *answer = ask("peer", table[i].hello);

        if (strncmp(answer, table[i].begins, strlen(table[i].begins)) != 0 ||
            !strstr(answer, ",'message':'"))
            fail_msg("%s: %s", table[i].hello, answer);
    }
    assert_int_equal(feed_table_count(desk.feeds), 0);
    assert_int_equal(registry_gateways(desk.registry), 0);
}

static void newer_peers_that_still_speak_our_version_are_welcome(void **state)
{
    (void)state;
    assert_non_null(strstr(ask("p", "{'op':'hello','id':3,'role':'consumer','oldest':1,"
                                    "'newest':7,'colour':'blue'}"),
                           "'version':1,'epoch':7777,'seq':0"));
}

static void quotes_get_dense_positions_and_exact_chains(void **state)
{
    (void)state;
    grant();
    line(FIRST_FEED_EPOCH, 1, "A ", "1.50");
    line(FIRST_FEED_EPOCH, 2, "B ", "7");
    line(FIRST_FEED_EPOCH, 3, "A ", "1.60");
    line(FIRST_FEED_EPOCH, 4, "A ", "1.70");
    line(FIRST_FEED_EPOCH, 5, "B ", "8");
    assert_int_equal(published_count, 5);
    assert_string_equal(published_text(0), quote_text("A", 1, 0, "1.50"));
    assert_string_equal(published_text(1), quote_text("B", 2, 0, "7"));
    assert_string_equal(published_text(2), quote_text("A", 3, 1, "1.60"));
    assert_string_equal(published_text(3), quote_text("A", 4, 3, "1.70"));
    assert_string_equal(published_text(4), quote_text("B", 5, 2, "8"));
    assert_int_equal(published_record(3).sent_us, 104);
    assert_int_equal(published_record(3).accepted_us, WALL_US);
    assert_int_equal(desk.accepted, 5);
}

static void a_line_of_another_layout_is_published_in_ours(void **state)
{
    struct buf message = {0};
    bool stampable = false;
    struct wire_record r;

    (void)state;
    grant();
    /* Short integers, and two elements more than we know. */
    unhex(&message, "99 01 cf0005d479f7f96001 01 00 64 00"
                    "82 a46c617374 a3312e35 a974696d657374616d70 ce61cf9980 c3 a3616263");
    assert_false(ingest(SPAN("A "), buf_span(&message)));
    buf_free(&message);
    line(FIRST_FEED_EPOCH, 2, "A ", "2");
    assert_int_equal(published_count, 2);
    assert_int_equal(wire_read(buf_span(&published[0].message), &r, &stampable), OK);
    assert_true(stampable);
    assert_int_equal(r.sent_us, 100);
    assert_string_equal(published_text(0), "A quote 1<0 {'last':'1.5','timestamp':1640995200}");
    assert_string_equal(published_text(1), quote_text("A", 2, 1, "2"));
}

static void a_repeated_line_is_dropped(void **state)
{
    (void)state;
    grant();
    line(FIRST_FEED_EPOCH, 1, "A ", "1");
    line(FIRST_FEED_EPOCH, 1, "A ", "1");
    line(FIRST_FEED_EPOCH, 0, "A ", "1");
    assert_int_equal(published_count, 1);
    assert_int_equal(feed_table_at(desk.feeds, 0)->duplicates, 2);
}

static void a_missing_line_is_asked_for_and_what_follows_waits(void **state)
{
    (void)state;
    grant();
    line(FIRST_FEED_EPOCH, 1, "A ", "1");
    line(FIRST_FEED_EPOCH, 3, "A ", "3");
    line(FIRST_FEED_EPOCH, 4, "A ", "4");
    assert_string_equal(heard("peer"), "{'op':'resend','epoch':" FEED_EPOCH ",'from':2}");
    pass_time(FEED_RESEND_MS);
    line(FIRST_FEED_EPOCH, 5, "A ", "5"); /* the request may have got lost */
    assert_string_equal(heard("peer"), "{'op':'resend','epoch':" FEED_EPOCH ",'from':2}");
    assert_int_equal(published_count, 1);
    for (uint64_t n = 2; n <= 5; n++)
        line(FIRST_FEED_EPOCH, n, "A ", "42");
    assert_int_equal(published_count, 5);
    assert_string_equal(published_text(4), quote_text("A", 5, 4, "42"));
    assert_int_equal(said_count, 0);
}

static void a_heartbeat_finds_the_lines_that_were_lost_at_the_end(void **state)
{
    (void)state;
    grant();
    line_of_kind(WIRE_HEARTBEAT, FIRST_FEED_EPOCH, 0, WIRE_TOPIC_HEARTBEAT, NULL);
    assert_string_equal(heard("peer"), "{'op':'received','epoch':" FEED_EPOCH ",'line':0}");
    line(FIRST_FEED_EPOCH, 1, "A ", "1");
    line_of_kind(WIRE_HEARTBEAT, FIRST_FEED_EPOCH, 3, WIRE_TOPIC_HEARTBEAT, NULL);
    assert_string_equal(heard("peer"), "{'op':'resend','epoch':" FEED_EPOCH ",'from':2} "
                                       "{'op':'received','epoch':" FEED_EPOCH ",'line':1}");
    assert_int_equal(published_count, 1);
}

static void what_was_received_is_acknowledged_once(void **state)
{
    (void)state;
    grant();
    desk_acknowledge(&desk);
    assert_int_equal(said_count, 0);
    for (uint64_t n = 1; n <= 20; n++)
        line(FIRST_FEED_EPOCH, n, "A ", "1");
    assert_true(desk_tick(&desk) <= FEED_TELL_MS);
    pass_time(FEED_TELL_MS);
    desk_acknowledge(&desk);
    assert_string_equal(heard("peer"), "{'op':'received','epoch':" FEED_EPOCH ",'line':20}");
    pass_time(FEED_TELL_MS);
    desk_acknowledge(&desk);
    assert_int_equal(said_count, 0);
    for (uint64_t n = 21; n <= 20 + FEED_TELL_LINES; n++)
        line(FIRST_FEED_EPOCH, n, "A ", "1");
    desk_acknowledge(&desk); /* so many are told at once */
    assert_non_null(strstr(heard("peer"), ",'line':1044}"));
}

static void lines_of_an_ended_grant_are_nobodys(void **state)
{
    (void)state;
    grant();
    line(FIRST_FEED_EPOCH, 1, "A ", "1");
    assert_string_equal(ask("peer", "{'op':'goodbye','id':2,'epoch':" FEED_EPOCH "}"),
                        "{'re':'goodbye','id':2}");
    forget_sent(published, &published_count);
    line(FIRST_FEED_EPOCH, 2, "A ", "2"); /* still on its way */
    assert_non_null(strstr(ask("new", HELLO_AS("sim", "two")), "'epoch':1640995200000002,"));
    line(FIRST_FEED_EPOCH, 3, "A ", "3");
    line_of_kind(WIRE_HEARTBEAT, FIRST_FEED_EPOCH, 3, WIRE_TOPIC_HEARTBEAT, NULL);
    assert_int_equal(published_count, 0);
    assert_int_equal(desk.unknown_lines, 3);
    line(FIRST_FEED_EPOCH + 1, 1, "A ", "43");
    assert_string_equal(published_text(0), quote_text("A", 3, 2, "43"));
}

static void what_is_no_record_is_dropped(void **state)
{
    (void)state;
    grant();
    assert_false(ingest(SPAN("A "), SPAN("")));
    assert_false(ingest(SPAN("A "), SPAN("hello")));
    assert_false(ingest(SPAN(""), SPAN("\x97\x01\x02\x03\x04\x05\x06\xC1")));
    assert_int_equal(desk.unknown_lines, 3);
    assert_int_equal(published_count + said_count, 0);
}

static void a_refused_quote_is_counted_by_reason_and_not_published(void **state)
{
    static const struct {
        enum wire_kind kind;
        const char *topic, *body;
        enum quote_refusal why;
    } table[] = {
        {WIRE_QUOTE, "A ", "{'last':'x','timestamp':1640995200}", QUOTE_BAD_PRICE},
        {WIRE_QUOTE, "A ", "{'last':'1','timestamp':1640995300}", QUOTE_FUTURE},
        {WIRE_QUOTE, "A ", "{'timestamp':1640995200}", QUOTE_NO_PRICE},
        {WIRE_QUOTE, "A ", "{'last':'1'}", QUOTE_BAD_TIME},
        {WIRE_QUOTE, "A ", "{'bid':'2','ask':'1','timestamp':1640995200}", QUOTE_CROSSED},
        {WIRE_QUOTE, "A ", "[1]", QUOTE_MALFORMED},
        {WIRE_QUOTE, "A ", NULL, QUOTE_MALFORMED},
        {WIRE_QUOTE, "a ", "{'last':'1','timestamp':1640995200}", QUOTE_BAD_SYMBOL},
        {WIRE_QUOTE, "A", "{'last':'1','timestamp':1640995200}", QUOTE_BAD_SYMBOL},
        {WIRE_QUOTE, "", "{'last':'1','timestamp':1640995200}", QUOTE_BAD_SYMBOL},
        {WIRE_QUOTE, WIRE_TOPIC_LOST, "{'last':'1','timestamp':1640995200}", QUOTE_BAD_SYMBOL},
        {WIRE_STATE, "A ", "{'state':'live','feed':'sim'}", QUOTE_MALFORMED},
        {WIRE_LOST, "!lost ", "{'feed':'sim'}", QUOTE_MALFORMED},
        {WIRE_MARK, "A ", "{'last':'1','timestamp':1640995200}", QUOTE_MALFORMED},
    };
    struct feed *f;

    (void)state;
    grant();
    f = feed_table_at(desk.feeds, 0);
    for (size_t i = 0; i < LENGTH(table); i++) {
        uint64_t before = f->refused[table[i].why];

        line_of_kind(table[i].kind, FIRST_FEED_EPOCH, i + 1, table[i].topic, table[i].body);
        assert_int_equal(f->refused[table[i].why], before + 1);
        assert_int_equal(f->received, i + 1); /* it was here: no gap */
    }
    assert_int_equal(published_count, 0);
    assert_int_equal(desk.refused, LENGTH(table));
    assert_int_equal(book_count(desk.book), 0);
    assert_int_equal(journal_head(desk.journal), 0);
}

static void a_feed_that_may_cross_does(void **state)
{
    (void)state;
    ask("peer", "{'op':'hello','id':1,'role':'feeder','name':'sim','owner':'one','oldest':1,"
                "'newest':1,'allow_crossed':true}");
    line_of_kind(WIRE_QUOTE, FIRST_FEED_EPOCH, 1, "A ",
                 "{'bid':'2','ask':'1','timestamp':1640995200}");
    assert_int_equal(published_count, 1);
}

static void a_full_book_refuses_new_symbols_only(void **state)
{
    (void)state;
    desk_fini(&desk);
    config.max_symbols_total = 2;
    desk_init(&desk, LOG_EPOCH);
    grant();
    line(FIRST_FEED_EPOCH, 1, "A ", "1");
    line(FIRST_FEED_EPOCH, 2, "B ", "1");
    line(FIRST_FEED_EPOCH, 3, "C ", "1");
    line(FIRST_FEED_EPOCH, 4, "B ", "2");
    assert_int_equal(published_count, 3);
    assert_string_equal(published_text(2), quote_text("B", 3, 2, "2"));
    assert_int_equal(feed_table_at(desk.feeds, 0)->refused[QUOTE_BOOK_FULL], 1);
}

/* --- states and losses ----------------------------------------------------------------- */

static void a_silent_feed_makes_its_symbols_stale(void **state)
{
    (void)state;
    grant();
    line(FIRST_FEED_EPOCH, 1, "A ", "1");
    line(FIRST_FEED_EPOCH, 2, "B ", "2");
    desk_tick(&desk);
    forget_sent(published, &published_count);
    pass_time(WIRE_FEED_LEASE_MS - 1);
    desk.heartbeat_at = INT64_MAX; /* only states are of interest */
    desk_tick(&desk);
    assert_int_equal(published_count, 0);
    pass_time(1);
    desk_tick(&desk);
    assert_int_equal(published_count, 2);
    assert_string_equal(published_text(0), "A state 3<1 {'state':'stale','feed':'sim'}");
    assert_string_equal(published_text(1), "B state 4<2 {'state':'stale','feed':'sim'}");
    desk_tick(&desk);
    assert_int_equal(published_count, 2); /* said once */

    /* Another takes over: a quote makes its symbol live again, in the same chain. */
    ask("new", HELLO_AS("sim", "two"));
    assert_int_equal(published_count, 2);
    line(FIRST_FEED_EPOCH + 1, 1, "A ", "9");
    assert_string_equal(published_text(2), quote_text("A", 5, 3, "9"));
    assert_false(book_find(desk.book, SPAN("A"))->is_stale);
    assert_true(book_find(desk.book, SPAN("B"))->is_stale);
}

static void our_own_pause_is_not_a_feeds_silence(void **state)
{
    (void)state;
    grant();
    line(FIRST_FEED_EPOCH, 1, "A ", "1");
    desk.time.now += 60000; /* and the awake clock stood still */
    desk_tick(&desk);
    assert_true(feed_table_at(desk.feeds, 0)->is_held);
    assert_int_equal(published_record(published_count - 1).kind, WIRE_HEARTBEAT);
}

static void a_feed_that_comes_back_vouches_for_what_it_said(void **state)
{
    (void)state;
    grant();
    line(FIRST_FEED_EPOCH, 1, "A ", "1");
    ask("peer", "{'op':'goodbye','id':2,'epoch':" FEED_EPOCH "}");
    assert_string_equal(published_text(1), "A state 2<1 {'state':'stale','feed':'sim'}");
    ask("peer", HELLO_AS("sim", "one"));
    assert_string_equal(published_text(2), "A state 3<2 {'state':'live','feed':'sim'}");
    assert_int_equal(published_count, 3);
}

static void a_symbol_is_stale_with_the_feed_that_quoted_it_last(void **state)
{
    (void)state;
    grant();
    ask("other", HELLO_AS("backup", "two"));
    line(FIRST_FEED_EPOCH, 1, "A ", "1");
    line(FIRST_FEED_EPOCH, 2, "B ", "1");
    line(FIRST_FEED_EPOCH + 1, 1, "A ", "2");
    ask("peer", "{'op':'goodbye','id':2,'epoch':" FEED_EPOCH "}");
    assert_int_equal(published_count, 4);
    assert_string_equal(published_text(3), "B state 4<2 {'state':'stale','feed':'sim'}");
}

static void lines_that_cannot_come_again_are_logged_as_lost(void **state)
{
    (void)state;
    grant();
    line(FIRST_FEED_EPOCH, 1, "A ", "1");
    assert_string_equal(
        ask("peer", "{'op':'lost','id':4,'epoch':" FEED_EPOCH
                    ",'first':2,'last':5,'reason':'ring_overflow'}"),
        "{'re':'lost','id':4,'received':5}");
    line(FIRST_FEED_EPOCH, 6, "A ", "6");
    assert_string_equal(
        ask("peer", "{'op':'lost','id':5,'epoch':" FEED_EPOCH ",'first':7,'last':7}"),
        "{'re':'lost','id':5,'received':7}");
    assert_int_equal(published_count, 4);
    assert_string_equal(published_text(1),
                        "!lost lost 2<0 {'feed':'sim','first':2,'last':5,'count':4,"
                        "'reason':'ring_overflow'}");
    assert_string_equal(published_text(2), quote_text("A", 3, 1, "6"));
    assert_string_equal(published_text(3), "!lost lost 4<2 {'feed':'sim','first':7,'last':7,"
                                           "'count':1,'reason':''}");
}

static void a_loss_that_is_refused_changes_nothing(void **state)
{
    static const char *const bad[] = {
        "{'op':'lost','id':1,'epoch':" FEED_EPOCH ",'first':1,'last':5}",
        "{'op':'lost','id':1,'epoch':" FEED_EPOCH ",'first':3,'last':5}",
        "{'op':'lost','id':1,'epoch':" FEED_EPOCH ",'first':2,'last':1}",
        "{'op':'lost','id':1,'epoch':" FEED_EPOCH "}",
        "{'op':'lost','id':1,'epoch':" FEED_EPOCH ",'first':2,'last':5,'reason':"
        "'12345678901234567890123456789012345678901234567890123456789012345'}",
    };

    (void)state;
    grant();
    line(FIRST_FEED_EPOCH, 1, "A ", "1");
    for (size_t i = 0; i < LENGTH(bad); i++) {
        assert_non_null(strstr(ask("peer", bad[i]), "'error':'invalid'"));
        assert_int_equal(feed_table_at(desk.feeds, 0)->received, 1);
        assert_int_equal(feed_table_at(desk.feeds, 0)->lost, 0);
    }
    assert_non_null(strstr(ask("peer", "{'op':'lost','id':1,'epoch':1,'first':2,'last':5}"),
                           "'error':'unknown_peer'"));
    assert_int_equal(published_count, 1);
}

/* --- heartbeats and marks ------------------------------------------------------------------ */

static void a_heartbeat_names_what_changed_since_the_one_before(void **state)
{
    (void)state;
    grant();
    assert_int_equal(desk_tick(&desk), WIRE_HEARTBEAT_MS);
    assert_string_equal(published_text(0),
                        "!heartbeat heartbeat 0<1 {'complete':true,'changed':[]}");
    line(FIRST_FEED_EPOCH, 1, "A ", "1");
    line(FIRST_FEED_EPOCH, 2, "B ", "1");
    line(FIRST_FEED_EPOCH, 3, "A ", "1");
    pass_time(WIRE_HEARTBEAT_MS - 1);
    desk_acknowledge(&desk);
    assert_int_equal(desk_tick(&desk), 1);
    assert_int_equal(published_count, 4);
    pass_time(1);
    assert_int_equal(desk_tick(&desk), WIRE_HEARTBEAT_MS);
    assert_string_equal(
        published_text(4),
        "!heartbeat heartbeat 3<2 {'complete':true,'changed':[['A',3],['B',2]]}");
    ask("peer", "{'op':'goodbye','id':2,'epoch':" FEED_EPOCH "}"); /* two states */
    pass_time(WIRE_HEARTBEAT_MS);
    desk_tick(&desk);
    assert_string_equal(
        published_text(7),
        "!heartbeat heartbeat 5<3 {'complete':true,'changed':[['A',4],['B',5]]}");
}

static void heartbeats_missed_are_not_made_up_for(void **state)
{
    (void)state;
    desk_tick(&desk);
    pass_time(10 * WIRE_HEARTBEAT_MS + 300);
    assert_int_equal(desk_tick(&desk), WIRE_HEARTBEAT_MS);
    assert_int_equal(desk_tick(&desk), WIRE_HEARTBEAT_MS);
    assert_int_equal(published_count, 2);
    assert_int_equal(published_record(1).prev, 2);
}

static void a_heartbeat_cut_for_size_says_so(void **state)
{
    struct wire_record r;
    struct pack_value list;
    char topic[32];
    const uint64_t count = 25000;

    (void)state;
    grant();
    for (uint64_t n = 1; n <= count; n++) {
        snprintf(topic, sizeof topic, "S%llu ", (unsigned long long)n);
        line(FIRST_FEED_EPOCH, n, topic, "1");
    }
    desk_tick(&desk);
    r = published_record(count);
    assert_int_equal(r.kind, WIRE_HEARTBEAT);
    assert_int_equal(r.seq, count);
    assert_false(pack_find_bool(r.body, "complete", true));
    assert_true(pack_find(r.body, "changed", &list, NULL));
    assert_true(list.count > 0 && list.count < count);
}

static void a_mark_is_answered_with_the_head(void **state)
{
    static const char *const unmarked[] = {
        "\x01~mark/", "\x01~mar", "\x01", "\x01!heartbeat ", "\x01"
        "EUR/USD ", "\x02~mark/x ", "~mark/x ",
        "\x01~mark/0123456789012345678901234567890123456789012345678901234567890 ",
    };

    (void)state;
    desk_subscription(&desk, SPAN("\x01~mark/ab-1 "));
    assert_string_equal(published_text(0), "~mark/ab-1 mark 0<0 null");
    grant();
    line(FIRST_FEED_EPOCH, 1, "A ", "1");
    desk_subscription(&desk, SPAN("\x01~mark/ab-2 "));
    assert_string_equal(published_text(2), "~mark/ab-2 mark 1<0 null");
    line(FIRST_FEED_EPOCH, 2, "A ", "2");
    assert_string_equal(published_text(3), quote_text("A", 2, 1, "2")); /* takes no position */
    forget_sent(published, &published_count);
    for (size_t i = 0; i < LENGTH(unmarked); i++)
        desk_subscription(&desk, span_of(unmarked[i]));
    desk_subscription(&desk, SPAN(""));
    desk_subscription(&desk, SPAN("\0~mark/ab-2 ")); /* gone again */
    assert_int_equal(published_count, 0);
}

/* --- questions --------------------------------------------------------------------------------- */

/* The answer to a snapshot: "A@3 live 1.5 | seq=3 symbols=2 next=1". */
static const char *snapshot(const char *question)
{
    struct pack_value list, v[5];
    struct span answer, c;
    struct wire_record r;

    ask("p", question);
    answer = last_answer();
    assert_true(span_eq(pack_find_text(answer, "re"), "snapshot"));
    assert_int_equal(pack_find_u(answer, "epoch", 0), LOG_EPOCH);
    assert_true(pack_find(answer, "quotes", &list, &c));
    pack_next(&c, &list);
    buf_clear(&text);
    for (uint32_t i = 0; i < list.count; i++) {
        for (int k = 0; k < 5; k++)
            assert_true(pack_next(&c, &v[k]));
        assert_true(v[0].type == PACK_ARRAY && v[0].count == 4 && v[4].type == PACK_BIN);
        assert_int_equal(wire_read(v[4].text, &r, NULL), OK);
        assert_int_equal(r.kind, WIRE_QUOTE);
        assert_int_equal(r.epoch, LOG_EPOCH);
        buf_printf(&text, "%.*s@%llu %.*s %.*s ", (int)v[1].text.len, v[1].text.at,
                   (unsigned long long)v[2].u, (int)v[3].text.len, v[3].text.at,
                   (int)pack_find_text(r.body, "last").len, pack_find_text(r.body, "last").at);
    }
    buf_printf(&text, "| seq=%llu symbols=%llu",
               (unsigned long long)pack_find_u(answer, "seq", 999),
               (unsigned long long)pack_find_u(answer, "symbols", 999));
    if (pack_find_u(answer, "next", 0))
        buf_printf(&text, " next=%llu", (unsigned long long)pack_find_u(answer, "next", 0));
    forget_sent(said, &said_count);
    return buf_text(&text);
}

static void a_snapshot_has_the_newest_of_every_symbol_that_matches(void **state)
{
    (void)state;
    assert_string_equal(snapshot("{'op':'snapshot','id':1,'pattern':'*'}"),
                        "| seq=0 symbols=0");
    grant();
    ask("other", HELLO_AS("backup", "two"));
    line(FIRST_FEED_EPOCH, 1, "BTC ", "1");
    line(FIRST_FEED_EPOCH, 2, "BTC/USD ", "2");
    line(FIRST_FEED_EPOCH + 1, 1, "ETH ", "3");
    line(FIRST_FEED_EPOCH, 3, "BTC ", "4");
    assert_string_equal(snapshot("{'op':'snapshot','id':1,'pattern':'*'}"),
                        "BTC@4 live 4 BTC/USD@2 live 2 ETH@3 live 3 | seq=4 symbols=3");
    assert_string_equal(snapshot("{'op':'snapshot','id':1,'pattern':'BTC*'}"),
                        "BTC@4 live 4 BTC/USD@2 live 2 | seq=4 symbols=3");
    assert_string_equal(snapshot("{'op':'snapshot','id':1,'pattern':'BTC'}"),
                        "BTC@4 live 4 | seq=4 symbols=3");
    assert_string_equal(snapshot("{'op':'snapshot','id':1,'pattern':'BT'}"),
                        "| seq=4 symbols=3");
    ask("peer", "{'op':'goodbye','id':2,'epoch':" FEED_EPOCH "}");
    assert_string_equal(snapshot("{'op':'snapshot','id':1,'pattern':'*'}"),
                        "BTC@5 stale 4 BTC/USD@6 stale 2 ETH@3 live 3 | seq=6 symbols=3");
}

static void a_long_snapshot_comes_in_pages(void **state)
{
    static const char *const symbols[] = {"A1 ", "B1 ", "A2 ", "B2 ", "A3 "};

    (void)state;
    grant();
    for (size_t i = 0; i < LENGTH(symbols); i++)
        line(FIRST_FEED_EPOCH, i + 1, symbols[i], "1");
    assert_string_equal(snapshot("{'op':'snapshot','id':1,'pattern':'*','limit':2}"),
                        "A1@1 live 1 B1@2 live 1 | seq=5 symbols=5 next=2");
    assert_string_equal(snapshot("{'op':'snapshot','id':1,'pattern':'*','limit':2,'from':2}"),
                        "A2@3 live 1 B2@4 live 1 | seq=5 symbols=5 next=4");
    assert_string_equal(snapshot("{'op':'snapshot','id':1,'pattern':'*','limit':2,'from':4}"),
                        "A3@5 live 1 | seq=5 symbols=5");
    assert_string_equal(snapshot("{'op':'snapshot','id':1,'pattern':'A*','limit':2}"),
                        "A1@1 live 1 A2@3 live 1 | seq=5 symbols=5 next=3");
    assert_string_equal(snapshot("{'op':'snapshot','id':1,'pattern':'A*','limit':2,'from':3}"),
                        "A3@5 live 1 | seq=5 symbols=5");
    assert_string_equal(snapshot("{'op':'snapshot','id':1,'pattern':'*','from':5}"),
                        "| seq=5 symbols=5");
    assert_string_equal(
        snapshot("{'op':'snapshot','id':1,'pattern':'*','from':18446744073709551615}"),
        "| seq=5 symbols=5");
}

static void no_page_is_longer_than_the_broker_allows(void **state)
{
    struct pack_value list;
    uint64_t from = 0, pages = 0, seen = 0;
    char topic[32], question[100];

    (void)state;
    grant();
    for (uint64_t n = 1; n <= 5000; n++) {
        snprintf(topic, sizeof topic, "S%llu ", (unsigned long long)n);
        line(FIRST_FEED_EPOCH, n, topic, "1");
    }
    do {
        snprintf(question, sizeof question,
                 "{'op':'snapshot','id':1,'pattern':'*','limit':1000000,'from':%llu}",
                 (unsigned long long)from);
        ask("p", question);
        assert_true(pack_find(last_answer(), "quotes", &list, NULL));
        assert_true(list.count > 0 && last_answer().len < 4 * 1024 * 1024);
        seen += list.count;
        from = pack_find_u(last_answer(), "next", 0);
        pages++;
    } while (from);
    assert_int_equal(seen, 5000);
    assert_true(pages > 1);
}

/* The answer to a replay: "A 1<0, !lost 2<0 | first=1 head=2 upto=2". */
static const char *replay(const char *question)
{
    struct pack_value list, v[3];
    struct span answer, c;
    struct wire_record r;

    ask("p", question);
    answer = last_answer();
    assert_true(span_eq(pack_find_text(answer, "re"), "replay"));
    assert_int_equal(pack_find_u(answer, "epoch", 0), LOG_EPOCH);
    assert_true(pack_find(answer, "records", &list, &c));
    pack_next(&c, &list);
    buf_clear(&text);
    for (uint32_t i = 0; i < list.count; i++) {
        for (int k = 0; k < 3; k++)
            assert_true(pack_next(&c, &v[k]));
        assert_true(v[0].type == PACK_ARRAY && v[0].count == 2 && v[2].type == PACK_BIN);
        assert_int_equal(wire_read(v[2].text, &r, NULL), OK);
        assert_int_equal(r.epoch, LOG_EPOCH);
        buf_printf(&text, "%.*s%llu<%llu, ", (int)v[1].text.len, v[1].text.at,
                   (unsigned long long)r.seq, (unsigned long long)r.prev);
    }
    buf_printf(&text, "| first=%llu head=%llu upto=%llu",
               (unsigned long long)pack_find_u(answer, "first", 999),
               (unsigned long long)pack_find_u(answer, "head", 999),
               (unsigned long long)pack_find_u(answer, "upto", 999));
    forget_sent(said, &said_count);
    return buf_text(&text);
}

static void a_replay_has_every_record_after_a_position(void **state)
{
    (void)state;
    assert_string_equal(replay("{'op':'replay','id':1,'pattern':'*','after':0}"),
                        "| first=1 head=0 upto=0");
    grant();
    line(FIRST_FEED_EPOCH, 1, "A ", "1");
    line(FIRST_FEED_EPOCH, 2, "B ", "1");
    ask("peer", "{'op':'lost','id':1,'epoch':" FEED_EPOCH ",'first':3,'last':4,'reason':'x'}");
    line(FIRST_FEED_EPOCH, 5, "A ", "2");
    ask("peer", "{'op':'goodbye','id':2,'epoch':" FEED_EPOCH "}");
    assert_string_equal(replay("{'op':'replay','id':1,'pattern':'*','after':0}"),
                        "A 1<0, B 2<0, !lost 3<0, A 4<1, A 5<4, B 6<2, | first=1 head=6 upto=6");
    assert_string_equal(replay("{'op':'replay','id':1,'pattern':'*','after':4}"),
                        "A 5<4, B 6<2, | first=1 head=6 upto=6");
    assert_string_equal(replay("{'op':'replay','id':1,'pattern':'B','after':0}"),
                        "B 2<0, !lost 3<0, B 6<2, | first=1 head=6 upto=6");
    assert_string_equal(replay("{'op':'replay','id':1,'pattern':'A*','after':1}"),
                        "!lost 3<0, A 4<1, A 5<4, | first=1 head=6 upto=6");
    assert_string_equal(replay("{'op':'replay','id':1,'pattern':'*','after':1,'limit':2}"),
                        "B 2<0, !lost 3<0, | first=1 head=6 upto=3");
    assert_string_equal(replay("{'op':'replay','id':1,'pattern':'*','after':6}"),
                        "| first=1 head=6 upto=6");
}

static void after_a_position_beyond_the_head_there_is_nothing(void **state)
{
    static const char *const questions[] = {
        "{'op':'replay','id':1,'pattern':'*','after':3}",
        "{'op':'replay','id':1,'pattern':'*','after':1000000}",
        "{'op':'replay','id':1,'pattern':'*','after':18446744073709551615}",
    };

    (void)state;
    grant();
    line(FIRST_FEED_EPOCH, 1, "A ", "1");
    line(FIRST_FEED_EPOCH, 2, "A ", "1");
    for (size_t i = 0; i < LENGTH(questions); i++)
        assert_memory_equal(replay(questions[i]), "| first=1 head=2 ", 17);
}

static void a_replay_tells_from_where_the_journal_still_has_it(void **state)
{
    uint64_t first;
    char want[100];

    (void)state;
    grant();
    for (uint64_t n = 1; n <= 20000; n++)
        line(FIRST_FEED_EPOCH, n, n % 2 ? "A " : "B ", "1");
    first = journal_first(desk.journal);
    assert_true(first > 1);
    snprintf(want, sizeof want, "%c %llu<%llu, | first=%llu head=20000 upto=%llu",
             first % 2 ? 'A' : 'B', (unsigned long long)first, (unsigned long long)first - 2,
             (unsigned long long)first, (unsigned long long)first);
    assert_string_equal(replay("{'op':'replay','id':1,'pattern':'*','after':0,'limit':1}"), want);
}

#define GATEWAY_HELLO(name, pid)                                                         \
    "{'op':'hello','id':1,'role':'gateway','name':'" name "','host':'h','http':'http://x'," \
    "'pid':" pid ",'limit':100,'oldest':1,'newest':1}"

static void a_gateway_reports_and_is_asked_who_it_is_when_counts_differ(void **state)
{
    (void)state;
    assert_string_equal(ask("g1", "{'op':'report','count':0}"), "{'op':'who'}");
    assert_string_equal(ask("g1", GATEWAY_HELLO("gw-1", "5")),
                        "{'re':'hello','id':1,'version':1,'epoch':7777,'seq':0}");
    assert_string_equal(ask("g1", "{'op':'report','reset':true,'count':2,'opened':["
                                  "[1,'192.0.2.1',1001,1640995200000000,'json'],"
                                  "[2,'192.0.2.2',1002,1640995200000001,'msgpack']],"
                                  "'closed':[]}"),
                        "");
    assert_string_equal(ask("g1", "{'op':'report','count':1,'opened':[],'closed':[1]}"), "");
    assert_string_equal(ask("g1", "{'op':'report','count':1}"), "");
    assert_string_equal(ask("g1", "{'op':'report','count':3}"), "{'op':'who'}");
    assert_string_equal(ask("g1", "{'op':'report'}"), "");
    assert_string_equal(
        ask("p", "{'op':'connections','id':9}"),
        "{'re':'connections','id':9,'total':1,'gateways':[{'name':'gw-1','host':'h',"
        "'http':'http://x','pid':5,'connections':1,'limit':100,'since':1640995200000000}],"
        "'connections':[['gw-1','192.0.2.2',1002,1640995200000001,'msgpack']]}");
    assert_string_equal(ask("g1", "{'op':'goodbye','id':3}"), "{'re':'goodbye','id':3}");
    assert_non_null(strstr(ask("p", "{'op':'connections','id':9}"), "'total':0,'gateways':[]"));
}

static void a_report_with_nonsense_in_it_counts_what_made_sense(void **state)
{
    struct buf message = {0};

    (void)state;
    ask("g1", GATEWAY_HELLO("gw-1", "5"));
    assert_string_equal(ask("g1", "{'op':'report','opened':[[7,'h',1,1,'json'],"
                                  "[8,'h',1,1,'json'],[9,'h','port',1,'json'],"
                                  "[10,'h',1,1,'json']],'count':2}"),
                        "");
    assert_string_equal(ask("g1", "{'op':'report','opened':7,'closed':'x','count':2}"), "");
    assert_string_equal(
        ask("g1", "{'op':'report','opened':[[11,'a host name that is much too long for any "
                  "address there is',1,1,'json']],'count':2}"),
        "");
    /* Only a number is an id: 7, as the bits of a float, is none. */
    unhex(&message, "83 a26f70 a67265706f7274 a6636c6f736564 91 cb0000000000000007"
                    "a5636f756e74 02");
    desk_control(&desk, SPAN("g1"), buf_span(&message));
    assert_int_equal(registry_total(desk.registry), 2);
    buf_free(&message);
    assert_string_equal(ask("g1", "{'op':'report','closed':[[7],-7,8],'count':2}"), "");
    assert_string_equal(ask("g1", "{'op':'report','closed':[8,8,999],'count':1}"), "");
}

static void a_silent_gateway_is_gone_with_its_connections(void **state)
{
    (void)state;
    ask("g1", GATEWAY_HELLO("gw-1", "5"));
    ask("g1", "{'op':'report','count':1,'opened':[[1,'h',1,1,'json']]}");
    pass_time(WIRE_GATEWAY_LEASE_MS - 1);
    desk_tick(&desk);
    assert_int_equal(registry_total(desk.registry), 1);
    ask("g1", "{'op':'report','count':1}"); /* that is its heartbeat */
    pass_time(WIRE_GATEWAY_LEASE_MS - 1);
    desk_tick(&desk);
    assert_int_equal(registry_total(desk.registry), 1);
    pass_time(1);
    desk_tick(&desk);
    assert_int_equal(registry_gateways(desk.registry), 0);
    assert_string_equal(ask("g1", "{'op':'report','count':1}"), "{'op':'who'}");
}

static void connections_are_paged_across_gateways(void **state)
{
    static const struct {
        const char *question;
        int count;
        const char *first; /* port */
    } table[] = {
        {"{'op':'connections','id':1}", 5, "11"},
        {"{'op':'connections','id':1,'limit':2}", 2, "11"},
        {"{'op':'connections','id':1,'limit':2,'offset':2}", 2, "13"},
        {"{'op':'connections','id':1,'limit':2,'offset':4}", 1, "22"},
        {"{'op':'connections','id':1,'limit':3,'offset':3}", 2, "21"},
        {"{'op':'connections','id':1,'offset':5}", 0, NULL},
        {"{'op':'connections','id':1,'offset':18446744073709551615}", 0, NULL},
        {"{'op':'connections','id':1,'limit':0}", 0, NULL},
        {"{'op':'connections','id':1,'limit':1000000}", 5, "11"},
    };

    (void)state;
    ask("g1", GATEWAY_HELLO("gw-1", "5"));
    ask("g2", GATEWAY_HELLO("gw-2", "6"));
    ask("g1", "{'op':'report','opened':[[1,'h',11,1,'json'],[2,'h',12,1,'json'],"
              "[3,'h',13,1,'json']]}");
    ask("g2", "{'op':'report','opened':[[1,'h',21,1,'json'],[2,'h',22,1,'json']]}");
    for (size_t i = 0; i < LENGTH(table); i++) {
        const char *list = strstr(ask("p", table[i].question), "],'connections':[") + 16;
        char first[40];
        int count = 0;

        for (const char *at = list; (at = strstr(at, "['gw-")); at++)
            count++;
        if (count != table[i].count)
            fail_msg("%s: %s", table[i].question, list);
        if (!table[i].first)
            continue;
        snprintf(first, sizeof first, ",'h',%s,", table[i].first);
        assert_memory_equal(list + 8, first, strlen(first));
    }
}

static void more_connections_than_a_page_holds_are_cut(void **state)
{
    struct buf question = {0};
    struct pack_value list;

    (void)state;
    ask("g1", GATEWAY_HELLO("gw-1", "5"));
    buf_adds(&question, "{'op':'report','opened':[");
    for (int i = 0; i < 1500; i++)
        buf_printf(&question, "%s[%d,'h',1,1,'json']", i ? "," : "", i);
    buf_adds(&question, "],'count':1500}");
    assert_string_equal(ask("g1", buf_text(&question)), "");
    buf_free(&question);
    ask("p", "{'op':'connections','id':1,'limit':5000}");
    assert_int_equal(pack_find_u(last_answer(), "total", 0), 1500);
    assert_true(pack_find(last_answer(), "connections", &list, NULL));
    assert_int_equal(list.count, 1000);
}

static void status_tells_what_there_is(void **state)
{
    const char *status;

    (void)state;
    grant();
    ask("g1", GATEWAY_HELLO("gw-1", "5"));
    line(FIRST_FEED_EPOCH, 1, "A ", "1");
    line(FIRST_FEED_EPOCH, 2, "A ", "x");
    line(FIRST_FEED_EPOCH, 2, "A ", "x");
    pass_time(300);
    status = ask("p", "{'op':'status','id':6}");
    assert_memory_equal(status, "{'re':'status','id':6,'version':'", 33);
    assert_non_null(strstr(status, ",'epoch':7777,'seq':1,'symbols':1,"
                                   "'started':1640995200000000,'journal_first':1,"));
    assert_non_null(strstr(status, "'gateways':[{'name':'gw-1',"));
    assert_non_null(strstr(status, "'feeds':[{'name':'sim','host':'h','pid':9,"
                                   "'epoch':" FEED_EPOCH ",'live':true,'silent_ms':300,"
                                   "'received':2,'accepted':1,'refused':1,'duplicates':1,"
                                   "'lost':0}]"));
}

static void small_questions_have_small_answers(void **state)
{
    (void)state;
    assert_string_equal(ask("p", "{'op':'ping','id':7}"), "{'re':'ping','id':7}");
    assert_string_equal(ask("p", "{'id':7,'op':'ping','more':[1,{'a':2}]}"),
                        "{'re':'ping','id':7}");
    assert_string_equal(ask("p", "{'op':'ping'}"), "{'re':'ping','id':0}");
    assert_string_equal(ask("p", "{'op':'locks','id':8}"), "{'re':'locks','id':8,'locks':[]}");
    assert_string_equal(ask("p", "{'op':'nonsense','id':9}"),
                        "{'re':'nonsense','id':9,'error':'not_found','message':'no such op'}");
}

static void a_malformed_question_is_dropped(void **state)
{
    static const char *const bad[] = {
        "",
        "c1",
        "81 a26f70",
        "81 a26f70 a470696e67 00", /* ping, and a byte more */
        "82 a26f70 a470696e67 a26f70 a470696e67",
        "81 01 a470696e67",
        "81 a26f70 d40100",
        "dfffffffff",
    };

    (void)state;
    for (size_t i = 0; i < LENGTH(bad); i++) {
        struct buf message = {0};

        unhex(&message, bad[i]);
        desk_control(&desk, SPAN("p"), buf_span(&message));
        buf_free(&message);
    }
    assert_int_equal(said_count, 0);
}

/* --- everything at once, at random ------------------------------------------------------------- */

#define FEEDERS 3
#define SYMBOLS 12
#define RECORDS_MAX 200000

/* A feeder with a bad network: it keeps its lines until they are received. */
static struct feeder {
    char name[16], owner[32], peer[48];
    unsigned life; /* process */
    uint64_t epoch; /* 0: none granted */
    uint64_t next, send_at; /* next line to make, next to send */
    uint64_t given_up; /* lines it no longer has */
    uint64_t old_epochs[64];
    uint64_t published; /* by the receiver: last line seen of this life */
    uint64_t lost;
} feeders[FEEDERS];

/* "S7" is 7. */
static unsigned symbol_number(struct span symbol)
{
    unsigned n = 0;

    for (size_t i = 1; i < symbol.len; i++)
        n = n * 10 + (unsigned)(symbol.at[i] - '0');
    assert_true(symbol.len > 1 && n < SYMBOLS);
    return n;
}

/* The receiver applies the stream as published, and keeps it all. */
static struct {
    uint64_t seq, last_lost, heartbeats;
    struct {
        uint64_t seq;
        bool is_stale, is_changed;
        char last[24];
    } symbols[SYMBOLS];
    struct buf *log[RECORDS_MAX]; /* topic and record by position */
    size_t seen; /* of what was published */
} receiver;

static bool is_good_line(uint64_t n)
{
    return n % 13 != 0;
}

static unsigned symbol_of_line(uint64_t n)
{
    return (unsigned)(n * 7 + n / 5) % SYMBOLS;
}

static void send_line(const struct feeder *f, uint64_t epoch, uint64_t n)
{
    struct buf body = {0}, message = {0};
    struct wire_record r = {.kind = WIRE_QUOTE, .epoch = epoch, .seq = n};
    char topic[16], last[24];
    msgpack_packer pk;

    snprintf(topic, sizeof topic, "S%u ", symbol_of_line(n));
    snprintf(last, sizeof last, is_good_line(n) ? "%u%03u%06llu" : "-%u%u%llu",
             (unsigned)(f - feeders) + 1, f->life, (unsigned long long)n);
    msgpack_packer_init(&pk, &body, buf_pack_write);
    msgpack_pack_map(&pk, 5);
    pack_kv_text(&pk, "last", span_of(last));
    pack_kv_u(&pk, "timestamp", 1640995200);
    pack_kv_u(&pk, "f", (uint64_t)(f - feeders));
    pack_kv_u(&pk, "life", f->life);
    pack_kv_u(&pk, "n", n);
    r.body = buf_span(&body);
    wire_put(&message, &r);
    ingest(span_of(topic), buf_span(&message));
    buf_free(&body);
    buf_free(&message);
}

static void receive_quote(unsigned s, const struct wire_record *r)
{
    struct feeder *f = &feeders[pack_find_u(r->body, "f", 0)];
    uint64_t n = pack_find_u(r->body, "n", 0), skipped = 0;
    struct span last = pack_find_text(r->body, "last");

    /* Never a line of a process whose grant has ended; each once, in order, none missing. */
    assert_int_equal(pack_find_u(r->body, "life", 0), f->life);
    for (uint64_t k = f->published + 1; k < n; k++)
        skipped += is_good_line(k);
    assert_true(n > f->published && is_good_line(n));
    assert_true(skipped == 0 || n > f->lost);
    f->published = n;
    receiver.symbols[s].is_stale = false;
    snprintf(receiver.symbols[s].last, sizeof receiver.symbols[s].last, "%.*s",
             (int)last.len, last.at);
}

static void receive_lost(const struct wire_record *r)
{
    struct span name = pack_find_text(r->body, "feed");
    uint64_t first = pack_find_u(r->body, "first", 0), last = pack_find_u(r->body, "last", 0);

    assert_int_equal(r->prev, receiver.last_lost);
    receiver.last_lost = r->seq;
    assert_int_equal(pack_find_u(r->body, "count", 0), last - first + 1);
    for (int i = 0; i < FEEDERS; i++)
        if (span_eq(name, feeders[i].name)) {
            for (uint64_t k = feeders[i].published + 1; k < first; k++)
                assert_true(!is_good_line(k) || k <= feeders[i].lost);
            assert_true(first > feeders[i].published);
            feeders[i].lost = last;
            feeders[i].published = last;
        }
}

static void receive_heartbeat(const struct wire_record *r)
{
    struct pack_value list, pair, name, seq;
    struct span c;
    uint32_t expected = 0;

    assert_int_equal(r->seq, receiver.seq);
    assert_int_equal(r->prev, ++receiver.heartbeats);
    assert_true(pack_find(r->body, "changed", &list, &c));
    assert_true(pack_find_bool(r->body, "complete", false));
    for (int s = 0; s < SYMBOLS; s++)
        expected += receiver.symbols[s].is_changed;
    assert_int_equal(list.count, expected);
    pack_next(&c, &list);
    for (uint32_t i = 0; i < list.count; i++) {
        unsigned s;

        assert_true(pack_next(&c, &pair) && pack_next(&c, &name) && pack_next(&c, &seq));
        s = symbol_number(name.text);
        assert_true(receiver.symbols[s].is_changed);
        assert_int_equal(seq.u, receiver.symbols[s].seq);
        receiver.symbols[s].is_changed = false;
    }
}

static void receive(struct sent *m)
{
    struct span topic = buf_span(&m->to), symbol = wire_topic_symbol(topic);
    unsigned s = symbol.len ? symbol_number(symbol) : 0;
    struct wire_record r;
    bool stampable;

    assert_int_equal(wire_read(buf_span(&m->message), &r, &stampable), OK);
    assert_true(stampable);
    assert_int_equal(r.epoch, LOG_EPOCH);
    if (r.kind == WIRE_MARK) {
        assert_int_equal(r.seq, receiver.seq);
        return;
    }
    if (r.kind == WIRE_HEARTBEAT) {
        receive_heartbeat(&r);
        return;
    }
    assert_int_equal(r.seq, ++receiver.seq);
    assert_true(r.seq < RECORDS_MAX);
    receiver.log[r.seq] = calloc(2, sizeof(struct buf));
    buf_add(&receiver.log[r.seq][0], m->to.data, m->to.len);
    buf_add(&receiver.log[r.seq][1], m->message.data, m->message.len);
    if (r.kind == WIRE_LOST) {
        receive_lost(&r);
        return;
    }
    assert_true(symbol.len > 0 && s < SYMBOLS);
    assert_int_equal(r.prev, receiver.symbols[s].seq);
    receiver.symbols[s].seq = r.seq;
    receiver.symbols[s].is_changed = true;
    if (r.kind == WIRE_QUOTE)
        receive_quote(s, &r);
    else
        receiver.symbols[s].is_stale = span_eq(pack_find_text(r.body, "state"), "stale");
}

static void receive_all(void)
{
    for (size_t i = 0; i < published_count; i++)
        receive(&published[i]);
    forget_sent(published, &published_count);
}

static void feeder_says_hello(struct feeder *f)
{
    char question[300];
    uint64_t received;

    snprintf(question, sizeof question,
             "{'op':'hello','id':1,'role':'feeder','name':'%s','owner':'%s','oldest':1,"
             "'newest':1,'acked':0}",
             f->name, f->owner);
    ask(f->peer, question);
    if (pack_find_text(last_answer(), "error").len)
        return;
    f->epoch = pack_find_u(last_answer(), "epoch", 0);
    f->old_epochs[dice(LENGTH(f->old_epochs))] = f->epoch;
    received = pack_find_u(last_answer(), "received", 0);
    assert_true(received < f->next);
    f->send_at = received + 1;
}

/* What control said: resend goes back, or gives up what is no longer there. */
static void feeders_listen(void)
{
    size_t count = said_count;

    for (size_t i = 0; i < count; i++) {
        struct span message = buf_span(&said[i].message);
        uint64_t epoch = pack_find_u(message, "epoch", 0), from;
        char question[300];

        if (!span_eq(pack_find_text(message, "op"), "resend"))
            continue;
        from = pack_find_u(message, "from", 0);
        for (int k = 0; k < FEEDERS; k++) {
            struct feeder *f = &feeders[k];

            if (f->epoch != epoch || from >= f->next)
                continue;
            f->send_at = from;
            if (from > f->given_up)
                continue;
            snprintf(question, sizeof question,
                     "{'op':'lost','id':1,'epoch':%llu,'first':%llu,'last':%llu,'reason':'r'}",
                     (unsigned long long)epoch, (unsigned long long)from,
                     (unsigned long long)f->given_up);
            if (strstr(ask(f->peer, question), "'received'"))
                f->send_at = f->given_up + 1;
        }
    }
    forget_sent(said, &said_count);
}

static void feeder_restarts(struct feeder *f)
{
    f->life++;
    f->epoch = 0;
    f->next = f->send_at = 1;
    f->given_up = f->published = f->lost = 0;
    snprintf(f->owner, sizeof f->owner, "%s-%u", f->name, f->life);
    snprintf(f->peer, sizeof f->peer, "p-%s-%u", f->name, f->life);
}

static void feeder_acts(struct feeder *f)
{
    char question[100];
    unsigned act = dice(100);
    uint64_t old;

    if (!f->epoch) {
        if (!dice(4))
            feeder_says_hello(f);
        return;
    }
    if (act < 75) {
        if (f->send_at == f->next)
            f->next++;
        if (f->send_at <= f->given_up)
            f->send_at = f->given_up + 1;
        if (f->send_at < f->next && dice(12)) /* else the network lost it */
            send_line(f, f->epoch, f->send_at);
        f->send_at++;
        if (f->send_at > f->next)
            f->send_at = f->next;
    } else if (act < 80 && f->next > 1) {
        send_line(f, f->epoch, 1 + dice((unsigned)f->next - 1)); /* again, or too early */
    } else if (act < 83) {
        old = f->old_epochs[dice(LENGTH(f->old_epochs))];
        if (old != f->epoch)
            send_line(f, old, 1 + dice((unsigned)f->next));
    } else if (act < 95) {
        line_of_kind(WIRE_HEARTBEAT, f->epoch, f->next - 1, WIRE_TOPIC_HEARTBEAT, NULL);
    } else if (act < 96 && f->next > 30) {
        f->given_up = f->next - 1 - dice(10);
    } else if (act == 97 && !dice(10)) {
        snprintf(question, sizeof question, "{'op':'goodbye','id':1,'epoch':%llu}",
                 (unsigned long long)f->epoch);
        ask(f->peer, question);
        receive_all();
        feeder_restarts(f);
    } else if (act == 98) {
        feeder_says_hello(f);
    }
}

static void nonsense_comes_in(void)
{
    char bytes[40];
    struct span s = {bytes, dice(sizeof bytes)};

    for (size_t i = 0; i < s.len; i++)
        bytes[i] = (char)random();
    if (s.len && dice(2))
        bytes[0] = dice(2) ? (char)0x97 : (char)0x83;
    ingest(SPAN("S1 "), s);
    desk_control(&desk, SPAN("nobody"), s);
    desk_subscription(&desk, s);
}

/* A page after the other, the whole must be the state of the receiver. */
static void a_newcomer_takes_a_snapshot(void)
{
    uint64_t from = 0, count = 0, known = 0;
    struct pack_value list, v[5];
    char question[100];
    struct wire_record r;
    struct span c;

    do {
        snprintf(question, sizeof question,
                 "{'op':'snapshot','id':1,'pattern':'*','from':%llu,'limit':%u}",
                 (unsigned long long)from, 1 + dice(5));
        ask("new", question);
        assert_int_equal(pack_find_u(last_answer(), "seq", 0), receiver.seq);
        assert_true(pack_find(last_answer(), "quotes", &list, &c));
        pack_next(&c, &list);
        for (uint32_t i = 0; i < list.count; i++, count++) {
            unsigned s;

            for (int k = 0; k < 5; k++)
                assert_true(pack_next(&c, &v[k]));
            s = symbol_number(v[1].text);
            assert_int_equal(v[2].u, receiver.symbols[s].seq);
            assert_true(span_eq(v[3].text, receiver.symbols[s].is_stale ? "stale" : "live"));
            assert_int_equal(wire_read(v[4].text, &r, NULL), OK);
            assert_true(span_eq(pack_find_text(r.body, "last"), receiver.symbols[s].last));
        }
        from = pack_find_u(last_answer(), "next", 0);
    } while (from);
    for (int s = 0; s < SYMBOLS; s++)
        known += receiver.symbols[s].seq > 0;
    assert_int_equal(count, known);
}

/* From a random position on, page by page: the same bytes as were published, none left out. */
static void a_laggard_asks_for_a_replay(void)
{
    uint64_t after = dice((unsigned)receiver.seq + 1), upto = after;
    char question[100], pattern[8];
    struct pack_value list, v[3];
    struct span c;

    snprintf(pattern, sizeof pattern, dice(2) ? "S%u" : "S%u*", dice(SYMBOLS));
    if (after + 300 < receiver.seq)
        after = upto = receiver.seq - 300;
    do {
        snprintf(question, sizeof question,
                 "{'op':'replay','id':1,'pattern':'%s','after':%llu,'limit':%u}", pattern,
                 (unsigned long long)upto, 1 + dice(50));
        ask("late", question);
        assert_int_equal(pack_find_u(last_answer(), "head", 0), receiver.seq);
        assert_int_equal(pack_find_u(last_answer(), "first", 0), journal_first(desk.journal));
        after = after + 1 < journal_first(desk.journal) ? journal_first(desk.journal) - 1 : after;
        upto = pack_find_u(last_answer(), "upto", 0);
        assert_true(pack_find(last_answer(), "records", &list, &c));
        pack_next(&c, &list);
        for (; after < upto; after++) {
            struct buf *b = receiver.log[after + 1];
            struct span symbol = wire_topic_symbol(buf_span(&b[0]));
            bool is_match = !symbol.len || (symbol.len >= strcspn(pattern, "*") &&
                                            !memcmp(symbol.at, pattern, strcspn(pattern, "*")) &&
                                            (strchr(pattern, '*') ||
                                             symbol.len == strlen(pattern)));

            if (!is_match)
                continue;
            for (int k = 0; k < 3; k++)
                assert_true(pack_next(&c, &v[k]));
            assert_int_equal(v[1].text.len, b[0].len);
            assert_memory_equal(v[1].text.at, b[0].data, b[0].len);
            assert_int_equal(v[2].text.len, b[1].len);
            assert_memory_equal(v[2].text.at, b[1].data, b[1].len);
        }
        assert_int_equal(c.len, 0);
        assert_int_equal(after, upto);
    } while (upto < receiver.seq);
}

static void feeders_wait_out_their_leases(void)
{
    pass_time(WIRE_FEED_LEASE_MS);
    desk_tick(&desk);
    receive_all();
    for (int i = 0; i < FEEDERS; i++) {
        if (!feeders[i].epoch)
            continue;
        if (dice(2))
            feeder_restarts(&feeders[i]);
        else
            feeder_says_hello(&feeders[i]);
    }
}

/* Without losses on the way everything made arrives, but what was given up. */
static void everything_arrives_in_the_end(void)
{
    for (int i = 0; i < FEEDERS; i++) {
        struct feeder *f = &feeders[i];

        while (!f->epoch)
            feeder_says_hello(f);
        for (int round = 0; round < 20; round++) {
            pass_time(FEED_RESEND_MS);
            line_of_kind(WIRE_HEARTBEAT, f->epoch, f->next - 1, WIRE_TOPIC_HEARTBEAT, NULL);
            receive_all();
            feeders_listen();
            while (f->send_at < f->next)
                send_line(f, f->epoch, f->send_at++);
            receive_all();
        }
        for (uint64_t n = f->published + 1; n < f->next; n++)
            assert_false(is_good_line(n));
        for (size_t k = 0; k < feed_table_count(desk.feeds); k++)
            if (strcmp(feed_table_at(desk.feeds, k)->name, f->name) == 0)
                assert_int_equal(feed_table_at(desk.feeds, k)->received, f->next - 1);
    }
}

static void whatever_happens_receivers_see_unbroken_chains(void **state)
{
    (void)state;
    dice_seed();
    memset(&receiver, 0, sizeof receiver);
    memset(feeders, 0, sizeof feeders);
    for (int i = 0; i < FEEDERS; i++) {
        snprintf(feeders[i].name, sizeof feeders[i].name, "f%u", (unsigned)i);
        feeder_restarts(&feeders[i]);
    }
    for (int step = 0; step < 30000; step++) {
        feeder_acts(&feeders[dice(FEEDERS)]);
        receive_all();
        if (!dice(3))
            feeders_listen();
        if (!dice(20)) {
            pass_time(dice(120));
            desk_acknowledge(&desk);
            assert_true(desk_tick(&desk) >= 0);
        }
        if (!dice(50))
            nonsense_comes_in();
        if (!dice(100))
            desk_subscription(&desk, SPAN("\x01~mark/x "));
        receive_all();
        if (!dice(300))
            a_newcomer_takes_a_snapshot();
        if (!dice(300))
            a_laggard_asks_for_a_replay();
        if (!dice(3000))
            feeders_wait_out_their_leases();
    }
    everything_arrives_in_the_end();
    a_newcomer_takes_a_snapshot();
    assert_int_equal(journal_head(desk.journal), receiver.seq);
    assert_true(receiver.seq > 10000 && journal_first(desk.journal) > 1);
    for (uint64_t seq = 1; seq <= receiver.seq; seq++) {
        buf_free(&receiver.log[seq][0]);
        buf_free(&receiver.log[seq][1]);
        free(receiver.log[seq]);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_feeder_is_granted_its_name_and_told_where_to_go_on),
        TEST(a_second_feeder_of_the_name_is_told_who_holds_it),
        TEST(a_hello_that_cannot_be_granted_is_told_why),
        TEST(newer_peers_that_still_speak_our_version_are_welcome),
        TEST(quotes_get_dense_positions_and_exact_chains),
        TEST(a_line_of_another_layout_is_published_in_ours),
        TEST(a_repeated_line_is_dropped),
        TEST(a_missing_line_is_asked_for_and_what_follows_waits),
        TEST(a_heartbeat_finds_the_lines_that_were_lost_at_the_end),
        TEST(what_was_received_is_acknowledged_once),
        TEST(lines_of_an_ended_grant_are_nobodys),
        TEST(what_is_no_record_is_dropped),
        TEST(a_refused_quote_is_counted_by_reason_and_not_published),
        TEST(a_feed_that_may_cross_does),
        TEST(a_full_book_refuses_new_symbols_only),
        TEST(a_silent_feed_makes_its_symbols_stale),
        TEST(our_own_pause_is_not_a_feeds_silence),
        TEST(a_feed_that_comes_back_vouches_for_what_it_said),
        TEST(a_symbol_is_stale_with_the_feed_that_quoted_it_last),
        TEST(lines_that_cannot_come_again_are_logged_as_lost),
        TEST(a_loss_that_is_refused_changes_nothing),
        TEST(a_heartbeat_names_what_changed_since_the_one_before),
        TEST(heartbeats_missed_are_not_made_up_for),
        TEST(a_heartbeat_cut_for_size_says_so),
        TEST(a_mark_is_answered_with_the_head),
        TEST(a_snapshot_has_the_newest_of_every_symbol_that_matches),
        TEST(a_long_snapshot_comes_in_pages),
        TEST(no_page_is_longer_than_the_broker_allows),
        TEST(a_replay_has_every_record_after_a_position),
        TEST(after_a_position_beyond_the_head_there_is_nothing),
        TEST(a_replay_tells_from_where_the_journal_still_has_it),
        TEST(a_gateway_reports_and_is_asked_who_it_is_when_counts_differ),
        TEST(a_report_with_nonsense_in_it_counts_what_made_sense),
        TEST(a_silent_gateway_is_gone_with_its_connections),
        TEST(connections_are_paged_across_gateways),
        TEST(more_connections_than_a_page_holds_are_cut),
        TEST(status_tells_what_there_is),
        TEST(small_questions_have_small_answers),
        TEST(a_malformed_question_is_dropped),
        TEST(whatever_happens_receivers_see_unbroken_chains),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
