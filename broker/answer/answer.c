#include "broker/answer/answer.h"

#include "shared/wire/pack.h"

void answer_fini(struct answers *a)
{
    buf_free(&a->message);
}

struct control_request answer_request(struct answers *a, struct span peer, struct span message)
{
    return (struct control_request){.answers = a,
                                    .peer = peer,
                                    .map = message,
                                    .op = pack_find_text(message, "op"),
                                    .id = pack_find_u(message, "id", 0)};
}

static void begin(struct answers *a, uint32_t members, msgpack_packer *pk)
{
    buf_clear(&a->message);
    msgpack_packer_init(pk, &a->message, buf_pack_write);
    msgpack_pack_map(pk, members);
}

void answer_begin(struct control_request *q, uint32_t members)
{
    begin(q->answers, members + 2, &q->pk);
    pack_kv_text(&q->pk, "re", q->op);
    pack_kv_u(&q->pk, "id", q->id);
}

void answer_add(struct control_request *q, struct span packed)
{
    buf_add(&q->answers->message, packed.at, packed.len);
}

struct span answer_message(const struct control_request *q)
{
    return buf_span(&q->answers->message);
}

void answer_send(struct control_request *q)
{
    answer_send_op(q->answers, q->peer);
}

void answer_error(struct control_request *q, enum err e, const char *text)
{
    answer_begin(q, 2);
    pack_kv_text(&q->pk, "error", span_of(err_name(e)));
    pack_kv_text(&q->pk, "message", span_of(text));
    answer_send(q);
}

void answer_begin_op(struct answers *a, const char *op, uint32_t members, msgpack_packer *pk)
{
    begin(a, members + 1, pk);
    pack_kv_text(pk, "op", span_of(op));
}

void answer_send_op(struct answers *a, struct span peer)
{
    answer_send_to(a, peer, buf_span(&a->message));
}

void answer_send_to(struct answers *a, struct span peer, struct span message)
{
    a->send(a->ctx, peer, message);
}
