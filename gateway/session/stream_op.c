/* stream_op: what clients ask for in messages: subscribe, unsubscribe, list and ping. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/session/stream_private.h"
#include "shared/wire/pack.h"

#define MAX_HZ_MAX 1000.0

/* --- ops --------------------------------------------------------------------------------- */

bool stream_read_hz(struct span text, uint32_t *interval_ms)
{
    char copy[32], *end;
    double hz;

    if (!text.len || text.len >= sizeof copy)
        return false;
    memcpy(copy, text.at, text.len);
    copy[text.len] = '\0';
    if (strspn(copy, "0123456789.eE+-") != text.len || !isdigit((unsigned char)copy[0]))
        return false; /* strtod would take more, hexadecimal numbers say */
    hz = strtod(copy, &end);
    if (*end || !(hz >= 0.01 && hz <= MAX_HZ_MAX))
        return false;
    *interval_ms = (uint32_t)(1000.0 / hz);
    return true;
}

bool stream_read_mode(struct span text, bool *wants_all)
{
    *wants_all = span_eq(text, "all");
    return *wants_all || span_eq(text, "merge");
}

void stream_apply_wishes(struct client *c, const struct stream_wishes *w)
{
    if (w->has_mode)
        client_set_mode(c, w->wants_all);
    if (w->has_hz) {
        c->interval_ms = w->interval_ms;
        if (c->flush_at > c->g->now + c->interval_ms)
            c->flush_at = c->g->now + c->interval_ms;
    }
    if (w->has_trace) {
        c->g->tracers += w->is_traced;
        c->g->tracers -= client_is_traced(c);
        c->sub.backlog.quote_as = w->is_traced ? MESSAGE_TRACED : MESSAGE_QUOTE;
    }
}

static bool has_texts(struct client *c, const struct json_value *root,
                      const struct json_value *symbols, const struct buf *id)
{
    const struct json_value *v;

    if (!symbols || symbols->type != JSON_ARRAY) {
        stream_send_error(c, id, "bad_request", "'symbols' must be an array",
                          symbols ? &symbols->offset : &root->offset);
        return false;
    }
    for (v = symbols + 1; v < symbols + symbols->skip; v += v->skip)
        if (v->type != JSON_STRING) {
            stream_send_error(c, id, "bad_request", "'symbols' must hold text",
                              &v->offset);
            return false;
        }
    return true;
}

static bool read_number(struct span text, int base, uint64_t *out)
{
    char copy[24], *end;

    if (!text.len || text.len >= sizeof copy)
        return false;
    memcpy(copy, text.at, text.len);
    copy[text.len] = '\0';
    if (strspn(copy, "0123456789abcdefABCDEF") != text.len)
        return false;
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

bool stream_read_since(struct span text, uint64_t *epoch, uint64_t *seq)
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

static bool refuse_member(struct client *c, const struct buf *id, const char *text,
                          const struct json_value *member)
{
    stream_send_error(c, id, "bad_request", text, &member->offset);
    return false;
}

/* Everything of a subscription but its symbols.  False: the client has been told what is wrong. */
static bool read_wishes(struct client *c, const struct json_value *root,
                        const struct buf *id, struct stream_wishes *w)
{
    const struct json_value *mode = json_member(root, "mode"),
                            *hz = json_member(root, "max_hz"),
                            *trace = json_member(root, "trace"),
                            *since = json_member(root, "since");

    *w = (struct stream_wishes){
        .has_mode = mode,
        .has_hz = hz,
        .has_trace = trace,
        .has_since = since && since->type != JSON_NULL,
    };
    if (mode &&
        (mode->type != JSON_STRING || !stream_read_mode(mode->text, &w->wants_all)))
        return refuse_member(c, id, "'mode' must be \"merge\" or \"all\"", mode);
    if (hz && (hz->type != JSON_NUMBER || !stream_read_hz(hz->text, &w->interval_ms)))
        return refuse_member(c, id, "'max_hz' must be a number from 0.01 to 1000", hz);
    if (trace && trace->type != JSON_BOOL)
        return refuse_member(c, id, "'trace' must be true or false", trace);
    w->is_traced = trace && span_eq(trace->text, "true");
    if (w->has_since && !read_since(since, &w->epoch, &w->seq))
        return refuse_member(
            c, id, "'since' must be {\"epoch\":\"16 hex digits\",\"seq\":number}",
            since);
    return true;
}

/* Judged whole before any of it is done: what is refused changes nothing. */
static void op_subscribe(struct client *c, const struct json_value *root,
                         struct buf *id)
{
    const struct json_value *symbols = json_member(root, "symbols"), *v;
    struct stream_wishes wishes;
    struct request *r;

    if (!has_texts(c, root, symbols, id) || !read_wishes(c, root, id, &wishes))
        return;
    r = stream_request_new(c);
    if (wishes.has_mode && wishes.wants_all && !c->sub.wants_all)
        stream_request_keep(r);
    stream_apply_wishes(c, &wishes);
    r->id = *id;
    *id = (struct buf){0};
    if (wishes.has_since)
        stream_set_since(r, wishes.epoch, wishes.seq);
    for (v = symbols + 1; v < symbols + symbols->skip; v += v->skip)
        stream_request_add(r, v->text);
    stream_submit(r);
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
    struct request *r;

    if (!has_texts(c, root, symbols, id))
        return;
    r = stream_request_new(c);
    r->is_leaving = true;
    r->id = *id;
    *id = (struct buf){0};
    for (v = symbols + 1; v < symbols + symbols->skip; v += v->skip)
        stream_request_add(r, v->text);
    stream_submit(r);
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

#define MEMBERS "op, id"

static const struct op {
    const char *name;
    void (*run)(struct client *c, const struct json_value *root, struct buf *id);
    const char
        *members; /* those that it may have; NULL: it has no options to misspell */
} ops[] = {
    {"subscribe", op_subscribe, MEMBERS ", symbols, mode, max_hz, trace, since"},
    {"unsubscribe", op_unsubscribe, MEMBERS ", symbols"},
    {"list", op_list, NULL},
    {"ping", op_ping, NULL},
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

/* A misspelt member must not be as good as none.  False: the client has been told. */
static bool has_only_members(struct client *c, const struct json_value *root,
                             const struct op *op, const struct buf *id)
{
    const struct json_value *key = root + 1, *end = root + root->skip;
    char text[256];

    for (; op->members && key < end; key += 1 + key[1].skip) {
        if (is_listed(op->members, key->text))
            continue;
        snprintf(text, sizeof text, "%s has no member '%.*s'; it may have %s", op->name,
                 (int)(key->text.len < STREAM_ID_MAX ? key->text.len : STREAM_ID_MAX),
                 key->text.at, op->members);
        return refuse_member(c, id, text, key);
    }
    return true;
}

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
        stream_send_error(c, &id, "bad_request", said, &at);
        return;
    }
    op = json_member(root, "op");
    if (root->type != JSON_OBJECT || !op || op->type != JSON_STRING) {
        stream_send_error(
            c, &id, "bad_request",
            "a request is an object with 'op': subscribe, unsubscribe, list or ping",
            op ? &op->offset : &root->offset);
        return;
    }
    if (!take_id(c, json_member(root, "id"), &id)) {
        stream_send_error(c, &id, "bad_request",
                          "'id' must be a number or a text of at most 64 bytes",
                          &json_member(root, "id")->offset);
        return;
    }
    for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++)
        if (span_eq(op->text, ops[i].name)) {
            if (has_only_members(c, root, &ops[i], &id))
                ops[i].run(c, root, &id);
            buf_free(&id);
            return;
        }
    stream_send_error(c, &id, "unknown_op",
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
        stream_send_error(c, &none, "bad_request",
                          "send text: pregon.v1.json was negotiated", NULL);
        return;
    }
    if (pack_check(message)) {
        stream_send_error(c, &none, "bad_request", "not one well-formed msgpack value",
                          NULL);
        return;
    }
    pack_to_json(&message, &json);
    run(c, buf_span(&json));
    buf_free(&json);
}
