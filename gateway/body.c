#include "gateway/body.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "gateway/handover.h"
#include "shared/clock.h"

#define SLICE_MS 100 /* between looks at whether we are told to stop */
#define JUNK 16384

enum length { LENGTH_KNOWN, LENGTH_MISSING, LENGTH_WRONG };

enum outcome { WHOLE, LATE, CUT_OFF, STOPPED };

/* By digits: civetweb takes "5x" for 5, and the first of two that differ. */
static enum length read_length(const struct request *r, uint64_t *out)
{
    struct buf room = {0};
    const char *text = request_headers(r, "Content-Length", &room);
    enum length found = LENGTH_KNOWN;
    uint64_t n = 0;

    if (request_header(r, "Transfer-Encoding") || !text) {
        buf_free(&room);
        return LENGTH_MISSING;
    }
    if (!text[0] || strspn(text, "0123456789") != strlen(text) || strlen(text) > 18)
        found = LENGTH_WRONG;
    else
        for (const char *c = text; *c; c++)
            n = n * 10 + (uint64_t)(*c - '0');
    buf_free(&room);
    *out = n;
    return found;
}

/* Wait for the socket until the deadline; false: it is over. */
static bool wait_for(struct service *s, int fd, int64_t until, enum outcome *why)
{
    for (;;) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        int64_t left = until - clock_mono_ms();

        *why = gate_is_draining(s->gate) ? STOPPED : LATE;
        if (left <= 0 || *why == STOPPED)
            return false;
        if (poll(&p, 1, left < SLICE_MS ? (int)left : SLICE_MS) > 0)
            return true;
    }
}

static enum outcome receive(struct service *s, int fd, char *at, size_t len)
{
    int64_t until = clock_mono_ms() + BODY_WAIT_MS;
    enum outcome why;

    while (len > 0) {
        ssize_t n;

        if (!wait_for(s, fd, until, &why))
            return why;
        n = recv(fd, at, len, MSG_DONTWAIT);
        if (n > 0) {
            at += n;
            len -= (size_t)n;
        } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
            return CUT_OFF;
        }
    }
    return WHOLE;
}

/* A client that asks first is told to go on, unless it did not wait for that. */
static void invite(const struct request *r)
{
    static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
    const char *expect = request_header(r, "Expect");

    if (expect && strcasecmp(expect, "100-continue") == 0)
        (void)mg_write(r->conn, go_on, sizeof go_on - 1);
}

static enum err read_all(struct service *s, struct request *r, char *at, size_t len,
                         enum outcome *out)
{
    struct handover_loan loan;
    int number = service_find_socket(s, r->info), buffered;
    enum err e = number < 0 ? ERR_NOT_FOUND
                            : handover_borrow(&s->handover, number, &loan);

    if (e)
        return e;
    buffered = mg_read(r->conn, at, len); /* it finds nothing more on the dead socket */
    handover_return(&loan);
    if (buffered < 0)
        buffered = 0;
    if ((size_t)buffered < len)
        invite(r);
    *out = receive(s, loan.number, at + buffered, len - (size_t)buffered);
    return OK;
}

static void say_why(struct reply *p, const struct request *r, enum outcome why)
{
    char hint[80];

    if (why == LATE) {
        snprintf(hint, sizeof hint, "All of it must be here within %d s.",
                 BODY_WAIT_MS / 1000);
        reply_error(p, r, 408, "timed_out", "The body did not come in time.", hint);
    } else if (why == CUT_OFF) {
        reply_error(p, r, 400, "bad_request",
                    "The body is shorter than its Content-Length.",
                    "Send as many bytes as you announce.");
    } else {
        reply_error(p, r, 503, "draining", "This gateway is stopping.",
                    "Ask another gateway, or this one once it has restarted.");
        buf_adds(&p->headers, "Retry-After: 2\r\n");
    }
}

bool body_read(struct service *s, struct request *r, size_t most, struct buf *out,
               struct reply *p)
{
    enum outcome why = WHOLE;
    uint64_t len = 0;
    enum err e = OK;
    char text[80], hint[40];

    switch (read_length(r, &len)) {
    case LENGTH_MISSING:
        reply_error(p, r, 411, "length_required", "The length of the body is not told.",
                    "Send Content-Length, and not Transfer-Encoding.");
        return false;
    case LENGTH_WRONG:
        reply_error(p, r, 400, "bad_request", "Content-Length is not one whole number.",
                    "Send it once, in digits.");
        return false;
    case LENGTH_KNOWN:
        break;
    }
    if (len > most) {
        snprintf(hint, sizeof hint, "At most %zu.", most);
        snprintf(text, sizeof text, "The body has %llu bytes.",
                 (unsigned long long)len);
        reply_error(p, r, 413, "too_large", text, hint);
        return false;
    }
    if (len > 0)
        e = read_all(s, r, buf_room(out, len), len, &why);
    if (e) {
        reply_error(p, r, 503, "busy", "There is no descriptor left to read the body.",
                    "Ask again; if this lasts, raise ulimit -n or LimitNOFILE.");
        buf_adds(&p->headers, "Retry-After: 1\r\n");
        return false;
    }
    if (why != WHOLE) {
        say_why(p, r, why);
        return false;
    }
    r->has_body_read = true;
    return true;
}

/* Does more come than the headers? */
static bool is_announced(const struct request *r)
{
    uint64_t len;

    switch (read_length(r, &len)) {
    case LENGTH_KNOWN:
        return len > 0;
    case LENGTH_MISSING:
        return request_header(r, "Transfer-Encoding");
    case LENGTH_WRONG:
        break;
    }
    return true;
}

void body_discard(struct service *s, const struct request *r)
{
    int64_t until = clock_mono_ms() + BODY_DISCARD_MS;
    enum outcome why;
    char junk[JUNK];
    int fd;

    if (r->has_body_read || !is_announced(r))
        return;
    fd = service_find_socket(s, r->info);
    if (fd < 0 || shutdown(fd, SHUT_WR))
        return;
    while (wait_for(s, fd, until, &why)) {
        ssize_t n = recv(fd, junk, sizeof junk, MSG_DONTWAIT);

        if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
            return;
    }
}
