/* pregon_value: puts and gets the value of a lock, which a holder leaves for the next holder. */
#include <msgpack.h>
#include <stdio.h>

#include "consumer/lib/pregon_private.h"
#include "shared/wire/lock_name.h"
#include "shared/wire/pack.h"

static struct request *request(struct pregon *p, const char *op, uint32_t members, const char *name,
                               struct buf *b, msgpack_packer *pk)
{
    struct request *r = pregon_request_begin(p, REQUEST_VALUE, op, members, b, pk);

    snprintf(r->name, sizeof r->name, "%s", name);
    pack_kv_text(pk, "name", span_of(r->name));
    return r;
}

static enum pregon_error send_off(struct pregon *p, struct request *r, struct buf *b)
{
    pregon_wake(p);
    if (pregon_request_send(p, b))
        return PREGON_OK;
    pregon_request_end(p, r);
    return PREGON_ERROR_AWAY;
}

enum pregon_error pregon_value_put_as(struct pregon_lock *l, uint64_t token, const void *data,
                                      size_t len, pregon_value_fn *fn, void *ctx)
{
    struct buf b = {0};
    msgpack_packer pk;
    struct request *r;

    if (len > PREGON_VALUE_MAX)
        return PREGON_ERROR_TOO_LARGE;
    if (l->p->is_closing)
        return PREGON_ERROR_CLOSED;
    r = request(l->p, "value_put", 4, l->name, &b, &pk);
    r->fn = fn;
    r->ctx = ctx;
    r->token = token;
    pack_kv_text(&pk, "owner", span_of(l->owner));
    pack_kv_u(&pk, "token", token);
    pack_key(&pk, "value");
    msgpack_pack_bin_with_body(&pk, len ? data : "", len);
    return send_off(l->p, r, &b);
}

enum pregon_error pregon_value_put(struct pregon_lock *l, const void *data, size_t len,
                                   pregon_value_fn *fn, void *ctx)
{
    uint64_t token = pregon_lock_token(l);

    if (!token)
        return PREGON_ERROR_STALE;
    return pregon_value_put_as(l, token, data, len, fn, ctx);
}

enum pregon_error pregon_value_get(struct pregon *p, const char *name, pregon_value_fn *fn,
                                   void *ctx)
{
    struct buf b = {0};
    msgpack_packer pk;
    struct request *r;

    if (!name || !lock_is_name(span_of(name)))
        return PREGON_ERROR_INVALID;
    if (p->is_closing)
        return PREGON_ERROR_CLOSED;
    r = request(p, "value_get", 1, name, &b, &pk);
    r->fn = fn;
    r->ctx = ctx;
    return send_off(p, r, &b);
}

static enum pregon_error error_of(struct span name)
{
    static const enum pregon_error known[] = {
        PREGON_ERROR_STALE,     PREGON_ERROR_NOT_STORED, PREGON_ERROR_NOT_FOUND,
        PREGON_ERROR_TOO_LARGE, PREGON_ERROR_FULL,
    };

    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (span_eq(name, pregon_error_name(known[i])))
            return known[i];
    return PREGON_ERROR_REFUSED;
}

void pregon_value_answered(struct pregon *p, struct request *r, struct span answer,
                           enum pregon_error unanswered)
{
    struct span error = pack_find_text(answer, "error");
    struct pregon_value v = {.name = r->name};
    enum pregon_error e = unanswered;
    struct pack_value data;
    char message[256];

    (void)p;
    if (!r->fn)
        return;
    snprintf(message, sizeof message, "%s", pregon_error_text(e));
    if (error.len) {
        e = error_of(error);
        span_copy(message, sizeof message, pack_find_text(answer, "message"));
    } else if (!e) {
        v.token = pack_find_u(answer, "token", 0);
        v.version = pack_find_u(answer, "version", 0);
        if (pack_find(answer, "value", &data, NULL) &&
            (data.type == PACK_BIN || data.type == PACK_STR))
            v.data = (struct pregon_span){data.text.at, data.text.len};
    }
    r->fn(r->ctx, e, message, &v);
}
