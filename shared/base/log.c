#include "shared/base/log.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "shared/base/buf.h"
#include "shared/base/clock.h"
#include "shared/base/utf8.h"

static const char *const names[] = {"trace", "debug", "info", "warning", "error", "critical"};
static const char *const tags[] = {"TRACE:", "DEBUG:", "INFO:", "WARNING:", "ERROR:", "CRITICAL:"};

/* Guards level and format, which a reload changes while other threads log. */
static struct {
    const char *_Atomic program;
    _Atomic enum log_level level;
    atomic_bool json;
} settings = {.program = "", .level = LOG_INFO};

static pthread_mutex_t limits = PTHREAD_MUTEX_INITIALIZER;

void log_init(const char *program, const char *level, const char *format)
{
    settings.program = program;
    settings.json = strcmp(format, "json") == 0;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(level, names[i]) == 0)
            settings.level = (enum log_level)i;
}

bool log_is_on(enum log_level level)
{
    return level >= settings.level;
}

/* Appends text so that it can neither end the line nor control the terminal. */
static void add_escaped(struct buf *b, struct span text, const char *also)
{
    for (size_t i = 0; i < text.len;) {
        unsigned char c = (unsigned char)text.at[i];
        size_t len = utf8_len(text.at + i, text.len - i);

        if (len && !utf8_is_control(text.at + i, len)) {
            if (strchr(also, c))
                buf_addc(b, '\\');
            buf_add(b, text.at + i, len);
        } else if (c == '\n') {
            buf_adds(b, "\\n");
        } else if (c == '\r') {
            buf_adds(b, "\\r");
        } else if (c == '\t') {
            buf_adds(b, "\\t");
        } else {
            len = len ? len : 1;
            for (size_t k = 0; k < len; k++)
                buf_printf(b, "\\x%02x", (unsigned)(unsigned char)text.at[i + k]);
        }
        i += len ? len : 1;
    }
}

static void add_formatted(struct buf *b, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));

static void add_formatted(struct buf *b, const char *format, va_list args)
{
    va_list again;
    int need;

    va_copy(again, args);
    need = vsnprintf(NULL, 0, format, again);
    va_end(again);
    if (need <= 0)
        return;
    vsnprintf(buf_room(b, (size_t)need + 1), (size_t)need + 1, format, args);
    b->len--;
}

/* PIPE_BUF: the kernel keeps a write up to this size together */
#define COLLECT_BYTES 4096

/* The lines that this thread has collected for standard error. */
static _Thread_local bool is_collecting;
static _Thread_local size_t collected_len;
static _Thread_local char collected[COLLECT_BYTES];

/* One write, so that lines of several threads and programs do not mix. */
static void put(int fd, struct span lines)
{
    size_t done = 0;

    while (done < lines.len) {
        ssize_t n = write(fd, lines.at + done, lines.len - done);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        done += (size_t)n;
    }
}

static void put_collected(void)
{
    put(STDERR_FILENO, (struct span){collected, collected_len});
    collected_len = 0;
}

void log_collect(void)
{
    is_collecting = true;
}

void log_flush(void)
{
    is_collecting = false;
    put_collected();
}

static void put_stderr(enum log_level level, struct span line)
{
    if (collected_len && (level >= LOG_ERROR || line.len > COLLECT_BYTES - collected_len))
        put_collected();
    if (!is_collecting || level >= LOG_ERROR || line.len > COLLECT_BYTES) {
        put(STDERR_FILENO, line);
        return;
    }
    memcpy(collected + collected_len, line.at, line.len);
    collected_len += line.len;
}

static void json_begin(struct buf *line, enum log_level level)
{
    buf_adds(line, "{\"time\":");
    buf_json_time(line, clock_wall_us() / 1000 * 1000);
    buf_printf(line, ",\"level\":\"%s\",\"program\":", names[level]);
    buf_jsons(line, settings.program);
}

static void json_member_text(struct buf *line, const char *key, const char *value)
{
    buf_printf(line, ",\"%s\":", key);
    buf_jsons(line, value);
}

static void put_message(enum log_level level, struct span message)
{
    struct buf line = {0};
    int saved = errno;

    if (settings.json) {
        json_begin(&line, level);
        buf_adds(&line, ",\"message\":");
        buf_json(&line, message);
        buf_addc(&line, '}');
    } else {
        buf_printf(&line, "%-10s", tags[level]);
        add_escaped(&line, message, "");
    }
    buf_addc(&line, '\n');
    put_stderr(level, buf_span(&line));
    buf_free(&line);
    errno = saved;
}

void log_at(enum log_level level, const char *format, ...)
{
    struct buf message = {0};
    va_list args;

    if (!log_is_on(level))
        return;
    va_start(args, format);
    add_formatted(&message, format, args);
    va_end(args);
    put_message(level, buf_span(&message));
    buf_free(&message);
}

int64_t log_limit_pass(struct log_limit *limit, int64_t now_ms)
{
    int64_t count = -1;

    pthread_mutex_lock(&limits);
    if (limit->count == 0 || now_ms - limit->since_ms >= limit->interval_ms) {
        limit->since_ms = now_ms;
        limit->count = 0;
    }
    if (limit->count < limit->burst) {
        limit->count++;
        count = (int64_t)limit->suppressed;
        limit->suppressed = 0;
    } else {
        limit->suppressed++;
    }
    pthread_mutex_unlock(&limits);
    return count;
}

void log_limited(struct log_limit *limit, int64_t now_ms, enum log_level level, const char *format,
                 ...)
{
    struct buf message = {0};
    int64_t suppressed;
    va_list args;

    if (!log_is_on(level))
        return;
    suppressed = log_limit_pass(limit, now_ms);
    if (suppressed < 0)
        return;
    va_start(args, format);
    add_formatted(&message, format, args);
    va_end(args);
    if (suppressed)
        buf_printf(&message, " (%lld similar lines suppressed)", (long long)suppressed);
    put_message(level, buf_span(&message));
    buf_free(&message);
}

void log_access(const char *client, const char *method, const char *target, const char *version,
                int status, const char *status_text)
{
    struct buf line = {0};

    if (!log_is_on(LOG_INFO))
        return;
    if (settings.json) {
        json_begin(&line, LOG_INFO);
        json_member_text(&line, "client", client);
        json_member_text(&line, "method", method);
        json_member_text(&line, "path", target);
        json_member_text(&line, "version", version);
        buf_printf(&line, ",\"status\":%d}", status);
    } else {
        /* '"' in the target must not end the quoted request line. */
        buf_printf(&line, "%-10s", tags[LOG_INFO]);
        add_escaped(&line, span_of(client), "");
        buf_adds(&line, " - \"");
        add_escaped(&line, span_of(method), "\"\\");
        buf_addc(&line, ' ');
        add_escaped(&line, span_of(target), "\"\\");
        buf_adds(&line, " HTTP/");
        add_escaped(&line, span_of(version), "\"\\");
        buf_printf(&line, "\" %d ", status);
        add_escaped(&line, span_of(status_text), "");
    }
    buf_addc(&line, '\n');
    put(STDOUT_FILENO, buf_span(&line));
    buf_free(&line);
}
