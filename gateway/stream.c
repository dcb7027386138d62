#include "gateway/stream_private.h"

#include <ctype.h>
#include <errno.h>
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

/* --- requests -------------------------------------------------------------------------- */

static void free_request(struct gateway *g, struct request *r)
{
    stream_resume_end(r);
    r->client->requests--;
    r->client->waiting_bytes -= r->cost;
    buf_free(&r->message);
    for (size_t i = 0; i < r->topic_count; i++)
        hub_topic_release(g->hub, r->topics[i]);
    free(r->topics);
    buf_free(&r->rejected.items);
    buf_free(&r->id);
    free(r);
}

/* The automatic subscription ends with the first that was asked for. */
static void leave_auto(struct gateway *g, struct request *r)
{
    struct client *c = r->client;

    if (!c->is_auto || r->is_auto)
        return;
    while (c->sub.topic_count)
        hub_leave(g->hub, &c->sub, hub_topic_pattern(c->sub.topics[0].topic));
    c->is_auto = false;
}

/* Another gateway was ahead of us, or there is no such position. */
static bool is_ahead(const struct gateway *g, const struct request *r)
{
    return r->has_since && r->since_epoch == hub_epoch(g->hub) &&
           r->since_seq > hub_applied(g->hub);
}

/*
 * All that changed since can be told.  While the broker is away a client that is ahead is believed:
 * of what came after its position we know nothing, and it will be told when we do.
 */
static bool is_position_known(const struct gateway *g, const struct request *r)
{
    return r->has_since && r->since_epoch == hub_epoch(g->hub) &&
           (!is_ahead(g, r) || !upstream_is_here(g->upstream));
}

/*
 * Join, owing what the client has not.  The ack goes before it (`out` is sent before what the hub
 * owes), and the position it states is one below everything still owed.
 */
static void acknowledge(struct gateway *g, struct request *r, bool is_broker_away)
{
    struct client *c = r->client;
    bool is_recovered = !c->sub.wants_all && is_position_known(g, r);
    uint64_t seq;
    size_t count;

    leave_auto(g, r);
    seq = stream_complete_seq(c);
    count = hub_join(g->hub, &c->sub, r->topics, r->topic_count, r->snapshot_limit,
                     is_recovered ? r->since_seq : 0, &seq);
    stream_state_position(c, seq);
    c->sub.backlog.sent_seq = seq;
    if (!r->is_acked && !r->is_anew)
        stream_say_subscribed(g, r, seq, is_recovered, is_broker_away);
    hub_set_due(g->hub, &c->sub);
    if (r->is_auto && count > r->snapshot_limit)
        stream_say_too_many(c, count, r->snapshot_limit);
}

static bool is_answerable(const struct request *r)
{
    for (size_t i = 0; i < r->topic_count; i++)
        if (r->topics[i]->sync != TOPIC_LIVE)
            return false;
    return true;
}

static void insert(struct gateway *g, struct request **at, struct request *r)
{
    r->next = *at;
    *at = r;
    if (!r->next)
        g->requests_end = &r->next;
}

static struct request *take_out(struct gateway *g, struct request **at)
{
    struct request *r = *at;

    *at = r->next;
    if (!*at)
        g->requests_end = at;
    return r;
}

void stream_forget(struct client *c)
{
    for (struct request **at = &c->g->requests; c->requests && *at;) {
        if ((*at)->client == c)
            free_request(c->g, take_out(c->g, at));
        else
            at = &(*at)->next;
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
    insert(g,
           g->submit_at  ? g->submit_at
           : g->requests ? g->requests_end
                         : &g->requests,
           r);
}

void stream_begin_anew(struct client *c)
{
    struct gateway *g = c->g;
    struct request *r;

    if (!c->sub.topic_count)
        return;
    r = request_new(c);
    r->is_anew = true;
    r->is_auto = c->is_auto;
    if (r->is_auto)
        r->snapshot_limit = (size_t)g->config.auto_max;
    r->topics = mem_alloc(c->sub.topic_count * sizeof *r->topics);
    for (; r->topic_count < c->sub.topic_count; r->topic_count++)
        r->topics[r->topic_count] = hub_topic_hold(
            g->hub, hub_topic_pattern(c->sub.topics[r->topic_count].topic));
    hub_leave_all(g->hub, &c->sub);
    insert(g, &g->requests, r); /* before what it has asked for meanwhile */
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
        hub_set_mode(&c->sub, false);
    else if (span_eq(mode, "all"))
        hub_set_mode(&c->sub, true);
    else
        return false;
    return true;
}

static void set_trace(struct client *c, bool is_traced)
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
static bool read_since_text(struct span text, uint64_t *epoch, uint64_t *seq)
{
    return text.len > 17 && text.at[16] == ':' &&
           read_number((struct span){text.at, 16}, 16, epoch) &&
           read_number((struct span){text.at + 17, text.len - 17}, 10, seq);
}

static void set_since(struct request *r, uint64_t epoch, uint64_t seq)
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
        set_trace(c, span_eq(trace->text, "true"));
    r = request_new(c);
    r->id = *id;
    *id = (struct buf){0};
    if (since && since->type != JSON_NULL)
        set_since(r, epoch, seq);
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

    if (!c->requests && client_has_room(c)) {
        run_message(c, is_text, message);
        return;
    }
    r = request_new(c);
    buf_add(&r->message, message.at, message.len);
    if (!message.len)
        buf_addc(&r->message, ' '); /* as wrong as nothing, but something to run */
    r->is_text = is_text;
    r->cost = sizeof *r + r->message.len;
    c->waiting_bytes += r->cost;
    submit(c->g, r);
}

/*
 * A subscription whose topics are not live waits, for so long as the broker is there.  One
 * that is ahead waits until we have caught up, or the broker is known to be away.
 */
static bool is_patient(const struct gateway *g, const struct request *r, bool is_away)
{
    if (!upstream_is_here(g->upstream))
        return false;
    if (is_ahead(g, r))
        return g->now < r->answer_by + UPSTREAM_SILENCE_MS;
    return is_away && g->now < r->answer_by;
}

/* Answer a subscription if that can be done now. */
static bool settle(struct gateway *g, struct request *r)
{
    bool is_away = !is_answerable(r);

    if (!r->client->sub.wants_all) {
        if (is_patient(g, r, is_away))
            return false;
    } else if (is_away) {
        return false; /* in mode all nothing follows a hole, not at the beginning either */
    } else if (r->has_since) {
        switch (stream_resume(g, r)) {
        case RESUME_WAITS:
            return false;
        case RESUME_READY:
            hub_join(g->hub, &r->client->sub, r->topics, r->topic_count, 0,
                     HUB_SINCE_NOW, NULL);
            return true;
        case RESUME_NOT_KEPT:
            break;
        }
    }
    acknowledge(g, r, is_away);
    return true;
}

void stream_settle(struct gateway *g)
{
    g->settle_round++;
    for (struct request **at = &g->requests; *at;) {
        struct request *r = *at;
        bool is_behind = r->client->waits_in_round == g->settle_round;

        r->is_cut = !is_behind && !client_has_room(r->client);
        if (is_behind || r->is_cut || (!r->message.len && !settle(g, r))) {
            r->client->waits_in_round = g->settle_round;
            at = &r->next;
            continue;
        }
        take_out(g, at);
        if (r->message.len) {
            g->submit_at = at;
            run_message(r->client, r->is_text, buf_span(&r->message));
            g->submit_at = NULL;
        }
        hub_set_due(g->hub, &r->client->sub);
        free_request(g, r);
    }
    stream_resume_ask(g);
}

bool stream_has_more(const struct gateway *g)
{
    for (const struct request *r = g->requests; r; r = r->next)
        if (stream_resume_has_room(r))
            return true;
    return false;
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
    struct buf mode = {0}, hz = {0}, symbols = {0}, since = {0}, trace = {0},
               none = {0};
    uint64_t epoch = 0, seq = 0;

    stream_say_welcome(c);
    if (query_param(query, "mode", &mode) && !set_mode(c, buf_span(&mode)))
        stream_say_error(c, &none, "bad_request", "?mode= must be merge or all", NULL);
    if (query_param(query, "max_hz", &hz) && !set_max_hz(c, buf_span(&hz)))
        stream_say_error(c, &none, "bad_request",
                         "?max_hz= must be a number from 0.01 to 1000", NULL);
    if (query_param(query, "trace", &trace)) {
        if (span_eq(buf_span(&trace), "true") || span_eq(buf_span(&trace), "false"))
            set_trace(c, span_eq(buf_span(&trace), "true"));
        else
            stream_say_error(c, &none, "bad_request", "?trace= must be true or false",
                             NULL);
    }
    if (query_param(query, "since", &since)) {
        if (read_since_text(buf_span(&since), &epoch, &seq))
            set_since(r, epoch, seq);
        else
            stream_say_error(c, &none, "bad_request", "?since= must be EPOCH:SEQ",
                             NULL);
    }
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
    buf_free(&trace);
    if (r->topic_count || r->rejected.count)
        submit(g, r);
    else
        free_request(g, r);
}
