/* stream_op: what clients ask for in messages: subscribe, unsubscribe, list and ping. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/stream_private.h"
#include "shared/pack.h"

#define MAX_HZ_MAX 1000.0

/* --- ops --------------------------------------------------------------------------------- */

bool stream_set_max_hz(struct client *c, struct span text)
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

bool stream_set_mode(struct client *c, struct span mode)
{
    if (span_eq(mode, "merge"))
        hub_set_mode(&c->sub, false);
    else if (span_eq(mode, "all"))
        hub_set_mode(&c->sub, true);
    else
        return false;
    return true;
}

void stream_set_trace(struct client *c, bool is_traced)
{
    c->g->tracers += is_traced;
    c->g->tracers -= client_is_traced(c);
    c->sub.backlog.quote_as = is_traced ? MESSAGE_TRACED : MESSAGE_QUOTE;
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

static bool read_number(struct span text, int base, uint64_t *out)
{
    char copy[24], *end;

    if (!text.len || text.len >= sizeof copy || !isxdigit((unsigned char)text.at[0]))
        return false;
    memcpy(copy, text.at, text.len);
    copy[text.len] = '\0';
    errno = 0;
    *out = strtoull(copy, &end, base);
    return !*end && !errno;
}

static bool read_since(const struct json_value *since, uint64_t *epoch, uint64_t *seq)
{
    const struct json_value *e, *n;

    if (since->type != JSON_OBJECT)
        return false;
    e = json_member(since, "epoch");
    n = json_member(since, "seq");
    return e && e->type == JSON_STRING && e->text.len == 16 &&
           read_number(e->text, 16, epoch) && n && n->type == JSON_NUMBER &&
           read_number(n->text, 10, seq);
}

/* EPOCH:SEQ, in the URL. */
bool stream_read_since_text(struct span text, uint64_t *epoch, uint64_t *seq)
{
    return text.len > 17 && text.at[16] == ':' &&
           read_number((struct span){text.at, 16}, 16, epoch) &&
           read_number((struct span){text.at + 17, text.len - 17}, 10, seq);
}

void stream_set_since(struct request *r, uint64_t epoch, uint64_t seq)
{
    r->has_since = true;
    r->since_epoch = epoch;
    r->since_seq = r->cursor = seq;
}

static void op_subscribe(struct client *c, const struct json_value *root,
                         struct buf *id)
{
    const struct json_value *symbols = json_member(root, "symbols"),
                            *mode = json_member(root, "mode"),
                            *hz = json_member(root, "max_hz"),
                            *trace = json_member(root, "trace"),
                            *since = json_member(root, "since"), *v;
    uint64_t epoch = 0, seq = 0;
    struct request *r;

    if (!has_texts(c, root, symbols, id))
        return;
    if (mode && (mode->type != JSON_STRING || !stream_set_mode(c, mode->text))) {
        stream_say_error(c, id, "bad_request", "'mode' must be \"merge\" or \"all\"",
                         &mode->offset);
        return;
    }
    if (hz && (hz->type != JSON_NUMBER || !stream_set_max_hz(c, hz->text))) {
        stream_say_error(c, id, "bad_request",
                         "'max_hz' must be a number from 0.01 to 1000", &hz->offset);
        return;
    }
    if (trace && trace->type != JSON_BOOL) {
        stream_say_error(c, id, "bad_request", "'trace' must be true or false",
                         &trace->offset);
        return;
    }
    if (since && since->type != JSON_NULL && !read_since(since, &epoch, &seq)) {
        stream_say_error(c, id, "bad_request",
                         "'since' must be {\"epoch\":\"16 hex digits\",\"seq\":number}",
                         &since->offset);
        return;
    }
    if (trace)
        stream_set_trace(c, span_eq(trace->text, "true"));
    r = stream_request_new(c);
    r->id = *id;
    *id = (struct buf){0};
    if (since && since->type != JSON_NULL)
        stream_set_since(r, epoch, seq);
    for (v = symbols + 1; v < symbols + symbols->skip; v += v->skip)
        stream_request_add(r, v->text);
    stream_submit(c->g, r);
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
    stream_put_trace(&m, c);
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
            stream_reject(&rejected, c->sub.encoding, v->text);
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
    if ((id->type != JSON_STRING && id->type != JSON_NUMBER) ||
        id->text.len > STREAM_ID_MAX)
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
        char said[200];

        at = json_error_offset(json);
        snprintf(said, sizeof said, "%s; a request looks like {\"op\":\"ping\"}",
                 json_error(json));
        stream_say_error(c, &id, "bad_request", said, &at);
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

void stream_run(struct client *c, bool is_text, struct span message)
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
