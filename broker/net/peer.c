#include "broker/net/peer.h"

static uint64_t less(uint64_t from, uint64_t amount)
{
    return from > amount ? from - amount : 0;
}

void peer_hear(struct peer *p, uint64_t bytes)
{
    p->has_delivered = p->has_spoken = true;
    p->delivered += bytes;
}

void peer_give(struct peer *p, uint64_t bytes)
{
    p->given += bytes;
}

uint64_t peer_unsent(const struct peer *p)
{
    return less(p->given, p->written);
}

uint64_t peer_untaken(const struct peer *p)
{
    return peer_unsent(p) + p->not_sent;
}

void peer_note_written(struct peer *p, const struct peer_sample *s)
{
    p->written = s->written;
    p->not_sent = s->not_sent;
    if (p->given < s->written)
        p->given = s->written;
}

static enum peer_verdict judge_input(struct peer *p, const struct peer_limits *limits,
                                     uint64_t consumed, bool has_drained, int64_t now)
{
    uint64_t forgiven = p->sampled_at && now > p->sampled_at
                            ? (uint64_t)(now - p->sampled_at) * PEER_FORGIVEN_PER_S / 1000
                            : 0;
    bool grows;

    p->unfinished = less(p->unfinished + less(consumed, p->consumed), p->delivered + forgiven);
    /* Its messages arrive and none is left in the socket: everything it sent is complete. */
    if (p->has_delivered && has_drained)
        p->unfinished = 0;
    if (p->has_delivered)
        p->idle_since = now;
    p->has_delivered = false;
    p->delivered = 0;
    p->consumed = consumed;
    if (p->unfinished <= PEER_SUSPECT_BYTES) {
        p->suspect_at = 0;
        return PEER_FINE;
    }
    if (!p->suspect_at) {
        p->suspect_at = p->idle_since = now;
        p->suspect_bytes = p->unfinished;
    }
    grows = p->unfinished > p->suspect_bytes + limits->unfinished_bytes &&
            now - p->suspect_at >= PEER_SUSPECT_MS;
    if (grows ||
        (p->unfinished > limits->unfinished_bytes && now - p->idle_since >= PEER_SUSPECT_IDLE_MS))
        return PEER_UNFINISHED;
    return PEER_SUSPECT;
}

static enum peer_verdict judge_output(struct peer *p, const struct peer_limits *limits,
                                      const struct peer_sample *s, int64_t now)
{
    uint64_t in_flight = less(s->written, s->acked + s->not_sent),
             taken = less(s->acked, p->acked_then);

    peer_note_written(p, s);
    if (!s->not_sent && !in_flight) {
        p->waits_since = 0;
        return PEER_FINE;
    }
    /* Unacknowledged data is on its way; unsent data waits for the other side to read. */
    if (!p->waits_since || taken >= (s->not_sent ? PEER_TAKE_MIN : 1)) {
        p->waits_since = now;
        p->acked_then = s->acked;
    }
    return now - p->waits_since >= limits->timeout_ms ? PEER_DEAF : PEER_FINE;
}

enum peer_verdict peer_judge(struct peer *p, const struct peer_limits *limits,
                             const struct peer_sample *s, bool has_drained, int64_t now)
{
    enum peer_verdict in = judge_input(p, limits, s->consumed, has_drained, now),
                      out = judge_output(p, limits, s, now);

    p->sampled_at = now;
    return in == PEER_UNFINISHED || out == PEER_FINE ? in : out;
}
