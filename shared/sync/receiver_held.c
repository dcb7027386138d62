/* receiver_held: the records that are held back, in their order. */
#include <string.h>

#include "shared/sync/receiver_private.h"

bool receiver_has_held(const struct receiver *f)
{
    return f->held_at < f->held.len;
}

bool receiver_put_held(struct receiver *f, struct span topic, struct span message)
{
    uint32_t lengths[] = {(uint32_t)topic.len, (uint32_t)message.len};
    size_t size = sizeof lengths + topic.len + message.len;

    /*
     * When the link becomes unverified again and again, the buffer would grow without end: drop the
     * records that were already passed on, at its front.
     */
    if (f->held_at > RECEIVER_HELD_MAX / 2) {
        f->held.len -= f->held_at;
        memmove(f->held.data, f->held.data + f->held_at, f->held.len);
        f->held_at = 0;
    }
    if (f->held.len - f->held_at + size > RECEIVER_HELD_MAX)
        return false;
    buf_add(&f->held, lengths, sizeof lengths);
    buf_add(&f->held, topic.at, topic.len);
    buf_add(&f->held, message.at, message.len);
    return true;
}

void receiver_take_held(struct receiver *f, struct span *topic, struct span *message)
{
    const char *at = f->held.data + f->held_at;
    uint32_t lengths[2];

    memcpy(lengths, at, sizeof lengths);
    *topic = (struct span){at + sizeof lengths, lengths[0]};
    *message = (struct span){topic->at + topic->len, lengths[1]};
    f->held_at += sizeof lengths + lengths[0] + lengths[1];
}

void receiver_drop_held(struct receiver *f)
{
    f->has_overflowed = false;
    f->held_at = f->held.len;
    if (f->is_releasing)
        return; /* a record of them is being read */
    buf_free(&f->held);
    f->held_at = 0;
}
