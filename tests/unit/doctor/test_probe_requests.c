/* What the probe sends, and what it makes of every answer; the network is one of paper. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "doctor/probe.h"
#include "shared/base/version.h"
#include "tests/unit/doctor/curl_fixture.h"

#define BODY_MAX (1 << 20)
#define HEAD_MAX (1 << 16)
#define ACCEPTED "HTTP/1.1 101 Switching Protocols\r\nServer: pregon\r\n\r\n"
#define GOODBYE "\x88\x82\0\0\0\0\x03\xe8"

static struct probe_request request;
static struct probe_answer answer;

static int set_up(void **state)
{
    (void)state;
    request = (struct probe_request){
        .base = "http://quotes.example:8000", .path = "/live", .patience_ms = PATIENCE};
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    probe_free(&answer);
    buf_free(&server.incoming);
    buf_free(&sent);
    assert_int_equal(handles, 0);
    return 0;
}

static void get(void)
{
    probe_free(&answer);
    probe_get(&request, &answer);
}

static void shake(const char *bytes, size_t len, size_t piece)
{
    serve(bytes, len, piece);
    probe_free(&answer);
    probe_handshake(&request, &answer);
}

#define SHAKE(literal, piece) shake(literal, sizeof(literal) - 1, piece)

static void has(const struct buf *bytes, const char *want, size_t len)
{
    assert_int_equal(bytes->len, len);
    if (len)
        assert_memory_equal(bytes->data, want, len);
}

/* --- pages -------------------------------------------------------------------------------- */

static void a_page_is_requested_as_a_browser_does_without_a_proxy(void **state)
{
    (void)state;
    serve("", 0, 1);
    request.base = "https://quotes.example/prefix//";
    request.origin = "https://page.example";
    request.token = "the-token";
    get();
    assert_string_equal(option.url, "https://quotes.example/prefix/live");
    assert_string_equal(option.headers,
                        "Origin: https://page.example\nAuthorization: Bearer the-token\n");
    assert_string_equal(option.no_proxy, "*");
    assert_string_equal(option.protocols, "http,https");
    assert_string_equal(option.user_agent, "pregon-doctor/" PREGON_VERSION);
    assert_int_equal(option.version, CURL_HTTP_VERSION_1_1);
    assert_int_equal(option.timeout_ms, PATIENCE);
    assert_int_equal(option.no_signal, 1);
    assert_int_equal(option.connect_only, 0);
    request.origin = NULL;
    request.token = "";
    get();
    assert_string_equal(option.headers, "");
    request.token = NULL;
    get();
    assert_string_equal(option.headers, "");
}

static void a_preflight_is_an_options_request_with_what_the_page_wants(void **state)
{
    (void)state;
    serve("", 0, 1);
    request.origin = "https://page.example";
    request.method = "PUT";
    request.headers = "authorization, x-token";
    probe_preflight(&request, &answer);
    assert_string_equal(option.method, "OPTIONS");
    assert_string_equal(option.headers,
                        "Origin: https://page.example\nAccess-Control-Request-Method: PUT\n"
                        "Access-Control-Request-Headers: authorization, x-token\n");
    option.method[0] = '\0';
    get();
    assert_string_equal(option.method, "");
    assert_string_equal(option.headers, "Origin: https://page.example\n");
}

static void an_answer_has_the_last_head_and_the_body(void **state)
{
    static const char *const heads[] = {"HTTP/1.1 103 Early\r\n", "Early: 1\r\n",
                                        "HTTP/1.1 200 OK\r\n", "Vary: *\r\n", NULL};

    (void)state;
    serve("", 0, 1);
    memcpy(server.heads, heads, sizeof heads);
    server.body = "quotes";
    server.body_times = 2;
    server.status = 200;
    get();
    assert_int_equal(answer.status, 200);
    assert_string_equal(buf_text(&answer.head), "HTTP/1.1 200 OK\r\nVary: *\r\n");
    assert_string_equal(buf_text(&answer.body), "quotesquotes");
    assert_string_equal(answer.local, "192.0.2.7:4711");
    assert_string_equal(answer.error, "");
    assert_false(answer.is_tls_fault);
}

static void a_page_without_an_end_is_no_answer(void **state)
{
    static char line[1025];

    (void)state;
    memset(line, 'x', 1024);
    serve("", 0, 1);
    server.body = line;
    server.status = 200;
    server.body_times = BODY_MAX / 1024;
    get();
    assert_int_equal(answer.status, 200);
    assert_int_equal(answer.body.len, BODY_MAX);
    server.body_times++;
    get();
    assert_int_equal(answer.status, 0);
    assert_true(server.was_refused);
    assert_string_equal(answer.error, curl_easy_strerror(CURLE_WRITE_ERROR));
}

static void a_head_without_an_end_is_no_answer(void **state)
{
    char *line = calloc(1, HEAD_MAX + 1);

    (void)state;
    memset(line, 'x', HEAD_MAX);
    serve("", 0, 1);
    server.status = 200;
    server.heads[0] = line;
    get();
    assert_int_equal(answer.status, 200);
    assert_int_equal(answer.head.len, HEAD_MAX);
    server.heads[1] = "x";
    get();
    assert_int_equal(answer.status, 0);
    free(line);
}

static void a_failure_says_why_and_whether_tls_is_at_fault(void **state)
{
    static const struct {
        CURLcode code;
        bool is_tls_fault;
    } rows[] = {
        {CURLE_COULDNT_CONNECT, false},
        {CURLE_SSL_CONNECT_ERROR, true},
        {CURLE_PEER_FAILED_VERIFICATION, true},
        {CURLE_SSL_CACERT_BADFILE, true},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (int is_shake = 0; is_shake < 2; is_shake++) {
            serve("", 0, 1);
            server.code = rows[i].code;
            server.error = i ? "no such certificate" : NULL;
            server.status = 200;
            server.ip = NULL;
            server.port = 0;
            probe_free(&answer);
            if (is_shake)
                probe_handshake(&request, &answer);
            else
                probe_get(&request, &answer);
            assert_int_equal(answer.status, 0);
            assert_int_equal(answer.is_tls_fault, rows[i].is_tls_fault);
            assert_string_equal(answer.error, i ? server.error : curl_easy_strerror(rows[i].code));
            assert_string_equal(answer.local, ":0");
            assert_int_equal(sent.len, 0);
        }
}

/* --- handshakes --------------------------------------------------------------------------- */

#define HANDSHAKE(target, host, more)                                                        \
    "GET " target " HTTP/1.1\r\nHost: " host "\r\nUser-Agent: pregon-doctor/" PREGON_VERSION \
    "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"         \
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" more "Accept-Language: en\r\n\r\n"

static void a_handshake_is_sent_as_a_browser_does(void **state)
{
    static const struct {
        const char *base, *path, *origin, *token, *want;
    } rows[] = {
        {"http://quotes.example:8000", "/live", NULL, NULL,
         HANDSHAKE("/live", "quotes.example:8000", "")},
        {"http://quotes.example:80/", "/live?x=1&y", NULL, "",
         HANDSHAKE("/live?x=1&y", "quotes.example", "")},
        {"https://quotes.example:443/a/", "/live", "https://page.example", "secret",
         HANDSHAKE("/a/live", "quotes.example",
                   "Origin: https://page.example\r\nAuthorization: Bearer secret\r\n")},
        {"http://quotes.example:443", "/live", NULL, NULL,
         HANDSHAKE("/live", "quotes.example:443", "")},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        request.base = rows[i].base;
        request.path = rows[i].path;
        request.origin = rows[i].origin;
        request.token = rows[i].token;
        SHAKE("", 7);
        has(&sent, rows[i].want, strlen(rows[i].want));
        assert_int_equal(option.connect_only, 1);
        assert_int_equal(option.timeout_ms, PATIENCE);
        assert_string_equal(answer.error, "the connection ended without an answer");
        assert_string_equal(answer.local, "192.0.2.7:4711");
    }
}

static void a_handshake_that_cannot_be_sent_is_no_answer(void **state)
{
    (void)state;
    serve(ACCEPTED, sizeof ACCEPTED - 1, 100);
    server.is_deaf = true;
    probe_handshake(&request, &answer);
    assert_string_equal(answer.error, "the handshake could not be sent");
    assert_int_equal(answer.status, 0);
    serve(ACCEPTED, sizeof ACCEPTED - 1, 100);
    server.send_code = CURLE_SEND_ERROR;
    probe_handshake(&request, &answer);
    assert_string_equal(answer.error, "the handshake could not be sent");
    serve("", 0, 100);
    request.patience_ms = 0;
    probe_handshake(&request, &answer);
    assert_string_equal(answer.error, "the handshake could not be sent");
}

static void what_follows_an_acceptance_is_seen_in_pieces_of_any_size(void **state)
{
    static const size_t pieces[] = {1, 3, 50, 1000};

    (void)state;
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        SHAKE(ACCEPTED "\x81\x02{}", pieces[i]);
        assert_int_equal(answer.status, 101);
        assert_string_equal(answer.error, "");
        has(&answer.head, ACCEPTED, sizeof ACCEPTED - 1);
        assert_true(answer.is_followed);
        assert_int_equal(answer.close_code, 0);
        assert_int_equal(answer.body.len, 0);
        assert_memory_equal(sent.data + sent.len - 8, GOODBYE, 8);
        assert_int_equal(server.taken, server.incoming.len); /* until the server ends, too */
        SHAKE(ACCEPTED "\x88\x09\x0f\xa1{\"a\":1}", pieces[i]);
        assert_true(answer.is_followed);
        assert_int_equal(answer.close_code, 4001);
        assert_string_equal(answer.close_reason, "{\"a\":1}");
        assert_int_equal(sent.data[sent.len - 1], '\n'); /* it is closed already */
    }
}

static void an_acceptance_that_nothing_follows_is_known(void **state)
{
    (void)state;
    SHAKE(ACCEPTED, 1000);
    assert_int_equal(answer.status, 101);
    assert_false(answer.is_followed);
    assert_int_equal(sent.data[sent.len - 1], '\n');
    SHAKE(ACCEPTED "\x81", 1000);
    assert_false(answer.is_followed);
    SHAKE(ACCEPTED "\x81\x00", 1000);
    assert_true(answer.is_followed);
    serve(ACCEPTED, sizeof ACCEPTED - 1, 1000);
    server.is_silent = true;
    probe_free(&answer);
    probe_handshake(&request, &answer);
    assert_int_equal(answer.status, 101);
    assert_false(answer.is_followed);
}

static void a_close_frame_has_a_code_if_it_has_two_bytes_or_more(void **state)
{
    static const struct {
        unsigned char first, len;
        int sent_len, code;
    } rows[] = {
        {0x88, 1, 1, 0},     {0x88, 2, 2, 4001}, {0x88, 125, 125, 4001}, {0x88, 126, 126, 0},
        {0x88, 125, 124, 0}, {0x81, 2, 2, 0},    {0x08, 2, 2, 4001},     {0x88, 0x82, 2, 4001},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char bytes[300] = ACCEPTED;
        size_t at = sizeof ACCEPTED - 1;

        memset(bytes + at, 'x', 200);
        bytes[at] = (char)rows[i].first;
        bytes[at + 1] = (char)rows[i].len;
        bytes[at + 2] = '\x0f';
        bytes[at + 3] = '\xa1';
        shake(bytes, at + 2 + (size_t)rows[i].sent_len, 1000);
        assert_true(answer.is_followed);
        assert_int_equal(answer.close_code, rows[i].code);
        assert_int_equal(strlen(answer.close_reason),
                         rows[i].code ? (size_t)rows[i].sent_len - 2 : 0);
    }
}

static void a_refusal_has_its_body(void **state)
{
    (void)state;
    SHAKE("HTTP/1.1 403 Forbidden\r\nContent-Length: 5\r\n\r\nno!\r\n", 4);
    assert_int_equal(answer.status, 403);
    has(&answer.body, "no!\r\n", 5);
    assert_false(answer.is_followed);
    assert_string_equal(answer.error, "");
    assert_int_equal(sent.data[sent.len - 1], '\n');
    SHAKE("HTTP/1.1 403 Forbidden\r\nContent-Length: 9\r\n\r\nno!\r\n", 4);
    has(&answer.body, "no!\r\n", 5); /* as much as came */
    SHAKE("HTTP/1.1 403 Forbidden\r\n\r\n", 1);
    assert_int_equal(answer.status, 403);
    assert_int_equal(answer.body.len, 0);
}

static void a_body_is_read_up_to_a_limit(void **state)
{
    static const char head[] = "HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n";
    struct buf bytes = {0};

    (void)state;
    buf_adds(&bytes, head);
    while (bytes.len < sizeof head - 1 + 2 * BODY_MAX)
        buf_adds(&bytes, "0123456789abcdef");
    shake(bytes.data, bytes.len, 4096);
    assert_in_range(answer.body.len, BODY_MAX, BODY_MAX + 4096 - 1);
    buf_free(&bytes);
}

static void what_is_no_http_is_no_answer(void **state)
{
    struct buf bytes = {0};

    (void)state;
    SHAKE("SSH-2.0-OpenSSH\r\n", 1000);
    assert_string_equal(answer.error, "the answer is no HTTP");
    assert_int_equal(answer.status, 0);
    SHAKE("SSH-2.0-OpenSSH\r\n\r\n", 1000);
    assert_string_equal(answer.error, "the answer is no HTTP");
    assert_int_equal(answer.status, 0);
    serve(ACCEPTED, sizeof ACCEPTED - 1, 1000);
    server.receive_code = CURLE_RECV_ERROR;
    probe_free(&answer);
    probe_handshake(&request, &answer);
    assert_string_equal(answer.error, "the connection ended without an answer");
    while (bytes.len < 2 * HEAD_MAX)
        buf_adds(&bytes, "header: value\r\n");
    shake(bytes.data, bytes.len, 4096);
    assert_string_equal(answer.error, "the answer is no HTTP");
    assert_in_range(server.taken, HEAD_MAX, HEAD_MAX + 4096 - 1);
    buf_free(&bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(a_page_is_requested_as_a_browser_does_without_a_proxy),
        TEST(a_preflight_is_an_options_request_with_what_the_page_wants),
        TEST(an_answer_has_the_last_head_and_the_body),
        TEST(a_page_without_an_end_is_no_answer),
        TEST(a_head_without_an_end_is_no_answer),
        TEST(a_failure_says_why_and_whether_tls_is_at_fault),
        TEST(a_handshake_is_sent_as_a_browser_does),
        TEST(a_handshake_that_cannot_be_sent_is_no_answer),
        TEST(what_follows_an_acceptance_is_seen_in_pieces_of_any_size),
        TEST(an_acceptance_that_nothing_follows_is_known),
        TEST(a_close_frame_has_a_code_if_it_has_two_bytes_or_more),
        TEST(a_refusal_has_its_body),
        TEST(a_body_is_read_up_to_a_limit),
        TEST(what_is_no_http_is_no_answer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
