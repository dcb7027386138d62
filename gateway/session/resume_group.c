#include "gateway/session/resume_group.h"

#include <uthash.h>

#include "shared/base/mem.h"
#include "shared/wire/pack.h"
#include "shared/wire/replay.h"

struct resume_group {
    UT_hash_handle hh; /* by patterns */
    struct sessions *all;
    struct buf patterns;
    size_t members;
    bool is_asked, is_wanted;
    int64_t ask_at; /* not before: the broker had no answer */
    uint64_t wanted_after;
    struct resume_page page; /* records NULL: there is no page */
};

static int by_pattern(const void *a, const void *b)
{
    return strcmp((*(struct hub_topic *const *)a)->pattern,
                  (*(struct hub_topic *const *)b)->pattern);
}

static void put_key(struct session_request *r, struct buf *key)
{
    if (r->topic_count > RESUME_GROUP_PATTERNS) {
        buf_adds(key, "*");
        return;
    }
    if (!r->topic_count)
        return;
    qsort(r->topics, r->topic_count, sizeof *r->topics, by_pattern);
    r->live = 0; /* the live topics are no longer the first ones in the list */
    for (size_t i = 0; i < r->topic_count; i++) {
        if (i)
            buf_addc(key, ',');
        buf_add(key, r->topics[i]->pattern, r->topics[i]->pattern_len);
    }
}

void resume_group_join(struct session_request *r)
{
    struct sessions *all = r->session->all;
    struct resume_group *group;
    struct buf key = {0};

    if (r->group)
        return;
    put_key(r, &key);
    HASH_FIND(hh, all->resumes, buf_text(&key), key.len, group);
    if (group) {
        buf_free(&key);
    } else {
        group = mem_zalloc(sizeof *group);
        group->all = all;
        group->patterns = key;
        HASH_ADD_KEYPTR(hh, all->resumes, group->patterns.data, group->patterns.len, group);
    }
    group->members++;
    r->group = group;
}

static void drop_page(struct resume_group *group)
{
    window_free(group->page.records);
    group->page.records = NULL;
}

static void group_free(struct resume_group *group)
{
    HASH_DEL(group->all->resumes, group);
    drop_page(group);
    buf_free(&group->patterns);
    free(group);
}

void resume_group_leave(struct session_request *r)
{
    if (r->group && --r->group->members == 0 && !r->group->is_asked)
        group_free(r->group);
    r->group = NULL;
}

void resume_group_want(struct session_request *r)
{
    struct resume_group *group = r->group;

    if (!group->is_wanted || r->cursor < group->wanted_after)
        group->wanted_after = r->cursor;
    group->is_wanted = true;
}

const struct resume_page *resume_group_page(const struct session_request *r)
{
    return r->group->page.records ? &r->group->page : NULL;
}

static void add_record(void *ctx, struct span topic, const struct wire_record *r)
{
    struct resume_group *group = ctx;
    struct hub *hub = group->all->hub;
    struct span symbol = wire_topic_symbol(topic);
    struct window_record w = {
        .seq = r->seq,
        .prev = r->prev,
        .sent_us = r->sent_us,
        .accepted_us = r->accepted_us,
        .kind = r->kind == WIRE_STATE ? MESSAGE_STATE : MESSAGE_QUOTE,
        .state = r->kind == WIRE_STATE ? symbol_state_of(r->body) : SYMBOL_LIVE,
        .body = (char *)(uintptr_t)r->body.at,
        .body_len = r->kind == WIRE_STATE ? 0 : (uint32_t)r->body.len,
    };

    if (r->kind != WIRE_LOST) {
        if (!hub_is_wanted(hub, symbol))
            return;
        w.symbol = hub_know(hub, symbol);
    }
    window_add(group->page.records, &w);
}

static void on_page(void *ctx, struct span answer)
{
    struct resume_group *group = ctx;
    struct sessions *all = group->all;

    group->is_asked = false;
    if (!group->members) {
        group_free(group);
        return;
    }
    if (pack_find_u(answer, "epoch", 0) != hub_epoch(all->hub)) {
        /*
         * The page is requested again, but not in every turn; or its members are served another
         * way.
         */
        group->ask_at = all->now + RESUME_GROUP_RETRY_MS;
        return;
    }
    drop_page(group);
    group->page.records = window_new(0);
    window_set_epoch(group->page.records, hub_epoch(all->hub));
    group->page.upto = pack_find_u(answer, "upto", 0);
    group->page.head = pack_find_u(answer, "head", 0);
    group->page.first = pack_find_u(answer, "first", 0);
    replay_each(answer, group->page.after, add_record, group);
}

static void ask(struct resume_group *group)
{
    const struct session_out *out = &group->all->out;
    struct buf body = {0};
    msgpack_packer pk;

    msgpack_packer_init(&pk, &body, buf_pack_write);
    pack_kv_text(&pk, "pattern", buf_span(&group->patterns));
    pack_kv_u(&pk, "after", group->wanted_after);
    pack_kv_u(&pk, "limit", RESUME_GROUP_PAGE);
    group->page.after = group->wanted_after;
    group->is_asked = true;
    out->request(out->ctx, "replay", 3, buf_span(&body), group, on_page);
    buf_free(&body);
}

void resume_group_ask_all(struct sessions *all)
{
    struct resume_group *group, *next;

    HASH_ITER(hh, all->resumes, group, next)
    {
        bool is_due = group->is_wanted && !group->is_asked && all->now >= group->ask_at;

        drop_page(group);
        group->is_wanted = false;
        if (is_due && all->out.is_broker_here(all->out.ctx))
            ask(group);
    }
}

void resume_group_free_all(struct sessions *all)
{
    struct resume_group *group, *next;

    HASH_ITER(hh, all->resumes, group, next)
    group_free(group);
}
