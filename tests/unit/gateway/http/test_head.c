#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "gateway/http/head.h"
#include "tests/unit/dice.h"

#define GET "GET /a HTTP/1.1\r\n"
#define HOST "Host: x\r\n"
#define WITH(headers) SPAN(GET HOST headers "\r\n")

static char *copy; /* of exactly the size, so that a sanitizer sees one byte too many */
static struct head head;
static struct head_scan scan;

static void forget(void)
{
    free(copy);
    copy = NULL;
}

static enum head_fault judge(struct span text)
{
    enum head_fault fault;

    forget();
    copy = malloc(text.len ? text.len : 1);
    memcpy(copy, text.at, text.len);
    scan = (struct head_scan){0};
    fault = head_scan(&scan, copy, text.len);
    if (fault || !scan.size)
        return fault;
    return head_parse(copy + scan.start, scan.size - scan.start, &head);
}

static void accepted(struct span text)
{
    enum head_fault fault = judge(text);

    if (fault || !scan.size)
        fail_msg("%.*s: %s", (int)text.len, text.at,
                 fault ? head_explain(fault).message : "not complete");
}

static void what_rfc_9112_forbids_is_refused_by_its_name(void **state)
{
    const struct {
        struct span text;
        enum head_fault fault;
    } rows[] = {
        {SPAN("\x16\x03\x01\x02"), HEAD_FAULT_tls},
        {SPAN("G\x01T / HTTP/1.1\r\n"), HEAD_FAULT_control},
        {SPAN("GET /\0 HTTP/1.1\r\n"), HEAD_FAULT_control},
        {WITH("A: b\0c\r\n"), HEAD_FAULT_control},
        {WITH("A: b\x7f\r\n"), HEAD_FAULT_control},
        {WITH("A: b\x1b[0m\r\n"), HEAD_FAULT_control},
        {WITH("A\0: b\r\n"), HEAD_FAULT_control},
        {WITH("A: b\rc\r\n"), HEAD_FAULT_bare_cr},
        {SPAN(GET HOST "\r\r\n"), HEAD_FAULT_bare_cr},
        {SPAN("GET /a HTTP/1.1\r\r\n"), HEAD_FAULT_bare_cr},
        {SPAN("GET /a HTTP/1.1\nHost: x\n\n"), HEAD_FAULT_bare_lf},
        {WITH("A: b\nC: d\r\n"), HEAD_FAULT_bare_lf},
        {SPAN("\nGET /a HTTP/1.1\r\n"), HEAD_FAULT_bare_lf},
        {WITH("A: b\r\n c\r\n"), HEAD_FAULT_folded},
        {WITH("A: b\r\n\tc\r\n"), HEAD_FAULT_folded},
        {SPAN(GET " Host: x\r\n\r\n"), HEAD_FAULT_folded},
        {SPAN(" GET /a HTTP/1.1\r\n"), HEAD_FAULT_line},
        {SPAN("GET  /a HTTP/1.1\r\n" HOST "\r\n"), HEAD_FAULT_line},
        {SPAN("GET /a  HTTP/1.1\r\n" HOST "\r\n"), HEAD_FAULT_line},
        {SPAN("GET /a HTTP/1.1 \r\n" HOST "\r\n"), HEAD_FAULT_line},
        {SPAN("GET /a b HTTP/1.1\r\n" HOST "\r\n"), HEAD_FAULT_line},
        {SPAN("GET /a\r\n\r\n"), HEAD_FAULT_line},
        {SPAN("GET\r\n\r\n"), HEAD_FAULT_line},
        {SPAN("GET\t/a\tHTTP/1.1\r\n" HOST "\r\n"), HEAD_FAULT_line},
        {SPAN("get /a HTTP/1.1\r\n" HOST "\r\n"), HEAD_FAULT_method},
        {SPAN("G@T /a HTTP/1.1\r\n" HOST "\r\n"), HEAD_FAULT_method},
        {SPAN("GE\xc3\x89 /a HTTP/1.1\r\n" HOST "\r\n"), HEAD_FAULT_method},
        {SPAN("PRI * HTTP/2.0\r\n\r\n"), HEAD_FAULT_method},
        {SPAN("GET a HTTP/1.1\r\n" HOST "\r\n"), HEAD_FAULT_target},
        {SPAN("GET * HTTP/1.1\r\n" HOST "\r\n"), HEAD_FAULT_target},
        {SPAN("GET ?a HTTP/1.1\r\n" HOST "\r\n"), HEAD_FAULT_target},
        {SPAN("GET /a#b HTTP/1.1\r\n" HOST "\r\n"), HEAD_FAULT_target},
        {SPAN("GET /\xc3\xa9 HTTP/1.1\r\n" HOST "\r\n"), HEAD_FAULT_target},
        {SPAN("GET /a\tb HTTP/1.1\r\n" HOST "\r\n"), HEAD_FAULT_target},
        {SPAN("GET ftp://x/a HTTP/1.1\r\n" HOST "\r\n"), HEAD_FAULT_target},
        {SPAN("GET http:///a HTTP/1.1\r\n" HOST "\r\n"), HEAD_FAULT_target},
        {SPAN("GET http://:80/a HTTP/1.1\r\n" HOST "\r\n"), HEAD_FAULT_target},
        {SPAN("GET http://u@x/a HTTP/1.1\r\n" HOST "\r\n"), HEAD_FAULT_target},
        {SPAN("GET http:/a HTTP/1.1\r\n" HOST "\r\n"), HEAD_FAULT_target},
        {SPAN("CONNECT x:443 HTTP/1.1\r\n" HOST "\r\n"), HEAD_FAULT_target},
        {SPAN("GET /a HTTP/1.11\r\n" HOST "\r\n"), HEAD_FAULT_version},
        {SPAN("GET /a http/1.1\r\n" HOST "\r\n"), HEAD_FAULT_version},
        {SPAN("GET /a HTTP/1,1\r\n" HOST "\r\n"), HEAD_FAULT_version},
        {SPAN("GET /a HTTP/x.1\r\n" HOST "\r\n"), HEAD_FAULT_version},
        {SPAN("GET /a HTTPS/1.1\r\n" HOST "\r\n"), HEAD_FAULT_version},
        {SPAN("GET /a HTTP/2.0\r\n" HOST "\r\n"), HEAD_FAULT_other_version},
        {SPAN("GET /a HTTP/0.9\r\n" HOST "\r\n"), HEAD_FAULT_other_version},
        {WITH("A\r\n"), HEAD_FAULT_no_colon},
        {WITH("A : b\r\n"), HEAD_FAULT_name},
        {WITH("A\t: b\r\n"), HEAD_FAULT_name},
        {WITH(": b\r\n"), HEAD_FAULT_name},
        {WITH("A B: c\r\n"), HEAD_FAULT_name},
        {WITH("A(b): c\r\n"), HEAD_FAULT_name},
        {WITH("\xc3\xa9: c\r\n"), HEAD_FAULT_name},
        {SPAN(GET "Host : x\r\n\r\n"), HEAD_FAULT_name},
        {WITH("host: x\r\n"), HEAD_FAULT_repeated},
        {WITH("Host: y\r\n"), HEAD_FAULT_repeated},
        {WITH("Sec-WebSocket-Key: a\r\nSec-WebSocket-Key: a\r\n"), HEAD_FAULT_repeated},
        {WITH("Sec-WebSocket-Version: 13\r\nsec-websocket-version: 8\r\n"), HEAD_FAULT_repeated},
        {WITH("Origin: https://a\r\nORIGIN: https://b\r\n"), HEAD_FAULT_repeated},
        {WITH("Authorization: Bearer a\r\nAuthorization: Bearer b\r\n"), HEAD_FAULT_repeated},
        {WITH("Content-Length: 1\r\nContent-Length: 1\r\n"), HEAD_FAULT_repeated},
        {SPAN(GET "\r\n"), HEAD_FAULT_no_host},
        {SPAN("GET http://x/ HTTP/1.1\r\n\r\n"), HEAD_FAULT_no_host},
        {SPAN(GET "Host: a b\r\n\r\n"), HEAD_FAULT_host},
        {SPAN(GET "Host: a,b\r\n\r\n"), HEAD_FAULT_host},
        {SPAN(GET "Host: a/b\r\n\r\n"), HEAD_FAULT_host},
        {SPAN(GET "Host: u@a\r\n\r\n"), HEAD_FAULT_host},
        {SPAN(GET "Host: a:b\r\n\r\n"), HEAD_FAULT_host},
        {SPAN(GET "Host: a:1:2\r\n\r\n"), HEAD_FAULT_host},
        {SPAN(GET "Host: :80\r\n\r\n"), HEAD_FAULT_host},
        {SPAN(GET "Host: [::1\r\n\r\n"), HEAD_FAULT_host},
        {SPAN(GET "Host: []\r\n\r\n"), HEAD_FAULT_host},
        {SPAN(GET "Host: [::1]x\r\n\r\n"), HEAD_FAULT_host},
        {SPAN(GET "Host: a:123456\r\n\r\n"), HEAD_FAULT_host},
        {WITH("Content-Length: -1\r\n"), HEAD_FAULT_length},
        {WITH("Content-Length: +1\r\n"), HEAD_FAULT_length},
        {WITH("Content-Length: 1, 1\r\n"), HEAD_FAULT_length},
        {WITH("Content-Length: 0x1\r\n"), HEAD_FAULT_length},
        {WITH("Content-Length: 1 2\r\n"), HEAD_FAULT_length},
        {WITH("Content-Length:\r\n"), HEAD_FAULT_length},
        {WITH("Content-Length: 18446744073709551616\r\n"), HEAD_FAULT_length},
        {WITH("Content-Length: 9999999999999999999999\r\n"), HEAD_FAULT_length},
        {WITH("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n"),
         HEAD_FAULT_length_and_encoding},
        {WITH("Transfer-Encoding: xchunked\r\n"), HEAD_FAULT_encoding},
        {WITH("Transfer-Encoding: gzip\r\n"), HEAD_FAULT_encoding},
        {WITH("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n"),
         HEAD_FAULT_encoding},
        {SPAN("GET /a HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), HEAD_FAULT_encoding},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        enum head_fault fault = judge(rows[i].text);

        if (fault != rows[i].fault)
            fail_msg("row %zu, %.*s: fault %d, not %d", i, (int)rows[i].text.len, rows[i].text.at,
                     fault, rows[i].fault);
    }
}

static void what_rfc_9110_and_9112_allow_is_accepted(void **state)
{
    const struct span rows[] = {
        WITH(""),
        SPAN("\r\n\r\n" GET HOST "\r\n"),
        SPAN("GET /a HTTP/1.0\r\n\r\n"),
        SPAN("GET /a HTTP/1.2\r\n" HOST "\r\n"),
        SPAN("OPTIONS * HTTP/1.1\r\n" HOST "\r\n"),
        SPAN(GET "Host:\r\n\r\n"),
        SPAN(GET "Host: a:\r\n\r\n"),
        SPAN(GET "Host:a_b.example:80 \t \r\n\r\n"),
        SPAN(GET "Host: [::ffff:1.2.3.4]:80\r\n\r\n"),
        WITH("A: b\r\nA: c\r\n"),
        WITH("A:\r\n"),
        WITH("A: caf\xc3\xa9 \xff\r\n"),
        WITH("A: a\tb  c\r\n"),
        WITH("!#$%&'*+-.^_`|~09: x\r\n"),
        WITH("Transfer-Encoding: Chunked\r\n"),
        WITH("Content-Length: 000000000000000007\r\n"),
        SPAN(GET HOST "\r\n\0\xff what follows is not the head's"),
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        accepted(rows[i]);
}

static void a_target_in_absolute_form_replaces_host(void **state)
{
    (void)state;
    accepted(SPAN("GET HTTP://b.example:81/x?y=z HTTP/1.1\r\n" HOST "\r\n"));
    assert_string_equal(head.host, "b.example:81");
    assert_string_equal(head.path, "/x");
    assert_string_equal(head.query, "y=z");
    accepted(SPAN("GET ws://b?y HTTP/1.1\r\n" HOST "\r\n"));
    assert_string_equal(head.host, "b");
    assert_string_equal(head.path, "/");
    assert_string_equal(head.query, "y");
    accepted(SPAN("GET https://b HTTP/1.1\r\n" HOST "\r\n"));
    assert_string_equal(head.host, "b");
    assert_string_equal(head.path, "/");
    assert_string_equal(head.query, "");
}

static void every_header_is_read_with_its_value_trimmed(void **state)
{
    struct buf room = {0};

    (void)state;
    accepted(WITH("Connection: keep-alive\r\nA:  \t b c \t \r\nConnection:Upgrade\r\n"));
    assert_int_equal(head.count, 4);
    assert_string_equal(head.method, "GET");
    assert_string_equal(head.version, "1.1");
    assert_string_equal(head_value(&head, "a"), "b c");
    assert_null(head_value(&head, "b"));
    assert_string_equal(head_values(&head, "CONNECTION", &room), "keep-alive, Upgrade");
    buf_clear(&room);
    assert_string_equal(head_values(&head, "A", &room), "b c");
    assert_int_equal(room.len, 0);
    assert_null(head_values(&head, "b", &room));
    buf_free(&room);
}

static void add_fillers(struct buf *b, int count)
{
    buf_adds(b, GET HOST);
    for (int i = 0; i < count; i++)
        buf_printf(b, "X-%d: y\r\n", i);
}

static void a_header_beyond_the_64th_is_refused_and_the_64th_is_read(void **state)
{
    struct buf b = {0};

    (void)state;
    add_fillers(&b, HEAD_FIELDS_MAX - 2);
    buf_adds(&b, "Origin: https://evil.example\r\n\r\n");
    accepted(buf_span(&b));
    assert_string_equal(head_value(&head, "Origin"), "https://evil.example");
    buf_clear(&b);
    add_fillers(&b, HEAD_FIELDS_MAX - 1);
    buf_adds(&b, "Origin: https://evil.example\r\n\r\n");
    assert_int_equal(judge(buf_span(&b)), HEAD_FAULT_too_many);
    buf_free(&b);
}

/* "GET /xxx HTTP/1.1", the target of so many bytes. */
static void add_long_target(struct buf *b, size_t len)
{
    buf_adds(b, "GET /");
    memset(buf_room(b, len - 1), 'x', len - 1);
    buf_adds(b, " HTTP/1.1\r\n" HOST "\r\n");
}

static void limits_are_exact_and_known_before_the_end(void **state)
{
    struct buf b = {0};

    (void)state;
    add_long_target(&b, HEAD_TARGET_MAX);
    accepted(buf_span(&b));
    buf_clear(&b);
    add_long_target(&b, HEAD_TARGET_MAX + 1);
    assert_int_equal(judge(buf_span(&b)), HEAD_FAULT_target_too_long);
    assert_int_equal(head_explain(HEAD_FAULT_target_too_long).status, 414);
    buf_clear(&b);
    memset(buf_room(&b, HEAD_TARGET_MAX + 100), 'x', HEAD_TARGET_MAX + 100);
    assert_int_equal(judge(buf_span(&b)), HEAD_FAULT_target_too_long);

    buf_clear(&b);
    buf_adds(&b, GET HOST "A: ");
    while (b.len < HEAD_MAX - 4)
        buf_addc(&b, 'x');
    buf_adds(&b, "\r\n\r\n");
    accepted(buf_span(&b));
    for (int more = 1; more <= 4; more++) {
        b.len -= 4;
        buf_adds(&b, "x\r\n\r\n");
        assert_int_equal(judge(buf_span(&b)), HEAD_FAULT_too_large);
    }
    assert_int_equal(head_explain(HEAD_FAULT_too_large).status, 431);
    buf_clear(&b);
    while (b.len < HEAD_MAX + 2)
        buf_adds(&b, "\r\n");
    assert_int_equal(judge(buf_span(&b)), HEAD_FAULT_too_large);
    buf_free(&b);
}

/* The result is the same for any division into pieces. */
static void check_pieces(struct span text)
{
    enum head_fault whole = judge(text), fault = HEAD_FINE;
    size_t size = scan.size, len = 0;
    struct head_scan s = {0};
    bool is_scan = !size;

    while (!fault && !s.size && len < text.len) {
        len += 1 + dice(20);
        fault = head_scan(&s, text.at, len < text.len ? len : text.len);
    }
    assert_int_equal(s.size, size);
    assert_int_equal(fault, is_scan ? whole : HEAD_FINE);
}

static void mutate(struct buf *b)
{
    static const char *const pieces[] = {"\r\n",
                                         "\r",
                                         "\n",
                                         " ",
                                         "\t",
                                         ":",
                                         ",",
                                         "\r\n\r\n",
                                         "http://",
                                         "[",
                                         "]",
                                         "?",
                                         "#",
                                         "%",
                                         "\x7f",
                                         "*",
                                         "Content-Length: 1\r\n",
                                         "Host: y\r\n",
                                         " HTTP/1.1"};
    size_t at = b->len ? dice((unsigned)b->len) : 0, rest = b->len - at, len;
    const char *piece = pieces[dice(sizeof pieces / sizeof *pieces)];

    switch (dice(4)) {
    case 0: /* another byte */
        if (b->len)
            b->data[at] = (char)dice(256);
        break;
    case 1: /* fewer */
        len = dice(rest < 8 ? (unsigned)rest + 1 : 8);
        memmove(b->data + at, b->data + at + len, rest - len);
        b->len -= len;
        break;
    case 2: /* cut off */
        b->len = at;
        break;
    default:
        len = strlen(piece);
        buf_room(b, len);
        memmove(b->data + at + len, b->data + at, rest);
        memcpy(b->data + at, piece, len);
    }
}

static void check_text(const char *text)
{
    assert_true(text >= copy && text + strlen(text) < copy + scan.size);
}

/* An accepted head has the expected values, and no byte outside it is changed. */
static void check_head(void)
{
    for (int i = 0; i < head.count; i++) {
        const char *value = head.fields[i].value;
        size_t len = strlen(value);

        check_text(head.fields[i].name);
        check_text(value);
        assert_false(strpbrk(value, "\r\n") != NULL);
        assert_true(head.fields[i].name[0] && !strpbrk(head.fields[i].name, " \t:\r\n"));
        assert_false(len && (strchr(" \t", value[0]) || strchr(" \t", value[len - 1])));
    }
    assert_true(head.path[0] == '/' || strcmp(head.path, "*") == 0);
    assert_false(strpbrk(head.path, " ?#") != NULL);
    assert_false(strpbrk(head.query, " #") != NULL);
    assert_true(head.host || strcmp(head.version, "1.0") == 0);
    assert_false(head.has_length && head.is_chunked);
    assert_true(head.count <= HEAD_FIELDS_MAX);
}

static void random_bytes_are_judged_the_same_in_any_pieces(void **state)
{
    static const char *const seeds[] = {
        "GET /ws/cotizaciones?symbols=A&token=b HTTP/1.1\r\nHost: a.example:80\r\n"
        "Upgrade: websocket\r\nConnection: keep-alive, Upgrade\r\nOrigin: https://a\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: "
        "13\r\n\r\n",
        ("PUT http://x/cotizaciones/locks/a HTTP/1.1\r\nHost: [::1]:8000\r\n"
         "Content-Length: 12\r\nExpect: 100-continue\r\n\r\n{\"a\":\"bcd\"} "),
        "GET / HTTP/1.0\r\n\r\n",
    };
    struct buf b = {0};

    (void)state;
    dice_seed();
    for (int i = 0; i < 40000; i++) {
        buf_clear(&b);
        buf_adds(&b, seeds[dice(sizeof seeds / sizeof *seeds)]);
        for (unsigned n = 1 + dice(6); n > 0; n--)
            mutate(&b);
        if (judge(buf_span(&b)) == HEAD_FINE && scan.size)
            check_head();
        check_pieces(buf_span(&b));
    }
    buf_free(&b);
}

static void the_length_of_the_body_is_what_it_says(void **state)
{
    (void)state;
    accepted(WITH(""));
    assert_false(head.has_length || head.is_chunked);
    assert_int_equal(head.length, 0);
    accepted(WITH("Content-Length: 0\r\n"));
    assert_true(head.has_length);
    assert_int_equal(head.length, 0);
    accepted(WITH("Content-Length: 042\r\n"));
    assert_true(head.has_length);
    assert_int_equal(head.length, 42);
    accepted(WITH("Content-Length: 123456789012345678\r\n"));
    assert_int_equal(head.length, 123456789012345678);
    assert_int_equal(judge(WITH("Content-Length: 1234567890123456789\r\n")), HEAD_FAULT_length);
    accepted(WITH("Transfer-Encoding: chunked\r\n"));
    assert_true(head.is_chunked);
    assert_false(head.has_length);
}

static int tear_down(void **state)
{
    (void)state;
    forget();
    return 0;
}

int main(void)
{
#define TEST(name) cmocka_unit_test_teardown(name, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(what_rfc_9112_forbids_is_refused_by_its_name),
        TEST(what_rfc_9110_and_9112_allow_is_accepted),
        TEST(a_target_in_absolute_form_replaces_host),
        TEST(every_header_is_read_with_its_value_trimmed),
        TEST(a_header_beyond_the_64th_is_refused_and_the_64th_is_read),
        TEST(limits_are_exact_and_known_before_the_end),
        TEST(the_length_of_the_body_is_what_it_says),
        TEST(random_bytes_are_judged_the_same_in_any_pieces),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
