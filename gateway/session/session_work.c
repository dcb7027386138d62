/* session_work: runs requests in slices; each session pays for its own steps. */
#include "gateway/session/session_private.h"

#define MESSAGE_STEPS 8       /* what running a message costs, */
#define MESSAGE_STEP_BYTES 16 /* and one step for this many bytes of the message */

/* The steps that the session may still use in this millisecond.  A session that overdrew waits. */
static size_t *steps_of(struct session *s)
{
    if (s->all->now > s->steps_at) {
        s->steps = SESSION_STEPS;
        s->steps_at = s->all->now;
    }
    return &s->steps;
}

static void charge_message(struct session *s, size_t len)
{
    size_t cost = MESSAGE_STEPS + len / MESSAGE_STEP_BYTES;

    if (cost > s->steps)
        s->steps_at += (int64_t)((cost - s->steps) / SESSION_STEPS);
    s->steps -= cost < s->steps ? cost : s->steps;
}

void session_message(struct session *s, bool is_text, struct span message)
{
    if (s->requests || !session_has_room(s) || !*steps_of(s)) {
        session_request_defer(s, is_text, message);
        return;
    }
    charge_message(s, message.len);
    session_run(s, is_text, message);
}

/* Continue its first request; true if that has ended, so that the next one may begin. */
static bool advance_first(struct session *s, size_t *steps)
{
    struct session_request *r = s->request;

    r->is_cut = !session_has_room(s);
    if (r->is_cut || !*steps)
        return false;
    if (!r->message.len && !session_advance(r, steps))
        return false;
    if (s->request != r)
        return false; /* the session was closed, and its requests are gone */
    session_request_take_first(s);
    if (r->message.len) {
        charge_message(s, r->message.len);
        session_run(s, r->is_text, buf_span(&r->message));
    }
    hub_set_due(s->all->hub, &s->sub);
    session_request_end(r);
    return true;
}

bool session_work(struct session *s, size_t *spent)
{
    size_t *steps = steps_of(s), before = *steps;

    while (s->requests && advance_first(s, steps))
        ;
    *spent += before - *steps;
    return s->requests && !*steps;
}
