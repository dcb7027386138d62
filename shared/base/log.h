/*
 * log: one line per event, in uvicorn's format or as JSON.
 *
 *   INFO:     Uvicorn-like: the level, a colon, padded to ten columns, the message
 *   {"time":1640995200.123,"level":"info","program":"pregon-gateway","message":"…"}
 *
 * Access lines go to standard output, all others to standard error; each line is written with one
 * write. This module escapes values that came from a network: a control character, quote of another
 * charset or newline cannot forge a line. Every event that a peer can provoke goes through a
 * log_limit: at most `burst` lines per `interval_ms`, then one line with the number of suppressed
 * lines. Any thread may log; log_init is called once, before threads start.
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

/* `level` and `format` are words that the settings table has already checked. */
/* `program` must outlive all logging.  May be called again by a reload. */
void log_init(const char *program, const char *level, const char *format);
bool log_is_on(enum log_level level);

/* The whole message is escaped; pass text from the network with %s, bounded by %.*s. */
void log_at(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));
#define log_trace(...) log_at(LOG_TRACE, __VA_ARGS__)
#define log_debug(...) log_at(LOG_DEBUG, __VA_ARGS__)
#define log_info(...) log_at(LOG_INFO, __VA_ARGS__)
#define log_warning(...) log_at(LOG_WARNING, __VA_ARGS__)
#define log_error(...) log_at(LOG_ERROR, __VA_ARGS__)
#define log_critical(...) log_at(LOG_CRITICAL, __VA_ARGS__)

/*
 * For callers that log many lines at once: between log_collect and log_flush, this thread's
 * lines are collected and written together. An error is written at once, after the lines collected
 * before it.
 */
void log_collect(void);
void log_flush(void);

/* One kind of event that a peer can provoke.  Set burst and interval, zero the rest. */
struct log_limit {
    unsigned burst; /* lines per interval */
    int64_t interval_ms;
    /* private from here; guarded by a lock inside log.c */
    int64_t since_ms;
    unsigned count;
    uint64_t suppressed;
};

/*
 * Logs unless the limit is reached. The first line after suppressed ones ends in " (N similar lines
 * suppressed)". now_ms: monotonic.
 */
void log_limited(struct log_limit *limit, int64_t now_ms, enum log_level level, const char *format,
                 ...) __attribute__((format(printf, 4, 5)));

/*
 * Like log_limited, for events that the caller counts. Returns the number of suppressed events to
 * log, or -1 if the limit is reached.
 */
int64_t log_limit_pass(struct log_limit *limit, int64_t now_ms);

/*
 * Writes an access line to standard output: INFO: 127.0.0.1:48386 - "GET /cotizaciones/health
 * HTTP/1.1" 200 OK `version` is "1.1". In JSON, client, method, path, version and status are
 * fields.
 */
void log_access(const char *client, const char *method, const char *target, const char *version,
                int status, const char *status_text);

#endif
