/* route_reply: shared by the routes: requests to the loop, and errors of several routes. */
#include <stdio.h>

#include "gateway/routes/route_private.h"

void route_bad_parameter(struct reply *p, const struct request *r, const char *name,
                         const char *allowed)
{
    char message[80];

    snprintf(message, sizeof message, "The parameter '%s' is not what it should be.", name);
    reply_error(p, r, 400, "bad_request", message, allowed);
}

void route_unavailable(struct reply *p, const struct request *r, const char *code,
                       const char *message, const char *hint, int retry_after)
{
    reply_error(p, r, 503, code, message, hint);
    buf_printf(&p->headers, "Retry-After: %d\r\n", retry_after);
}

void route_draining(struct reply *p, const struct request *r)
{
    route_unavailable(p, r, "draining", "This gateway is stopping.",
                      "Ask another gateway, or this one once it has restarted.", 2);
}

bool route_request(struct service *s, struct request *r, struct loop_request *q, struct reply *p)
{
    switch (loop_request_post(s->core, q)) {
    case LOOP_REQUEST_ANSWERED:
        reply_json(p, q->status);
        buf_free(&p->body);
        p->body = q->body;
        return true;
    case LOOP_REQUEST_BUSY:
        route_unavailable(p, r, "busy", "Too many requests are waiting for an answer.",
                          "Ask less often, or raise HTTP_THREADS.", 1);
        return false;
    case LOOP_REQUEST_TIMED_OUT:
        route_unavailable(p, r, "loop_stalled", "The gateway did not answer itself in time.",
                          "If this lasts, the machine is overloaded or the process is stuck.", 2);
        return false;
    case LOOP_REQUEST_CANCELLED:
        route_draining(p, r);
        return false;
    }
    return false;
}

bool route_page(struct request *r, struct loop_request *q, uint64_t least, struct reply *p)
{
    q->limit = ROUTE_PAGE_MOST;
    if (!request_number(r, "limit", ROUTE_PAGE_MOST, &q->limit) || q->limit < least) {
        route_bad_parameter(p, r, "limit",
                            least ? "A whole number from 1 to 1000."
                                  : "A whole number from 0 to 1000.");
        return false;
    }
    if (!request_number(r, "offset", UINT32_MAX, &q->offset)) {
        route_bad_parameter(p, r, "offset", "A whole number from 0 to 4294967295.");
        return false;
    }
    return true;
}

/* What a token permits, and the refusal as long as it is not set. */
struct permission {
    const char *setting, *code, *message;
};

static bool shows_token(const struct request *r, const char *wanted, const struct permission *what,
                        struct reply *p)
{
    char hint[160];

    if (wanted[0] && admission_is_token(request_bearer(r), wanted))
        return true;
    if (!wanted[0]) {
        snprintf(hint, sizeof hint, "Set %s, and send it as 'Authorization: Bearer TOKEN'.",
                 what->setting);
        reply_error(p, r, 403, what->code, what->message, hint);
        return false;
    }
    snprintf(hint, sizeof hint, "Send 'Authorization: Bearer TOKEN' with the value of %s.",
             what->setting);
    reply_error(p, r, 401, "unauthorized",
                request_bearer(r) ? "The token is wrong." : "A token is needed.", hint);
    buf_adds(&p->headers, "WWW-Authenticate: Bearer\r\n");
    return false;
}

bool route_may_change(const struct request *r, struct reply *p)
{
    static const struct permission locks = {
        .setting = "LOCKS_TOKEN",
        .code = "locks_read_only",
        .message = "Over HTTP locks cannot be changed here, nor their values seen."};

    return shows_token(r, r->policy->locks_token, &locks, p);
}

bool route_may_remove(const struct request *r, struct reply *p)
{
    static const struct permission removal = {
        .setting = "ADMIN_TOKEN",
        .code = "admin_disabled",
        .message = "Over HTTP symbols and feeds cannot be removed here."};

    return shows_token(r, r->policy->admin_token, &removal, p);
}
