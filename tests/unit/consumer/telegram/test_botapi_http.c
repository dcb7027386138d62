/* Calls of the Bot API over HTTP: the test is the server, in the same thread. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "consumer/telegram/botapi.h"
#include "shared/base/version.h"

#define TURNS_MAX 3000 /* of 10 ms at most */
#define PEERS_MAX 64
#define LONG_MS 20000

static struct {
    struct loop *loop;
    struct botapi *api;
    struct botapi_answer answer;
    int listener, peers[PEERS_MAX];
    unsigned peer_count;        /* connections that were accepted, in their order */
    struct buf read[PEERS_MAX]; /* bytes received on each connection */
    char base[64], host[32];
} t;

/* --- the server ----------------------------------------------------------------------------- */

static void listen_at(bool is_open)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof at;

    t.listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    assert_int_equal(bind(t.listener, (struct sockaddr *)&at, sizeof at), 0);
    if (is_open)
        assert_int_equal(listen(t.listener, PEERS_MAX), 0);
    assert_int_equal(getsockname(t.listener, (struct sockaddr *)&at, &size), 0);
    snprintf(t.host, sizeof t.host, "127.0.0.1:%u", ntohs(at.sin_port));
    snprintf(t.base, sizeof t.base, "http://%s", t.host);
}

static void serve(void)
{
    char bytes[4096];
    ssize_t n;
    int fd;

    while ((fd = accept4(t.listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        assert_true(t.peer_count < PEERS_MAX);
        t.peers[t.peer_count++] = fd;
    }
    for (unsigned i = 0; i < t.peer_count; i++)
        while (t.peers[i] >= 0 && (n = read(t.peers[i], bytes, sizeof bytes)) > 0)
            buf_add(&t.read[i], bytes, (size_t)n);
}

static void step(void)
{
    int64_t wait = botapi_wait(t.api, loop_now(t.loop));

    loop_turn(t.loop, wait < 0 || wait > 10 ? 10 : wait);
    botapi_turn(t.api, loop_now(t.loop));
    serve();
}

#define until(condition)                    \
    do {                                    \
        int turns_left = TURNS_MAX;         \
        while (!(condition)) {              \
            if (!turns_left--)              \
                fail_msg("%s", #condition); \
            step();                         \
        }                                   \
    } while (0)

/* Has a whole request arrived on this connection?  It ends with its body. */
static const char *request_on(unsigned peer)
{
    const char *head = peer < t.peer_count ? buf_text(&t.read[peer]) : "",
               *end = strstr(head, "\r\n\r\n"), *length = strcasestr(head, "\r\ncontent-length: ");

    if (!end || !length || strlen(end + 4) < strtoul(length + 18, NULL, 10))
        return NULL;
    return head;
}

static const char *body_on(unsigned peer)
{
    until(request_on(peer));
    return strstr(request_on(peer), "\r\n\r\n") + 4;
}

/* Write everything, also bytes that the kernel accepts only after the client has read. */
static void respond(unsigned peer, const char *bytes, size_t len)
{
    int turns = TURNS_MAX;

    while (len) {
        ssize_t n = send(t.peers[peer], bytes, len, MSG_NOSIGNAL);

        if (n > 0) {
            bytes += n;
            len -= (size_t)n;
        } else if (turns-- > 0) {
            step();
            if (t.peers[peer] < 0 || botapi_wait(t.api, loop_now(t.loop)) == -1)
                return; /* the client has closed */
        } else {
            fail_msg("the client does not read");
        }
    }
}

static void answers(unsigned peer, const char *status, const char *body)
{
    struct buf b = {0};

    buf_clear(&t.read[peer]);
    buf_printf(&b, "HTTP/1.1 %s\r\nContent-Length: %zu\r\n\r\n%s", status, strlen(body), body);
    respond(peer, b.data, b.len);
    buf_free(&b);
}

static void hang_up(unsigned peer)
{
    close(t.peers[peer]);
    t.peers[peer] = -1;
}

/* --- the bot -------------------------------------------------------------------------------- */

static const struct botapi_answer *taken(unsigned ticket)
{
    until(botapi_take(t.api, &t.answer));
    assert_int_equal(t.answer.ticket, ticket);
    return &t.answer;
}

static int set_up(void **state)
{
    (void)state;
    memset(&t, 0, sizeof t);
    listen_at(true);
    t.loop = loop_new();
    loop_turn(t.loop, 0);
    t.api = botapi_open(t.loop, t.base, "42:SECRET");
    assert_non_null(t.api);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    botapi_close(t.api);
    botapi_close(NULL);
    loop_free(t.loop);
    close(t.listener);
    for (unsigned i = 0; i < t.peer_count; i++) {
        if (t.peers[i] >= 0)
            close(t.peers[i]);
        buf_free(&t.read[i]);
    }
    return 0;
}

static void a_call_is_a_post_under_the_token(void **state)
{
    unsigned ticket = botapi_get_me(t.api, LONG_MS);
    const char *request;

    (void)state;
    assert_int_not_equal(ticket, 0);
    assert_string_equal(body_on(0), "{}");
    request = request_on(0);
    assert_ptr_equal(strstr(request, "POST /bot42:SECRET/getMe HTTP/1.1\r\n"), request);
    assert_non_null(strstr(request, "\r\nContent-Type: application/json\r\n"));
    assert_non_null(strstr(request, "\r\nUser-Agent: pregon/" PREGON_VERSION "\r\n"));
    assert_null(strstr(request, "\r\nExpect:"));
    assert_false(botapi_take(t.api, &t.answer));
    answers(0, "200 OK", "{\"ok\":true,\"result\":{\"id\":42}}");
    assert_int_equal(taken(ticket)->verdict, BOTAPI_OK);
    assert_int_equal(t.answer.code, 200);
    assert_non_null(json_member(t.answer.result, "id"));
    assert_string_equal("{\"ok\":true,\"result\":{\"id\":42}}",
                        strndupa(t.answer.body.at, t.answer.body.len));
    assert_false(botapi_take(t.api, &t.answer)); /* once */
}

static void updates_are_requested_from_an_offset_or_from_the_first(void **state)
{
    unsigned ticket = botapi_get_updates(t.api, 0, 50, 100, LONG_MS), second;

    (void)state;
    assert_string_equal(body_on(0),
                        "{\"timeout\":50,\"limit\":100,\"allowed_updates\":[\"message\"]}");
    assert_non_null(strstr(request_on(0), "/getUpdates HTTP/1.1\r\n"));
    answers(0, "200 OK", "{\"ok\":true,\"result\":[]}");
    taken(ticket);
    second = botapi_get_updates(t.api, 18446744073709551615u, 0, 1, LONG_MS);
    assert_int_not_equal(second, ticket);
    assert_string_equal(body_on(0), "{\"timeout\":0,\"limit\":1,\"allowed_updates\":[\"message\"],"
                                    "\"offset\":18446744073709551615}");
    assert_int_equal(t.peer_count, 1); /* the connection is reused */
    answers(0, "409 Conflict", "{\"ok\":false,\"error_code\":409,\"description\":\"Conflict\"}");
    assert_int_equal(taken(second)->verdict, BOTAPI_REFUSED);
    assert_int_equal(t.answer.code, 409);
    assert_string_equal(t.answer.why, "Conflict");
}

/* On a reused connection libcurl would repeat the request by itself. */
static void each_message_goes_over_a_connection_of_its_own(void **state)
{
    unsigned ticket = botapi_get_me(t.api, LONG_MS);

    (void)state;
    body_on(0);
    answers(0, "200 OK", "{\"ok\":true,\"result\":1}");
    taken(ticket);
    ticket = botapi_send(t.api, -100123, 0, SPAN("\"hi\"\n"), LONG_MS);
    assert_string_equal(body_on(1), "{\"chat_id\":-100123,\"text\":\"\\\"hi\\\"\\n\","
                                    "\"disable_web_page_preview\":true}");
    assert_non_null(strstr(request_on(1), "/sendMessage HTTP/1.1\r\n"));
    answers(1, "200 OK", "{\"ok\":true,\"result\":1}");
    taken(ticket);
    ticket = botapi_send(t.api, 5, 7, SPAN("x"), LONG_MS);
    assert_string_equal(body_on(2), "{\"chat_id\":5,\"message_thread_id\":7,\"text\":\"x\","
                                    "\"disable_web_page_preview\":true}");
    answers(2, "200 OK", "{\"ok\":true,\"result\":1}");
    taken(ticket);
    ticket = botapi_get_me(t.api, LONG_MS);
    body_on(0); /* the first connection is still there for other calls */
    answers(0, "200 OK", "{\"ok\":true,\"result\":1}");
    taken(ticket);
    assert_int_equal(t.peer_count, 3);
}

static void all_calls_may_be_under_way_and_each_has_its_answer(void **state)
{
    unsigned tickets[BOTAPI_CALLS_MAX];

    (void)state;
    for (unsigned i = 0; i < BOTAPI_CALLS_MAX; i++) {
        tickets[i] = botapi_send(t.api, i + 1, 0, SPAN("x"), LONG_MS);
        body_on(i); /* so that the connections have the order of the calls */
    }
    for (unsigned i = BOTAPI_CALLS_MAX; i-- > 0;) {
        answers(i, "200 OK", "{\"ok\":true,\"result\":1}");
        taken(tickets[i]);
    }
    assert_int_equal(t.peer_count, BOTAPI_CALLS_MAX);
}

static void an_aborted_call_closes_its_connection_and_has_no_answer(void **state)
{
    unsigned first = botapi_send(t.api, 1, 0, SPAN("x"), LONG_MS), second;

    (void)state;
    second = botapi_send(t.api, 2, 0, SPAN("y"), LONG_MS);
    body_on(0), body_on(1);
    botapi_abort(t.api, first);
    botapi_abort(t.api, first);
    botapi_abort(t.api, 0);
    botapi_abort(t.api, 999);
    for (unsigned i = 0; i < 2; i++) /* which of the two was first is not known */
        if (strstr(body_on(i), ":2,"))
            answers(i, "200 OK", "{\"ok\":true,\"result\":1}");
    assert_int_equal(taken(second)->verdict, BOTAPI_OK);
    assert_false(botapi_take(t.api, &t.answer));
    for (unsigned i = 0; i < BOTAPI_CALLS_MAX; i++) /* its place is free again */
        botapi_send(t.api, 3, 0, SPAN("z"), LONG_MS);
}

/* --- failures ------------------------------------------------------------------------------- */

static void without_a_connection_a_request_certainly_did_not_arrive(void **state)
{
    char expected[256];
    unsigned ticket;

    (void)state;
    botapi_close(t.api);
    close(t.listener);
    listen_at(false);
    t.api = botapi_open(t.loop, t.base, "42:SECRET");
    ticket = botapi_send(t.api, 1, 0, SPAN("x"), LONG_MS);
    assert_int_equal(taken(ticket)->verdict, BOTAPI_NO_CONTACT);
    assert_int_equal(t.answer.code, 0);
    snprintf(expected, sizeof expected, "%s: ", t.host);
    assert_ptr_equal(strstr(t.answer.why, expected), t.answer.why);
    assert_null(strstr(t.answer.why, "SECRET"));
}

static void a_connection_that_ends_without_an_answer_leaves_it_unknown(void **state)
{
    unsigned ticket = botapi_send(t.api, 1, 0, SPAN("x"), LONG_MS);

    (void)state;
    body_on(0);
    hang_up(0);
    assert_int_equal(taken(ticket)->verdict, BOTAPI_UNKNOWN);
    assert_int_equal(t.answer.code, 0);
    assert_int_equal(t.peer_count, 1); /* it was not sent again */
    ticket = botapi_send(t.api, 1, 0, SPAN("x"), LONG_MS);
    body_on(1);
    respond(1, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{", 40);
    hang_up(1);
    assert_int_equal(taken(ticket)->verdict, BOTAPI_UNKNOWN); /* half of an answer does not count */
}

static void a_call_without_an_answer_ends_with_its_timeout(void **state)
{
    unsigned ticket = botapi_get_me(t.api, 60);

    (void)state;
    body_on(0);
    assert_in_range(botapi_wait(t.api, loop_now(t.loop)), 0, 60);
    assert_int_equal(taken(ticket)->verdict, BOTAPI_UNKNOWN);
}

static void a_redirection_is_not_followed(void **state)
{
    unsigned ticket = botapi_get_me(t.api, LONG_MS);
    char status[128];

    (void)state;
    body_on(0);
    snprintf(status, sizeof status, "302 Found\r\nLocation: %s/elsewhere", t.base);
    answers(0, status, "");
    assert_int_equal(taken(ticket)->verdict, BOTAPI_UNKNOWN);
    assert_int_equal(t.answer.code, 302);
    assert_int_equal(t.read[0].len, 0);
    assert_int_equal(t.peer_count, 1);
}

static void answer_of(size_t len, unsigned ticket)
{
    static const char begin[] = "{\"ok\":true,\"result\":1}";
    struct buf b = {0};

    body_on(t.peer_count ? t.peer_count - 1 : 0);
    buf_printf(&b, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n%s", len, begin);
    len -= strlen(begin);
    memset(buf_room(&b, len), ' ', len);
    respond(t.peer_count - 1, b.data, b.len);
    buf_free(&b);
    taken(ticket);
}

static void an_answer_has_at_most_eight_mebibytes(void **state)
{
    unsigned ticket = botapi_send(t.api, 1, 0, SPAN("x"), LONG_MS);

    (void)state;
    until(request_on(0));
    answer_of(BOTAPI_ANSWER_MAX, ticket);
    assert_int_equal(t.answer.verdict, BOTAPI_OK);
    ticket = botapi_send(t.api, 1, 0, SPAN("x"), LONG_MS);
    until(request_on(1));
    answer_of(BOTAPI_ANSWER_MAX + 1, ticket);
    assert_int_equal(t.answer.verdict, BOTAPI_UNKNOWN);
    assert_non_null(strstr(t.answer.why, ": the answer is too large"));
    ticket = botapi_send(t.api, 1, 0, SPAN("x"), LONG_MS); /* the next one is not */
    until(request_on(2));
    answers(2, "200 OK", "{\"ok\":true,\"result\":1}");
    assert_int_equal(taken(ticket)->verdict, BOTAPI_OK);
}

static void an_idle_bot_waits_for_ever(void **state)
{
    (void)state;
    assert_int_equal(botapi_wait(t.api, loop_now(t.loop)), -1);
    botapi_get_me(t.api, LONG_MS);
    assert_in_range(botapi_wait(t.api, loop_now(t.loop)), 0, LONG_MS);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(a_call_is_a_post_under_the_token),
        CASE(updates_are_requested_from_an_offset_or_from_the_first),
        CASE(each_message_goes_over_a_connection_of_its_own),
        CASE(all_calls_may_be_under_way_and_each_has_its_answer),
        CASE(an_aborted_call_closes_its_connection_and_has_no_answer),
        CASE(without_a_connection_a_request_certainly_did_not_arrive),
        CASE(a_connection_that_ends_without_an_answer_leaves_it_unknown),
        CASE(a_call_without_an_answer_ends_with_its_timeout),
        CASE(a_redirection_is_not_followed),
        CASE(an_answer_has_at_most_eight_mebibytes),
        CASE(an_idle_bot_waits_for_ever),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
