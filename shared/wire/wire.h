/*
 * wire: the layout of every message that crosses one of our ZeroMQ sockets.
 *
 * docs/protocol/wire.md says the same for people; tests/unit/shared/wire/test_wire.c holds golden bytes.
 *
 * Ingest and publish: two frames.  Frame 1, the topic, is the symbol and one space ("BTC" as a
 * prefix matches all of BTC…, "BTC/USD " exactly one); topics of our own begin with '!' or '~'.
 * Frame 2, the record, is a msgpack array
 *     [kind, epoch, seq, prev, sent, accepted, body]
 * with the six integers always written at full width, so that the header has one size
 * and the broker can stamp it in place.  Receivers accept any integer width, and ignore
 * elements after the seventh.
 *
 *              line (feeder→broker)      record (broker→all)
 *   epoch      feed epoch (its token)    epoch of the log
 *   seq        line number, dense, from 1   position in the log, rising
 *   prev       0                         position of the symbol's previous record, or 0
 *   sent       when it left the feeder   the same
 *   accepted   0                         when the broker took it
 * Times are microseconds since 1970.
 *
 * Control: one frame, a msgpack map with text keys: "op" in a question and in an
 * unasked word, "re" (the op) in an answer, "id" echoed.  Unknown keys are ignored.
 */
#ifndef SHARED_WIRE_WIRE_H
#define SHARED_WIRE_WIRE_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/base/buf.h"
#include "shared/base/err.h"
#include "shared/wire/quote.h"

#define WIRE_VERSION 1        /* of what this source speaks */
#define WIRE_VERSION_OLDEST 1 /* and still understands */

#define WIRE_HEADER_SIZE 47 /* bytes before the body */
#define WIRE_TOPIC_MAX 64
#define WIRE_RECORD_MAX (WIRE_HEADER_SIZE + QUOTE_BYTES_MAX)

/*
 * The largest frame that each socket takes, its own handshake included; ZeroMQ disconnects a peer
 * that announces more before it takes memory for it.
 */
/* XSUB ingest: a line; one that is too large for a quote is still read, and refused by name. */
#define WIRE_LINE_FRAME_MAX ((size_t)256 * 1024)
/* XPUB and PUB: a subscription; the longest that means anything is of a lock, 71 bytes, and ZMTP adds 10. */
#define WIRE_SUBSCRIPTION_FRAME_MAX ((size_t)128)
/* ROUTER control: a request; the largest are a lock's value and a gateway's report. */
#define WIRE_REQUEST_FRAME_MAX ((size_t)128 * 1024)
/* SUB: a record; the largest is a heartbeat with WIRE_CHANGES_MAX symbols. */
#define WIRE_RECORD_FRAME_MAX ((size_t)1024 * 1024)
/* DEALER control of gateways and consumers: an answer; the largest is the status. */
#define WIRE_ANSWER_FRAME_MAX ((size_t)2 * 1024 * 1024)
/* DEALER control of feeders: no list is ever answered. */
#define WIRE_FEED_ANSWER_FRAME_MAX ((size_t)8 * 1024)

#define WIRE_TOPIC_HEARTBEAT "!heartbeat "
#define WIRE_TOPIC_LOST "!lost "
#define WIRE_TOPIC_LOCK "!lock/" /* + name + space; not in the log */
/* One frame, this; the first thing on every new connection to the publish socket. */
#define WIRE_TOPIC_WELCOME "!welcome "
/*
 * + a name its subscriber made up + space.  It sorts after every symbol: when ZeroMQ
 * reconnects it sends the subscriptions again in the order of their bytes, and a mark must be the
 * last to arrive.
 */
#define WIRE_TOPIC_MARK "~mark/"

enum wire_kind {
    WIRE_QUOTE = 1, /* body: the quote's fields */
    WIRE_STATE = 2, /* body: {"state":"stale","feed":…} */
    WIRE_LOST =
        3, /* body: {"feed","first","last","count","reason"}; prev: the previous loss */
    WIRE_HEARTBEAT = 4, /* feeder: seq is its last line, body nil.  Broker: see below */
    WIRE_MARK = 5, /* seq is the head of the log, prev the last heartbeat's; body nil */
    WIRE_LOCK =
        6, /* seq numbers the changes of all locks, prev: of this one; body: its entry */
};

/*
 * The broker's heartbeat, every WIRE_HEARTBEAT_MS: seq is the head of the log, prev numbers
 * the heartbeats, body {"changed":[[symbol, seq],…],"complete":bool}: the last position of
 * every symbol that changed since the heartbeat before (complete false: more than WIRE_CHANGES_MAX
 * have changed).
 */
#define WIRE_CHANGES_MAX 20000
#define WIRE_CHANGE_BYTES (QUOTE_SYMBOL_MAX + 12) /* of one of them, packed */
#define WIRE_HEARTBEAT_MS 1000
#define WIRE_FEED_HEARTBEAT_MS \
    500 /* a feeder is heard at least so often; ours twice as often */
/*
 * Silence after which a feed's name is free again: a little less than two heartbeats, so that who
 * stands by has taken over when they are over.
 */
#define WIRE_FEED_LEASE_MS 900
#define WIRE_GATEWAY_LEASE_MS 4000 /* silence after which its connections are gone */

struct wire_record {
    enum wire_kind kind;
    uint64_t epoch, seq, prev;
    uint64_t sent_us, accepted_us; /* 0: not known */
    struct span body;              /* into the message read */
    uint64_t received_us; /* not on the wire: the reader's own stamp, 0 as it is read */
};

/* Write the 47 bytes of a header. */
void wire_put_header(char out[WIRE_HEADER_SIZE], const struct wire_record *r);
/* Header and body into a buffer (appended). */
void wire_put(struct buf *out, const struct wire_record *r);

/*
 * Read frame 2.  ERR_MALFORMED, or ERR_TOO_LARGE over WIRE_RECORD_MAX (heartbeats
 * excepted).  The body's bytes are delimited but its content is not checked.
 * *stampable (may be NULL): the header has our fixed width and nothing follows the body.
 */
MUST_CHECK enum err wire_read(struct span message, struct wire_record *out,
                              bool *stampable);

/*
 * The same for who has the body checked next (quote_check, pack_check): a walk less over every
 * quote.  The body is all that follows the header, and need not be one value.
 */
MUST_CHECK enum err wire_open(struct span message, struct wire_record *out,
                              bool *stampable);

/* Only the six integers, of a message whose body wire_read refused.  The body is left empty. */
MUST_CHECK enum err wire_read_header(struct span message, struct wire_record *out);

/* One entry of the broker's answer to "snapshot": [symbol, seq, state, record]. */
struct wire_entry {
    struct span symbol;
    uint64_t seq; /* of its last record of any kind */
    bool is_stale;
    struct wire_record quote; /* its last quote; the body has passed pack_check */
};

/* Read the entry at the cursor and move past it.  false: not such an entry. */
bool wire_take_entry(struct span *cursor, struct wire_entry *out);

/* The symbol of a topic, without the space.  .len 0: not a symbol's topic. */
struct span wire_topic_symbol(struct span topic);
/* Write the topic of a symbol; returns its length. */
size_t wire_topic(char out[WIRE_TOPIC_MAX], struct span symbol);

#endif
