/*
 * desk: the broker's state, and what it does with one message.
 *
 * main.c owns the sockets and the loop; it hands every message to the desk, and the desk says
 * what to send through the three functions of its `out` (so that a test can stand in for the
 * sockets).  This is the one numbering point: publish() below gives every record its position,
 * and there is no path around it.
 */
#ifndef BROKER_DESK_H
#define BROKER_DESK_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/book.h"
#include "broker/broker_config.h"
#include "broker/feed.h"
#include "broker/journal.h"
#include "broker/keeper.h"
#include "broker/peers.h"
#include "broker/registry.h"
#include "broker/steady.h"
#include "shared/buf.h"
#include "shared/process.h"
#include "shared/wire.h"

struct desk_out {
    void *ctx;
    /* Publish two frames. */
    void (*publish)(void *ctx, struct span topic, struct span record);
    /* Say something to a peer on control. */
    void (*say)(void *ctx, struct span peer, struct span message);
    /*
     * Close the keeper, open it again with a new epoch whose positions are above `above`, and set
     * desk.keeper and desk.journal.  It does not return if that fails.  NULL: never.
     */
    void (*renew)(void *ctx, const char *reason, uint64_t above);
    /* Does the peer read its answers?  Else its requests are refused.  NULL: all do. */
    bool (*may_ask)(void *ctx, struct span peer);
};

struct desk_time {
    int64_t now;   /* monotonic, ms */
    int64_t awake; /* the same less our own pauses */
    int64_t wall_us;
};

/* The clock, and how it was set while we ran. */
#define DESK_CLOCK_PATIENCE_MS 3600000 /* before a jump is believed */
struct desk_clock {
    struct steady steady;
    uint64_t jumps; /* since the start */
    int64_t last_jump_us;
};

struct desk {
    const struct broker_config *config;
    struct desk_out out;
    struct desk_time time; /* of this turn, set by main */
    struct book *book;
    struct journal *journal;
    struct keeper *keeper; /* NULL: the log is in memory only */
    struct feed_table *feeds;
    struct registry *registry;
    struct desk_locks *locks;
    struct desk_requests *requests;   /* that wait, and the one that is worked on */
    int64_t work;                     /* left for control messages of this turn */
    int64_t turn_work;                /* DESK_TURN_WORK, or less in a test */
    const struct peers_counts *peers; /* for the status; NULL: not counted */
    uint64_t epoch;                   /* of the log */
    uint64_t last_lost;               /* position of the last `lost` record */
    uint64_t heartbeats;
    int64_t heartbeat_at;
    int64_t tick_by;      /* when desk_tick was to be called again, 0: never was */
    int64_t listen_until; /* no feed is called silent before */
    int64_t started_us;
    struct desk_clock clock;
    struct process_figures process; /* read anew once a second at most */
    int64_t process_at;             /* monotonic, ms; 0: never */
    uint64_t accepted, refused, unknown_lines;
    struct buf scratch, answer; /* reused */
};

/*
 * The caller has set config, out and time; with a store also keeper and journal, whose log goes
 * on.  Without, the log is a new one in memory, of the given epoch (not 0).
 */
void desk_init(struct desk *d, uint64_t epoch);
/* Take over last values and feeds from the store, before it is started. */
MUST_CHECK enum err desk_restore(struct desk *d, char error[KEEPER_ERROR_MAX]);
void desk_fini(struct desk *d);

/*
 * One line from a feeder.  If it is a quote to publish, the record is stamped in place
 * and true is returned: the caller forwards the two frames as they are.  Else
 * everything needed has been done.
 */
bool desk_ingest(struct desk *d, struct span topic, struct span record);

/*
 * The work of a turn is bounded: control messages are taken while desk_may_take() says so, and
 * requests that take longer (snapshot, replay, history, status, connections, locks) wait in
 * a queue (request_queue.h) of which desk_work() does one slice.  Each of the two gets
 * DESK_TURN_WORK units; a unit is an entry of log or book that is looked at, 10 to 100 ns.
 */
#define DESK_TURN_WORK 2000
void desk_begin_turn(struct desk *d);
bool desk_may_take(const struct desk *d);
/* true: there is more to do. */
bool desk_work(struct desk *d);

/* control.c: one question or report. */
void desk_control(struct desk *d, struct span peer, struct span message);

/* Answers from the store have come. */
void desk_take_answers(struct desk *d);

/* A subscription seen on the XPUB: frame is 1 or 0 and the topic. */
void desk_subscription(struct desk *d, struct span frame);

/*
 * Compare the wall clock with boot time: once at the start, then at least once a second.  A jump is
 * told, and judges no quote to lie in the future and makes no record old before it is believed.
 */
void desk_clock_begin(struct desk *d, int64_t boot_ms, int64_t wall_us);
void desk_clock_look(struct desk *d, int64_t boot_ms, int64_t wall_us);

/* Due work: heartbeat, expired leases, acknowledgements.  Returns ms until the next. */
int64_t desk_tick(struct desk *d);

/* Tell feeds what has been received, if it is time (FEED_TELL_MS, FEED_TELL_LINES). */
void desk_acknowledge(struct desk *d);

/*
 * Append and publish a record that we make ourselves.  Returns its position.  f: the feed
 * whose lines it accounts for up to f->received, or NULL.
 */
uint64_t desk_publish(struct desk *d, enum wire_kind kind, struct span topic,
                      uint64_t prev, struct span body, const struct feed *f);
/* The ring remembers who holds the feed, from which line on. */
void desk_remember_feed(struct desk *d, const struct feed *f);
/* All symbols a feed quoted last become stale (or live again); published. */
void desk_mark_feed(struct desk *d, const struct feed *f, bool is_stale);

#endif
