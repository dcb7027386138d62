/*
 * A WebSocket client: whatever its frames and requests are, in turns between quotes.
 *
 * The first line of the input is the query of the URL; '!' before it asks for msgpack, '>' for an
 * event stream.  Each other
 * line is one thing that happens:
 *   '#' bytes of the connection as they are; '@' "SYMBOL PRICE", a quote; '+' milliseconds pass;
 *   '~' the broker is lost; '&' the broker answers the oldest request with these bytes, or with
 *   what this JSON describes (messages.h);
 *   '%' the socket takes so many bytes and is then full; else a text message, in one masked frame.
 */
#include <msgpack.h>

#include "gateway/config/gateway_config.h"
#include "gateway/session/sessions.h"
#include "shared/config/config.h"
#include "shared/config/config_value.h"
#include "shared/wire/pack.h"
#include "tests/fuzz/messages.h"

#define EPOCH 7777
#define LINES_MAX 200
#define QUESTIONS_MAX 16

static struct gateway_config config;
static struct counters counters;
static struct hub *hub;
static struct sessions *all;
static struct session *session; /* NULL: freed */
static struct span input;       /* of the peer, still to be read */
static size_t room;             /* what the socket still takes */
static struct buf output;
static bool is_closed, is_events;
static uint64_t head;
static int64_t now;

static struct question {
    void *ctx;
    session_answer *on_answer;
} questions[QUESTIONS_MAX];
static size_t question_count;

static ssize_t io_recv(struct session *s, void *to, size_t size)
{
    size_t len = input.len < size ? input.len : size;

    MUST(s == session && !is_closed);
    if (len)
        memcpy(to, input.at, len);
    input.at += len;
    input.len -= len;
    return (ssize_t)len;
}

static ssize_t io_send(struct session *s, const void *bytes, size_t len)
{
    size_t taken = len < room ? len : room;

    MUST(s == session && !is_closed && len > 0);
    buf_add(&output, bytes, taken);
    room -= taken;
    return (ssize_t)taken;
}

static bool io_watch(struct session *s)
{
    return s == session;
}

static size_t io_unacknowledged(struct session *s)
{
    (void)s;
    return room < 100 ? 100 : 0;
}

static void io_nothing(struct session *s)
{
    MUST(s == session);
}

static void io_close(struct session *s)
{
    MUST(s == session && !is_closed);
    is_closed = true;
}

static void io_free(struct session *s)
{
    MUST(s == session && is_closed);
    free(session);
    session = NULL;
}

static int64_t io_wall_us(void *ctx)
{
    (void)ctx;
    return 1640995200000000 + now * 1000;
}

static void on_session(void *ctx, const struct session *s)
{
    (void)ctx;
    MUST(s == session);
}

static bool is_broker_here(void *ctx)
{
    (void)ctx;
    return true;
}

static void answer(struct span bytes)
{
    struct question q = questions[0];

    if (!question_count)
        return;
    memmove(questions, questions + 1, --question_count * sizeof *questions);
    q.on_answer(q.ctx, pack_check(bytes) ? (struct span){"", 0} : bytes);
}

static void on_request(void *ctx, const char *op, uint32_t members, struct span body,
                       void *answer_ctx, session_answer *on_answer)
{
    (void)ctx;
    MUST(op[0]);
    for (uint32_t i = 0; i < 2 * members; i++)
        MUST(pack_skip(&body));
    MUST(body.len == 0);
    if (question_count == QUESTIONS_MAX)
        answer(SPAN(""));
    questions[question_count++] = (struct question){answer_ctx, on_answer};
}

/*
 * A text message is JSON.  Bytes of the broker's records that are not UTF-8 become U+FFFD, so that
 * two names may become one.
 */
static void check_text(struct json *j, struct span text)
{
    const struct json_value *root;
    enum err e = json_parse(j, text, &root);

    MUST(e == OK || e == ERR_DUPLICATE_KEY);
}

static bool begins(struct span line, const char *with)
{
    size_t len = strlen(with);

    return line.len >= len && !memcmp(line.at, with, len);
}

/* Each line of an event stream is one of its fields, and data is JSON. */
static void check_events(struct json *j)
{
    struct span rest = buf_span(&output), line;

    while (rest.len && memchr(rest.at, '\n', rest.len)) {
        line = fuzz_part(&rest, "\n");
        MUST(!line.len || begins(line, ":") || begins(line, "id:") || begins(line, "data: ") ||
             begins(line, "retry: "));
        if (begins(line, "data: "))
            check_text(j, (struct span){line.at + 6, line.len - 6});
    }
    memmove(output.data, rest.at, rest.len);
    output.len = rest.len;
}

/* A frame to the peer is one that RFC 6455 allows a server. */
static void check_output(struct json *j)
{
    struct span rest = buf_span(&output);

    while (rest.len >= 2) {
        unsigned char opcode = (unsigned char)rest.at[0] & 15, first = (unsigned char)rest.at[1];
        size_t header = first == 127 ? 10 : first == 126 ? 4 : 2, len = first;

        MUST(((unsigned char)rest.at[0] & 0xF0) == 0x80 && first <= 127);
        MUST(opcode == 1 || opcode == 2 || opcode == 8 || opcode == 9 || opcode == 10);
        if (rest.len < header)
            break;
        for (size_t i = 2, n = 0; i < header; i++)
            len = n = n << 8 | (unsigned char)rest.at[i];
        if (rest.len - header < len)
            break;
        if (opcode == 1)
            check_text(j, (struct span){rest.at + header, len});
        rest.at += header + len;
        rest.len -= header + len;
    }
    memmove(output.data, rest.at, rest.len);
    output.len = rest.len;
}

static void turn(void)
{
    sessions_set_time(all, now, now, io_wall_us(NULL));
    sessions_unthrottle(all);
    sessions_sweep(all);
    for (struct hub_topic *t = hub_topic_first(hub); t; t = t->next)
        if (!t->is_live)
            hub_topic_synced(t, head);
    hub_fan_out(hub);
    sessions_flush_due(all, 100, 1 << 20, true);
    sessions_settle(all);
    sessions_flush_deferred(all);
    sessions_flush_due(all, 100, 1 << 20, false);
    sessions_measure(all);
    sessions_reap(all);
    (void)hub_tidy(hub, 100);
}

static void quote(char *line)
{
    struct buf body = {0};
    struct wire_record r = {.kind = WIRE_QUOTE, .epoch = EPOCH, .seq = head + 1, .sent_us = 1};
    char *price = strchr(line, ' ');
    struct span symbol = {line, price ? (size_t)(price - line) : strlen(line)};
    msgpack_packer pk;

    if (!quote_is_symbol(symbol) || !price || !quote_is_decimal(span_of(price + 1)))
        return;
    msgpack_packer_init(&pk, &body, buf_pack_write);
    msgpack_pack_map(&pk, 1);
    pack_kv_text(&pk, "last", span_of(price + 1));
    r.body = buf_span(&body);
    head++;
    (void)hub_apply(hub, hub_know(hub, symbol), &r);
    hub_set_seq(hub, head);
    buf_free(&body);
}

static void read_bytes(struct span bytes)
{
    input = bytes;
    /* In slices, with time between them, as a session that sends too much is read. */
    for (int i = 0; i < 50 && session && !is_closed && (i == 0 || input.len); i++) {
        session_on_ready(session, SESSION_READABLE | SESSION_WRITABLE);
        now++;
        turn();
    }
    input.len = 0;
}

static void say(struct span text)
{
    struct buf frame = {0};

    buf_addc(&frame, (char)0x81);
    if (text.len < 126) {
        buf_addc(&frame, (char)(0x80 | text.len));
    } else {
        buf_addc(&frame, (char)(0x80 | 126));
        buf_addc(&frame, (char)(text.len >> 8));
        buf_addc(&frame, (char)text.len);
    }
    buf_add(&frame, "\0\0\0\0", 4);
    buf_add(&frame, text.at, text.len);
    read_bytes(buf_span(&frame));
    buf_free(&frame);
}

static void take_answer(struct json *j, struct span line)
{
    const struct json_value *root;
    struct buf bytes = {0};

    if (message_read(j, line, &root))
        message_pack(root, &bytes);
    else
        buf_add(&bytes, line.at, line.len);
    answer(buf_span(&bytes));
    buf_free(&bytes);
}

static void take_line(struct json *j, struct span line, char *copy)
{
    switch (copy[0]) {
    case '#':
        read_bytes((struct span){line.at + 1, line.len - 1});
        break;
    case '@':
        quote(copy + 1);
        break;
    case '+':
        now += (int64_t)(strtoul(copy + 1, NULL, 10) % 100000);
        break;
    case '~':
        hub_go_stale(hub);
        hub_thaw(hub);
        break;
    case '&':
        take_answer(j, (struct span){line.at + 1, line.len - 1});
        break;
    case '%':
        room = (size_t)strtoul(copy + 1, NULL, 10) % 100000;
        break;
    default:
        say(line);
    }
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    for (const struct config_option *o = gateway_program.options; o->name; o++) {
        int64_t number = 0;

        if (o->kind == CONFIG_address || config_value_read(o, o->value, &number))
            config_value_store(o, o->value, number, &config);
    }
    return 0;
}

static void begin(struct span *rest)
{
    static const struct session_out out = {.opened = on_session,
                                           .closed = on_session,
                                           .is_broker_here = is_broker_here,
                                           .request = on_request};
    char *line = fuzz_line(rest);
    enum encoding encoding = line[0] == '!'   ? ENCODING_MSGPACK
                             : line[0] == '>' ? ENCODING_EVENTS
                                              : ENCODING_JSON;
    struct accepted a = {.port = 1,
                         .host = "192.0.2.1",
                         .path = line,
                         .query = line + (encoding != ENCODING_JSON),
                         .encoding = encoding};

    counters_init(&counters);
    hub = hub_new((size_t)config.client_queue);
    hub_set_window(hub, 100000);
    all = sessions_new(&config, "fuzz", hub, &counters, &out);
    all->io = (struct session_io){.recv = io_recv,
                                  .send = io_send,
                                  .watch = io_watch,
                                  .unacknowledged = io_unacknowledged,
                                  .end_output = io_nothing,
                                  .close = io_close,
                                  .free = io_free,
                                  .wall_us = io_wall_us};
    head = 0;
    now = 5000;
    is_closed = false;
    room = SIZE_MAX;
    hub_reset(hub, EPOCH);
    hub_thaw(hub);
    sessions_set_time(all, now, now, io_wall_us(NULL));
    session = calloc(1, sizeof *session);
    MUST(session);
    is_events = encoding == ENCODING_EVENTS;
    session_open(all, session, &a);
    session_begin(session, &a);
    turn();
    free(line);
}

static void end(struct json *j)
{
    if (session && !is_closed)
        session_drop(session, "the input ends");
    while (question_count)
        answer(SPAN(""));
    turn();
    MUST(!session && all->count == 0);
    if (is_events)
        check_events(j);
    else
        check_output(j);
    sessions_free(all);
    hub_free(hub);
    buf_free(&output);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span rest = fuzz_span(data, size);
    struct json *j = json_new();

    json_set_depth(j, JSON_DEPTH_LIMIT);
    fuzz_quiet();
    begin(&rest);
    for (int i = 0; i < LINES_MAX && rest.len && session; i++) {
        struct span line = fuzz_part(&rest, "\n");
        char *copy = fuzz_text(line);

        take_line(j, line, copy);
        free(copy);
        turn();
        if (session && !is_closed)
            MUST(session->out.len <= SESSION_OUT_MAX + 65536 + (size_t)config.ws_max_size);
    }
    end(j);
    json_free(j);
    return 0;
}
