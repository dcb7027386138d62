/*
 * source: one interface for every origin of quotes; main.c reads them.
 *
 *   csv:FILE?speed=60&loop=1&max_gap=2   a recorded table, at the pace of its own times
 *   ndjson:FILE?speed=60&loop=1&max_gap=2   a recording of pregon-tail, or of history?format=ndjson
 *   -                                    one JSON object per line on standard input
 *   sim:N?rate=1000&bytes=120&seed=1     N generated symbols
 *
 * All of these can wait: the feeder reads a quote only when the outbox has room for it, so none is
 * dropped. A line that is not a valid quote is refused where it enters: counted by reason, logged
 * with its place (rate-limited), and skipped.
 *
 * Sources read no clock; ms is the loop's awake clock. One owner, one thread.
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
    const char *label; /* field `source` of quotes that have none; must outlive the source */
    int64_t speed, rate, max_gap_ms, max_future_ms;
    bool loop, tape_time, allow_crossed, refuse_negative;
    int64_t bytes, seed; /* sim only: approximate size of a quote as JSON, 0: no padding */
};

struct source_now {
    int64_t ms; /* awake clock */
    int64_t wall_us;
};

enum source_outcome {
    SOURCE_QUOTE, /* symbol and body are filled */
    SOURCE_LATER, /* no quote now: see due_ms and fd */
    SOURCE_ENDED, /* no quote will come any more */
};

struct source {
    char *name; /* as given, without its options: for log lines */
    struct source_settings set;
    /* Set by the source; read by the loop. */
    /* when to call source_next again; SOURCE_NEVER: when fd is readable */
    int64_t due_ms;
    int fd;        /* to watch edge-triggered, or -1 */
    bool is_paced; /* has a pace of its own, so it can be late */
    bool has_ended;
    uint64_t quotes, refused[QUOTE_REFUSAL_COUNT],
        skipped; /* quotes skipped because they were too late */
    /* Private to source.c. */
    uint64_t logged;
    bool is_counting; /* the log has a line that most refused lines are only counted */
    struct log_limit limit;
    enum source_outcome (*next)(struct source *s, const struct source_now *now,
                                char symbol[QUOTE_SYMBOL_MAX + 1], struct buf *body);
    void (*free)(struct source *s);
};

/*
 * Opens the source that `spec` describes. Its options override `defaults`, whose label may be NULL
 * for the kind's own (`feed` is the name of the feed). On ERR_INVALID the mistake is logged.
 */
MUST_CHECK enum err source_open(const char *spec, const struct source_settings *defaults,
                                const char *feed, struct source **out);
void source_free(struct source *s); /* NULL is allowed */

/* `body` is appended to, only with SOURCE_QUOTE. */
enum source_outcome source_next(struct source *s, const struct source_now *now,
                                char symbol[QUOTE_SYMBOL_MAX + 1], struct buf *body);

/* Lines refused so far. */
uint64_t source_refused(const struct source *s);
/* Logs one line with the refusals so far, by reason; nothing if none are new. */
void source_log_refused(struct source *s);

/* The kinds (source_csv.c, source_ndjson.c, source_sim.c), for source_open(). */
struct source *source_csv_open(const char *path);
struct source *source_ndjson_open(int fd);
struct source *source_ndjson_open_file(const char *path);
struct source *source_sim_open(const char *symbols, const struct source_settings *set);

/* For the kinds: refuses the line with number `line`; `detail` names the part, or is "". */
void source_refuse(struct source *s, enum quote_refusal why, uint64_t line, const char *detail,
                   const struct source_now *now);
struct quote_rules source_rules(const struct source *s, const struct source_now *now);

#endif
