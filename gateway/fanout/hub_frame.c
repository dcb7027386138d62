#include "gateway/fanout/hub_frame.h"

#include <stdlib.h>

#include "gateway/fanout/encode.h"

void hub_symbol_free(struct hub_symbol *s)
{
    hub_drop_frames(s);
    buf_free(&s->body);
    free(s->topics);
    free(s);
}

void hub_drop_frames(struct hub_symbol *s)
{
    for (; s->made; s->made &= s->made - 1)
        frame_release(&s->frames[0][0] + __builtin_ctz(s->made));
}

struct frame *hub_make_frame(struct hub_symbol *s, enum symbol_message kind, enum encoding encoding)
{
    bool has_value = s->state != SYMBOL_REMOVED;
    struct frame *f = encode_symbol(s, has_value ? kind : MESSAGE_STATE, encoding);

    f->symbol = s;
    s->frames[kind][encoding] = f;
    s->made |= UINT32_C(1) << (kind * ENCODING_COUNT + encoding);
    return f;
}
