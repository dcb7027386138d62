/* hub_frame: a symbol as the hub knows it, and the frames of its newest record. */
#ifndef GATEWAY_FANOUT_HUB_FRAME_H
#define GATEWAY_FANOUT_HUB_FRAME_H

#include <stdbool.h>
#include <stdint.h>

#include "gateway/fanout/frame.h"
#include "shared/base/buf.h"
#include "shared/wire/quote.h"
#include "shared/wire/wire.h"

/*
 * MESSAGE_TRACED: a quote with the times at which it passed each program, for clients that request
 * them.  MESSAGE_PRESENT: to clients in mode all, a state that is no record of the log; its text is
 * that of MESSAGE_STATE.
 */
enum symbol_message {
    MESSAGE_QUOTE,
    MESSAGE_SNAPSHOT,
    MESSAGE_STATE,
    MESSAGE_TRACED,
    MESSAGE_PRESENT,
    MESSAGE_COUNT
};

/* SYMBOL_REMOVED: it has no value any more; `seq` is the position of its removal. */
enum symbol_state { SYMBOL_UNKNOWN, SYMBOL_LIVE, SYMBOL_STALE, SYMBOL_REMOVED };

/* What the body of a WIRE_STATE says. */
static inline enum symbol_state symbol_state_of(struct span body)
{
    static const enum symbol_state states[] = {
        [WIRE_STALE] = SYMBOL_STALE, [WIRE_LIVE] = SYMBOL_LIVE, [WIRE_REMOVED] = SYMBOL_REMOVED};

    return states[wire_state_of(body)];
}

struct hub_symbol {
    char name[QUOTE_SYMBOL_MAX + 1];
    uint8_t name_len;
    uint32_t index;
    enum symbol_state state;
    bool last_is_state;                         /* its last record was a state, not a quote */
    uint64_t seq, prev;                         /* of its last record */
    uint64_t epoch;                             /* of the log */
    uint64_t sent_us, accepted_us, received_us; /* times of that record, 0: not known */
    struct buf body;                            /* its last quote, msgpack; empty: none yet */
    uint64_t body_seq;                          /* position of that last quote */
    /* private to the hub */
    struct frame *frames[MESSAGE_COUNT][ENCODING_COUNT];
    uint32_t made; /* bits of the frames that there are */
    /* topics that match it; valid while `matching` equals the hub's */
    struct hub_topic **topics;
    uint32_t topic_count, topic_cap;
    uint64_t matching;
    uint32_t references;       /* number of window records that point to it */
    uint32_t updates;          /* quotes in this turn */
    bool is_changed;           /* on the hub's list of changed symbols */
    bool had_quote, had_state; /* in this turn */
    /* its value is of the previous log: its next quote is sent as a snapshot */
    bool is_of_old_log;
    bool is_snapshot_due; /* after a resync: its next quote is sent as a snapshot */
    uint32_t hash;
    struct hub_symbol *chain;
};

static inline struct span hub_name_of(const struct hub_symbol *s)
{
    return (struct span){s->name, s->name_len};
}

/* Drop them: the symbol has changed. */
void hub_drop_frames(struct hub_symbol *s);
void hub_symbol_free(struct hub_symbol *s);
/* The frame of a symbol's newest record, made once per kind and encoding; the hub owns it. */
struct frame *hub_make_frame(struct hub_symbol *s, enum symbol_message kind,
                             enum encoding encoding);
static inline struct frame *hub_symbol_frame(struct hub_symbol *s, enum symbol_message kind,
                                             enum encoding encoding)
{
    struct frame *f = s->frames[kind][encoding];

    return f ? f : hub_make_frame(s, kind, encoding);
}

#endif
