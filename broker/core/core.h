/*
 * core: the broker's state, and how one message changes it.
 *
 * broker/core/ decides what every message means.  Only main.c calls it; broker/log,
 * broker/locks and broker/answer are below it.
 *
 * main.c owns the sockets and the loop.  It passes every message to the core, and the core sends
 * through the functions of its `out`, so that a test can replace the sockets.  Only the core
 * numbers records: core_quote_enter and core_publish give each record its position, and no other
 * function does.
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
#include "broker/log/journal_file.h"
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
     * Close the log writer, open it again with a new epoch whose positions are above `above`, and
     * set core.log.log_writer and core.log.journal.  Does not return if that fails.  NULL: the core
     * never begins a new epoch.
     */
    void (*renew)(void *ctx, const char *reason, uint64_t above);
    /* Does the peer read its answers?  Else its requests are refused.  NULL: all do. */
    bool (*may_ask)(void *ctx, struct span peer);
    /* Does the peer have unread answers, so that its next request must wait?  NULL: never. */
    bool (*is_behind)(void *ctx, struct span peer);
    /* A request of the peer was refused because too many wait.  NULL: not counted. */
    void (*refused)(void *ctx, struct span peer);
    /*
     * Pack "peers" and a map of the connections into the answer to status.  NULL: no such member.
     */
    void (*pack_peers)(void *ctx, msgpack_packer *pk);
};

/* The clock, and how it was set while we ran. */
#define CORE_CLOCK_PATIENCE_MS 3600000 /* before a jump is believed */
struct core_clock {
    struct steady steady;
    uint64_t jumps; /* since the start */
    int64_t last_jump_us;
    char boot[JOURNAL_FILE_BOOT_MAX]; /* id of the machine's start; "": unknown */
};

/* The log, and all other data that requests about records read. */
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
    /* requests to publish: their keys, and the answers that wait for the store */
    struct core_producers *producers;
    uint64_t last_key;              /* position of the newest key in the log, 0: there is none */
    struct core_requests *requests; /* requests that wait, and the one in progress */
    int64_t work;                   /* left for control messages of this turn */
    int64_t turn_work;              /* CORE_TURN_WORK, or less in a test */
    uint64_t last_lost;             /* position of the last `lost` record */
    uint64_t heartbeats;
    int64_t heartbeat_at;
    int64_t tick_by;      /* time by which core_tick should be called again, 0: never */
    int64_t listen_until; /* before this time no feed is declared silent */
    int64_t started_us;
    struct core_clock clock;
    struct process_usage process; /* read at most once a second */
    int64_t process_at;           /* monotonic, ms; 0: never */
    uint64_t accepted, refused, unknown_lines;
    struct answers answers; /* builds them, and sends with out.send */
    struct buf scratch;     /* reused */
};

/*
 * The caller has set config, out and time.  With a store it has also set the log's log_writer and
 * journal, and the log continues.  Without a store a new log in memory begins, with the given epoch
 * (not 0).
 */
void core_init(struct core *d, uint64_t epoch);
/* Load the last values and the feeds from the store, before its threads start. */
MUST_CHECK enum err core_restore(struct core *d, char error[LOG_WRITER_ERROR_MAX]);
void core_fini(struct core *d);

/*
 * One line from a feeder.  Returns true for a quote to publish: the core has stamped the record in
 * place, and the caller forwards the two frames unchanged.  Returns false if nothing remains to be
 * done.
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
/* Work on waiting requests. true: more work remains. */
bool core_work(struct core *d);

/* One request or report on the control socket. */
void core_control(struct core *d, struct span peer, struct span message);

/* Answers from the store have come. */
void core_take_answers(struct core *d);

/* A subscription seen on the XPUB: frame is 1 or 0 and the topic. */
void core_subscription(struct core *d, struct span frame);

/*
 * Compare the wall clock with boot time: once at the start, then at least once a second.  A jump is
 * logged; until the core accepts the new time, it refuses no quote as too far in the future and
 * lets no record expire.
 */
void core_clock_begin(struct core *d, int64_t boot_ms, int64_t wall_us);
void core_clock_look(struct core *d, int64_t boot_ms, int64_t wall_us);

/* Due work: heartbeat, expired leases, acknowledgements.  Returns ms until the next. */
int64_t core_tick(struct core *d);

/* Acknowledge received lines to the feeders when it is due (FEED_ACK_MS, FEED_ACK_LINES). */
void core_acknowledge(struct core *d);

/*
 * Append and publish a record that we make ourselves.  Returns its position.  f: the feed
 * whose lines it accounts for up to f->received, or NULL.
 */
uint64_t core_publish(struct core *d, enum wire_kind kind, struct span topic, uint64_t prev,
                      struct span body, const struct feed *f);
/* The ring remembers the owner of the feed, from which line on. */
void core_remember_feed(struct core *d, const struct feed *f);
/*
 * Mark all symbols whose last quote came from this feed as stale (or as live again), and publish
 * it.  It looks at every symbol, and is counted as work of the turn.
 */
void core_mark_feed(struct core *d, const struct feed *f, bool is_stale);

#endif
