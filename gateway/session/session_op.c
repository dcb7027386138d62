/* session_op: the requests that a client sends: subscribe, unsubscribe, list and ping. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/session/session_private.h"
#include "shared/wire/pack.h"

static bool has_texts(struct session *s, const struct json_value *root,
                      const struct json_value *symbols, const struct buf *id)
{
    const struct json_value *v;

    if (!symbols || symbols->type != JSON_ARRAY) {
        session_send_error(s, id, "bad_request", "'symbols' must be an array",
                           symbols ? &symbols->offset : &root->offset);
        return false;
    }
    for (v = symbols + 1; v < symbols + symbols->skip; v += v->skip)
        if (v->type != JSON_STRING) {
            session_send_error(s, id, "bad_request", "'symbols' must hold text", &v->offset);
            return false;
        }
    return true;
}

static bool read_since(const struct json_value *since, uint64_t *epoch, uint64_t *seq)
{
    const struct json_value *e, *n;

    if (since->type != JSON_OBJECT)
        return false;
    e = json_member(since, "epoch");
    n = json_member(since, "seq");
    return e && e->type == JSON_STRING && n && n->type == JSON_NUMBER &&
           session_option_position(e->text, n->text, epoch, seq);
}

static bool refuse_member(struct session *s, const struct buf *id, const char *text,
                          const struct json_value *member)
{
    session_send_error(s, id, "bad_request", text, &member->offset);
    return false;
}

/* Read all options of a subscription, without its symbols.  false: an error has been sent. */
static bool read_options(struct session *s, const struct json_value *root, const struct buf *id,
                         struct session_options *o)
{
    const struct json_value *mode = json_member(root, "mode"), *hz = json_member(root, "max_hz"),
                            *trace = json_member(root, "trace"),
                            *since = json_member(root, "since");

    *o = (struct session_options){
        .has_mode = mode,
        .has_hz = hz,
        .has_trace = trace,
        .has_since = since && since->type != JSON_NULL,
    };
    if (mode && (mode->type != JSON_STRING || !session_option_mode(mode->text, &o->wants_all)))
        return refuse_member(s, id, "'mode' must be \"merge\" or \"all\"", mode);
    if (hz && (hz->type != JSON_NUMBER || !session_option_hz(hz->text, &o->interval_ms)))
        return refuse_member(s, id, "'max_hz' must be a number from 0.01 to 1000", hz);
    if (trace && trace->type != JSON_BOOL)
        return refuse_member(s, id, "'trace' must be true or false", trace);
    o->is_traced = trace && span_eq(trace->text, "true");
    if (since && o->has_since && !read_since(since, &o->epoch, &o->seq))
        return refuse_member(s, id, "'since' must be {\"epoch\":\"16 hex digits\",\"seq\":number}",
                             since);
    return true;
}

/* The request is read completely before any of it is applied: a refused request changes nothing. */
static void op_subscribe(struct session *s, const struct json_value *root, struct buf *id)
{
    const struct json_value *symbols = json_member(root, "symbols"), *v;
    struct session_options options;
    struct session_request *r;

    if (!has_texts(s, root, symbols, id) || !read_options(s, root, id, &options))
        return;
    r = session_request_new(s);
    if (options.has_mode && options.wants_all && !s->sub.wants_all)
        session_request_keep(r);
    session_option_apply(s, &options);
    r->id = *id;
    *id = (struct buf){0};
    if (options.has_since)
        session_request_set_since(r, options.epoch, options.seq);
    for (v = symbols + 1; v < symbols + symbols->skip; v += v->skip)
        session_request_add(r, v->text);
    session_request_submit(r);
}

static void send_patterns(struct session *s, const char *op, const struct buf *id)
{
    struct message_texts held = {0};
    struct message m;

    message_begin(&m, s->sub.encoding, "ack");
    message_text(&m, "op", span_of(op));
    session_put_id(&m, id);
    message_u(&m, "seq", session_complete_seq(s));
    message_text(&m, "mode", s->sub.wants_all ? SPAN("all") : SPAN("merge"));
    session_put_trace(&m, s);
    for (uint32_t i = 0; i < s->sub.topic_count; i++)
        message_texts_add(&held, s->sub.encoding, hub_topic_pattern(s->sub.topics[i].topic));
    message_put_texts(&m, "symbols", &held);
    buf_free(&held.items);
    session_finish(s, &m);
}

static void op_unsubscribe(struct session *s, const struct json_value *root, struct buf *id)
{
    const struct json_value *symbols = json_member(root, "symbols"), *v;
    struct session_request *r;

    if (!has_texts(s, root, symbols, id))
        return;
    r = session_request_new(s);
    r->is_leaving = true;
    r->id = *id;
    *id = (struct buf){0};
    for (v = symbols + 1; v < symbols + symbols->skip; v += v->skip)
        session_request_add(r, v->text);
    session_request_submit(r);
}

static void op_list(struct session *s, const struct json_value *root, struct buf *id)
{
    (void)root;
    send_patterns(s, "list", id);
}

static void op_ping(struct session *s, const struct json_value *root, struct buf *id)
{
    struct message m;

    (void)root;
    message_begin(&m, s->sub.encoding, "ack");
    message_text(&m, "op", SPAN("ping"));
    session_put_id(&m, id);
    message_u(&m, "seq", session_complete_seq(s));
    message_time(&m, "timestamp", s->all->wall_us);
    session_finish(s, &m);
}

#define MEMBERS "op, id"

static const struct op {
    const char *name;
    void (*run)(struct session *s, const struct json_value *root, struct buf *id);
    const char *members; /* the permitted members; NULL: do not check, the op has no options */
} ops[] = {
    {"subscribe", op_subscribe, MEMBERS ", symbols, mode, max_hz, trace, since"},
    {"unsubscribe", op_unsubscribe, MEMBERS ", symbols"},
    {"list", op_list, NULL},
    {"ping", op_ping, NULL},
    {"publish", session_publish, MEMBERS ", token, feed, key, ended, quotes"},
};

static bool is_listed(const char *list, struct span name)
{
    for (; *list; list += strspn(list, ", ")) {
        size_t len = strcspn(list, ",");

        if (len == name.len && memcmp(list, name.at, len) == 0)
            return true;
        list += len;
    }
    return false;
}

/* A misspelt member must not be ignored.  False: an error has been sent. */
static bool has_only_members(struct session *s, const struct json_value *root, const struct op *op,
                             const struct buf *id)
{
    const struct json_value *key = root + 1, *end = root + root->skip;
    char text[256];

    for (; op->members && key < end; key += 1 + key[1].skip) {
        if (is_listed(op->members, key->text))
            continue;
        snprintf(text, sizeof text, "%s has no member '%.*s'; it may have %s", op->name,
                 (int)(key->text.len < SESSION_ID_MAX ? key->text.len : SESSION_ID_MAX),
                 key->text.at, op->members);
        return refuse_member(s, id, text, key);
    }
    return true;
}

/* The request's id as its answer repeats it. */
static bool take_id(struct session *s, const struct json_value *id, struct buf *out)
{
    msgpack_packer pk;
    char copy[24], *end;

    if (!id || id->type == JSON_NULL)
        return true;
    if ((id->type != JSON_STRING && id->type != JSON_NUMBER) || id->text.len > SESSION_ID_MAX)
        return false;
    if (encoding_is_text(s->sub.encoding)) {
        if (id->type == JSON_STRING)
            buf_json(out, id->text);
        else
            buf_add(out, id->text.at, id->text.len);
        return true;
    }
    msgpack_packer_init(&pk, out, buf_pack_write);
    if (id->type == JSON_NUMBER && id->text.len < 19 && !memchr(id->text.at, '.', id->text.len)) {
        memcpy(copy, id->text.at, id->text.len);
        copy[id->text.len] = '\0';
        msgpack_pack_int64(&pk, strtoll(copy, &end, 10));
    } else {
        pack_text(&pk, id->text);
    }
    return true;
}

static void run(struct session *s, struct span text)
{
    struct json *json = s->all->json;
    const struct json_value *root, *op;
    struct buf id = {0};
    size_t at;

    if (json_parse(json, text, &root)) {
        char text_of_error[200];

        at = json_error_offset(json);
        snprintf(text_of_error, sizeof text_of_error, "%s; a request looks like {\"op\":\"ping\"}",
                 json_error(json));
        session_send_error(s, &id, "bad_request", text_of_error, &at);
        return;
    }
    op = json_member(root, "op");
    if (root->type != JSON_OBJECT || !op || op->type != JSON_STRING) {
        session_send_error(
            s, &id, "bad_request",
            "a request is an object with 'op': subscribe, unsubscribe, list, ping or publish",
            op ? &op->offset : &root->offset);
        return;
    }
    if (!take_id(s, json_member(root, "id"), &id)) {
        session_send_error(s, &id, "bad_request",
                           "'id' must be a number or a text of at most 64 bytes",
                           &json_member(root, "id")->offset);
        return;
    }
    for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++)
        if (span_eq(op->text, ops[i].name)) {
            if (has_only_members(s, root, &ops[i], &id))
                ops[i].run(s, root, &id);
            buf_free(&id);
            return;
        }
    session_send_error(s, &id, "unknown_op",
                       "'op' must be subscribe, unsubscribe, list, ping or publish", &op->offset);
    buf_free(&id);
}

void session_run(struct session *s, bool is_text, struct span message)
{
    struct buf json = {0}, none = {0};

    if (is_text) {
        run(s, message);
        return;
    }
    if (encoding_is_text(s->sub.encoding)) {
        session_send_error(s, &none, "bad_request", "send text: pregon.v1.json was negotiated",
                           NULL);
        return;
    }
    if (pack_check(message)) {
        session_send_error(s, &none, "bad_request", "not one well-formed msgpack value", NULL);
        return;
    }
    if (!session_publish_is_exact(message)) {
        session_publish_refuse_inexact(s, message);
        return;
    }
    pack_to_json(&message, &json);
    run(s, buf_span(&json));
    buf_free(&json);
}
