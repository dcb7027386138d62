#include "gateway/fanout/frame.h"

#include <stdlib.h>
#include <string.h>

#include "shared/base/mem.h"

#define HEADER_MAX 10
#define CLOSE_REASON_MAX 123 /* RFC 6455 §5.5: a control frame carries at most 125 bytes */

static size_t put_header(char out[HEADER_MAX], enum opcode opcode, size_t len)
{
    size_t width = len < 126 ? 0 : len < 65536 ? 2 : 8;

    out[0] = (char)(0x80 | opcode);
    out[1] = (char)(width == 0 ? len : width == 2 ? 126 : 127);
    for (size_t i = 0; i < width; i++)
        out[2 + i] = (char)(len >> 8 * (width - 1 - i));
    return 2 + width;
}

static struct frame *frame_alloc(size_t len)
{
    struct frame *f = mem_alloc(sizeof *f + len);

    f->symbol = NULL;
    f->seq = 0;
    f->references = 1;
    f->len = (uint32_t)len;
    f->stamp_at = 0;
    return f;
}

struct frame *frame_new(enum opcode opcode, struct span payload)
{
    char header[HEADER_MAX];
    size_t len = put_header(header, opcode, payload.len);
    struct frame *f = frame_alloc(len + payload.len);

    memcpy(f->bytes, header, len);
    memcpy(f->bytes + len, payload.at, payload.len);
    return f;
}

struct frame *frame_wrap(struct span bytes)
{
    struct frame *f = frame_alloc(bytes.len);

    memcpy(f->bytes, bytes.at, bytes.len);
    return f;
}

void frame_stamp(struct frame *f, int64_t wall_us)
{
    uint64_t us = (uint64_t)wall_us;
    bool is_text = (unsigned char)f->bytes[0] != (0x80 | OPCODE_BINARY);

    if (!f->stamp_at)
        return;
    /* JSON: up to 16 digits (until 2286) after blanks; msgpack: the eight bytes of an integer. */
    for (uint32_t width = is_text ? 16 : 8, i = width; i-- > 0;) {
        char *to = &f->bytes[f->stamp_at + i];

        if (is_text)
            *to = us || i == width - 1 ? (char)('0' + us % 10) : ' ';
        else
            *to = (char)us;
        us = is_text ? us / 10 : us >> 8;
    }
}

void frame_append(struct buf *out, enum opcode opcode, struct span payload)
{
    char header[HEADER_MAX];

    buf_add(out, header, put_header(header, opcode, payload.len));
    buf_add(out, payload.at, payload.len);
}

void frame_append_close(struct buf *out, uint16_t code, struct span reason)
{
    char payload[2 + CLOSE_REASON_MAX] = {(char)(code >> 8), (char)code};
    size_t len = reason.len < CLOSE_REASON_MAX ? reason.len : CLOSE_REASON_MAX;

    memcpy(payload + 2, reason.at, len);
    frame_append(out, OPCODE_CLOSE, (struct span){payload, 2 + len});
}

static size_t header_len(const struct frame_meter *m)
{
    unsigned len = m->have > 1 ? m->head[1] & 127u : 0;

    return 2u + (len < 126 ? 0u : len == 126 ? 2u : 8u) + (m->head[1] & 128 ? 4u : 0u);
}

static uint64_t declared(const struct frame_meter *m)
{
    uint64_t len = m->head[1] & 127u;
    size_t width = len < 126 ? 0 : len == 126 ? 2 : 8;

    if (width)
        len = 0;
    for (size_t i = 0; i < width; i++)
        len = len << 8 | m->head[2 + i];
    return len;
}

uint64_t frame_meter_feed(struct frame_meter *m, const uint8_t *data, size_t len)
{
    uint64_t largest = 0;

    while (len) {
        if (m->left) {
            size_t step = m->left < len ? (size_t)m->left : len;

            m->left -= step;
            data += step;
            len -= step;
            continue;
        }
        m->head[m->have++] = *data++;
        len--;
        if (m->have < 2 || m->have < header_len(m))
            continue;
        m->left = declared(m);
        m->have = 0;
        if (m->left > largest)
            largest = m->left;
        if (!(m->head[0] & 8)) { /* control frames may come between fragments */
            m->is_in_message = !(m->head[0] & 128);
            m->fragments = m->is_in_message ? m->fragments + 1 : 0;
        }
    }
    return largest;
}

bool frame_meter_is_idle(const struct frame_meter *m)
{
    return !m->have && !m->left && !m->is_in_message;
}
