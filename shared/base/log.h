/*
 * log: one line per event, in uvicorn's shape or as JSON.
 *
 *   INFO:     Uvicorn-like: the level, a colon, padded to ten columns, the message
 *   {"time":1640995200.123,"level":"info","program":"pregon-gateway","message":"…"}
 *
 * Access lines go to standard output, all others to standard error; each line is
 * written with one write.  Values that came from a network are escaped here: a
 * control character, quote of another charset or newline cannot forge a line.
 * Anything a peer can provoke goes through a log_limit: at most `burst` lines per
 * `interval_ms`, then one line saying how many were suppressed.
 * Any thread may log; log_init is called once, before threads.
 */
#ifndef SHARED_BASE_LOG_H
#define SHARED_BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

enum log_level {
    LOG_TRACE,
    LOG_DEBUG,
    LOG_INFO,
    LOG_WARNING,
    LOG_ERROR,
    LOG_CRITICAL,
};

/* `level` and `format` are words the settings table has already checked. */
/* `program` must outlive all logging.  May be called again by a reload. */
void log_init(const char *program, const char *level, const char *format);
bool log_is_on(enum log_level level);

/* The message is escaped as a whole; pass network text with %s, bounded by %.*s. */
void log_at(enum log_level level, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
#define log_trace(...) log_at(LOG_TRACE, __VA_ARGS__)
#define log_debug(...) log_at(LOG_DEBUG, __VA_ARGS__)
#define log_info(...) log_at(LOG_INFO, __VA_ARGS__)
#define log_warning(...) log_at(LOG_WARNING, __VA_ARGS__)
#define log_error(...) log_at(LOG_ERROR, __VA_ARGS__)
#define log_critical(...) log_at(LOG_CRITICAL, __VA_ARGS__)

/*
 * For who has much to say at once: between the two, this thread's lines are gathered and
 * written together.  An error is written at once, after what was said before it.
 */
void log_hold(void);
void log_release(void);

/* One kind of event a peer can provoke.  Zero-initialise but for burst and interval. */
struct log_limit {
    unsigned burst; /* lines per interval */
    int64_t interval_ms;
    /* private from here; guarded by a lock inside log.c */
    int64_t since_ms;
    unsigned count;
    uint64_t suppressed;
};

/*
 * Log unless the limit is used up.  The first line after a suppressed stretch ends in
 * " (N similar lines suppressed)".  now_ms: monotonic.
 */
void log_limited(struct log_limit *limit, int64_t now_ms, enum log_level level,
                 const char *format, ...) __attribute__((format(printf, 4, 5)));

/* Like log_limited, for lines counted elsewhere: the count to tell, or -1: say nothing.
 */
int64_t log_limit_pass(struct log_limit *limit, int64_t now_ms);

/*
 * INFO:     127.0.0.1:48386 - "GET /cotizaciones/health HTTP/1.1" 200 OK
 * `version` is "1.1".  On standard output.  As JSON: client, method, path, version and
 * status as fields.
 */
void log_access(const char *client, const char *method, const char *target,
                const char *version, int status, const char *status_text);

#endif
