#include "gateway/session/session_request.h"

#include <stdlib.h>

#include "gateway/session/resume_group.h"
#include "shared/base/array.h"

struct session_request *session_request_new(struct session *s)
{
    struct session_request *r = mem_zalloc(sizeof *r);

    r->session = s;
    r->number = ++s->all->last_request;
    r->snapshot_limit = SIZE_MAX;
    r->answer_by = s->all->now + SESSION_WAIT_MS;
    return r;
}

static void release_topics(struct hub *hub, struct hub_topic **topics, size_t count)
{
    for (size_t i = 0; i < count; i++)
        hub_topic_release(hub, topics[i]);
    free(topics);
}

void session_request_end(struct session_request *r)
{
    struct session *s = r->session;

    hub_walk_end(&r->states);
    resume_group_leave(r);
    s->waiting_bytes -= r->cost;
    buf_free(&r->message);
    buf_free(&r->patterns);
    release_topics(s->all->hub, r->topics, r->topic_count);
    release_topics(s->all->hub, r->kept, r->kept_count);
    buf_free(&r->accepted.items);
    buf_free(&r->left.items);
    buf_free(&r->rejected.items);
    buf_free(&r->id);
    free(r);
}

void session_request_add(struct session_request *r, struct span pattern)
{
    uint32_t len = (uint32_t)pattern.len;

    buf_add(&r->patterns, &len, sizeof len);
    buf_add(&r->patterns, pattern.at, pattern.len);
}

void session_request_set_since(struct session_request *r, uint64_t epoch, uint64_t seq)
{
    r->has_since = true;
    r->since_epoch = epoch;
    r->since_seq = r->cursor = seq;
}

/* --- the list of sessions that have requests ------------------------------------------ */

static void enter(struct session *s)
{
    struct sessions *all = s->all;

    s->next_waiting = NULL;
    s->waiting_link = all->waiting_end ? all->waiting_end : &all->waiting;
    *s->waiting_link = s;
    all->waiting_end = &s->next_waiting;
}

static void leave(struct session *s)
{
    *s->waiting_link = s->next_waiting;
    if (s->next_waiting)
        s->next_waiting->waiting_link = s->waiting_link;
    else
        s->all->waiting_end = s->waiting_link;
    s->waiting_link = NULL;
}

void session_request_yield(struct session *s)
{
    leave(s);
    enter(s);
}

/* --- the requests of one --------------------------------------------------------------- */

static void make_list(struct session *s)
{
    if (s->requests++)
        return;
    enter(s);
    s->request_end = &s->request;
}

static void insert_first(struct session *s, struct session_request *r)
{
    make_list(s);
    r->next = s->request;
    s->request = r;
    if (!r->next)
        s->request_end = &r->next;
}

void session_request_submit(struct session_request *r)
{
    insert_first(r->session, r);
}

void session_request_defer(struct session *s, bool is_text, struct span message)
{
    struct session_request *r = session_request_new(s);

    buf_add(&r->message, message.at, message.len);
    if (!message.len)
        buf_addc(&r->message, ' '); /* as wrong as nothing, but something to run */
    r->is_text = is_text;
    r->cost = sizeof *r + r->message.len;
    s->waiting_bytes += r->cost;
    make_list(s);
    *s->request_end = r;
    s->request_end = &r->next;
}

void session_request_join_anew(struct session *s)
{
    struct hub *hub = s->all->hub;
    struct session_request *r;

    if (!s->sub.topic_count)
        return;
    r = session_request_new(s);
    r->is_anew = true;
    r->is_auto = s->is_auto;
    if (r->is_auto)
        r->snapshot_limit = (size_t)s->all->config->auto_max;
    ARRAY_RESERVE(r->topics, r->topic_cap, s->sub.topic_count);
    for (; r->topic_count < s->sub.topic_count; r->topic_count++)
        r->topics[r->topic_count] =
            hub_topic_retain(hub, hub_topic_pattern(s->sub.topics[r->topic_count].topic));
    hub_leave_all(hub, &s->sub);
    insert_first(s, r);
}

struct session_request *session_request_take_first(struct session *s)
{
    struct session_request *r = s->request;

    s->request = r->next;
    if (!--s->requests)
        leave(s);
    return r;
}

void session_request_end_all(struct session *s)
{
    while (s->requests)
        session_request_end(session_request_take_first(s));
}
