#include "consumer/telegram/pacer.h"

#include <stdbool.h>
#include <stdlib.h>

#include "shared/base/array.h"
#include "shared/base/mem.h"

/* Tokens are counted in sixty-thousandths, so that a rate per minute adds a whole number per ms. */
#define TOKEN 60000

struct rate {
    int64_t burst;      /* tokens */
    int64_t per_minute; /* tokens */
};

/* ≤ 25 in any second, of 30: after a network stall of 0.25 s, 5 more arrive at once. */
static const struct rate RATE_ALL = {5, 20 * 60};
static const struct rate RATE_CHAT = {3, 60};  /* 1 a second, a burst of 3 */
static const struct rate RATE_GROUP = {5, 15}; /* ≤ 20 in any minute */

struct bucket {
    int64_t chat;
    int64_t level; /* as of `at` */
    int64_t at;
    int64_t blocked_until; /* until when, because of a 429 */
};

struct pacer {
    struct bucket all;
    struct bucket *chats;
    size_t count, cap;
};

static const struct rate *rate_of(int64_t chat)
{
    return chat < 0 ? &RATE_GROUP : &RATE_CHAT;
}

static int64_t level(const struct bucket *b, const struct rate *r, int64_t now)
{
    int64_t most = r->burst * TOKEN, filled = b->level + (now - b->at) * r->per_minute;

    return filled < most ? filled : most;
}

static int64_t wait_for(const struct bucket *b, const struct rate *r, int64_t now)
{
    int64_t missing = TOKEN - level(b, r, now);
    int64_t wait = missing > 0 ? (missing + r->per_minute - 1) / r->per_minute : 0;
    int64_t blocked = b->blocked_until - now;

    return blocked > wait ? blocked : wait;
}

static bool is_forgettable(const struct bucket *b, const struct rate *r, int64_t now)
{
    return level(b, r, now) == r->burst * TOKEN && b->blocked_until <= now;
}

struct pacer *pacer_new(void)
{
    struct pacer *p = mem_zalloc(sizeof *p);

    p->all.level = RATE_ALL.burst * TOKEN;
    return p;
}

void pacer_free(struct pacer *p)
{
    if (!p)
        return;
    free(p->chats);
    free(p);
}

static struct bucket *find(const struct pacer *p, int64_t chat)
{
    for (size_t i = 0; i < p->count; i++)
        if (p->chats[i].chat == chat)
            return &p->chats[i];
    return NULL;
}

static struct bucket *find_or_add(struct pacer *p, int64_t chat, int64_t now)
{
    struct bucket *b = find(p, chat);
    size_t kept = 0;

    if (b)
        return b;
    for (size_t i = 0; i < p->count; i++)
        if (!is_forgettable(&p->chats[i], rate_of(p->chats[i].chat), now))
            p->chats[kept++] = p->chats[i];
    p->count = kept;
    ARRAY_RESERVE(p->chats, p->cap, p->count + 1);
    b = &p->chats[p->count++];
    *b = (struct bucket){.chat = chat, .level = rate_of(chat)->burst * TOKEN, .at = now};
    return b;
}

int64_t pacer_wait(const struct pacer *p, int64_t chat, int64_t now)
{
    const struct bucket *b = find(p, chat);
    int64_t all = wait_for(&p->all, &RATE_ALL, now);
    int64_t own = b ? wait_for(b, rate_of(chat), now) : 0;

    return own > all ? own : all;
}

static void take(struct bucket *b, const struct rate *r, int64_t now)
{
    b->level = level(b, r, now) - TOKEN;
    b->at = now;
}

void pacer_take(struct pacer *p, int64_t chat, int64_t now)
{
    take(&p->all, &RATE_ALL, now);
    take(find_or_add(p, chat, now), rate_of(chat), now);
}

void pacer_refused(struct pacer *p, int64_t chat, int64_t retry_after_ms, int64_t now)
{
    struct bucket *b = find_or_add(p, chat, now);

    for (size_t i = 0; i < p->count; i++)
        if (&p->chats[i] != b && p->chats[i].blocked_until > now)
            p->all.blocked_until = now + retry_after_ms;
    b->blocked_until = now + retry_after_ms;
}

size_t pacer_count(const struct pacer *p)
{
    return p->count;
}
