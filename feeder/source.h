/*
 * source: where quotes come from, all behind one small face.
 *
 *   csv:FILE?speed=60&loop=1&max_gap=2   a recorded table, at the pace of its own times
 *   -                                    one JSON object per line on standard input
 *   sim:N?rate=1000&bytes=120&seed=1     N made-up symbols
 *
 * All of these can wait: they are asked for a quote only when there is room for it, so
 * none is ever dropped.  A line that is no quote is refused where it enters: counted by
 * reason, told with its place (rate-limited), and the next one is taken.
 *
 * Sources read no clock; ms is the loop's awake clock.  One owner, one thread.
 */
#ifndef FEEDER_SOURCE_H
#define FEEDER_SOURCE_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/base/buf.h"
#include "shared/base/err.h"
#include "shared/base/log.h"
#include "shared/wire/quote.h"

#define SOURCE_NEVER INT64_MAX

struct source_settings {
    const char
        *label; /* field `source` of quotes that name none; outlives the source */
    int64_t speed, rate, max_gap_ms, max_future_ms;
    bool loop, tape_time, allow_crossed, refuse_negative;
    int64_t bytes,
        seed; /* sim only: about the size of the quote as JSON, 0: no padding */
};

struct source_now {
    int64_t ms; /* awake */
    int64_t wall_us;
};

enum source_outcome {
    SOURCE_QUOTE, /* symbol and body are filled */
    SOURCE_LATER, /* nothing now: see due_ms and fd */
    SOURCE_ENDED, /* nothing ever again */
};

struct source {
    char *name; /* as given, without its options: for logs */
    struct source_settings set;
    /* Set by the source; read by the loop. */
    int64_t due_ms; /* when to ask next; SOURCE_NEVER: when fd has something */
    int fd;         /* to watch edge-triggered, or -1 */
    bool is_paced;  /* has a pace of its own, so it can be late */
    bool has_ended;
    uint64_t quotes, refused[QUOTE_REFUSAL_COUNT],
        skipped; /* skipped: too late to make */
    /* Private to source.c. */
    uint64_t told;
    bool is_counting; /* it has been said that not every refused line is told */
    struct log_limit limit;
    enum source_outcome (*next)(struct source *s, const struct source_now *now,
                                char symbol[QUOTE_SYMBOL_MAX + 1], struct buf *body);
    void (*free)(struct source *s);
};

/*
 * Open what `spec` describes; its options override `defaults`, whose label may be NULL
 * for the kind's own (`feed` is the name of the feed).  ERR_INVALID with what is wrong
 * logged.
 */
MUST_CHECK enum err source_open(const char *spec,
                                const struct source_settings *defaults,
                                const char *feed, struct source **out);
void source_free(struct source *s); /* NULL is allowed */

/* body is appended to, by SOURCE_QUOTE only. */
enum source_outcome source_next(struct source *s, const struct source_now *now,
                                char symbol[QUOTE_SYMBOL_MAX + 1], struct buf *body);

/* Lines refused so far. */
uint64_t source_refused(const struct source *s);
/* One line with what was refused so far, by reason; nothing if there is nothing new. */
void source_log_refused(struct source *s);

/* The kinds (source_csv.c, source_ndjson.c, source_sim.c), for source_open(). */
struct source *source_csv_open(const char *path);
struct source *source_ndjson_open(int fd);
struct source *source_sim_open(const char *symbols, const struct source_settings *set);

/* For the kinds: refuse the line numbered `line`; detail says which part, or is "". */
void source_refuse(struct source *s, enum quote_refusal why, uint64_t line,
                   const char *detail, const struct source_now *now);
struct quote_rules source_rules(const struct source *s, const struct source_now *now);

#endif
