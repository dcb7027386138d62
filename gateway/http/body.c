#include "gateway/http/body.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

/* Send 100 Continue to a client that waits for it (Expect), unless the body has already begun. */
static void invite(const struct request *r)
{
    static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
    const char *expect = request_header(r, "Expect");

    /*
     * Nothing was sent yet, so the socket accepts these bytes; a client that is gone is detected
     * later.
     */
    if (expect && strcasecmp(expect, "100-continue") == 0 && strcmp(r->head->version, "1.0") != 0)
        (void)send(r->conn->fd, go_on, sizeof go_on - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void explain_failure(struct reply *p, const struct request *r, enum front_body why)
{
    char hint[80];

    if (why == FRONT_BODY_LATE) {
        snprintf(hint, sizeof hint, "All of it must be here within %d s.", FRONT_BODY_MS / 1000);
        reply_error(p, r, 408, "timed_out", "The body did not come in time.", hint);
    } else if (why == FRONT_BODY_CUT_OFF) {
        reply_error(p, r, 400, "bad_request", "The body is shorter than its Content-Length.",
                    "Send as many bytes as you announce.");
    } else {
        reply_error(p, r, 503, "draining", "This gateway is stopping.",
                    "Ask another gateway, or this one once it has restarted.");
        buf_adds(&p->headers, "Retry-After: 2\r\n");
    }
}

bool body_read(struct request *r, size_t most, struct buf *out, struct reply *p)
{
    const struct head *head = r->head;
    const struct buf *body = &r->conn->body;
    char text[80], hint[40];

    if (!head->has_length) {
        reply_error(p, r, 411, "length_required", "The length of the body is not given.",
                    "Send Content-Length, and not Transfer-Encoding.");
        return false;
    }
    if (head->length > most) {
        snprintf(hint, sizeof hint, "At most %zu.", most);
        snprintf(text, sizeof text, "The body has %llu bytes.", (unsigned long long)head->length);
        reply_error(p, r, 413, "too_large", text, hint);
        return false;
    }
    if (body->len >= head->length) {
        buf_add(out, body->data, (size_t)head->length);
        return true;
    }
    if (r->conn->outcome == FRONT_BODY_UNREAD) {
        invite(r);
        r->wanted_body = (size_t)head->length;
    } else {
        explain_failure(p, r, r->conn->outcome);
    }
    return false;
}

bool body_is_left(const struct request *r)
{
    return r->head->is_chunked || r->conn->body.len != r->head->length;
}
