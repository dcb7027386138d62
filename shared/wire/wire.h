/*
 * wire: the layout of every message that crosses one of our ZeroMQ sockets; all programs use it.
 *
 * docs/protocol/wire.md specifies the same in prose; tests/unit/shared/wire/test_wire.c holds
 * golden bytes.
 *
 * Ingest and publish: two frames. Frame 1, the topic, is the symbol and one space ("BTC" as a
 * prefix matches all of BTC…, "BTC/USD " exactly one); topics of our own begin with '!' or '~'.
 * Frame 2, the record, is a msgpack array
 *     [kind, epoch, seq, prev, sent, accepted, body]
 * with the six integers always written at full width, so that the header has one size and the
 * broker can stamp it in place. Receivers accept any integer width, and ignore elements after the
 * seventh.
 *
 *              line (feeder→broker)      record (broker→all)
 *   epoch      feed epoch (its token)    epoch of the log
 *   seq        line number, dense, from 1   position in the log, rising
 *   prev       0                         position of the symbol's previous record, or 0
 *   sent       when it left the feeder   the same
 *   accepted   0                         when the broker took it
 *
 * Times are microseconds since 1970.
 *
 * Control: one frame, a msgpack map with text keys. A request and a notification have "op"; an
 * answer has "re" (the op) and echoes the request's "id". Unknown keys are ignored.
 *
 * Folder shared/wire: what passes between programs (records, quotes, msgpack, ZeroMQ sockets).
 * Every program may call it; it calls only shared/base.
 */
#ifndef SHARED_WIRE_WIRE_H
#define SHARED_WIRE_WIRE_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/base/buf.h"
#include "shared/base/err.h"
#include "shared/wire/quote.h"

#define WIRE_VERSION 1        /* that this source writes */
#define WIRE_VERSION_OLDEST 1 /* the oldest that this source still reads */

#define WIRE_HEADER_SIZE 47 /* bytes before the body */
#define WIRE_TOPIC_MAX 64
#define WIRE_RECORD_MAX (WIRE_HEADER_SIZE + QUOTE_BYTES_MAX)

/*
 * The largest frame that each socket takes, ZMTP's own handshake included; ZeroMQ disconnects a
 * peer that announces a larger one before it allocates memory for it.
 */
/*
 * XSUB ingest: a line. A line too large for a quote is still read, so that the broker can refuse it
 * by name.
 */
#define WIRE_LINE_FRAME_MAX ((size_t)256 * 1024)
/*
 * XPUB and PUB: a subscription. The longest valid one is that of a lock, 71 bytes; ZMTP adds 10.
 */
#define WIRE_SUBSCRIPTION_FRAME_MAX ((size_t)128)
/* ROUTER control: a request; the largest are a lock's value and a gateway's report. */
#define WIRE_REQUEST_FRAME_MAX ((size_t)128 * 1024)
/* SUB: a record; the largest is a heartbeat with WIRE_CHANGES_MAX symbols. */
#define WIRE_RECORD_FRAME_MAX ((size_t)1024 * 1024)
/* DEALER control of gateways and consumers: an answer; the largest is the status. */
#define WIRE_ANSWER_FRAME_MAX ((size_t)2 * 1024 * 1024)
/* DEALER control of feeders: no answer to a feeder contains a list. */
#define WIRE_FEED_ANSWER_FRAME_MAX ((size_t)8 * 1024)

#define WIRE_TOPIC_HEARTBEAT "!heartbeat "
#define WIRE_TOPIC_LOST "!lost "
/* + the lock's name + space; its records are not in the log */
#define WIRE_TOPIC_LOCK "!lock/"
#define WIRE_TOPIC_KEY "!key "       /* in the broker's log only */
#define WIRE_TOPIC_FORGET "!forget " /* in the broker's log only */
/* One frame with these bytes is the first message on every new connection to the publish socket. */
#define WIRE_TOPIC_WELCOME "!welcome "
/*
 * + a name that its subscriber chose + space. It sorts after every symbol: when ZeroMQ reconnects,
 * it sends the subscriptions again in the order of their bytes, and a mark must be the last to
 * arrive.
 */
#define WIRE_TOPIC_MARK "~mark/"

enum wire_kind {
    WIRE_QUOTE = 1, /* body: the quote's fields */
    WIRE_STATE = 2, /* body: {"state":"stale","reason":"silent","feed":…}, or "live", "removed" */
    WIRE_LOST = 3,  /* body: {"feed","first","last","count","reason"}; prev: the previous loss */
    /* from a feeder: seq is its last line, body nil; from the broker: see below */
    WIRE_HEARTBEAT = 4,
    /* seq is the head of the log, prev the number of the last heartbeat; body nil */
    WIRE_MARK = 5,
    /*
     * seq numbers the changes of all locks, prev the changes of this lock; body: the lock's entry
     */
    WIRE_LOCK = 6,
    /*
     * in the broker's log only: the key of a request to publish, and its answer; prev: the key
     * before it
     */
    WIRE_KEY = 7,
    WIRE_FORGET = 8, /* in the broker's log only: a feed was removed; body: {"feed","by"} */
    WIRE_KIND_COUNT
};

/* Is a record of this kind in the broker's log only? */
static inline bool wire_is_private(uint64_t kind)
{
    return kind == WIRE_KEY || kind == WIRE_FORGET;
}

/*
 * The broker's heartbeat, every WIRE_HEARTBEAT_MS: seq is the head of the log, prev numbers the
 * heartbeats, body is {"changed":[[symbol, seq],…],"complete":bool}: the last position of every
 * symbol that changed since the heartbeat before (complete false: more than WIRE_CHANGES_MAX have
 * changed).
 */
#define WIRE_CHANGES_MAX 20000
/* of one entry of "changed", packed */
#define WIRE_CHANGE_BYTES (QUOTE_SYMBOL_MAX + 12)
#define WIRE_HEARTBEAT_MS 1000
#define WIRE_FEED_HEARTBEAT_MS \
    500 /* a feeder sends at least this often; the broker's interval is half of it */
/*
 * After this silence another feeder may take the feed's name. It is a little less than two
 * heartbeats, so that a standby feeder has taken over within two.
 */
#define WIRE_FEED_LEASE_MS 900
/* after this silence the broker drops a gateway's entry */
#define WIRE_GATEWAY_LEASE_MS 4000

struct wire_record {
    enum wire_kind kind;
    uint64_t epoch, seq, prev;
    uint64_t sent_us, accepted_us; /* 0: not known */
    struct span body;              /* points into the message that was read */
    /* not on the wire: the reader may stamp it; wire_read sets 0 */
    uint64_t received_us;
};

/* Writes the 47 bytes of a header. */
void wire_put_header(char out[WIRE_HEADER_SIZE], const struct wire_record *r);
/* Appends header and body to a buffer. */
void wire_put(struct buf *out, const struct wire_record *r);

/*
 * Reads frame 2. Fails with ERR_MALFORMED, or ERR_TOO_LARGE over WIRE_RECORD_MAX (heartbeats
 * excepted). It finds the end of the body but does not check the content. *stampable (may be NULL):
 * the header has our fixed width and nothing follows the body.
 */
MUST_CHECK enum err wire_read(struct span message, struct wire_record *out, bool *stampable);

/*
 * The same for a caller that checks the body next (quote_check, pack_check): it saves one walk over
 * every quote. The body is all that follows the header, and need not be one value.
 */
MUST_CHECK enum err wire_open(struct span message, struct wire_record *out, bool *stampable);

/*
 * Reads only the six integers of a message whose body wire_read refused. The body is left empty.
 */
MUST_CHECK enum err wire_read_header(struct span message, struct wire_record *out);

/* What a state says; a state that we do not know counts as stale. */
enum wire_state { WIRE_STALE, WIRE_LIVE, WIRE_REMOVED };
/* Of the body of a WIRE_STATE. */
enum wire_state wire_state_of(struct span body);

/*
 * One entry of the broker's answer to "snapshot": [symbol, seq, state, record], or of its
 * "removed": [symbol, seq].
 */
struct wire_entry {
    struct span symbol;
    uint64_t seq; /* of the symbol's last record of any kind */
    bool is_stale, is_removed;
    /* the symbol's last quote, if it is not removed; the body has passed pack_check */
    struct wire_record quote;
};

/* Reads the entry at the cursor and moves past it.  Returns false if there is no valid entry. */
bool wire_take_entry(struct span *cursor, struct wire_entry *out);
bool wire_take_removed(struct span *cursor, struct wire_entry *out);

/* The symbol of a topic, without the space.  .len is 0 if it is not a symbol's topic. */
struct span wire_topic_symbol(struct span topic);
/* Writes the topic of a symbol; returns its length. */
size_t wire_topic(char out[WIRE_TOPIC_MAX], struct span symbol);

#endif
