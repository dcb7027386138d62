#include "gateway/session/stream_private.h"

#include <stdlib.h>

#include "shared/base/mem.h"

#define MESSAGE_STEPS 8       /* what running a message costs, */
#define MESSAGE_STEP_BYTES 16 /* and one for so many bytes of it */

/* --- steps ------------------------------------------------------------------------------- */

/* What its client may still cost in this millisecond.  One that overdrew waits. */
static size_t *steps_of(struct client *c)
{
    if (c->g->now > c->steps_at) {
        c->steps = STREAM_STEPS;
        c->steps_at = c->g->now;
    }
    return &c->steps;
}

static void charge_message(struct client *c, size_t len)
{
    size_t cost = MESSAGE_STEPS + len / MESSAGE_STEP_BYTES;

    if (cost > c->steps)
        c->steps_at += (int64_t)((cost - c->steps) / STREAM_STEPS);
    c->steps -= cost < c->steps ? cost : c->steps;
}

/* --- requests ---------------------------------------------------------------------------- */

struct request *stream_request_new(struct client *c)
{
    struct request *r = mem_zalloc(sizeof *r);

    r->client = c;
    r->number = ++c->g->last_request;
    r->snapshot_limit = SIZE_MAX;
    r->answer_by = c->g->now + STREAM_WAIT_MS;
    return r;
}

void stream_request_end(struct gateway *g, struct request *r)
{
    stream_resume_end(r);
    r->client->waiting_bytes -= r->cost;
    buf_free(&r->message);
    buf_free(&r->patterns);
    for (size_t i = 0; i < r->topic_count; i++)
        hub_topic_release(g->hub, r->topics[i]);
    free(r->topics);
    for (size_t i = 0; i < r->kept_count; i++)
        hub_topic_release(g->hub, r->kept[i]);
    free(r->kept);
    buf_free(&r->accepted.items);
    buf_free(&r->left.items);
    buf_free(&r->rejected.items);
    buf_free(&r->id);
    free(r);
}

/* The clients that have requests are on a list. */
static void enter(struct gateway *g, struct client *c)
{
    c->next_waiting = NULL;
    c->waiting_link = g->waiting_end ? g->waiting_end : &g->waiting;
    *c->waiting_link = c;
    g->waiting_end = &c->next_waiting;
}

static void leave(struct gateway *g, struct client *c)
{
    *c->waiting_link = c->next_waiting;
    if (c->next_waiting)
        c->next_waiting->waiting_link = c->waiting_link;
    else
        g->waiting_end = c->waiting_link;
    c->waiting_link = NULL;
}

/* Before its other requests, or behind them. */
static void insert(struct client *c, struct request *r, bool is_first)
{
    if (!c->requests++) {
        enter(c->g, c);
        c->request_end = &c->request;
    }
    if (is_first) {
        r->next = c->request;
        c->request = r;
        if (!r->next)
            c->request_end = &r->next;
    } else {
        *c->request_end = r;
        c->request_end = &r->next;
    }
}

static struct request *take_first(struct client *c)
{
    struct request *r = c->request;

    c->request = r->next;
    if (!c->request)
        c->request_end = &c->request;
    if (!--c->requests)
        leave(c->g, c);
    return r;
}

void stream_submit(struct request *r)
{
    insert(r->client, r, true); /* the message that made it was the first */
}

void stream_forget(struct client *c)
{
    while (c->requests)
        stream_request_end(c->g, take_first(c));
}

void stream_begin_anew(struct client *c)
{
    struct gateway *g = c->g;
    struct request *r;

    if (!c->sub.topic_count)
        return;
    r = stream_request_new(c);
    r->is_anew = true;
    r->is_auto = c->is_auto;
    if (r->is_auto)
        r->snapshot_limit = (size_t)g->config.auto_max;
    r->topics = mem_alloc(c->sub.topic_count * sizeof *r->topics);
    for (; r->topic_count < c->sub.topic_count; r->topic_count++)
        r->topics[r->topic_count] = hub_topic_hold(
            g->hub, hub_topic_pattern(c->sub.topics[r->topic_count].topic));
    hub_leave_all(g->hub, &c->sub);
    insert(c, r, true); /* before what it has asked for meanwhile */
}

void stream_message(struct client *c, bool is_text, struct span message)
{
    struct request *r;

    if (!c->requests && client_has_room(c) && *steps_of(c)) {
        charge_message(c, message.len);
        stream_run(c, is_text, message);
        return;
    }
    r = stream_request_new(c);
    buf_add(&r->message, message.at, message.len);
    if (!message.len)
        buf_addc(&r->message, ' '); /* as wrong as nothing, but something to run */
    r->is_text = is_text;
    r->cost = sizeof *r + r->message.len;
    c->waiting_bytes += r->cost;
    insert(c, r, false);
}

/* --- settling ---------------------------------------------------------------------------- */

/* Its first request goes on; true if that has ended, and the next one may. */
static bool settle_first(struct gateway *g, struct client *c, size_t *steps)
{
    struct request *r = c->request;

    r->is_cut = !client_has_room(c);
    if (r->is_cut || !*steps)
        return false;
    if (!r->message.len && !stream_advance(g, r, steps))
        return false;
    if (c->request != r)
        return false; /* it was closed over it, and its requests are gone */
    take_first(c);
    if (r->message.len) {
        charge_message(c, r->message.len);
        stream_run(c, r->is_text, buf_span(&r->message));
    }
    hub_set_due(g->hub, &c->sub);
    stream_request_end(g, r);
    return true;
}

void stream_settle(struct gateway *g)
{
    struct client *last = NULL;
    size_t left = STREAM_TURN_STEPS;

    g->has_spare_work = false;
    if (g->waiting)
        last = (struct client *)((char *)g->waiting_end -
                                 offsetof(struct client, next_waiting));
    for (struct client *c = g->waiting, *next; c; c = next) {
        size_t *steps = steps_of(c), before = *steps;

        next = c == last ? NULL : c->next_waiting;
        while (c->requests && settle_first(g, c, steps))
            ;
        if (c->requests && !*steps) { /* the others first, next time */
            g->has_spare_work = true;
            leave(g, c);
            enter(g, c);
        }
        left -= before - *steps < left ? before - *steps : left;
        if (!left)
            break;
    }
    stream_resume_ask(g);
}

bool stream_has_more(const struct gateway *g)
{
    for (const struct client *c = g->waiting; c; c = c->next_waiting)
        if (stream_resume_has_room(c->request))
            return true;
    return false;
}
