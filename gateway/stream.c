#include "gateway/stream_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/upstream.h"
#include "shared/log.h"
#include "shared/mem.h"
#include "shared/pack.h"

#define ID_MAX 64
#define URL_PARAM_MAX 8192
#define MAX_HZ_MAX 1000.0

/*
 * A subscription on its way: it holds its topics until the client has joined them.  What the
 * client says meanwhile waits behind it, as a message still to be run: requests are
 * answered in the order they came.
 */
struct request {
    struct request *next;
    struct client *client;
    struct buf message; /* to be run; empty: a subscription */
    bool is_text;
    struct buf id; /* encoded for the client; empty: none */
    struct hub_topic **topics;
    size_t topic_count;
    struct message_texts rejected;
    int64_t answer_by; /* monotonic, ms */
    bool is_auto;
    bool has_since;
    size_t snapshot_limit;
};

/* --- requests -------------------------------------------------------------------------- */

static void free_request(struct gateway *g, struct request *r)
{
    r->client->requests--;
    r->client->waiting_bytes -= r->message.len;
    buf_free(&r->message);
    for (size_t i = 0; i < r->topic_count; i++)
        hub_topic_release(g->hub, r->topics[i]);
    free(r->topics);
    buf_free(&r->rejected.items);
    buf_free(&r->id);
    free(r);
}

static void put_patterns(struct message *m, const struct request *r)
{
    struct message_texts accepted = {0};

    for (size_t i = 0; i < r->topic_count; i++)
        message_texts_add(&accepted, m->encoding, hub_topic_pattern(r->topics[i]));
    message_put_texts(m, "symbols", &accepted);
    message_put_texts(m, "rejected", &r->rejected);
    buf_free(&accepted.items);
}

/* The ack, then everything the request asked for becomes owed. */
static void acknowledge(struct gateway *g, struct request *r, bool is_broker_away)
{
    struct client *c = r->client;
    struct message m;
    char epoch[17];
    size_t count = 0;

    if (c->is_auto && !r->is_auto) {
        while (c->sub.topic_count)
            hub_leave(g->hub, &c->sub, hub_topic_pattern(c->sub.topics[0].topic));
        c->is_auto = false;
    }
    stream_epoch_text(hub_epoch(g->hub), epoch);
    message_begin(&m, c->sub.encoding, "ack");
    message_text(&m, "op", SPAN("subscribe"));
    stream_put_id(&m, &r->id);
    message_text(&m, "epoch", span_of(epoch));
    message_u(&m, "seq", stream_complete_seq(c));
    put_patterns(&m, r);
    if (r->has_since)
        message_bool(&m, "recovered", false);
    if (r->is_auto)
        message_bool(&m, "auto", true);
    if (is_broker_away)
        message_text(&m, "upstream", SPAN("away"));
    stream_finish(c, &m);
    for (size_t i = 0; i < r->topic_count; i++) {
        size_t limit = r->snapshot_limit > count ? r->snapshot_limit - count : 0;

        count += hub_join(g->hub, &c->sub, r->topics[i], limit);
    }
    hub_set_due(g->hub, &c->sub);
    if (r->is_auto && count > r->snapshot_limit) {
        struct buf none = {0};
        char text[200];

        snprintf(text, sizeof text,
                 "%zu symbols match, the first %zu were sent as snapshots: subscribe "
                 "to what "
                 "you need, or raise AUTO_MAX",
                 count, r->snapshot_limit);
        stream_say_error(c, &none, "auto_max", text, NULL);
    }
}

static bool is_answerable(const struct request *r)
{
    for (size_t i = 0; i < r->topic_count; i++)
        if (r->topics[i]->sync != TOPIC_LIVE)
            return false;
    return true;
}

void stream_forget(struct client *c)
{
    for (struct request **at = &c->g->requests; *at;) {
        struct request *r = *at;

        if (r->client != c) {
            at = &r->next;
            continue;
        }
        *at = r->next;
        free_request(c->g, r);
    }
}

static struct request *request_new(struct client *c)
{
    struct request *r = mem_zalloc(sizeof *r);

    r->client = c;
    c->requests++;
    r->snapshot_limit = SIZE_MAX;
    r->answer_by = c->g->now + STREAM_WAIT_MS;
    return r;
}

/* Named in the answer, if need be cut short. */
static void reject(struct message_texts *t, enum encoding encoding, struct span pattern)
{
    if (pattern.len > ID_MAX)
        pattern.len = ID_MAX;
    message_texts_add(t, encoding, pattern);
}

/* Add a pattern; one that is none, or one too many, is rejected by name. */
static void request_add(struct request *r, struct span pattern)
{
    struct gateway *g = r->client->g;
    struct hub_topic *t;

    if (!hub_is_pattern(pattern) || memchr(pattern.at, '\0', pattern.len) ||
        r->client->sub.topic_count + r->topic_count >= (size_t)g->config.max_symbols) {
        reject(&r->rejected, r->client->sub.encoding, pattern);
        return;
    }
    t = hub_topic_hold(g->hub, pattern);
    for (size_t i = 0; i < r->topic_count; i++)
        if (r->topics[i] == t) {
            hub_topic_release(g->hub, t);
            return;
        }
    if ((r->topic_count & (r->topic_count - 1)) == 0) /* doubles at powers of two */
        r->topics = mem_resize(r->topics, (r->topic_count ? r->topic_count * 2 : 1) *
                                              sizeof *r->topics);
    r->topics[r->topic_count++] = t;
}

/* At the end of the list, or where the message that made it stood. */
static void submit(struct gateway *g, struct request *r)
{
    struct request **at = g->submit_at ? g->submit_at : &g->requests;

    while (!g->submit_at && *at)
        at = &(*at)->next;
    r->next = *at;
    *at = r;
}

/* --- ops --------------------------------------------------------------------------------- */

static bool set_max_hz(struct client *c, struct span text)
{
    char copy[32], *end;
    double hz;

    if (!text.len || text.len >= sizeof copy)
        return false;
    memcpy(copy, text.at, text.len);
    copy[text.len] = '\0';
    hz = strtod(copy, &end);
    if (*end || !(hz >= 0.01 && hz <= MAX_HZ_MAX))
        return false;
    c->interval_ms = (uint32_t)(1000.0 / hz);
    if (c->flush_at > c->g->now + c->interval_ms)
        c->flush_at = c->g->now + c->interval_ms;
    return true;
}

static bool set_mode(struct client *c, struct span mode)
{
    if (span_eq(mode, "merge"))
        c->sub.wants_all = false;
    else if (span_eq(mode, "all"))
        c->sub.wants_all = true;
    else
        return false;
    return true;
}

static bool has_texts(struct client *c, const struct json_value *root,
                      const struct json_value *symbols, const struct buf *id)
{
    const struct json_value *v;

    if (!symbols || symbols->type != JSON_ARRAY) {
        stream_say_error(c, id, "bad_request", "'symbols' must be an array",
                         symbols ? &symbols->offset : &root->offset);
        return false;
    }
    for (v = symbols + 1; v < symbols + symbols->skip; v += v->skip)
        if (v->type != JSON_STRING) {
            stream_say_error(c, id, "bad_request", "'symbols' must hold text",
                             &v->offset);
            return false;
        }
    return true;
}

static void op_subscribe(struct client *c, const struct json_value *root,
                         struct buf *id)
{
    const struct json_value *symbols = json_member(root, "symbols"),
                            *mode = json_member(root, "mode"),
                            *hz = json_member(root, "max_hz"),
                            *since = json_member(root, "since"), *v;
    struct request *r;

    if (!has_texts(c, root, symbols, id))
        return;
    if (mode && (mode->type != JSON_STRING || !set_mode(c, mode->text))) {
        stream_say_error(c, id, "bad_request", "'mode' must be \"merge\" or \"all\"",
                         &mode->offset);
        return;
    }
    if (hz && (hz->type != JSON_NUMBER || !set_max_hz(c, hz->text))) {
        stream_say_error(c, id, "bad_request",
                         "'max_hz' must be a number from 0.01 to 1000", &hz->offset);
        return;
    }
    if (since && since->type != JSON_OBJECT && since->type != JSON_NULL) {
        stream_say_error(c, id, "bad_request", "'since' must be an object",
                         &since->offset);
        return;
    }
    r = request_new(c);
    r->id = *id;
    *id = (struct buf){0};
    r->has_since = since && since->type == JSON_OBJECT;
    for (v = symbols + 1; v < symbols + symbols->skip; v += v->skip)
        request_add(r, v->text);
    submit(c->g, r);
}

static void say_patterns(struct client *c, const char *op, const struct buf *id)
{
    struct message_texts held = {0};
    struct message m;

    message_begin(&m, c->sub.encoding, "ack");
    message_text(&m, "op", span_of(op));
    stream_put_id(&m, id);
    message_u(&m, "seq", stream_complete_seq(c));
    message_text(&m, "mode", c->sub.wants_all ? SPAN("all") : SPAN("merge"));
    for (uint32_t i = 0; i < c->sub.topic_count; i++)
        message_texts_add(&held, c->sub.encoding,
                          hub_topic_pattern(c->sub.topics[i].topic));
    message_put_texts(&m, "symbols", &held);
    buf_free(&held.items);
    stream_finish(c, &m);
}

static void op_unsubscribe(struct client *c, const struct json_value *root,
                           struct buf *id)
{
    const struct json_value *symbols = json_member(root, "symbols"), *v;
    struct message_texts left = {0}, rejected = {0};
    struct message m;

    if (!has_texts(c, root, symbols, id))
        return;
    for (v = symbols + 1; v < symbols + symbols->skip; v += v->skip) {
        if (hub_leave(c->g->hub, &c->sub, v->text))
            message_texts_add(&left, c->sub.encoding, v->text);
        else
            reject(&rejected, c->sub.encoding, v->text);
    }
    message_begin(&m, c->sub.encoding, "ack");
    message_text(&m, "op", SPAN("unsubscribe"));
    stream_put_id(&m, id);
    message_u(&m, "seq", stream_complete_seq(c));
    message_put_texts(&m, "symbols", &left);
    message_put_texts(&m, "rejected", &rejected);
    stream_finish(c, &m);
    buf_free(&left.items);
    buf_free(&rejected.items);
}

static void op_list(struct client *c, const struct json_value *root, struct buf *id)
{
    (void)root;
    say_patterns(c, "list", id);
}

static void op_ping(struct client *c, const struct json_value *root, struct buf *id)
{
    struct message m;

    (void)root;
    message_begin(&m, c->sub.encoding, "ack");
    message_text(&m, "op", SPAN("ping"));
    stream_put_id(&m, id);
    message_u(&m, "seq", stream_complete_seq(c));
    message_time(&m, "timestamp", c->g->wall_us);
    stream_finish(c, &m);
}

static const struct {
    const char *op;
    void (*run)(struct client *c, const struct json_value *root, struct buf *id);
} ops[] = {
    {"subscribe", op_subscribe},
    {"unsubscribe", op_unsubscribe},
    {"list", op_list},
    {"ping", op_ping},
};

/* The request's id as it will be said back. */
static bool take_id(struct client *c, const struct json_value *id, struct buf *out)
{
    msgpack_packer pk;
    char copy[24], *end;

    if (!id || id->type == JSON_NULL)
        return true;
    if ((id->type != JSON_STRING && id->type != JSON_NUMBER) || id->text.len > ID_MAX)
        return false;
    if (c->sub.encoding == ENCODING_JSON) {
        if (id->type == JSON_STRING)
            buf_json(out, id->text);
        else
            buf_add(out, id->text.at, id->text.len);
        return true;
    }
    msgpack_packer_init(&pk, out, buf_pack_write);
    if (id->type == JSON_NUMBER && id->text.len < 19 &&
        !memchr(id->text.at, '.', id->text.len)) {
        memcpy(copy, id->text.at, id->text.len);
        copy[id->text.len] = '\0';
        msgpack_pack_int64(&pk, strtoll(copy, &end, 10));
    } else {
        pack_text(&pk, id->text);
    }
    return true;
}

static void run(struct client *c, struct span text)
{
    struct json *json = c->g->json;
    const struct json_value *root, *op;
    struct buf id = {0};
    size_t at;

    if (json_parse(json, text, &root)) {
        at = json_error_offset(json);
        stream_say_error(c, &id, "bad_request", json_error(json), &at);
        return;
    }
    op = json_member(root, "op");
    if (root->type != JSON_OBJECT || !op || op->type != JSON_STRING) {
        stream_say_error(
            c, &id, "bad_request",
            "a request is an object with 'op': subscribe, unsubscribe, list or ping",
            op ? &op->offset : &root->offset);
        return;
    }
    if (!take_id(c, json_member(root, "id"), &id)) {
        stream_say_error(c, &id, "bad_request",
                         "'id' must be a number or a text of at most 64 bytes",
                         &json_member(root, "id")->offset);
        return;
    }
    for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++)
        if (span_eq(op->text, ops[i].op)) {
            ops[i].run(c, root, &id);
            buf_free(&id);
            return;
        }
    stream_say_error(c, &id, "unknown_op",
                     "'op' must be subscribe, unsubscribe, list or ping", &op->offset);
    buf_free(&id);
}

static void run_message(struct client *c, bool is_text, struct span message)
{
    struct buf json = {0}, none = {0};

    if (is_text) {
        run(c, message);
        return;
    }
    if (c->sub.encoding == ENCODING_JSON) {
        stream_say_error(c, &none, "bad_request",
                         "send text: pregon.v1.json was negotiated", NULL);
        return;
    }
    if (pack_check(message)) {
        stream_say_error(c, &none, "bad_request", "not one well-formed msgpack value",
                         NULL);
        return;
    }
    pack_to_json(&message, &json);
    run(c, buf_span(&json));
    buf_free(&json);
}

void stream_message(struct client *c, bool is_text, struct span message)
{
    struct request *r;

    if (!c->requests) {
        run_message(c, is_text, message);
        return;
    }
    r = request_new(c);
    buf_add(&r->message, message.at, message.len);
    if (!message.len)
        buf_addc(&r->message, ' '); /* as wrong as nothing, but something to run */
    r->is_text = is_text;
    c->waiting_bytes += r->message.len;
    submit(c->g, r);
}

static bool must_wait(struct gateway *g, const struct request *r)
{
    return r->client->waits_in_round == g->settle_round ||
           (!r->message.len && !is_answerable(r) && upstream_is_here(g->upstream) &&
            g->now < r->answer_by);
}

void stream_settle(struct gateway *g)
{
    g->settle_round++;
    for (struct request **at = &g->requests; *at;) {
        struct request *r = *at;

        if (must_wait(g, r)) {
            r->client->waits_in_round = g->settle_round;
            at = &r->next;
            continue;
        }
        *at = r->next;
        if (r->message.len) {
            g->submit_at = at;
            run_message(r->client, r->is_text, buf_span(&r->message));
            g->submit_at = NULL;
        } else {
            acknowledge(g, r, !is_answerable(r));
        }
        hub_set_due(g->hub, &r->client->sub);
        free_request(g, r);
    }
}

/* --- welcome -------------------------------------------------------------------------------- */

static int hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* A query parameter, percent-decoded, or false. */
static bool query_param(const char *query, const char *name, struct buf *out)
{
    size_t len = strlen(name);

    while (query && *query) {
        const char *end = strchrnul(query, '&');

        if (strncmp(query, name, len) == 0 && query[len] == '=') {
            for (const char *s = query + len + 1; s < end; s++) {
                int high = s[0] == '%' && end - s > 2 ? hex_digit(s[1]) : -1,
                    low = high >= 0 ? hex_digit(s[2]) : -1;

                if (low >= 0) {
                    buf_addc(out, (char)(high << 4 | low));
                    s += 2;
                } else {
                    buf_addc(out, *s == '+' ? ' ' : *s);
                }
            }
            buf_text(out);
            return true;
        }
        query = *end ? end + 1 : NULL;
    }
    return false;
}

static void add_list(struct request *r, struct span list)
{
    const char *at = list.at, *end = at + list.len;

    while (at < end) {
        const char *comma = memchr(at, ',', (size_t)(end - at));
        const char *stop = comma ? comma : end;

        while (at < stop && *at == ' ')
            at++;
        if (at < stop)
            request_add(r, (struct span){at, (size_t)(stop - at)});
        at = stop + 1;
    }
}

void stream_welcome(struct client *c, const char *query)
{
    struct gateway *g = c->g;
    struct request *r = request_new(c);
    struct buf mode = {0}, hz = {0}, symbols = {0}, since = {0}, none = {0};

    stream_say_welcome(c);
    if (query_param(query, "mode", &mode) && !set_mode(c, buf_span(&mode)))
        stream_say_error(c, &none, "bad_request", "?mode= must be merge or all", NULL);
    if (query_param(query, "max_hz", &hz) && !set_max_hz(c, buf_span(&hz)))
        stream_say_error(c, &none, "bad_request",
                         "?max_hz= must be a number from 0.01 to 1000", NULL);
    r->has_since = query_param(query, "since", &since);
    if (query_param(query, "symbols", &symbols) && symbols.len <= URL_PARAM_MAX) {
        add_list(r, buf_span(&symbols));
    } else {
        add_list(r, span_of(g->config.websocket_auto_subscribe));
        r->is_auto = c->is_auto = true;
        r->snapshot_limit = (size_t)g->config.auto_max;
    }
    buf_free(&mode);
    buf_free(&hz);
    buf_free(&symbols);
    buf_free(&since);
    if (r->topic_count || r->rejected.count)
        submit(g, r);
    else
        free_request(g, r);
}
