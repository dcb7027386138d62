/*
 * feed: which feeder may publish under a name, and which of its lines come next.
 *
 * A feed name is a lease: taken at hello, renewed by every line and heartbeat, free again after
 * WIRE_FEED_LEASE_MS of silence or a goodbye.  The fencing token of the grant is the feed's
 * epoch, larger with every grant of any feed: a line with another epoch than the current one is
 * dropped.  Lines are taken in order, each once: a repeated line is a duplicate; for a missing
 * line the broker requests a resend (the feeder rewinds and sends everything from there), so
 * that no line waits here.
 *
 * `now` is the loop's awake clock in ms.  Owned by the broker's loop; no I/O.
 */
#ifndef BROKER_CORE_FEED_H
#define BROKER_CORE_FEED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/base/buf.h"
#include "shared/base/err.h"
#include "shared/wire/quote.h"

#define FEED_NAME_MAX 64
#define FEED_OWNER_MAX 64
#define FEED_PEER_MAX 64 /* of a ROUTER identity; ZeroMQ's own are 5 bytes */
#define FEED_COUNT_MAX 1024
#define FEED_NAMES_PER_PEER 16 /* held by one connection to control */
#define FEED_PUBLISHED_MAX 64  /* held by requests to publish */
/* No feed has a line number above this: it would take 285 years at a million lines a second. */
#define FEED_LINE_MAX ((uint64_t)1 << 53)
/*
 * A feeder may report lines as lost that it never announced, up to this many above the highest
 * line.
 */
#define FEED_LOST_AHEAD ((uint64_t)1 << 24)
#define FEED_REFUSALS_MAX 32  /* refused lines that one `received` names */
#define FEED_RESEND_MS 250    /* between two resend requests for the same line */
#define FEED_ACK_MS 50        /* an acknowledgement waits at most this long */
#define FEED_ACK_LINES 1024   /* or for this many lines, or for a quarter of the feed's window */
#define FEED_RESEND_ANY_MS 50 /* between two resend requests for any line */

/* The owner before the current one. */
struct feed_former {
    char owner[FEED_OWNER_MAX + 1], host[65];
    uint64_t pid;
    uint64_t received; /* its last line */
    int64_t heard_at;
    bool has_left; /* the feeder sent a goodbye; false: it fell silent */
};

struct feed {
    uint32_t index; /* stable */
    char name[FEED_NAME_MAX + 1], owner[FEED_OWNER_MAX + 1], host[65];
    uint64_t pid;
    uint64_t epoch;    /* fencing token of the current grant */
    bool is_held;      /* the lease runs */
    bool is_published; /* its lines come in requests to publish, not from a feeder */
    int64_t lease_ms;
    bool allow_crossed;
    bool has_left;             /* it ended with a goodbye */
    struct feed_former former; /* owner "": there is no former feeder */
    int64_t heard_at;
    uint64_t received;       /* all lines up to this one are in */
    uint64_t announced;      /* the highest line that this owner sent or announced */
    bool has_published;      /* the feed has published a line: its name is kept */
    uint64_t last_seq;       /* head of the log after its last line; restored: at the restart */
    uint64_t ack_lines;      /* acknowledge after this many lines */
    uint64_t acknowledged;   /* the last `received` that was sent to the feeder, */
    int64_t acknowledged_at; /* and when; monotonic, ms */
    uint64_t resend_from;    /* line of the last resend request, 0: none */
    int64_t resend_at;
    uint64_t accepted, duplicates, gaps, lost;
    int64_t accepted_at; /* monotonic ms of the last accepted quote; 0: none yet */
    uint64_t refused[QUOTE_REFUSAL_COUNT];
    /*
     * The refusals since the last accepted quote: how many (feed_refused_in_row), and why the
     * last.
     */
    uint64_t row, row_accepted; /* row counts while `accepted` is still row_accepted */
    enum quote_refusal row_why;
    /* The first refusals since the last `received`. */
    struct {
        uint64_t line;
        enum quote_refusal why;
    } unreported[FEED_REFUSALS_MAX];
    size_t unreported_count;
    char peer[FEED_PEER_MAX]; /* its identity on control */
    size_t peer_len;
};

struct feed_table;

/* Tokens start above `token_floor`, which must exceed those of earlier runs. */
struct feed_table *feed_table_new(uint64_t token_floor);
void feed_table_free(struct feed_table *t);

struct feed_hello {
    struct span name, owner, host, peer;
    uint64_t pid, acked;
    uint64_t window; /* lines it can keep unacknowledged, 0: many */
    bool allow_crossed;
    bool is_published; /* a request to publish; peer is empty */
    int64_t lease_ms;  /* 0: WIRE_FEED_LEASE_MS */
};

/*
 * Could the name be granted?  Errors as feed_table_hello, except that there may be no room in all;
 * *out: the feed of that name, or NULL.  Changes nothing.
 */
MUST_CHECK enum err feed_table_judge(const struct feed_table *t, const struct feed_hello *h,
                                     struct feed **out);
/*
 * Request the name.  OK: *out is granted; *is_new: it is a new grant, not the same one again.
 * ERR_HELD: *out has another holder; or a feeder has published under the name, and h is a request
 * to publish, which must not disturb the numbers of the feeder's lines, even if the feeder is
 * silent.  ERR_INVALID: name, owner, peer or acked out of bounds. ERR_FULL:
 * FEED_NAMES_PER_PEER names of this peer (FEED_PUBLISHED_MAX of requests), or FEED_COUNT_MAX that
 * published (the caller may feed_forget one first: feed_table_lacks_room).  Names that never
 * published make room: first the one that is silent longest, names with a holder last.
 */
MUST_CHECK enum err feed_table_hello(struct feed_table *t, const struct feed_hello *h, int64_t now,
                                     struct feed **out, bool *is_new);

struct feed_grant {
    struct span name, owner;
    uint64_t epoch, received;
    bool is_held; /* its lease runs from now */
    bool has_left;
    bool is_published;
    int64_t lease_ms; /* 0: WIRE_FEED_LEASE_MS */
};

/*
 * Restore a grant of an earlier run, at the next index.  A name that the table already has stays
 * unchanged; NULL if the table is full.  All later tokens are greater than this one.
 */
struct feed *feed_table_restore(struct feed_table *t, const struct feed_grant *g, int64_t now);

/*
 * Would feed_table_hello grant a new name, but for the places that feeds which published, or
 * are held, have?
 */
bool feed_table_lacks_room(struct feed_table *t, const struct feed_hello *h);
/* The feed of that name; NULL: there is none. */
struct feed *feed_table_find(const struct feed_table *t, struct span name);
/* Drop the name and free its index.  It must not have a holder. */
void feed_forget(struct feed *f);

/* An index that no feed has; the next new name takes it. */
void feed_table_leave_free(struct feed_table *t);

/* The holder of this epoch, or NULL.  Renews its lease. */
struct feed *feed_table_renew(struct feed_table *t, uint64_t epoch, int64_t now);

enum feed_verdict { FEED_TAKE, FEED_DUPLICATE, FEED_GAP };

/* Is `line` the next one?  FEED_TAKE counts it as received. */
enum feed_verdict feed_judge(struct feed *f, uint64_t line);
/*
 * After a gap: is it time to request a resend from received+1?  Once per FEED_RESEND_MS for the
 * same line, and once per FEED_RESEND_ANY_MS in all: after a reconnect, lines of the old and the
 * new connection alternate, and every second line looks like a gap.
 */
bool feed_should_resend(struct feed *f, int64_t now);
/* The feeder announces that it sent `line`.  false: the number is impossible. */
bool feed_announce(struct feed *f, uint64_t line);
/* May lines first…last be lost?  They must come next, and have been announced. */
bool feed_may_skip(const struct feed *f, uint64_t first, uint64_t last);
/* The feeder no longer has lines first…last.  false: feed_may_skip forbids it. */
bool feed_skip(struct feed *f, uint64_t first, uint64_t last);

/* The quote of this line was refused. */
void feed_refuse(struct feed *f, uint64_t line, enum quote_refusal why);
/* Quotes refused since the last one that was accepted; the last one's reason is f->row_why. */
uint64_t feed_refused_in_row(const struct feed *f);

void feed_release(struct feed *f); /* goodbye */
/* The next feed whose lease ran out (released here), or NULL. */
struct feed *feed_table_expire(struct feed_table *t, int64_t now);
/* ms until the lease runs out, at least 0; it must be held. */
int64_t feed_lease_ms(const struct feed *f, int64_t now);
/* ms until the next lease expires, -1: no name has a holder. */
int64_t feed_table_wait(const struct feed_table *t, int64_t now);

/* An entry with name "" is free. */
size_t feed_table_count(const struct feed_table *t);
struct feed *feed_table_at(const struct feed_table *t, size_t index);

#endif
