/*
 * libpregon: follow quotes and hold locks from your own C or C++ program. To publish quotes,
 * include pregon_publish.h.
 *
 *     struct pregon_options o = PREGON_OPTIONS;
 *     struct pregon *p;
 *
 *     o.on_quote = print_it;
 *     if (pregon_open(&o, &p) || pregon_subscribe(p, "BTC*"))
 *         …
 *     while (!is_over)
 *         pregon_run(p, 1000);
 *     pregon_close(&p);
 *
 * Promises. After a subscription, every symbol's newest value is passed to on_quote once as a
 * snapshot, then every record that follows it (PREGON_ALL), each once and those of a symbol in
 * ascending position. What cannot be delivered any more is reported by on_lost or on_reset. The
 * library detects broken connections, a broker that restarts or moves to another address (it looks
 * names up again), and records dropped because this program was slow, and recovers the records from
 * the broker's log. Positions ascend across symbols, too, with one exception: records that were
 * dropped are noticed with the next heartbeat at the latest (a second) and then delivered late;
 * each still comes before all that follow it of its symbol.
 *
 * Threads. A connection belongs to one thread: call every function on it, or on one of its locks,
 * from that thread. All callbacks run in that thread, from inside pregon_turn, pregon_run or
 * pregon_close (values only) and nowhere else. Several connections in several threads are fine:
 * they share nothing; ZeroMQ keeps a thread of its own for each. A child after fork() must not
 * touch the parent's connections. No function waits, except pregon_run (for timeout_ms) and
 * pregon_close (at most 0.2 s, to send what is queued).
 *
 * Callbacks may subscribe, unsubscribe, publish, open and close feeds and locks, put and get values
 * and call pregon_stop. They must not call pregon_turn, pregon_run or pregon_close, nor leave by
 * longjmp or an exception.
 *
 * Ownership. The arguments of a callback are valid until the callback returns. The library copies
 * the arguments of a function. Functions that end an object take a pointer to the pointer and set
 * it to NULL; NULL is allowed.
 *
 * Units. Time is in milliseconds (`_ms`) on a clock that nobody sets and that counts while the
 * machine is suspended, or in microseconds since 1970 (`_us`). Prices and sizes are decimal text,
 * as the source sent them ("1034.50" stays "1034.50"). All text is UTF-8.
 *
 * Errors. Functions return PREGON_OK (0) or an enum pregon_error; after an error nothing has
 * changed. If memory runs out the program ends (abort), as all programs of Pregón do. The library
 * prints nothing; on_link and on_note report events.
 *
 * Folder consumer/lib: the library.  Programs under consumer/ and programs of users call it,
 * through this header and pregon_publish.h only.
 */
#ifndef PREGON_H
#define PREGON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PREGON_API __attribute__((visibility("default")))

#define PREGON_PATTERN_MAX 33     /* bytes: a symbol of 32, or a prefix and '*' */
#define PREGON_LOCK_NAME_MAX 64   /* bytes of A-Z a-z 0-9 . _ : - */
#define PREGON_LOCK_OWNER_MAX 128 /* bytes, printable ASCII without space */
#define PREGON_VALUE_MAX 65536    /* bytes of a lock's value */

enum pregon_error {
    PREGON_OK,
    PREGON_ERROR_INVALID, /* an argument is not valid; nothing was sent */
    PREGON_ERROR_SYSTEM,  /* out of descriptors or similar: see errno */
    /* the broker did not answer; it may have carried out the request */
    PREGON_ERROR_AWAY,
    /* the lock has ended or has another holder: the token is no longer valid */
    PREGON_ERROR_STALE,
    PREGON_ERROR_TOO_LARGE, /* over PREGON_VALUE_MAX */
    /* the broker's disk refused; the change may still take effect */
    PREGON_ERROR_NOT_STORED,
    PREGON_ERROR_NOT_FOUND, /* no such lock, or no such pattern */
    PREGON_ERROR_FULL,      /* a limit of the broker or of a feed was reached: try again later */
    /* the broker refused for another reason: see the message */
    PREGON_ERROR_REFUSED,
    PREGON_ERROR_CLOSED, /* the connection (or the feed) is closed, or was before the answer came */
};

/* "stale", "not_stored", … a constant, never NULL. */
PREGON_API const char *pregon_error_name(enum pregon_error e);
/* One short sentence. */
PREGON_API const char *pregon_error_text(enum pregon_error e);
/* "0.1.0": the version of the linked library. */
PREGON_API const char *pregon_version(void);

struct pregon;      /* a connection */
struct pregon_lock; /* a lock that this program wants or holds over a connection */

/*
 * A position in the log: everything up to and including `seq` of log `epoch`. Positions of two
 * epochs cannot be compared. {0, 0}: none. Written EPOCH:SEQ, epoch as 16 hex digits.
 */
struct pregon_position {
    uint64_t epoch;
    uint64_t seq;
};

/*
 * Reads a position such as "0efc6f433b8d1fa2:990", or "start": as `since` that means everything in
 * the broker's log, whichever log it is. PREGON_ERROR_INVALID: the text is neither.
 */
PREGON_API enum pregon_error pregon_position_parse(const char *text, struct pregon_position *out);

/* --- records ------------------------------------------------------------------------- */

enum pregon_mode {
    PREGON_ALL, /* every record */
    /*
     * Each symbol's newest value: of the records that have arrived when pregon_turn is called,
     * older ones of a symbol are skipped, and only the newest value is recovered after a loss.
     */
    PREGON_NEWEST,
};

enum pregon_state {
    PREGON_LIVE,
    PREGON_STALE,   /* its feed is silent or has ended: the value is the last one known */
    PREGON_REMOVED, /* only in on_state: the symbol is removed and has no value any more */
};

/* Bytes without a final NUL; .at NULL: none. */
struct pregon_span {
    const char *at;
    size_t len;
};

struct pregon_quote {
    const char *symbol; /* with a NUL at its end */
    uint64_t epoch;     /* of the log */
    uint64_t seq;       /* position; of a snapshot: of its symbol's last record */
    uint64_t prev;      /* of the symbol's record before this one, 0: none; snapshots: 0 */
    bool is_snapshot;   /* the newest value when the subscription (or a new log) began */
    enum pregon_state state;
    /* when the quote left its feeder, microseconds since 1970 */
    int64_t sent_us;
    int64_t accepted_us; /* when the broker received it */
    /* the fields as the feeder sent them: a msgpack map with text keys */
    struct pregon_span body;
};

enum pregon_type {
    PREGON_TEXT,   /* prices and sizes are text, too */
    PREGON_NUMBER, /* times, and numbers that a feed adds */
    PREGON_BOOL,
    PREGON_NIL,
    PREGON_NESTED, /* an array or a map */
};

struct pregon_field {
    struct pregon_span name;
    enum pregon_type type;
    /* The value: a text unchanged, other types in JSON notation; nested values: .at NULL. */
    struct pregon_span text;
    struct pregon_span raw; /* the value as msgpack */
    /* private */
    struct pregon_span rest;
    uint32_t left;
    bool has_begun;
    char number[40];
};

/*
 * Finds a field by its name ("bid", "ask", "last", "volume", "currency", "timestamp", …;
 * docs/protocol/README.md). Returns false if the quote has no such field; *out is then untouched.
 * `out->text` may point into *out: do not copy the struct.
 */
PREGON_API bool pregon_quote_field(const struct pregon_quote *q, const char *name,
                                   struct pregon_field *out);
/*
 * The same as a C string into `out` of `size` bytes; a longer one is cut (size 64 holds every
 * price). Returns out, which is "" if there is no such field or it is nested.
 */
PREGON_API const char *pregon_quote_text(const struct pregon_quote *q, const char *name, char *out,
                                         size_t size);
/* Iterates over all fields: zero the struct, then call until it returns false. */
PREGON_API bool pregon_quote_next(const struct pregon_quote *q, struct pregon_field *field);
/*
 * The quote as one JSON object without a newline, the same that a browser gets:
 *   {"type":"quote","symbol":"EUR/USD","seq":991,"prev":981,"bid":"1.0842",…}
 * or "snapshot", with "state" instead of "prev". It ends with a NUL; the connection owns it, and it
 * is valid until the next such call.
 */
PREGON_API const char *pregon_quote_json(struct pregon *p, const struct pregon_quote *q);

/* A symbol became stale, or live again, or was removed. */
struct pregon_state_change {
    const char *symbol;
    uint64_t epoch, seq, prev;
    enum pregon_state state;
    const char *feed; /* the feed that fell silent, ended or returned; "" if removed */
    int64_t accepted_us;
};

/*
 * Records that cannot be delivered any more. feed not "": lines `first` to `last` of that feed
 * (`seq` is the loss's own position). feed "": positions `first` to `last` of the log, of which
 * some may have been of your symbols.
 */
struct pregon_loss {
    const char *feed;
    uint64_t epoch, seq, first, last, count;
    const char *reason; /* "ring_overflow", "not_stored", "retention" (pruned), … */
};

/*
 * The log was replaced, or the position given as `since` cannot be used: all earlier positions are
 * void, and every symbol's newest value follows as a snapshot.
 */
struct pregon_reset {
    uint64_t epoch;     /* of the log that the connection follows from now on */
    uint64_t old_epoch; /* of the previous log, or of `since` */
    const char *reason; /* "log_replaced", or of `since`: "other_log", "beyond_head" */
};

/* --- open, turn, close --------------------------------------------------------------- */

struct pregon_options {
    /* size of this struct, set by PREGON_OPTIONS, so that the struct can grow */
    size_t size;
    /*
     * ZeroMQ addresses. NULL: the environment's BROKER_PUBLISH and BROKER_CONTROL; without those
     * tcp://127.0.0.1:5556 and tcp://127.0.0.1:5557.
     */
    const char *publish;
    const char *control;
    enum pregon_mode mode;
    /*
     * Continue after this position with the patterns that are subscribed before the first turn:
     * they begin with the records after it instead of snapshots (PREGON_NEWEST: with snapshots of
     * the symbols that changed since). If the log does not reach back so far, on_lost names the
     * missing positions and snapshots follow.
     */
    struct pregon_position since;
    bool no_snapshot; /* begin with the next records, without snapshots */

    void *ctx; /* passed to the callbacks; each callback may be NULL */
    void (*on_quote)(void *ctx, const struct pregon_quote *q);
    void (*on_state)(void *ctx, const struct pregon_state_change *s);
    void (*on_lost)(void *ctx, const struct pregon_loss *l);
    void (*on_reset)(void *ctx, const struct pregon_reset *r);
    /*
     * All snapshots of the subscribed symbols (or all records after `since`) have been delivered.
     */
    void (*on_synced)(void *ctx);
    /*
     * Heartbeats of the broker come (is_up), or have not come for 3 s; also called once with false
     * if none came in the first 3 s. The last values stay available; decide yourself how long to
     * trust them. why: one sentence.
     */
    void (*on_link)(void *ctx, bool is_up, const char *why);
    /* For a log: a problem that the library noticed and recovered from, in one sentence. */
    void (*on_note)(void *ctx, const char *text);
};

/* Returns options with all members zero except `size`: the start of every struct pregon_options. */
static inline struct pregon_options pregon_options_begin(void)
{
    struct pregon_options o;

    memset(&o, 0, sizeof o);
    o.size = sizeof o;
    return o;
}
#define PREGON_OPTIONS pregon_options_begin()

/*
 * Opens a connection; the broker need not run yet. On PREGON_OK the caller owns *out and closes it
 * with pregon_close. PREGON_ERROR_INVALID: ZeroMQ does not accept an address (tcp://HOST:PORT or
 * ipc://PATH), or `size` is 0. PREGON_ERROR_SYSTEM.
 */
PREGON_API enum pregon_error pregon_open(const struct pregon_options *options, struct pregon **out);

/*
 * A descriptor for your poll, epoll or event library: when it is readable, call pregon_turn. Never
 * read or close it.
 */
PREGON_API int pregon_fd(const struct pregon *p);

/*
 * Does everything that is due: first it checks locks whose time is up, then it delivers what has
 * come (at most a few hundred records), then it sends requests. Returns how many ms may pass until
 * the next call if the descriptor stays silent: 0 (at once) to 1000. Call it once before the first
 * wait.
 */
PREGON_API int pregon_turn(struct pregon *p);

/*
 * For programs without a loop: alternates between turns and waits until timeout_ms are over (<0: no
 * limit), a signal interrupts the wait, or pregon_stop was called.
 */
PREGON_API void pregon_run(struct pregon *p, int timeout_ms);
/*
 * Makes pregon_run return as soon as the current callback returns; nothing more is delivered before
 * that.
 */
PREGON_API void pregon_stop(struct pregon *p);

/*
 * Releases all locks, closes all feeds, drops all subscriptions and ends the connection. Pending
 * values get PREGON_ERROR_CLOSED; no other callback is called.
 */
PREGON_API void pregon_close(struct pregon **p);

/* Has a heartbeat come within the last 3 s? */
PREGON_API bool pregon_is_up(const struct pregon *p);

/* --- quotes -------------------------------------------------------------------------- */

/*
 * Follows a pattern: a symbol ("EUR/USD") or a prefix and '*' ("BTC*", "*"). A symbol that is
 * followed already is not delivered twice, whichever patterns match. Subscribing twice is the same
 * as once. PREGON_ERROR_INVALID: not a pattern.
 */
PREGON_API enum pregon_error pregon_subscribe(struct pregon *p, const char *pattern);
/*
 * Removes a pattern as it was subscribed; from now on, symbols that no other pattern matches are
 * not delivered. PREGON_ERROR_NOT_FOUND.
 */
PREGON_API enum pregon_error pregon_unsubscribe(struct pregon *p, const char *pattern);

/*
 * Everything up to this position has been delivered, or reported as lost, for every pattern that
 * was added before the last on_synced. If you store it and pass it as `since` to another
 * connection, nothing is missed; records delivered since the last heartbeat (at most a second) may
 * be delivered again, with the same positions. After pregon_stop it is the position of what was
 * delivered. {0, 0} until the first on_synced (with `since`: until the first message of the
 * broker), and after on_reset until the next on_synced.
 */
PREGON_API struct pregon_position pregon_position(const struct pregon *p);

/* --- locks --------------------------------------------------------------------------- */
/*
 * A lock has one holder at a time, for ttl_ms, under a token that rises with every grant. An opened
 * lock requests the lock, waits in the queue (first come, first served), renews it at a third of
 * its time, and requests it again after a loss, until it is closed.
 *
 * You hold the lock between on_held and on_lost. on_lost comes no later than two thirds of ttl_ms
 * after the last granted request was *sent*, also when the broker is away; and if the process was
 * paused beyond that, the next pregon_turn calls on_lost before anything else. So: call pregon_turn
 * in time (a callback that works for long delays the renewal, too), stop within a third of ttl_ms
 * of on_lost, and call pregon_lock_remaining_ms before a step that two holders must not do at once.
 * Where that must be impossible, let the resource that you change check the token: pregon_value_put
 * does.
 */

enum pregon_lost_reason {
    /* not confirmed in time: the broker was away, or this program was paused */
    PREGON_LOST_UNANSWERED,
    PREGON_LOST_EXPIRED,  /* the broker answered that the lease ran out */
    PREGON_LOST_TAKEN,    /* the lease ran out and another holder has the lock */
    PREGON_LOST_BROKEN,   /* an operator broke it */
    PREGON_LOST_RELEASED, /* another process with our owner released it */
};
/* "unanswered", "expired", … constant. */
PREGON_API const char *pregon_lost_reason_name(enum pregon_lost_reason r);

/* Why this program does not hold the lock (yet). */
struct pregon_lock_wait {
    /*
     * "held": by `holder`; "closed": for closed_ms more, after a holder that was lost; "kept": for
     * the waiter at the front of the line; "away": the broker does not answer; or an error of the
     * broker ("not_stored", "full", "invalid", …), see message.
     */
    const char *reason;
    const char *message; /* one sentence for people */
    const char *holder;  /* owner, "" if there is none */
    uint64_t token;      /* of the last grant, 0: unknown */
    uint32_t place;      /* our place in the queue, from 1; 0: none */
    uint32_t waiters;    /* owners in the queue, this one included */
    /* remaining time of the holder's lease, unless the holder renews it */
    int64_t expires_ms;
    int64_t closed_ms; /* how long the lock stays closed */
};

struct pregon_lock_options {
    size_t size; /* PREGON_LOCK_OPTIONS sets it */
    /* 1000 to 600000, 0: 30000. */
    int64_t ttl_ms;
    /*
     * 0 to 600000: how long the lock stays closed after this holder was lost, not after a release.
     */
    int64_t delay_ms;
    /* The owner's name; NULL: a random one.  Two locks with the same owner are the same holder. */
    const char *owner;

    void *ctx; /* passed to the callbacks; each callback may be NULL */
    /*
     * This program holds the lock under this token. The same token as before on_lost means that no
     * other owner held the lock in between.
     */
    void (*on_held)(void *ctx, struct pregon_lock *l, uint64_t token);
    /*
     * This program no longer holds the lock: stop. The library has requested it again; close the
     * lock if you do not want it back.
     */
    void (*on_lost)(void *ctx, struct pregon_lock *l, enum pregon_lost_reason reason);
    /*
     * Another holder has it; called when the holder or our place changes (the library checks every
     * 3 s).
     */
    void (*on_waiting)(void *ctx, struct pregon_lock *l, const struct pregon_lock_wait *w);
};

static inline struct pregon_lock_options pregon_lock_options_begin(void)
{
    struct pregon_lock_options o;

    memset(&o, 0, sizeof o);
    o.size = sizeof o;
    return o;
}
#define PREGON_LOCK_OPTIONS pregon_lock_options_begin()

/*
 * Requests a lock. PREGON_ERROR_INVALID: name, owner, ttl_ms or delay_ms is not valid. The lock
 * lives until pregon_lock_close, or pregon_close, which closes it.
 */
PREGON_API enum pregon_error pregon_lock_open(struct pregon *p, const char *name,
                                              const struct pregon_lock_options *options,
                                              struct pregon_lock **out);
/*
 * Releases the lock, or gives up the place in the queue. None of its callbacks is called after
 * this. The next pregon_turn sends the release, and repeats it until the broker answers.
 */
PREGON_API void pregon_lock_close(struct pregon_lock **l);

/* The token of the current grant; 0: none, or its time is up. */
PREGON_API uint64_t pregon_lock_token(const struct pregon_lock *l);
/*
 * How long this program surely holds the lock, by the clock now: on_lost comes after that at the
 * latest. 0: not held.
 */
PREGON_API int64_t pregon_lock_remaining_ms(const struct pregon_lock *l);
PREGON_API const char *pregon_lock_name(const struct pregon_lock *l);
PREGON_API const char *pregon_lock_owner(const struct pregon_lock *l);

/* --- a lock's value ------------------------------------------------------------------ */

struct pregon_value {
    const char *name;        /* of the lock */
    struct pregon_span data; /* get: the value's bytes */
    uint64_t token;          /* of the grant under which the value was put */
    uint64_t version;        /* rises by one with every put; 0: there was no put yet */
};

/*
 * Called once for every put and get. error 0: `v` is the answer; else `v` has only the name and
 * `message` gives the reason in one sentence.
 */
typedef void pregon_value_fn(void *ctx, enum pregon_error error, const char *message,
                             const struct pregon_value *v);

/*
 * Puts a value under the current grant. The broker takes it only if the token is still current, and
 * has stored it when it answers. PREGON_ERROR_STALE at once if this program does not hold the lock;
 * PREGON_ERROR_TOO_LARGE; PREGON_ERROR_AWAY if too many requests wait for a broker that is away;
 * after these errors `fn` (may be NULL) is not called. Else it is called within 5 s with PREGON_OK,
 * _STALE, _NOT_STORED, _AWAY or _CLOSED.
 *
 * _AWAY and _CLOSED mean that no answer came, not that the value was not put: the broker may have
 * put it, or, after _AWAY, put it when it is back, if the token is still current then. The broker
 * carries out the puts of one connection in the order of the calls, so an earlier put cannot undo a
 * repeated one.
 */
PREGON_API enum pregon_error pregon_value_put(struct pregon_lock *l, const void *data, size_t len,
                                              pregon_value_fn *fn, void *ctx);
/*
 * The same under a token that the caller gives, for programs that store the token with their work.
 */
PREGON_API enum pregon_error pregon_value_put_as(struct pregon_lock *l, uint64_t token,
                                                 const void *data, size_t len, pregon_value_fn *fn,
                                                 void *ctx);
/*
 * Requests the value of any lock. A new holder reads the value under its own grant before it puts
 * one.
 */
PREGON_API enum pregon_error pregon_value_get(struct pregon *p, const char *name,
                                              pregon_value_fn *fn, void *ctx);

#ifdef __cplusplus
}
#endif

#endif
