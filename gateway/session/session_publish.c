/*
 * session_publish: quotes that a client publishes over its connection (op publish).
 *
 * The rows go to the broker like those of POST /cotizaciones/quotes, at most one part of them at
 * once, and the broker's answer becomes the ack.  Other requests do not wait for it.  At most
 * SESSION_PUBLISHES requests of a connection are under way.
 */
#include <stdio.h>
#include <stdlib.h>
#include <utlist.h>

#include "gateway/policy/admission.h"
#include "gateway/session/session_private.h"
#include "gateway/upstream/quotes_body.h"
#include "shared/base/log.h"
#include "shared/base/mem.h"
#include "shared/wire/pack.h"
#include "shared/wire/publish.h"
#include "shared/wire/quote.h"

#define SESSION_PUBLISHES 16

static void refuse(struct session *s, const struct buf *id, const char *code, const char *text)
{
    static struct log_limit limit = {.burst = 20, .interval_ms = 10000};

    log_limited(&limit, s->all->now, LOG_WARNING, "%s:%u - publish: %s: %s [PUBLISH_TOKEN]",
                s->host, s->port, code, text);
    session_send_error(s, id, code, text, NULL);
}

static bool may_publish(struct session *s, const struct json_value *root, const struct buf *id)
{
    const char *wanted = s->all->config->publish_token;
    const struct json_value *token = json_member(root, "token");
    char shown[257] = "";
    bool is_right;

    if (!wanted[0]) {
        refuse(s, id, "publish_disabled",
               "quotes cannot be published here: PUBLISH_TOKEN is not set");
        return false;
    }
    if (token && token->type == JSON_STRING && token->text.len < sizeof shown)
        span_copy(shown, sizeof shown, token->text);
    is_right = token ? admission_is_token(shown, wanted) : s->may_publish;
    s->may_publish |= is_right;
    if (!is_right)
        refuse(s, id, "publish_unauthorized",
               token ? "'token' is wrong" : "send 'token', the value of PUBLISH_TOKEN, once");
    return is_right;
}

static bool bad(struct session *s, const struct buf *id, const char *text,
                const struct json_value *where)
{
    session_send_error(s, id, "bad_request", text, &where->offset);
    return false;
}

/* All but the quotes. */
static bool read_members(struct session *s, const struct json_value *root, const struct buf *id,
                         struct quotes_request *q)
{
    const struct json_value *feed = json_member(root, "feed"), *key = json_member(root, "key"),
                            *ended = json_member(root, "ended");

    *q = (struct quotes_request){.feed = span_of(s->all->config->publish_feed),
                                 .sent_us = s->all->wall_us};
    if (feed && feed->type != JSON_STRING)
        return bad(s, id, "'feed' must be text", feed);
    if (key && (key->type != JSON_STRING || !publish_is_key(key->text)))
        return bad(s, id, "'key' must be 1 to 128 visible ASCII characters", key);
    if (ended && ended->type != JSON_BOOL)
        return bad(s, id, "'ended' must be true or false", ended);
    if (feed)
        q->feed = feed->text;
    if (key)
        q->key = key->text;
    q->is_ended = ended && span_eq(ended->text, "true");
    return true;
}

static bool read_quotes(struct session *s, const struct json_value *root, const struct buf *id,
                        struct quotes_body *out)
{
    const struct json_value *list = json_member(root, "quotes"), *v;

    out->part_count = 1;
    if (!list || list->type != JSON_ARRAY)
        return bad(s, id, "'quotes' must be an array of quotes", list ? list : root);
    for (v = list + 1; v < list + list->skip; v += v->skip)
        if (!quotes_body_add(out, v) || out->part_count > 1)
            return bad(s, id, "at most 256 quotes, or 96 KiB of them, in one request", v);
    return true;
}

/* Add what was packed; in JSON as its text. */
static void put_packed(struct message *m, const char *key, struct buf *packed)
{
    struct span c = buf_span(packed);
    struct buf json = {0};

    if (m->encoding == ENCODING_JSON)
        pack_to_json(&c, &json);
    message_raw(m, key, m->encoding == ENCODING_JSON ? buf_span(&json) : buf_span(packed));
    buf_free(&json);
    buf_clear(packed);
}

/* "positions" (0 for a refused quote) and "refused". */
static void put_outcome(struct message *m, struct span answer)
{
    uint64_t count = pack_find_u(answer, "count", 0), seq = pack_find_u(answer, "first", 0);
    uint64_t next = 0;
    struct buf positions = {0}, rows = {0};
    struct pack_value list = {0};
    struct span c = {0};
    struct publish_refusal r;
    msgpack_packer of_positions, of_rows;
    uint32_t refused;

    if (count > PUBLISH_QUOTES_MAX)
        count = 0; /* no broker answers that */
    refused = pack_find(answer, "refused", &list, &c) && pack_next(&c, &list) ? list.count : 0;
    if (list.type != PACK_ARRAY || refused > count)
        refused = 0;
    msgpack_packer_init(&of_positions, &positions, buf_pack_write);
    msgpack_packer_init(&of_rows, &rows, buf_pack_write);
    msgpack_pack_array(&of_positions, (size_t)count);
    msgpack_pack_array(&of_rows, refused);
    for (uint32_t i = 0; i < refused; i++) {
        /* Indexes that do not rise, or leave no room for those to come, would break the lists. */
        if (!publish_take_refusal(&c, &r) || r.index < next || r.index > count - (refused - i))
            r = (struct publish_refusal){next, SPAN(""), SPAN("")};
        for (; next < r.index; next++)
            msgpack_pack_uint64(&of_positions, seq++);
        msgpack_pack_uint64(&of_positions, 0);
        next++;
        msgpack_pack_map(&of_rows, 3);
        pack_kv_u(&of_rows, "index", r.index);
        pack_kv_text(&of_rows, "code", r.reason);
        pack_kv_text(&of_rows, "field", r.field);
    }
    for (; next < count; next++)
        msgpack_pack_uint64(&of_positions, seq++);
    put_packed(m, "positions", &positions);
    put_packed(m, "refused", &rows);
    buf_free(&positions);
    buf_free(&rows);
}

static void send_ack(struct session *s, const struct buf *id, struct span answer)
{
    char epoch[17];
    struct message m;

    snprintf(epoch, sizeof epoch, "%016llx", (unsigned long long)pack_find_u(answer, "epoch", 0));
    message_begin(&m, s->sub.encoding, "ack");
    message_text(&m, "op", SPAN("publish"));
    session_put_id(&m, id);
    message_u(&m, "seq", session_complete_seq(s));
    message_text(&m, "epoch", span_of(epoch));
    message_bool(&m, "repeated", pack_find_bool(answer, "repeated", false));
    put_outcome(&m, answer);
    session_finish(s, &m);
}

static const char *code_of(struct span error)
{
    return span_eq(error, "held")    ? "held"
           : span_eq(error, "stale") ? "key_reused"
           : span_eq(error, "full")  ? "too_many_requests"
                                     : "bad_request";
}

static void answer(struct session *s, const struct buf *id, struct span answer)
{
    struct span error = pack_find_text(answer, "error"), text = pack_find_text(answer, "message");
    char message[200];

    if (!answer.len) {
        session_send_error(s, id, "no_answer",
                           "the broker did not answer: repeat the request with the same key", NULL);
    } else if (error.len) {
        span_copy(message, sizeof message, text);
        session_send_error(s, id, code_of(error), message, NULL);
    } else {
        send_ack(s, id, answer);
    }
}

static void on_answer(void *ctx, struct span bytes)
{
    struct session_publish *p = ctx;
    struct session *s = p->session;

    if (s) {
        DL_DELETE(s->publishes, p);
        s->publish_count--;
        if (!s->is_closing && !s->is_dead)
            answer(s, &p->id, bytes);
    }
    buf_free(&p->id);
    free(p);
}

static void send_request(struct session *s, struct buf *id, const struct quotes_request *q,
                         const struct quotes_body *quotes)
{
    const struct session_out *out = &s->all->out;
    struct session_publish *p;
    struct buf body = {0};
    uint32_t members;

    if (!out->is_broker_here(out->ctx)) {
        session_send_error(s, id, "broker_away", "the broker is away: nothing was published", NULL);
        return;
    }
    p = mem_zalloc(sizeof *p);
    p->session = s;
    p->id = *id;
    *id = (struct buf){0};
    DL_APPEND(s->publishes, p);
    s->publish_count++;
    members = quotes_body_pack(quotes, 0, q, &body);
    out->request(out->ctx, "publish", members, buf_span(&body), p, on_answer);
    buf_free(&body);
}

void session_publish(struct session *s, const struct json_value *root, struct buf *id)
{
    struct quotes_body quotes = {0};
    struct quotes_request q;

    if (may_publish(s, root, id) && read_members(s, root, id, &q) &&
        read_quotes(s, root, id, &quotes)) {
        if (s->publish_count < SESSION_PUBLISHES)
            send_request(s, id, &q, &quotes);
        else
            session_send_error(s, id, "publish_busy",
                               "16 requests to publish are under way: wait for their answers",
                               NULL);
    }
    quotes_body_free(&quotes);
}

/* Has a field of this quote, a map at the cursor, a binary fraction as price?  Moves past it. */
static bool has_binary_price(struct span *c)
{
    struct pack_value head, key, v;
    struct span quote = *c;
    bool found = false;

    if (!pack_skip(c) || !pack_next(&quote, &head) || head.type != PACK_MAP)
        return false;
    for (uint32_t i = 0; i < head.count && pack_next(&quote, &key); i++) {
        struct span value = quote;
        enum quote_field kind = quote_field_kind(key.text);

        found |= pack_next(&value, &v) && v.type == PACK_FLOAT &&
                 (kind == QUOTE_FIELD_PRICE || kind == QUOTE_FIELD_SIZE);
        if (!pack_skip(&quote))
            break;
    }
    return found;
}

bool session_publish_is_exact(struct span message)
{
    struct pack_value list;
    struct span c;
    bool found = false;

    if (!span_eq(pack_find_text(message, "op"), "publish") ||
        !pack_find(message, "quotes", &list, &c) || list.type != PACK_ARRAY ||
        !pack_next(&c, &list))
        return true;
    for (uint32_t i = 0; i < list.count && !found; i++)
        found = has_binary_price(&c);
    return !found;
}

void session_publish_refuse_inexact(struct session *s, struct span message)
{
    struct pack_value v;
    struct buf id = {0};
    struct span raw;

    /* Its bytes are those of the answer. */
    if (pack_find(message, "id", &v, &raw) && raw.len <= SESSION_ID_MAX &&
        (v.type == PACK_UINT || v.type == PACK_INT || v.type == PACK_STR))
        buf_add(&id, raw.at, raw.len);
    session_send_error(s, &id, "bad_request",
                       "a price must be text or a whole number: binary fractions are not exact",
                       NULL);
    buf_free(&id);
}
