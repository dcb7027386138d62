#include "broker/core/request_queue.h"

#include <stdlib.h>

#include <uthash.h>
#include <utlist.h>

#include "shared/base/mem.h"

struct waiting {
    struct buf message;
    struct waiting *prev, *next;
};

/* A peer with at least one waiting request. */
struct peer {
    UT_hash_handle hh; /* by name */
    struct buf name;
    struct waiting *line; /* the oldest first */
    size_t count;
    struct peer *prev, *next; /* in the round */
};

struct request_queue {
    struct peer *by_name;
    struct peer *round; /* the peer whose turn it is first */
    size_t count;
};

struct request_queue *request_queue_new(void)
{
    return mem_zalloc(sizeof(struct request_queue));
}

void request_item_clear(struct request_item *item)
{
    buf_free(&item->peer);
    buf_free(&item->message);
}

void request_queue_free(struct request_queue *q)
{
    struct request_item item;

    if (!q)
        return;
    while (request_queue_take(q, &item))
        request_item_clear(&item);
    free(q);
}

static struct peer *find(struct request_queue *q, struct span name)
{
    struct peer *p;

    HASH_FIND(hh, q->by_name, name.at, (unsigned)name.len, p);
    return p;
}

static struct peer *add_peer(struct request_queue *q, struct span name)
{
    struct peer *p = mem_zalloc(sizeof *p);

    buf_add(&p->name, name.at, name.len);
    HASH_ADD_KEYPTR(hh, q->by_name, p->name.data, (unsigned)p->name.len, p);
    DL_APPEND(q->round, p);
    return p;
}

enum err request_queue_add(struct request_queue *q, struct span peer, struct span message)
{
    struct peer *p = find(q, peer);
    struct waiting *w;

    if (message.len > REQUEST_QUEUE_BYTES)
        return ERR_TOO_LARGE;
    if (q->count >= REQUEST_QUEUE_MAX || (p && p->count >= REQUEST_QUEUE_PEER))
        return ERR_FULL;
    if (!p)
        p = add_peer(q, peer);
    w = mem_zalloc(sizeof *w);
    buf_add(&w->message, message.at, message.len);
    DL_APPEND(p->line, w);
    p->count++;
    q->count++;
    return OK;
}

/*
 * Take out this request of the peer, which goes to the end of the round, or away without
 * another.
 */
static void take(struct request_queue *q, struct peer *p, struct waiting *w,
                 struct request_item *out)
{
    DL_DELETE(p->line, w);
    p->count--;
    q->count--;
    DL_DELETE(q->round, p);
    *out = (struct request_item){.message = w->message};
    free(w);
    if (p->line) {
        DL_APPEND(q->round, p);
        buf_add(&out->peer, p->name.data, p->name.len);
        return;
    }
    HASH_DEL(q->by_name, p);
    out->peer = p->name;
    free(p);
}

bool request_queue_take(struct request_queue *q, struct request_item *out)
{
    if (!q->round)
        return false;
    take(q, q->round, q->round->line, out);
    return true;
}

struct span request_queue_turn(const struct request_queue *q)
{
    return q->round ? buf_span(&q->round->name) : (struct span){0};
}

void request_queue_skip(struct request_queue *q)
{
    struct peer *p = q->round;

    if (!p)
        return;
    DL_DELETE(q->round, p);
    DL_APPEND(q->round, p);
}

bool request_queue_evict(struct request_queue *q, struct span peer, struct request_item *out)
{
    const struct peer *own = find(q, peer);
    struct peer *most = q->round, *p;

    DL_FOREACH(q->round, p)
    if (p->count > most->count)
        most = p;
    if (!most || most->count < (own ? own->count : 0) + 2)
        return false;
    take(q, most, most->line->prev, out);
    return true;
}

size_t request_queue_count(const struct request_queue *q)
{
    return q->count;
}

size_t request_queue_peers(const struct request_queue *q)
{
    return HASH_COUNT(q->by_name);
}
