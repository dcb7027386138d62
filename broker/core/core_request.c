/* core_request: requests that take longer than a moment, answered in slices between turns. */
#include <assert.h>
#include <stdlib.h>

#include "broker/core/core_private.h"
#include "broker/core/request_queue.h"
#include "shared/base/mem.h"
#include "shared/wire/pack.h"

#define BEHIND_LOOKS 64 /* in one turn */

struct core_requests {
    struct request_queue *queue;
    size_t skipped; /* how many peers in a row were skipped because they have unread answers */
    /* The request in progress; q.peer.at is NULL if there is none. */
    struct request_item item;
    struct control_request q;         /* its spans lie in `item` */
    const struct core_slices *slices; /* NULL: not begun, or answered in one go */
    void *state;
    const struct core_op *(*find)(struct span op);
};

void core_request_init(struct core *d, const struct core_op *(*find)(struct span op))
{
    d->requests = mem_zalloc(sizeof *d->requests);
    d->requests->queue = request_queue_new();
    d->requests->find = find;
    d->turn_work = CORE_TURN_WORK;
}

static void finish(struct core_requests *r)
{
    if (r->slices)
        r->slices->end(r->state);
    free(r->state);
    request_item_clear(&r->item);
    r->slices = NULL;
    r->state = NULL;
    r->q = (struct control_request){0};
}

void core_request_drop(struct core *d)
{
    if (d->requests)
        finish(d->requests);
}

void core_request_fini(struct core *d)
{
    if (!d->requests)
        return;
    finish(d->requests);
    request_queue_free(d->requests->queue);
    free(d->requests);
    d->requests = NULL;
}

static void answer_full(struct core *d, struct control_request *q)
{
    if (d->out.refused)
        d->out.refused(d->out.ctx, q->peer);
    answer_error(q, ERR_FULL, "too many requests wait for the broker: ask again");
}

static struct control_request read_request(struct core *d, const struct request_item *item)
{
    return answer_request(&d->answers, buf_span(&item->peer), buf_span(&item->message));
}

enum err core_request_add(struct core *d, struct span peer, struct span message)
{
    struct request_queue *queue = d->requests->queue;
    enum err e = request_queue_add(queue, peer, message);
    struct request_item evicted;

    if (e == ERR_FULL && request_queue_count(queue) == REQUEST_QUEUE_MAX &&
        request_queue_evict(queue, peer, &evicted)) {
        struct control_request q = read_request(d, &evicted);

        answer_full(d, &q);
        request_item_clear(&evicted);
        e = request_queue_add(queue, peer, message);
    }
    if (!e)
        d->requests->skipped = 0; /* this peer may not be behind */
    return e;
}

void core_request_queue(struct core *d, struct control_request *q)
{
    enum err e = core_request_add(d, q->peer, q->map);
    struct patterns patterns;

    if (e == ERR_FULL)
        answer_full(d, q);
    else if (e && core_read_patterns(q, &patterns)) /* otherwise this value was too large */
        answer_error(q, e, "a request like this is at most 8192 bytes");
}

static bool are_all_behind(const struct core_requests *r)
{
    return r->skipped >= request_queue_peers(r->queue);
}

/*
 * Skip peers that must read their answers first; looks at BEHIND_LOOKS peers at most.  false: all
 * have unread answers.
 */
static bool skip_those_behind(struct core *d)
{
    struct core_requests *r = d->requests;

    for (int i = 0; i < BEHIND_LOOKS && !are_all_behind(r); i++) {
        if (!d->out.is_behind || !d->out.is_behind(d->out.ctx, request_queue_turn(r->queue))) {
            r->skipped = 0;
            return true;
        }
        request_queue_skip(r->queue);
        r->skipped++;
    }
    return false;
}

static bool take_next(struct core *d)
{
    struct core_requests *r = d->requests;

    if (!skip_those_behind(d) || !request_queue_take(r->queue, &r->item))
        return false;
    r->q = read_request(d, &r->item);
    return true;
}

bool core_request_refuse(struct core *d, struct control_request *q)
{
    if (!d->out.may_ask || d->out.may_ask(d->out.ctx, q->peer))
        return false;
    answer_error(q, ERR_TOO_MANY_REQUESTS,
                 "read the answers of the requests before this one first");
    return true;
}

/* Begin the request that was taken from the queue.  false: it has been answered. */
static bool begin(struct core *d, struct core_requests *r)
{
    const struct core_op *op = r->find(r->q.op);

    r->slices = NULL;
    if (core_request_refuse(d, &r->q)) /* it may have stopped reading since its request */
        return false;
    assert(op && op->waits); /* or it would not have been queued */
    if (!op->slices) {
        op->answer(d, &r->q);
        return false;
    }
    r->slices = op->slices;
    r->state = mem_zalloc(r->slices->size);
    return r->slices->start(&d->log, &r->q, r->state);
}

bool core_work(struct core *d)
{
    struct core_requests *r = d->requests;
    int64_t work = d->turn_work;

    if (are_all_behind(r))
        r->skipped = 0; /* as of an earlier turn */
    while (work > 0 && (r->slices || take_next(d))) {
        work -= CORE_WORK_MESSAGE;
        if (!r->slices && !begin(d, r)) {
            /* Status and lists are packed in one step, so at most one of them per turn. */
            work -= r->slices ? 0 : d->turn_work;
            finish(r);
        } else if (r->slices->step(&d->log, &r->q, r->state, &work)) {
            finish(r);
        }
    }
    return r->slices || !are_all_behind(r);
}

bool core_request_waits(const struct core *d)
{
    return request_queue_count(d->requests->queue);
}

void core_begin_turn(struct core *d)
{
    d->work = d->turn_work;
}

bool core_may_take(const struct core *d)
{
    return d->work > 0;
}
