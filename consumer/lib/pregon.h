/*
 * libpregon: follow quotes and hold locks from a C or C++ program of your own.
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
 * What is promised.  After a subscription every symbol's newest value is handed out
 * once as a snapshot, then every record that follows it (PREGON_ALL), each once and
 * those of a symbol in ascending position; or on_lost or on_reset says what nobody can
 * have any more.  Connections that break, a broker that restarts or moves to another
 * address (names are looked up again), records dropped on the way because this program
 * was slow: all of that is noticed and made good inside, from the broker's log.  Across
 * symbols positions ascend too, except that records which were dropped on the way are
 * noticed with the next heartbeat at the latest (a second) and then handed out late;
 * each still comes before all that follow it of its symbol.
 *
 * Thread.  A connection belongs to one thread: every function that is given it, or a
 * lock of it, is called there, and all callbacks are called there, from inside
 * pregon_turn, pregon_run or pregon_close (values only) and nowhere else.  Several
 * connections in several threads are fine. Nothing is shared between connections;
 * ZeroMQ keeps a thread of its own for each.  A child after fork() must not touch the
 * parent's.  No function waits, but pregon_run (as told) and pregon_close (at most 0.2
 * s, for what is still to be sent).
 *
 * Callbacks may subscribe, unsubscribe, open and close locks, put and get values and
 * call pregon_stop.  They must not call pregon_turn, pregon_run or pregon_close, nor
 * longjmp or throw out.
 *
 * Ownership.  What a callback is handed is valid until it returns.  What a function is
 * handed is copied.  Functions that end something take a pointer to the pointer and set
 * it to NULL; NULL is allowed.
 *
 * Units.  Time is in milliseconds (`_ms`) on a clock that is never set and also counts
 * while the machine is suspended, or in microseconds since 1970 (`_us`).  Prices and
 * sizes are decimal text, as they came in ("1034.50" stays "1034.50").  All text is
 * UTF-8.
 *
 * Errors.  Functions return PREGON_OK (0) or an enum pregon_error, and then have
 * changed nothing. Memory that is refused ends the program (abort), as everywhere in
 * Pregón.  Nothing is ever printed; on_link and on_note say what goes on.
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
    PREGON_ERROR_INVALID, /* an argument is not what it may be; nothing was sent */
    PREGON_ERROR_SYSTEM,  /* out of descriptors or the like: see errno */
    PREGON_ERROR_AWAY, /* the broker did not answer; it may have done it all the same */
    PREGON_ERROR_STALE, /* the lock has ended or passed on: the token no longer counts */
    PREGON_ERROR_TOO_LARGE,  /* over PREGON_VALUE_MAX */
    PREGON_ERROR_NOT_STORED, /* the broker's disk refused; it may still take effect */
    PREGON_ERROR_NOT_FOUND,  /* no such lock, or no such pattern */
    PREGON_ERROR_FULL,       /* a limit of the broker's was reached: ask again later */
    PREGON_ERROR_REFUSED,    /* the broker said no otherwise: see the message */
    PREGON_ERROR_CLOSED,     /* the connection was closed before the answer came */
};

/* "stale", "not_stored", … never NULL, constant. */
PREGON_API const char *pregon_error_name(enum pregon_error e);
/* One short sentence. */
PREGON_API const char *pregon_error_text(enum pregon_error e);
/* "0.1.0", of the library that is linked. */
PREGON_API const char *pregon_version(void);

struct pregon;      /* a connection */
struct pregon_lock; /* a lock that is wanted or held over it */

/*
 * A place in the log: everything up to and including `seq` of log `epoch`.  Positions
 * of two epochs cannot be compared.  {0, 0}: none.  Written EPOCH:SEQ, epoch as 16 hex
 * digits.
 */
struct pregon_position {
    uint64_t epoch;
    uint64_t seq;
};

/* "0efc6f433b8d1fa2:990" into a position.  PREGON_ERROR_INVALID: it is not that. */
PREGON_API enum pregon_error pregon_position_parse(const char *text,
                                                   struct pregon_position *out);

/* --- what is handed out -------------------------------------------------------------- */

enum pregon_mode {
    PREGON_ALL, /* every record */
    /*
     * Each symbol's newest value: of what has come when pregon_turn is called, older
     * ones are left out, and nothing is made good but the newest value.
     */
    PREGON_NEWEST,
};

enum pregon_state {
    PREGON_LIVE,
    PREGON_STALE, /* its feed fell silent: the value is the last one known */
};

/* Bytes that are not ended by a NUL; .at NULL: none. */
struct pregon_span {
    const char *at;
    size_t len;
};

struct pregon_quote {
    const char *symbol; /* ended by a NUL */
    uint64_t epoch;     /* of the log */
    uint64_t seq;       /* position; of a snapshot: of its symbol's last record */
    uint64_t prev; /* of the symbol's record before this one, 0: none; snapshots: 0 */
    bool is_snapshot; /* the newest value when the subscription (or a new log) began */
    enum pregon_state state;
    int64_t sent_us;         /* when it left its feeder, microseconds since 1970 */
    int64_t accepted_us;     /* when the broker took it */
    struct pregon_span body; /* its fields as they came: a msgpack map with text keys */
};

enum pregon_type {
    PREGON_TEXT,   /* prices and sizes are text too */
    PREGON_NUMBER, /* times and what else a feed adds */
    PREGON_BOOL,
    PREGON_NIL,
    PREGON_NESTED, /* an array or a map */
};

struct pregon_field {
    struct pregon_span name;
    enum pregon_type type;
    /* The value: a text as it is, all else as JSON writes it; nested: .at NULL. */
    struct pregon_span text;
    struct pregon_span raw; /* the value as msgpack */
    /* private */
    struct pregon_span rest;
    uint32_t left;
    bool has_begun;
    char number[40];
};

/*
 * A field by its name ("bid", "ask", "last", "volume", "currency", "timestamp", …;
 * docs/protocol/README.md). false: the quote has none of that name; *out is untouched.
 * `out->text` may point into *out: do not copy the struct.
 */
PREGON_API bool pregon_quote_field(const struct pregon_quote *q, const char *name,
                                   struct pregon_field *out);
/*
 * The same as a C string into `out` of `size` bytes, cut short if need be (size 64
 * holds every price).  Returns out, which is "" if there is no such field or it is
 * nested.
 */
PREGON_API const char *pregon_quote_text(const struct pregon_quote *q, const char *name,
                                         char *out, size_t size);
/* All fields: zero the struct, then call until false. */
PREGON_API bool pregon_quote_next(const struct pregon_quote *q,
                                  struct pregon_field *field);
/*
 * As one JSON object without a newline, the same that a browser gets:
 *   {"type":"quote","symbol":"EUR/USD","seq":991,"prev":981,"bid":"1.0842",…}
 * or "snapshot", with "state" instead of "prev".  Ended by a NUL; the connection's,
 * valid until the next such call.
 */
PREGON_API const char *pregon_quote_json(struct pregon *p,
                                         const struct pregon_quote *q);

/* A symbol became stale, or live again. */
struct pregon_state_change {
    const char *symbol;
    uint64_t epoch, seq, prev;
    enum pregon_state state;
    const char *feed; /* whose silence, or return, it was */
};

/*
 * What nobody has.  feed not "": lines `first` to `last` of that feed (`seq` is the
 * loss's own position).  feed "": positions `first` to `last` of the log, of which some
 * may have been of your symbols.
 */
struct pregon_loss {
    const char *feed;
    uint64_t epoch, seq, first, last, count;
    const char *reason; /* "ring_overflow", "not_stored", "retention" (pruned), … */
};

/*
 * The log is another one, or the position to go on from is of no use: all that was
 * known of positions is void, and every symbol's newest value follows as a snapshot.
 */
struct pregon_reset {
    uint64_t epoch;     /* of the log that is followed from now on */
    uint64_t old_epoch; /* of the one before, or of `since` */
    const char *reason; /* "log_replaced", or of `since`: "other_log", "beyond_head" */
};

/* --- open, turn, close --------------------------------------------------------------- */

struct pregon_options {
    size_t size; /* of this struct: PREGON_OPTIONS sets it, so that it can grow */
    /* ZeroMQ addresses.  NULL: the environment's BROKER_PUBLISH and BROKER_CONTROL, or
     * without them tcp://127.0.0.1:5556 and tcp://127.0.0.1:5557. */
    const char *publish;
    const char *control;
    enum pregon_mode mode;
    /*
     * Go on after this position with the patterns that are subscribed before the first
     * turn: they begin with the records after it instead of snapshots (PREGON_NEWEST:
     * with snapshots of the symbols that changed since).  If the log does not reach
     * back so far, on_lost names what is missing and snapshots make up for it.
     */
    struct pregon_position since;
    bool no_snapshot; /* begin with what comes, without snapshots */

    void *ctx; /* handed to the callbacks; each of them may be NULL */
    void (*on_quote)(void *ctx, const struct pregon_quote *q);
    void (*on_state)(void *ctx, const struct pregon_state_change *s);
    void (*on_lost)(void *ctx, const struct pregon_loss *l);
    void (*on_reset)(void *ctx, const struct pregon_reset *r);
    /* All snapshots of what is subscribed (or all there was since) have been handed out. */
    void (*on_synced)(void *ctx);
    /*
     * Heartbeats of the broker come, or have not come for 3 s; also once, with false,
     * if none came in the first 3 s.  Values keep; what they are worth is for you to
     * judge.  why: one sentence.
     */
    void (*on_link)(void *ctx, bool is_up, const char *why);
    /* For a log: what was noticed and made good, in one sentence. */
    void (*on_note)(void *ctx, const char *text);
};

/* All of it zero but `size`: what every struct pregon_options begins with. */
static inline struct pregon_options pregon_options_begin(void)
{
    struct pregon_options o;

    memset(&o, 0, sizeof o);
    o.size = sizeof o;
    return o;
}
#define PREGON_OPTIONS pregon_options_begin()

/*
 * Open a connection; the broker need not be there.  On PREGON_OK *out is the caller's,
 * to be closed with pregon_close.  PREGON_ERROR_INVALID: an address ZeroMQ does not
 * take (tcp://HOST:PORT or ipc://PATH), or `size` of 0.  PREGON_ERROR_SYSTEM.
 */
PREGON_API enum pregon_error pregon_open(const struct pregon_options *options,
                                         struct pregon **out);

/*
 * A descriptor for your poll, epoll or event library: readable means call pregon_turn.
 * Never read or close it.
 */
PREGON_API int pregon_fd(const struct pregon *p);

/*
 * Do all that is due: first locks whose time is up, then what has come (at most a few
 * hundred records), then what is to be asked.  Returns how many ms may pass until the
 * next call if the descriptor stays silent: 0 (at once) to 1000.  Call it once before
 * the first wait.
 */
PREGON_API int pregon_turn(struct pregon *p);

/*
 * For those without a loop: turn and wait in turn, until timeout_ms are over (<0:
 * never), a signal interrupts the wait, or pregon_stop was called.
 */
PREGON_API void pregon_run(struct pregon *p, int timeout_ms);
/*
 * Let pregon_run return as soon as the callback that calls this has; nothing more is
 * handed out before that.
 */
PREGON_API void pregon_stop(struct pregon *p);

/*
 * Release all locks, forget all subscriptions, end the connection.  Values under way
 * get PREGON_ERROR_CLOSED; no other callback is called.
 */
PREGON_API void pregon_close(struct pregon **p);

/* Has a heartbeat come within the last 3 s? */
PREGON_API bool pregon_is_up(const struct pregon *p);

/* --- quotes -------------------------------------------------------------------------- */

/*
 * Follow a pattern: a symbol ("EUR/USD") or a prefix and '*' ("BTC*", "*").  What is
 * followed already is not handed out again, whichever patterns match.  Subscribing
 * twice is the same as once. PREGON_ERROR_INVALID: no pattern.
 */
PREGON_API enum pregon_error pregon_subscribe(struct pregon *p, const char *pattern);
/*
 * Remove a pattern as it was subscribed; what no other one matches is not handed out
 * any more, from now on.  PREGON_ERROR_NOT_FOUND.
 */
PREGON_API enum pregon_error pregon_unsubscribe(struct pregon *p, const char *pattern);

/*
 * Everything up to here has been handed out, or named as lost, of every pattern that
 * on_synced has come for since it was added.  Kept and given as `since` to another
 * connection, nothing is missed; what has been handed out since the last heartbeat (at
 * most a second of it) may be handed out again, with the same positions.  After
 * pregon_stop it is as of what was handed out.  {0, 0} until the first on_synced (with
 * `since`: until the broker has been heard), and after on_reset until the next.
 */
PREGON_API struct pregon_position pregon_position(const struct pregon *p);

/* --- locks --------------------------------------------------------------------------- */
/*
 * A lock is lent to one holder at a time, for ttl_ms, under a token that rises with
 * every grant.  An opened lock asks for it, waits in line (first come, first served),
 * renews it at a third of its time, and after a loss asks again, until it is closed.
 *
 * Between on_held and on_lost it is yours.  on_lost comes no later than two thirds of
 * ttl_ms after the last request that was granted was *sent*, also when the broker is
 * away; and a process that was paused beyond that is told so by the next pregon_turn
 * before it is handed anything else.  So: call pregon_turn in time (a callback that
 * works for long delays the renewal too), stop within a third of ttl_ms of on_lost, and
 * ask pregon_lock_remaining_ms before a step that must not be done by two.  Where it
 * must be impossible, have the token checked by what is changed: pregon_value_put is.
 */

enum pregon_lost_reason {
    PREGON_LOST_UNANSWERED, /* not confirmed in time: the broker was away, or we were */
    PREGON_LOST_EXPIRED,    /* the broker says that it ran out */
    PREGON_LOST_TAKEN,      /* it ran out and somebody else has it */
    PREGON_LOST_BROKEN,     /* an operator broke it */
    PREGON_LOST_RELEASED,   /* somebody released it in our name */
};
/* "unanswered", "expired", … constant. */
PREGON_API const char *pregon_lost_reason_name(enum pregon_lost_reason r);

/* Why a lock is not ours (yet). */
struct pregon_lock_wait {
    /*
     * "held" by `holder`; "closed": for closed_ms more, after a holder that was lost;
     * "kept" for who stands before us; "away": the broker does not answer; or an error
     * of the broker's ("not_stored", "full", "invalid", …), see message.
     */
    const char *reason;
    const char *message; /* one sentence for people */
    const char *holder;  /* owner, "" if there is none */
    uint64_t token;      /* of the last grant, 0: unknown */
    uint32_t place;      /* in line, from 1; 0: none */
    uint32_t waiters;    /* in line, ourselves among them */
    int64_t expires_ms;  /* what the holder has left, unless it renews */
    int64_t closed_ms;   /* how long the lock stays closed */
};

struct pregon_lock_options {
    size_t size; /* PREGON_LOCK_OPTIONS sets it */
    /* 1000 to 600000, 0: 30000. */
    int64_t ttl_ms;
    /* 0 to 600000: how long it stays closed after we were lost, not after a release. */
    int64_t delay_ms;
    /* Who we are; NULL: made up, random.  The same owner again is the same holder. */
    const char *owner;

    void *ctx; /* handed to the callbacks; each of them may be NULL */
    /*
     * Ours, under this token.  The same token as before on_lost: nobody had it in
     * between.
     */
    void (*on_held)(void *ctx, struct pregon_lock *l, uint64_t token);
    /*
     * Not ours any more: stop.  It has been asked for again; close it if you do not
     * want it back.
     */
    void (*on_lost)(void *ctx, struct pregon_lock *l, enum pregon_lost_reason reason);
    /* Somebody else's; called when that or our place changes (asked every 3 s). */
    void (*on_waiting)(void *ctx, struct pregon_lock *l,
                       const struct pregon_lock_wait *w);
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
 * Want a lock.  PREGON_ERROR_INVALID: name, owner, ttl_ms or delay_ms is not what it
 * may be.  The lock lives until pregon_lock_close, or pregon_close, which closes it.
 */
PREGON_API enum pregon_error pregon_lock_open(struct pregon *p, const char *name,
                                              const struct pregon_lock_options *options,
                                              struct pregon_lock **out);
/*
 * Release it, or give up the place in line.  No callback of it is called any more.
 * Sent by the next pregon_turn, and again until the broker has heard it.
 */
PREGON_API void pregon_lock_close(struct pregon_lock **l);

/* Of the grant we hold; 0: none, or its time is up. */
PREGON_API uint64_t pregon_lock_token(const struct pregon_lock *l);
/*
 * How long it is surely ours, by the clock now: until on_lost at the latest.  0: not
 * ours.
 */
PREGON_API int64_t pregon_lock_remaining_ms(const struct pregon_lock *l);
PREGON_API const char *pregon_lock_name(const struct pregon_lock *l);
PREGON_API const char *pregon_lock_owner(const struct pregon_lock *l);

/* --- a lock's value ------------------------------------------------------------------ */

struct pregon_value {
    const char *name;        /* of the lock */
    struct pregon_span data; /* get: the bytes */
    uint64_t token;          /* of the grant under which it was put */
    uint64_t version;        /* rises by one with every put; 0: none was ever put */
};

/*
 * Called once for every put and get.  error 0: `v` is the answer; else `v` has the name
 * only and message says why in one sentence.
 */
typedef void pregon_value_fn(void *ctx, enum pregon_error error, const char *message,
                             const struct pregon_value *v);

/*
 * Put a value under our grant: the broker takes it only if the token is still the
 * current one, and has stored it when it answers.  PREGON_ERROR_STALE at once if we do
 * not hold the lock; PREGON_ERROR_TOO_LARGE; PREGON_ERROR_AWAY if too many requests
 * wait for a broker that is away; then `fn` (may be NULL) is not called.  Else it is, at
 * the latest 5 s later: PREGON_OK, _STALE, _NOT_STORED, _AWAY or _CLOSED.
 *
 * _AWAY and _CLOSED say that no answer came, not that the value was not put: the broker
 * may have put it, or, after _AWAY, put it when it is back, if the token is still the
 * current one then.  Puts of one connection are done in the order in which they were
 * called, so one that is repeated cannot be undone by the one before it.
 */
PREGON_API enum pregon_error pregon_value_put(struct pregon_lock *l, const void *data,
                                              size_t len, pregon_value_fn *fn,
                                              void *ctx);
/* The same under a token of one's own choice, for those that keep it with their work. */
PREGON_API enum pregon_error pregon_value_put_as(struct pregon_lock *l, uint64_t token,
                                                 const void *data, size_t len,
                                                 pregon_value_fn *fn, void *ctx);
/*
 * Ask for the value of any lock.  Who puts a value under a new grant reads it first,
 * under that grant.
 */
PREGON_API enum pregon_error pregon_value_get(struct pregon *p, const char *name,
                                              pregon_value_fn *fn, void *ctx);

#ifdef __cplusplus
}
#endif

#endif
