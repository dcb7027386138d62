/*
 * hub_join: a subscriber joins topics in slices.
 *
 * The subscriber is a member of the topics from the start. First the join finds the symbols that
 * its new topics match, then it queues a snapshot of each. Until then a symbol is pending, and
 * records of that symbol are not queued for this subscriber: the snapshot contains them.
 *
 * In mode all a heap orders the snapshots by position, and every record waits in `records` until
 * the last snapshot is queued. If a record changes a symbol whose snapshot is still pending, the
 * snapshot is made first, from the value before the record; the record then waits like the others.
 * So no snapshot has a position above that of a record behind it.
 */
#include <stdlib.h>
#include <string.h>

#include "gateway/fanout/hub_due.h"
#include "gateway/fanout/hub_topic.h"

#include "shared/base/array.h"

/* cost of a snapshot in mode all, whose frame may have to be made */
#define FRAME_STEPS 2

/* The status of a symbol, by its index, while the subscriber joins. */
enum join_status {
    JOIN_NOT_FOUND,
    JOIN_PENDING, /* its snapshot must still be queued */
    /* mode all: as pending, but the snapshot is made: records of the symbol wait */
    JOIN_KEPT,
    /* mode all: only its records are queued; the symbol is new, or the subscriber had it before */
    JOIN_FOLLOWS,
};

/* A snapshot made before a record changed its symbol. */
struct kept {
    struct frame *frame;
    uint64_t seq;
};

struct found {
    uint64_t seq; /* position of the symbol when it was found */
    struct hub_symbol *symbol;
};

struct hub_join {
    struct hub_walk walk;
    bool is_finding;
    size_t limit, room;
    uint64_t since;
    size_t changed; /* symbols found with a position above `since` */
    uint64_t before;
    /* mode all: a heap; merge: a list, whose next entry is `found_at` */
    struct found *found;
    size_t found_count, found_cap, found_at;
    uint8_t *status; /* by index of a symbol; enum join_status */
    size_t status_count;
    struct backlog records; /* mode all: the records that wait for the snapshots */
    /* by index of a symbol; bounded in bytes together with `records` */
    struct kept *kept;
    size_t kept_count, kept_bytes;
};

static enum join_status status_of(const struct hub_join *j, const struct hub_symbol *s)
{
    return s->index < j->status_count ? (enum join_status)j->status[s->index] : JOIN_NOT_FOUND;
}

static void set_status(struct hub_join *j, const struct hub_symbol *s, enum join_status status)
{
    ARRAY_RESERVE_ZEROED(j->status, j->status_count, (size_t)s->index + 1);
    j->status[s->index] = (uint8_t)status;
}

/* --- the heap --------------------------------------------------------------------- */

static bool is_before(const struct found *x, const struct found *y)
{
    return x->seq != y->seq ? x->seq < y->seq /* both positions are of an old log */
                            : x->symbol->index < y->symbol->index;
}

static void push(struct hub_join *j, struct hub_symbol *s, uint64_t seq, bool is_heap)
{
    struct found new = {seq, s};
    size_t at;

    ARRAY_RESERVE(j->found, j->found_cap, j->found_count + 1);
    at = j->found_count++;
    for (; is_heap && at && is_before(&new, &j->found[(at - 1) / 2]); at = (at - 1) / 2)
        j->found[at] = j->found[(at - 1) / 2];
    j->found[at] = new;
}

static struct found pop(struct hub_join *j)
{
    struct found first = j->found[0], last = j->found[--j->found_count];
    size_t at = 0, child;

    while ((child = 2 * at + 1) < j->found_count) {
        if (child + 1 < j->found_count && is_before(&j->found[child + 1], &j->found[child]))
            child++;
        if (!is_before(&j->found[child], &last))
            break;
        j->found[at] = j->found[child];
        at = child;
    }
    j->found[at] = last;
    return first;
}

/* --- what a backlog may name ------------------------------------------------------- */

/*
 * True if nothing of the symbol was queued through a new membership so far.  Only mode merge: in
 * mode all a join verifies the whole backlog before it begins.
 */
static bool awaits(const struct hub_subscriber *s, const struct hub_symbol *symbol)
{
    return s->join && (s->join->is_finding || status_of(s->join, symbol) == JOIN_PENDING);
}

struct coverage {
    const struct hub *h;
    const struct hub_subscriber *s;
};

static bool is_covered(void *ctx, struct hub_symbol *symbol)
{
    const struct coverage *c = ctx;

    hub_match(c->h, symbol);
    for (uint32_t i = 0; i < symbol->topic_count; i++) {
        const struct hub_topic *t = symbol->topics[i];
        uint32_t place = hub_member_place(c->s, t);

        if (place != HUB_NO_PLACE &&
            !(t->members[c->s->topics[place].place].is_joining && awaits(c->s, symbol)))
            return true;
    }
    return false;
}

void hub_verify_backlog(struct hub *h, struct hub_subscriber *s, uint32_t most)
{
    struct coverage c = {h, s};

    if (s->backlog.is_dirty)
        backlog_verify(&s->backlog, is_covered, &c, most);
    hub_note_dirty(h, s);
}

/* --- finding ---------------------------------------------------------------------- */

/* The symbol was removed after the client's position. */
static bool is_news(const struct hub_join *j, const struct hub_symbol *symbol)
{
    return symbol->state == SYMBOL_REMOVED && j->since && symbol->seq > j->since;
}

static void add_found(struct hub_subscriber *s, struct hub_symbol *symbol)
{
    struct hub_join *j = s->join;

    if (!(symbol->body.len || is_news(j, symbol)) || status_of(j, symbol) != JOIN_NOT_FOUND ||
        (j->since && !symbol->seq))
        return;
    set_status(j, symbol, JOIN_PENDING);
    push(j, symbol, symbol->seq, s->wants_all);
    if (symbol->seq <= j->since && j->since)
        return;
    j->changed++;
    if (symbol->seq <= j->before)
        j->before = symbol->seq ? symbol->seq - 1 : 0;
}

void hub_join_begin(struct hub *h, struct hub_subscriber *s, struct hub_topic *const *topics,
                    size_t count, uint64_t since, size_t limit, size_t room)
{
    struct hub_topic **fresh = mem_alloc((count + 1) * sizeof *fresh);
    size_t fresh_count = 0;

    if (s->wants_all) /* frames of topics that it left must not follow the ack */
        hub_verify_backlog(h, s, UINT32_MAX);
    for (size_t i = 0; i < count; i++)
        if (hub_add_member(h, s, topics[i], since != HUB_SINCE_NOW))
            fresh[fresh_count++] = topics[i];
    if (since != HUB_SINCE_NOW) {
        s->join = mem_zalloc(sizeof *s->join);
        h->joining_in_all += s->wants_all;
        s->join->is_finding = true;
        s->join->since = since;
        s->join->limit = limit;
        s->join->room = room;
        s->join->before = UINT64_MAX;
        hub_walk_begin(&s->join->walk, fresh, fresh_count);
    }
    free(fresh);
}

bool hub_join_find(struct hub *h, struct hub_subscriber *s, size_t *steps)
{
    struct hub_join *j = s->join;
    struct hub_symbol *symbol;

    while (j->is_finding) {
        if (!hub_walk_next(h, &j->walk, steps, &symbol))
            return false;
        if (symbol)
            add_found(s, symbol);
        else
            j->is_finding = false;
    }
    return true;
}

size_t hub_join_changed(const struct hub_subscriber *s, uint64_t *before)
{
    if (s->join->before < *before)
        *before = s->join->before;
    return s->join->changed;
}

/* --- queueing ------------------------------------------------------------------------ */

static struct frame *first_frame(const struct hub_subscriber *s, struct hub_symbol *symbol)
{
    bool is_known = s->join->since && symbol->seq <= s->join->since;

    return hub_symbol_frame(symbol, is_known ? MESSAGE_PRESENT : MESSAGE_SNAPSHOT, s->encoding);
}

static void queue_snapshot(struct hub *h, struct hub_subscriber *s, const struct found *f)
{
    struct hub_join *j = s->join;
    enum join_status status = status_of(j, f->symbol);
    struct frame *frame;
    uint64_t seq;
    bool is_known;

    if (status != JOIN_PENDING && status != JOIN_KEPT)
        return;
    seq = status == JOIN_KEPT ? j->kept[f->symbol->index].seq : f->symbol->seq;
    if (seq != f->seq) { /* a new log began meanwhile */
        push(j, f->symbol, seq, true);
        return;
    }
    set_status(j, f->symbol, JOIN_NOT_FOUND);
    is_known = j->since && seq <= j->since;
    if (!is_known && !j->limit)
        return;
    j->limit -= !is_known;
    frame = status == JOIN_KEPT ? j->kept[f->symbol->index].frame : first_frame(s, f->symbol);
    backlog_queue(&s->backlog, frame, h->queue_limit);
    hub_set_due(h, s);
}

static bool queue_in_all(struct hub *h, struct hub_subscriber *s, size_t *steps)
{
    struct hub_join *j = s->join;

    while (j->found_count) {
        struct found f;

        if (s->backlog.queue_bytes >= j->room)
            return false;
        if (*steps < FRAME_STEPS) {
            *steps = 0;
            return false;
        }
        *steps -= FRAME_STEPS;
        f = pop(j);
        queue_snapshot(h, s, &f);
    }
    return true;
}

static bool queue_in_merge(struct hub *h, struct hub_subscriber *s, size_t *steps)
{
    struct hub_join *j = s->join;

    h->round++;
    backlog_fall_behind(&s->backlog); /* entries may change before they are sent */
    for (; j->found_at < j->found_count && *steps; --*steps) {
        struct hub_symbol *symbol = j->found[j->found_at++].symbol;
        bool is_known = j->since && symbol->seq <= j->since;

        set_status(j, symbol, JOIN_NOT_FOUND);
        if (!is_known && !j->limit)
            continue;
        j->limit -= !is_known;
        hub_mark(h, s, symbol, is_known ? MESSAGE_STATE : MESSAGE_SNAPSHOT, 0);
    }
    backlog_fall_behind(&s->backlog);
    return j->found_at == j->found_count;
}

/* --- records meanwhile ------------------------------------------------------------------ */

static struct kept *kept_place(struct hub_join *j, uint32_t index)
{
    ARRAY_RESERVE_ZEROED(j->kept, j->kept_count, (size_t)index + 1);
    return &j->kept[index];
}

static void keep_snapshot(struct hub *h, struct hub_subscriber *s, struct hub_symbol *symbol)
{
    struct hub_join *j = s->join;
    struct kept *k;
    struct frame *f;

    if (j->is_finding)
        add_found(s, symbol);
    if (status_of(j, symbol) != JOIN_PENDING)
        return;
    f = first_frame(s, symbol);
    if (j->kept_bytes + f->len > h->queue_limit) {
        j->records.has_overflowed = true;
        return;
    }
    k = kept_place(j, symbol->index);
    frame_release(&k->frame);
    *k = (struct kept){frame_retain(f), symbol->seq};
    j->kept_bytes += f->len;
    set_status(j, symbol, JOIN_KEPT);
}

/* Every subscriber that joins in mode all through a topic of this symbol. */
static void each_joiner(struct hub *h, struct hub_symbol *symbol,
                        void (*each)(struct hub *h, struct hub_subscriber *s,
                                     struct hub_symbol *symbol))
{
    hub_match(h, symbol);
    for (uint32_t i = 0; i < symbol->topic_count; i++) {
        const struct hub_topic *t = symbol->topics[i];

        for (uint32_t k = 0; t->all_count && k < t->member_count; k++)
            if (t->members[k].is_joining && t->members[k].subscriber->wants_all &&
                t->members[k].subscriber->join)
                each(h, t->members[k].subscriber, symbol);
    }
}

void hub_join_keep_snapshot(struct hub *h, struct hub_symbol *symbol)
{
    each_joiner(h, symbol, keep_snapshot);
}

static void find_now(struct hub *h, struct hub_subscriber *s, struct hub_symbol *symbol)
{
    (void)h;
    if (s->join->is_finding)
        add_found(s, symbol);
}

void hub_join_keep_state(struct hub *h, struct hub_symbol *symbol)
{
    each_joiner(h, symbol, find_now);
}

static void drop_kept(struct hub_join *j)
{
    for (size_t i = 0; i < j->kept_count; i++)
        frame_release(&j->kept[i].frame);
    free(j->kept);
    j->kept = NULL;
    j->kept_count = j->kept_bytes = 0;
}

/* Queues the waiting records behind the snapshots. */
static void release_records(struct hub *h, struct hub_subscriber *s)
{
    struct backlog *records = &s->join->records;

    for (uint32_t i = 0; i < records->queue_count; i++)
        backlog_queue(&s->backlog, backlog_peek(records, s->encoding, i), SIZE_MAX);
    s->backlog.has_overflowed |= records->has_overflowed;
    if (records->queue_count || records->has_overflowed)
        hub_set_due(h, s);
}

bool hub_join_queue(struct hub *h, struct hub_subscriber *s, size_t *steps)
{
    if (!(s->wants_all ? queue_in_all(h, s, steps) : queue_in_merge(h, s, steps)))
        return false;
    release_records(h, s);
    hub_join_end(h, s);
    return true;
}

void hub_join_end(struct hub *h, struct hub_subscriber *s)
{
    struct hub_join *j = s->join;

    if (!j)
        return;
    for (uint32_t i = 0; i < s->topic_count; i++)
        s->topics[i].topic->members[s->topics[i].place].is_joining = false;
    hub_walk_end(&j->walk);
    backlog_fini(&j->records);
    drop_kept(j);
    h->joining_in_all -= s->wants_all;
    free(j->found);
    free(j->status);
    free(j);
    s->join = NULL;
}

void hub_join_reset(struct hub_subscriber *s)
{
    if (!s->join)
        return;
    s->join->since = 0;
    backlog_fini(&s->join->records);
    for (size_t i = 0; i < s->join->kept_count && i < s->join->status_count; i++)
        if (s->join->status[i] == JOIN_KEPT)
            s->join->status[i] = JOIN_PENDING;
    drop_kept(s->join);
}

struct backlog *hub_join_records(struct hub_subscriber *s)
{
    return &s->join->records;
}

bool hub_join_takes(struct hub_subscriber *s, struct hub_symbol *symbol, bool is_joining)
{
    struct hub_join *j = s->join;

    if (!is_joining) {
        if (s->wants_all)
            set_status(j, symbol, JOIN_FOLLOWS);
        return true;
    }
    switch (status_of(j, symbol)) {
    case JOIN_FOLLOWS:
    case JOIN_KEPT:
        return true;
    case JOIN_PENDING:
        return false;
    case JOIN_NOT_FOUND:
        break;
    }
    if (!j->is_finding)
        return true;
    /* the symbol had no value: it needs no snapshot, the waiting records are complete */
    if (s->wants_all) {
        set_status(j, symbol, JOIN_FOLLOWS);
        return true;
    }
    /* its snapshot is queued with the others, because the ack is not sent yet */
    add_found(s, symbol);
    return false;
}

size_t hub_join(struct hub *h, struct hub_subscriber *s, struct hub_topic *const *topics,
                size_t count, size_t limit, uint64_t since, uint64_t *before)
{
    size_t steps = SIZE_MAX, changed;
    uint64_t none = UINT64_MAX;

    hub_join_begin(h, s, topics, count, since, limit, SIZE_MAX);
    if (!s->join)
        return 0;
    hub_join_find(h, s, &steps);
    changed = hub_join_changed(s, before ? before : &none);
    hub_join_queue(h, s, &steps);
    return changed;
}
