/* receiver_request: requests snapshots and pages of the log, and repeats unanswered requests. */
#include <stdio.h>
#include <string.h>

#include "shared/sync/receiver_private.h"

static bool may_send(const struct receiver *f)
{
    return f->phase == PHASE_VERIFIED || f->phase == PHASE_HOLDING;
}

void receiver_queue_snapshot(struct receiver *f, bool is_symbol, const char *text)
{
    buf_addc(&f->queue, is_symbol ? 's' : 'p');
    buf_add(&f->queue, text, strlen(text) + 1);
    f->symbols_queued += is_symbol;
}

void receiver_send(struct receiver *f, struct receiver_request *q)
{
    q->number = ++f->next_request;
    q->due_at = f->now + RECEIVER_ANSWER_MS;
    f->out.broker.request_snapshot(f->out.broker.ctx, q->number, span_of(q->text), q->from);
}

/* The queue's entry as a request.  false: it is not wanted any more. */
static bool take_queued(struct receiver *f, struct receiver_request *q)
{
    const char *entry = f->queue.data + f->queue_at;
    const struct receiver_pattern *p;

    *q = (struct receiver_request){.is_symbol = entry[0] == 's'};
    snprintf(q->text, sizeof q->text, "%s", entry + 1);
    f->queue_at += strlen(entry) + 1;
    /* remove entries that were taken, so that they do not accumulate */
    if (f->queue_at > f->queue.len / 2) {
        f->queue.len -= f->queue_at;
        memmove(f->queue.data, f->queue.data + f->queue_at, f->queue.len);
        f->queue_at = 0;
    }
    f->symbols_queued -= q->is_symbol;
    if (q->is_symbol)
        return true;
    p = receiver_find(f, span_of(q->text));
    if (!p || p->sync != PATTERN_MARKED)
        return false;
    q->generation = p->generation;
    return true;
}

void receiver_send_queued(struct receiver *f)
{
    while (may_send(f) && f->request_count < RECEIVER_REQUESTS_MAX && f->queue_at < f->queue.len) {
        struct receiver_request q;

        if (!take_queued(f, &q))
            continue;
        f->requests[f->request_count] = q;
        receiver_send(f, &f->requests[f->request_count++]);
    }
}

struct receiver_request *receiver_find_request(struct receiver *f, uint64_t number)
{
    for (size_t i = 0; i < f->request_count; i++)
        if (f->requests[i].number == number)
            return &f->requests[i];
    return NULL;
}

void receiver_end_request(struct receiver *f, struct receiver_request *q)
{
    *q = f->requests[--f->request_count];
}

void receiver_drop_requests(struct receiver *f)
{
    f->request_count = f->symbols_queued = f->queue_at = 0;
    f->page_request = 0;
    buf_free(&f->queue);
}

struct receiver_pattern *receiver_find_requested(const struct receiver *f,
                                                 const struct receiver_request *q)
{
    struct receiver_pattern *p = q->is_symbol ? NULL : receiver_find(f, span_of(q->text));

    return p && p->sync == PATTERN_MARKED && p->generation == q->generation ? p : NULL;
}

void receiver_retry(struct receiver *f)
{
    for (size_t i = f->request_count; i-- > 0;) {
        if (f->now < f->requests[i].due_at)
            continue;
        if (f->requests[i].is_symbol || receiver_find_requested(f, &f->requests[i]))
            receiver_send(f, &f->requests[i]);
        else
            receiver_end_request(f, &f->requests[i]);
    }
    receiver_send_queued(f);
}

int64_t receiver_request_deadline(const struct receiver *f)
{
    int64_t due = f->phase == PHASE_CATCHING_UP ? f->page_due_at : RECEIVER_NEVER;

    for (size_t i = 0; i < f->request_count; i++)
        if (f->requests[i].due_at < due)
            due = f->requests[i].due_at;
    return due;
}

void receiver_request_page(struct receiver *f)
{
    struct buf patterns = {0};

    receiver_put_all(f, &patterns);
    f->page_request = ++f->next_request;
    f->page_due_at = f->now + RECEIVER_ANSWER_MS;
    f->out.broker.request_replay(f->out.broker.ctx, f->page_request, buf_span(&patterns),
                                 f->verified_seq, f->mark_seq);
    buf_free(&patterns);
}
