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
    for (size_t kind = 0; kind < MESSAGE_COUNT; kind++)
        for (size_t e = 0; e < ENCODING_COUNT; e++)
            if (s->frames[kind][e])
                frame_release(&s->frames[kind][e]);
}

struct frame *hub_make_frame(struct hub_symbol *s, enum symbol_message kind, enum encoding encoding)
{
    struct frame *f = encode_symbol(s, kind, encoding);

    f->symbol = s;
    s->frames[kind][encoding] = f;
    return f;
}
