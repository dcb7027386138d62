/*
 * core: the broker's state, and what it does with one message.
 *
 * broker/core/ decides what every message means.  Only main.c calls it; broker/log,
 * broker/locks and broker/answer are below it.
 *
 * main.c owns the sockets and the loop.  It hands every message to the core, and the core sends
 * through the functions of its `out`, so that a test can take the place of the sockets.  The
 * core is the one numbering point: core_quote_enter and core_publish give each record its position,
 * and there is no path around them.
 */
#ifndef BROKER_CORE_CORE_H
#define BROKER_CORE_CORE_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/answer/answer.h"
#include "broker/answer/turn_time.h"
#include "broker/core/book.h"
#include "broker/config/broker_config.h"
#include "broker/core/feed.h"
#include "broker/log/journal.h"
#include "broker/log/log_writer.h"
#include "broker/core/registry.h"
#include "shared/base/steady.h"
#include "shared/base/buf.h"
#include "shared/base/process.h"
#include "shared/wire/wire.h"

struct core_out {
    void *ctx;
    /* Publish two frames. */
    void (*publish)(void *ctx, struct span topic, struct span record);
    /* Send a message to a peer on control. */
    void (*send)(void *ctx, struct span peer, struct span message);
    /*
     * Close the log writer, open it again with a new epoch whose positions are above `above`,
     * and set core.log.log_writer and core.log.journal.  It does not return if that fails.  NULL:
     * never.
     */
    void (*renew)(void *ctx, const char *reason, uint64_t above);
    /* Does the peer read its answers?  Else its requests are refused.  NULL: all do. */
    bool (*may_ask)(void *ctx, struct span peer);
    /* Are there answers it has to read before its next request is worked on?  NULL: never. */
    bool (*is_behind)(void *ctx, struct span peer);
    /* A request of the peer was refused because too many wait.  NULL: not counted. */
    void (*refused)(void *ctx, struct span peer);
    /*
     * Pack "peers" and its map, of the connections, into the answer to status.  NULL: no such
     * member.
     */
    void (*pack_peers)(void *ctx, msgpack_packer *pk);
};

/* The clock, and how it was set while we ran. */
#define CORE_CLOCK_PATIENCE_MS 3600000 /* before a jump is believed */
struct core_clock {
    struct steady steady;
    uint64_t jumps; /* since the start */
    int64_t last_jump_us;
};

/* The log and what follows from it: all that requests about records read. */
struct core_log {
    struct book *book;
    struct journal *journal;
    struct log_writer *log_writer; /* NULL: the log is in memory only */
    uint64_t epoch;                /* of the log */
};

struct core {
    const struct broker_config *config;
    struct core_out out;
    struct turn_time time; /* of this turn, set by main */
    struct core_log log;
    struct feed_table *feeds;
    struct registry *registry;
    struct lock_core *locks;
    struct core_producers *producers; /* requests to publish: keys, and who waits for the store */
    struct core_requests *requests;   /* that wait, and the one that is being answered */
    int64_t work;                     /* left for control messages of this turn */
    int64_t turn_work;                /* CORE_TURN_WORK, or less in a test */
    uint64_t last_lost;               /* position of the last `lost` record */
    uint64_t heartbeats;
    int64_t heartbeat_at;
    int64_t tick_by;      /* when core_tick was to be called again, 0: never was */
    int64_t listen_until; /* no feed is called silent before */
    int64_t started_us;
    struct core_clock clock;
    struct process_usage process; /* read anew once a second at most */
    int64_t process_at;           /* monotonic, ms; 0: never */
    uint64_t accepted, refused, unknown_lines;
    struct answers answers; /* builds them, and sends with out.send */
    struct buf scratch;     /* reused */
};

/*
 * The caller has set config, out and time; with a store also the log's log_writer and journal,
 * which goes on.  Without, the log is a new one in memory, of the given epoch (not 0).
 */
void core_init(struct core *d, uint64_t epoch);
/* Take over last values and feeds from the store, before it is started. */
MUST_CHECK enum err core_restore(struct core *d, char error[LOG_WRITER_ERROR_MAX]);
void core_fini(struct core *d);

/*
 * One line from a feeder.  If it is a quote to publish, the record is stamped in place
 * and true is returned: the caller forwards the two frames as they are.  Else
 * everything needed has been done.
 */
bool core_ingest(struct core *d, struct span topic, struct span record);

/*
 * The work of a turn is bounded: control messages are taken while core_may_take() is true, and
 * requests that take longer (snapshot, replay, history, status, connections, locks) wait in
 * a queue (request_queue.h) of which core_work() does one slice.  Each of the two gets
 * CORE_TURN_WORK units; a unit is an entry of log or book that is looked at, 10 to 100 ns.
 * The requests of a peer that is behind with reading wait, and delay no other peer's; core_tick
 * has the caller look every CORE_BEHIND_MS whether it has read.
 */
#define CORE_TURN_WORK 500
#define CORE_BEHIND_MS 2
void core_begin_turn(struct core *d);
bool core_may_take(const struct core *d);
/* true: there is more to do at once. */
bool core_work(struct core *d);

/* One request or report on the control socket. */
void core_control(struct core *d, struct span peer, struct span message);

/* Answers from the store have come. */
void core_take_answers(struct core *d);

/* A subscription seen on the XPUB: frame is 1 or 0 and the topic. */
void core_subscription(struct core *d, struct span frame);

/*
 * Compare the wall clock with boot time: once at the start, then at least once a second.  A
 * jump is logged; before the core believes it, it refuses no quote as of the future and makes
 * no record old.
 */
void core_clock_begin(struct core *d, int64_t boot_ms, int64_t wall_us);
void core_clock_look(struct core *d, int64_t boot_ms, int64_t wall_us);

/* Due work: heartbeat, expired leases, acknowledgements.  Returns ms until the next. */
int64_t core_tick(struct core *d);

/* Acknowledge received lines to the feeders, if it is time (FEED_ACK_MS, FEED_ACK_LINES). */
void core_acknowledge(struct core *d);

/*
 * Append and publish a record that we make ourselves.  Returns its position.  f: the feed
 * whose lines it accounts for up to f->received, or NULL.
 */
uint64_t core_publish(struct core *d, enum wire_kind kind, struct span topic, uint64_t prev,
                      struct span body, const struct feed *f);
/* The ring remembers the owner of the feed, from which line on. */
void core_remember_feed(struct core *d, const struct feed *f);
/* All symbols a feed quoted last become stale (or live again); published. */
void core_mark_feed(struct core *d, const struct feed *f, bool is_stale);

#endif
