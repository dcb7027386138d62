#include "gateway/fanout/hub.h"

#include <stdlib.h>
#include <string.h>

#include "gateway/fanout/hub_due.h"
#include "gateway/fanout/hub_topic.h"
#include "gateway/fanout/window.h"
#include "shared/base/array.h"
#include "shared/base/mem.h"
#include "shared/wire/pack.h"

struct hub *hub_new(size_t queue_limit)
{
    struct hub *h = mem_zalloc(sizeof *h);

    h->queue_limit = queue_limit;
    h->symbol_slot_count = h->topic_slot_count = HUB_SLOTS_MIN;
    h->index = prefix_index_new();
    h->symbol_slots = mem_zalloc(h->symbol_slot_count * sizeof(void *));
    h->topic_slots = mem_zalloc(h->topic_slot_count * sizeof(void *));
    return h;
}

void hub_set_queue_limit(struct hub *h, size_t bytes)
{
    h->queue_limit = bytes;
}

void hub_free(struct hub *h)
{
    if (!h)
        return;
    while (h->topics) {
        struct hub_topic *t = h->topics;

        h->topics = t->next;
        free(t->members);
        free(t);
    }
    window_free(h->window);
    for (size_t i = 0; i < h->symbol_end; i++)
        if (h->symbols[i])
            hub_symbol_free(h->symbols[i]);
    prefix_index_free(h->index);
    free(h->free_indexes);
    free(h->symbols);
    free(h->symbol_slots);
    free(h->topic_slots);
    free(h->changed);
    free(h->due);
    free(h);
}

void hub_watch(struct hub *h, struct hub_watcher w)
{
    h->watcher = w;
}

/* --- records --------------------------------------------------------------------------- */

uint64_t hub_seq(const struct hub *h)
{
    return h->seq;
}

uint64_t hub_applied(const struct hub *h)
{
    return h->applied;
}

void hub_set_seq(struct hub *h, uint64_t seq)
{
    if (seq > h->applied)
        h->applied = seq;
    if (seq > h->seq && !h->is_frozen)
        h->seq = seq;
}

bool hub_is_frozen(const struct hub *h)
{
    return h->is_frozen;
}

uint64_t hub_restarts(const struct hub *h)
{
    return h->restarts;
}

void hub_thaw(struct hub *h)
{
    h->is_frozen = false;
    hub_set_seq(h, h->applied);
}

void hub_set_window(struct hub *h, size_t bytes)
{
    h->window = window_new(bytes);
}

struct window *hub_window(const struct hub *h)
{
    return h->window;
}

void hub_break_window(struct hub *h, uint64_t floor)
{
    if (h->window)
        window_clear(h->window, floor > h->applied ? floor : h->applied);
}

static void keep(struct hub *h, const struct window_record *r)
{
    if (!h->window)
        return;
    if (r->symbol) {
        hub_match(h, r->symbol);
        if (!r->symbol->topic_count)
            return;
    }
    window_add(h->window, r);
}

uint64_t hub_epoch(const struct hub *h)
{
    return h->epoch;
}

static void set_changed(struct hub *h, struct hub_symbol *s)
{
    hub_drop_frames(s);
    if (s->is_changed)
        return;
    s->is_changed = true;
    ARRAY_ADD(h->changed, h->changed_cap, h->changed_count, s);
}

static void queue_frame(struct hub *h, struct hub_subscriber *s, struct frame *f)
{
    backlog_queue(s->join ? hub_join_records(s) : &s->backlog, f, h->queue_limit);
    hub_put_due(h, s);
}

static void queue_to_all(struct hub *h, struct hub_symbol *s, enum symbol_message kind)
{
    hub_match(h, s);
    for (uint32_t i = 0; i < s->topic_count; i++) {
        struct hub_topic *t = s->topics[i];

        for (uint32_t k = 0; t->all_count && k < t->member_count; k++) {
            struct hub_subscriber *subscriber = t->members[k].subscriber;
            enum symbol_message as;

            if (!subscriber->wants_all ||
                (subscriber->join && !hub_join_takes(subscriber, s, t->members[k].is_joining)))
                continue;
            as = kind == MESSAGE_QUOTE ? subscriber->backlog.quote_as : kind;
            queue_frame(h, subscriber, hub_symbol_frame(s, as, subscriber->encoding));
        }
    }
}

bool hub_topic_has_all(const struct hub_topic *t)
{
    return t->all_count > 0;
}

void hub_queue_all(struct hub *h, struct frame *frames[ENCODING_COUNT])
{
    for (struct hub_topic *t = h->topics; t; t = t->next)
        for (uint32_t k = 0; t->all_count && k < t->member_count; k++)
            if (t->members[k].subscriber->wants_all)
                queue_frame(h, t->members[k].subscriber,
                            frames[t->members[k].subscriber->encoding]);
}

static void set_state(struct hub *h, struct hub_symbol *s, enum symbol_state state)
{
    s->state = state;
    set_changed(h, s);
    s->had_state = true;
}

void hub_apply_lost(struct hub *h, uint64_t seq, struct span body)
{
    hub_set_seq(h, seq);
    keep(h, &(struct window_record){
                .seq = seq, .body = (char *)(uintptr_t)body.at, .body_len = (uint32_t)body.len});
}

static void set_stamps(struct hub_symbol *s, const struct wire_record *r)
{
    s->sent_us = r->sent_us;
    s->accepted_us = r->accepted_us;
    s->received_us = r->received_us;
}

/* The symbol is removed. */
static void drop_value(struct hub *h, struct hub_symbol *s)
{
    h->valued_count -= s->body.len && !s->is_of_old_log;
    buf_free(&s->body);
    s->body_seq = 0;
    s->is_of_old_log = s->is_snapshot_due = false;
    hub_may_forget(h);
}

bool hub_apply(struct hub *h, struct hub_symbol *s, const struct wire_record *r)
{
    hub_set_seq(h, r->seq);
    if (r->seq <= s->seq)
        return false;
    if (h->joining_in_all)
        hub_join_keep_snapshot(h, s);
    s->seq = r->seq;
    s->prev = r->prev;
    set_stamps(s, r);
    s->last_is_state = r->kind == WIRE_STATE;
    if (r->kind == WIRE_STATE) {
        set_state(h, s, symbol_state_of(r->body));
        if (s->state == SYMBOL_REMOVED)
            drop_value(h, s);
        queue_to_all(h, s, MESSAGE_STATE);
    } else {
        s->state = SYMBOL_LIVE;
        set_changed(h, s);
        s->updates++;
        s->had_quote = true;
        s->body_seq = r->seq;
        h->valued_count += !s->body.len || s->is_of_old_log;
        buf_clear(&s->body);
        buf_add(&s->body, r->body.at, r->body.len);
        s->is_snapshot_due |= s->is_of_old_log;
        queue_to_all(h, s, MESSAGE_QUOTE);
        s->is_of_old_log = false;
    }
    keep(h, &(struct window_record){
                .seq = r->seq,
                .prev = r->prev,
                .sent_us = r->sent_us,
                .accepted_us = r->accepted_us,
                .received_us = r->received_us,
                .symbol = s,
                .kind = r->kind == WIRE_STATE ? MESSAGE_STATE : MESSAGE_QUOTE,
                .state = s->state,
                .body = (char *)(uintptr_t)r->body.at,
                .body_len = r->kind == WIRE_STATE ? 0 : (uint32_t)r->body.len,
            });
    return true;
}

void hub_apply_snapshot(struct hub *h, struct span symbol, uint64_t seq, bool is_stale,
                        const struct wire_record *quote)
{
    struct hub_symbol *s = hub_know(h, symbol);
    enum symbol_state state = is_stale ? SYMBOL_STALE : SYMBOL_LIVE;

    if (seq <= s->seq && s->body.len && quote->seq <= s->body_seq) {
        /* The snapshot has no newer record, but hub_go_stale may have changed the state. */
        if (seq == s->seq && s->state != state) {
            if (h->joining_in_all)
                hub_join_keep_state(h, s);
            set_state(h, s, state);
            queue_to_all(h, s, MESSAGE_PRESENT);
        }
        return;
    }
    if (seq > s->seq && h->joining_in_all)
        hub_join_keep_snapshot(h, s);
    /* A state may have come before the quote it follows. */
    if (seq >= s->seq)
        s->state = state;
    if (seq > s->seq) {
        s->seq = seq;
        s->prev = quote->prev;
        set_stamps(s, quote);
        s->last_is_state = seq != quote->seq;
    }
    s->body_seq = quote->seq;
    h->valued_count += !s->body.len || s->is_of_old_log;
    s->is_of_old_log = false;
    set_changed(h, s);
    s->is_snapshot_due = true;
    buf_clear(&s->body);
    buf_add(&s->body, quote->body.at, quote->body.len);
    queue_to_all(h, s, MESSAGE_SNAPSHOT);
}

void hub_apply_removed(struct hub *h, struct hub_symbol *s, uint64_t seq)
{
    if (seq <= s->seq)
        return;
    if (h->joining_in_all)
        hub_join_keep_snapshot(h, s);
    s->prev = s->seq;
    s->seq = seq;
    s->last_is_state = true;
    set_state(h, s, SYMBOL_REMOVED);
    drop_value(h, s);
    queue_to_all(h, s, MESSAGE_STATE);
}

static void restart_topics(struct hub *h)
{
    h->is_frozen = true;
    h->restarts++;
    for (struct hub_topic *t = h->topics; t; t = t->next)
        t->is_live = false;
}

void hub_resync(struct hub *h)
{
    restart_topics(h);
}

void hub_go_stale(struct hub *h)
{
    restart_topics(h);
    for (size_t i = 0; i < h->symbol_end; i++) {
        struct hub_symbol *s = h->symbols[i];

        if (!s || s->state != SYMBOL_LIVE)
            continue;
        if (h->joining_in_all)
            hub_join_keep_state(h, s);
        set_state(h, s, SYMBOL_STALE);
        queue_to_all(h, s, MESSAGE_PRESENT);
    }
}

static void forget_changes(struct hub *h)
{
    for (size_t i = 0; i < h->changed_count; i++) {
        struct hub_symbol *s = h->changed[i];

        s->updates = 0;
        s->is_changed = s->had_quote = s->had_state = s->is_snapshot_due = false;
    }
    h->changed_count = 0;
}

void hub_reset(struct hub *h, uint64_t epoch)
{
    restart_topics(h);
    forget_changes(h);
    h->epoch = epoch;
    h->seq = h->applied = 0;
    if (h->window) {
        window_clear(h->window, 0);
        window_set_epoch(h->window, epoch);
    }
    for (struct hub_topic *t = h->topics; t; t = t->next) {
        t->synced_seq = 0;
        for (uint32_t k = 0; k < t->member_count; k++) {
            hub_drop_backlog(h, t->members[k].subscriber);
            hub_join_reset(t->members[k].subscriber);
        }
    }
    h->valued_count = 0;
    for (size_t i = 0; i < h->symbol_end; i++) {
        struct hub_symbol *s = h->symbols[i];

        if (!s)
            continue;
        s->epoch = epoch;
        s->seq = s->prev = s->body_seq = 0;
        s->last_is_state = false;
        s->is_of_old_log = s->body.len > 0;
        s->state = s->is_of_old_log ? SYMBOL_STALE : SYMBOL_UNKNOWN;
        hub_drop_frames(s);
    }
    hub_may_forget(h); /* symbols that no feed supplies to the new log */
}

uint64_t hub_merged(const struct hub *h)
{
    return h->merged;
}

static void fan_out_to(struct hub *h, const struct hub_member *m, struct hub_symbol *s,
                       enum symbol_message tag)
{
    if (!m->subscriber->wants_all &&
        (!m->subscriber->join || hub_join_takes(m->subscriber, s, m->is_joining)))
        hub_mark(h, m->subscriber, s, tag, s->updates);
}

void hub_fan_out(struct hub *h)
{
    h->round++;
    for (size_t i = 0; i < h->changed_count; i++) {
        struct hub_symbol *s = h->changed[i];
        bool is_back = s->had_state && s->state == SYMBOL_LIVE && !s->last_is_state;
        enum symbol_message tag = s->state == SYMBOL_REMOVED      ? MESSAGE_STATE
                                  : s->is_snapshot_due || is_back ? MESSAGE_SNAPSHOT
                                  : s->had_quote && s->had_state  ? MESSAGE_SNAPSHOT
                                  : s->had_state                  ? MESSAGE_STATE
                                                                  : MESSAGE_QUOTE;

        hub_match(h, s);
        for (uint32_t t = 0; t < s->topic_count; t++) {
            struct hub_topic *topic = s->topics[t];

            for (uint32_t k = 0; k < topic->member_count; k++)
                fan_out_to(h, &topic->members[k], s, tag);
        }
    }
    forget_changes(h);
}
