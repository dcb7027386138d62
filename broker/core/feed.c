#include "broker/core/feed.h"

#include <stdlib.h>
#include <string.h>

#include "shared/base/mem.h"
#include "shared/wire/wire.h"
#include "shared/base/wait.h"

/* Tens of feeds: scanning is quicker than hashing, and the last one found is tried first. */
struct feed_table {
    struct feed *feeds[FEED_COUNT_MAX];
    size_t count;
    struct feed *recent;
    uint64_t next_token;
};

struct feed_table *feed_table_new(uint64_t token_floor)
{
    struct feed_table *t = mem_zalloc(sizeof *t);

    t->next_token = token_floor + 1;
    return t;
}

void feed_table_free(struct feed_table *t)
{
    if (!t)
        return;
    for (size_t i = 0; i < t->count; i++)
        free(t->feeds[i]);
    free(t);
}

static bool is_name(struct span s)
{
    if (s.len < 1 || s.len > FEED_NAME_MAX)
        return false;
    for (size_t i = 0; i < s.len; i++)
        if (!memchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-", s.at[i],
                    65))
            return false;
    return true;
}

struct feed *feed_table_find(const struct feed_table *t, struct span name)
{
    if (!name.len)
        return NULL;
    for (size_t i = 0; i < t->count; i++)
        if (span_eq(name, t->feeds[i]->name))
            return t->feeds[i];
    return NULL;
}

static struct feed *append(struct feed_table *t)
{
    struct feed *f = mem_zalloc(sizeof *f);

    f->index = (uint32_t)t->count;
    t->feeds[t->count++] = f;
    return f;
}

/*
 * Should a be dropped rather than b?  Free places first, then feeds without a holder, then the
 * oldest.
 */
static bool is_less_useful(const struct feed *a, const struct feed *b)
{
    if (!a->name[0] || !b->name[0])
        return !a->name[0] && b->name[0];
    if (a->is_held != b->is_held)
        return !a->is_held;
    return a->heard_at < b->heard_at;
}

/* NULL: every feed in the table has published. */
static struct feed *least_useful(struct feed_table *t)
{
    struct feed *found = NULL;

    for (size_t i = 0; i < t->count; i++)
        if (!t->feeds[i]->has_published && (!found || is_less_useful(t->feeds[i], found)))
            found = t->feeds[i];
    return found;
}

/*
 * Add a name: in a free place, at the end, or in place of a name that never published.  NULL: no
 * room.
 */
static struct feed *add(struct feed_table *t, struct span name)
{
    struct feed *f = least_useful(t);

    if (!f || (f->name[0] && t->count < FEED_COUNT_MAX))
        f = t->count < FEED_COUNT_MAX ? append(t) : f;
    if (!f)
        return NULL;
    *f = (struct feed){.index = f->index};
    span_copy(f->name, sizeof f->name, name);
    return f;
}

void feed_table_leave_free(struct feed_table *t)
{
    if (t->count < FEED_COUNT_MAX)
        append(t);
}

static bool has_all_names(const struct feed_table *t, const struct feed_hello *h)
{
    size_t count = 0;

    for (size_t i = 0; i < t->count; i++) {
        const struct feed *f = t->feeds[i];

        count += f->is_held && f->is_published == h->is_published && f->peer_len == h->peer.len &&
                 memcmp(f->peer, h->peer.at, h->peer.len) == 0;
    }
    return count >= (h->is_published ? FEED_PUBLISHED_MAX : FEED_NAMES_PER_PEER);
}

static int64_t lease_or_default(int64_t lease_ms)
{
    return lease_ms ? lease_ms : WIRE_FEED_LEASE_MS;
}

static void remember_former(struct feed *f)
{
    struct feed_former *former = &f->former;

    memcpy(former->owner, f->owner, sizeof former->owner);
    memcpy(former->host, f->host, sizeof former->host);
    former->pid = f->pid;
    former->received = f->received;
    former->heard_at = f->heard_at;
    former->has_left = f->has_left;
}

static bool is_valid(const struct feed_hello *h)
{
    return is_name(h->name) && h->owner.len >= 1 && h->owner.len <= FEED_OWNER_MAX &&
           h->peer.len <= FEED_PEER_MAX && h->acked <= FEED_LINE_MAX;
}

bool feed_table_lacks_room(struct feed_table *t, const struct feed_hello *h)
{
    const struct feed *f;

    if (t->count < FEED_COUNT_MAX || !is_valid(h) || feed_table_find(t, h->name) ||
        has_all_names(t, h))
        return false;
    f = least_useful(t);
    return !f || f->is_held;
}

void feed_forget(struct feed *f)
{
    *f = (struct feed){.index = f->index};
}

enum err feed_table_judge(const struct feed_table *t, const struct feed_hello *h, struct feed **out)
{
    const struct feed *f = *out = feed_table_find(t, h->name);

    if (!is_valid(h))
        return ERR_INVALID;
    if (f && f->is_held && !span_eq(h->owner, f->owner))
        return ERR_HELD;
    if (f && h->is_published && f->has_published && !f->is_published)
        return ERR_HELD;
    if ((!f || !f->is_held) && has_all_names(t, h))
        return ERR_FULL;
    return OK;
}

enum err feed_table_hello(struct feed_table *t, const struct feed_hello *h, int64_t now,
                          struct feed **out, bool *is_new)
{
    struct feed *f = NULL;
    enum err e = feed_table_judge(t, h, &f);

    *out = f;
    if (e)
        return e;
    if (!f)
        f = add(t, h->name);
    if (!f)
        return ERR_FULL;
    *is_new = !f->is_held;
    if (!f->is_held) {
        f->epoch = t->next_token++;
        f->former.owner[0] = '\0';
        if (!span_eq(h->owner, f->owner)) {
            remember_former(f);
            f->received = h->acked;
        }
        f->announced = f->received;
        f->unreported_count = 0;
        span_copy(f->owner, sizeof f->owner, h->owner);
    }
    f->is_held = true;
    f->has_left = false;
    f->heard_at = now;
    f->allow_crossed = h->allow_crossed;
    f->is_published = h->is_published;
    f->lease_ms = lease_or_default(h->lease_ms);
    f->pid = h->pid;
    f->resend_from = 0;
    f->ack_lines = h->window / 4;
    if (!h->window || f->ack_lines > FEED_ACK_LINES)
        f->ack_lines = FEED_ACK_LINES;
    span_copy(f->host, sizeof f->host, h->host);
    memcpy(f->peer, h->peer.at, h->peer.len);
    f->peer_len = h->peer.len;
    *out = f;
    return OK;
}

struct feed *feed_table_restore(struct feed_table *t, const struct feed_grant *g, int64_t now)
{
    struct feed *f = feed_table_find(t, g->name);

    if (f)
        return f;
    if (t->count == FEED_COUNT_MAX)
        return NULL;
    f = append(t); /* at the place that the ring's entries name */
    span_copy(f->name, sizeof f->name, g->name);
    f->has_published = true;
    span_copy(f->owner, sizeof f->owner, g->owner);
    f->epoch = g->epoch;
    f->received = f->acknowledged = f->announced = g->received;
    f->is_held = g->is_held;
    f->is_published = g->is_published;
    f->lease_ms = lease_or_default(g->lease_ms);
    f->has_left = g->has_left;
    f->heard_at = now;
    f->ack_lines = FEED_ACK_LINES;
    if (t->next_token <= g->epoch)
        t->next_token = g->epoch + 1;
    return f;
}

struct feed *feed_table_renew(struct feed_table *t, uint64_t epoch, int64_t now)
{
    struct feed *f = t->recent;

    for (size_t i = 0; (!f || f->epoch != epoch) && i < t->count; i++)
        f = t->feeds[i];
    if (!f || f->epoch != epoch || !f->is_held)
        return NULL;
    f->heard_at = now;
    t->recent = f;
    return f;
}

enum feed_verdict feed_judge(struct feed *f, uint64_t line)
{
    if (line <= f->received) {
        f->duplicates++;
        return FEED_DUPLICATE;
    }
    if (line > f->received + 1)
        return FEED_GAP;
    f->received = line;
    return FEED_TAKE;
}

bool feed_should_resend(struct feed *f, int64_t now)
{
    int64_t pause = f->resend_from == f->received + 1 ? FEED_RESEND_MS : FEED_RESEND_ANY_MS;

    if (f->resend_from && now - f->resend_at < pause)
        return false;
    if (f->resend_from != f->received + 1)
        f->gaps++;
    f->resend_from = f->received + 1;
    f->resend_at = now;
    return true;
}

bool feed_announce(struct feed *f, uint64_t line)
{
    if (line > FEED_LINE_MAX)
        return false;
    if (line > f->announced)
        f->announced = line;
    return true;
}

bool feed_may_skip(const struct feed *f, uint64_t first, uint64_t last)
{
    return first == f->received + 1 && last >= first && last <= FEED_LINE_MAX &&
           last <= f->announced + FEED_LOST_AHEAD;
}

bool feed_skip(struct feed *f, uint64_t first, uint64_t last)
{
    if (!feed_may_skip(f, first, last))
        return false;
    f->received = last;
    f->lost += last - first + 1;
    return true;
}

uint64_t feed_refused_in_row(const struct feed *f)
{
    return f->row_accepted == f->accepted ? f->row : 0;
}

void feed_refuse(struct feed *f, uint64_t line, enum quote_refusal why)
{
    if (f->unreported_count < FEED_REFUSALS_MAX) {
        f->unreported[f->unreported_count].line = line;
        f->unreported[f->unreported_count++].why = why;
    }
    f->row = feed_refused_in_row(f) + 1;
    f->row_accepted = f->accepted;
    f->row_why = why;
    f->refused[why]++;
}

void feed_release(struct feed *f)
{
    f->is_held = false;
    f->has_left = true;
}

int64_t feed_lease_ms(const struct feed *f, int64_t now)
{
    int64_t left = f->heard_at + f->lease_ms - now;

    return left > 0 ? left : 0;
}

int64_t feed_table_wait(const struct feed_table *t, int64_t now)
{
    int64_t wait = -1;

    for (size_t i = 0; i < t->count; i++) {
        const struct feed *f = t->feeds[i];

        if (f->is_held)
            wait = wait_sooner(wait, feed_lease_ms(f, now));
    }
    return wait;
}

struct feed *feed_table_expire(struct feed_table *t, int64_t now)
{
    for (size_t i = 0; i < t->count; i++) {
        struct feed *f = t->feeds[i];

        if (f->is_held && !feed_lease_ms(f, now)) {
            f->is_held = false;
            return f;
        }
    }
    return NULL;
}

size_t feed_table_count(const struct feed_table *t)
{
    return t->count;
}

struct feed *feed_table_at(const struct feed_table *t, size_t index)
{
    return t->feeds[index];
}
