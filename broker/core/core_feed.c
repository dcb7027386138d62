/* core_feed: log lines and answers about the grant of a feed; room for a new name. */
#include <stdio.h>
#include <string.h>

#include "broker/core/core_private.h"
#include "shared/base/log.h"
#include "shared/wire/pack.h"

/* The lease is over, but lines of the owner may still be read in this turn. */
#define RETRY_LEAST_MS 10

static uint64_t former_ago_ms(const struct core *d, const struct feed *f)
{
    int64_t ago = d->time.awake - f->former.heard_at;

    return ago > 0 ? (uint64_t)ago : 0;
}

const char *core_feed_owner(uint64_t pid, const char *host, char out[CORE_FEED_OWNER_MAX])
{
    if (pid)
        snprintf(out, CORE_FEED_OWNER_MAX, "pid %llu on %s", (unsigned long long)pid,
                 host[0] ? host : "a host not known");
    else
        snprintf(out, CORE_FEED_OWNER_MAX, "%s",
                 strcmp(host, CORE_PRODUCE_HOST) == 0 ? host : "a feeder whose pid is not known");
    return out;
}

void core_feed_log_grant(struct core *d, const struct feed *f)
{
    const struct feed_former *former = &f->former;
    char owner[CORE_FEED_OWNER_MAX], follows[256] = "";

    if (former->owner[0] && former->pid)
        snprintf(follows, sizeof follows, "; it follows %s, which %s %.3f s ago after line %llu",
                 core_feed_owner(former->pid, former->host, owner),
                 former->has_left ? "left" : "was last heard", (double)former_ago_ms(d, f) / 1e3,
                 (unsigned long long)former->received);
    /* the former feeder is known from the ring or the store, which do not have the time */
    else if (former->owner[0])
        snprintf(follows, sizeof follows, "; the one before %s after line %llu",
                 former->has_left ? "left" : "fell silent", (unsigned long long)former->received);
    log_info("feed %s granted to %s, epoch %llu, after line %llu%s", f->name,
             core_feed_owner(f->pid, f->host, owner), (unsigned long long)f->epoch,
             (unsigned long long)f->received, follows);
}

void core_feed_pack_former(struct core *d, const struct feed *f, msgpack_packer *pk)
{
    const struct feed_former *former = &f->former;

    pack_key(pk, "after");
    msgpack_pack_map(pk, 5);
    pack_kv_text(pk, "host", span_of(former->host));
    pack_kv_u(pk, "pid", former->pid);
    pack_kv_u(pk, "line", former->received);
    pack_kv_u(pk, "ago_ms", former_ago_ms(d, f));
    pack_kv_bool(pk, "left", former->has_left);
}

/* When the name may be free, for a producer that requested it in vain. */
static uint64_t retry_ms(const struct core *d, const struct feed *f)
{
    uint64_t left = (uint64_t)feed_lease_ms(f, d->time.awake);

    return left > RETRY_LEAST_MS ? left : RETRY_LEAST_MS;
}

bool core_feed_is_stored(const struct core *d, const struct feed *f)
{
    return !d->log.log_writer || journal_stored(d->log.journal) >= f->last_seq;
}

uint64_t core_feed_stored_line(const struct core *d, const struct feed *f)
{
    if (!d->log.log_writer)
        return 0;
    /* a refused line leaves no record: the store cannot name it */
    if (core_feed_is_stored(d, f))
        return f->received;
    return log_writer_stored_line(d->log.log_writer, f->index);
}

/* Of requests before those of feeders, then by how many symbols, then by silence. */
static bool is_less_used(const struct feed *a, const struct feed *b, const uint32_t *symbols)
{
    if (a->is_published != b->is_published)
        return a->is_published;
    if (symbols[a->index] != symbols[b->index])
        return symbols[a->index] < symbols[b->index];
    return a->heard_at < b->heard_at;
}

/*
 * Find the feed to drop: one of requests to publish, if there is one; else, if a feeder needs the
 * place, one of a feeder.
 */
static struct feed *find_least_used(const struct core *d, bool is_for_requests)
{
    uint32_t symbols[FEED_COUNT_MAX] = {0};
    struct feed *found = NULL;

    for (size_t i = 0; i < book_count(d->log.book); i++) {
        uint32_t feed = book_at(d->log.book, i)->feed;

        if (feed < FEED_COUNT_MAX)
            symbols[feed]++;
    }
    for (size_t i = 0; i < feed_table_count(d->feeds); i++) {
        struct feed *f = feed_table_at(d->feeds, i);

        if (f->is_held || !f->name[0] || !core_feed_is_stored(d, f) ||
            (is_for_requests && !f->is_published))
            continue;
        if (!found || is_less_used(f, found, symbols))
            found = f;
    }
    return found;
}

void core_feed_drop(struct core *d, struct feed *f)
{
    static const struct journal_feed none;

    for (size_t i = 0; i < book_count(d->log.book); i++) {
        struct book_entry *e = book_at(d->log.book, i);

        if (e->feed == f->index)
            e->feed = BOOK_NO_FEED;
    }
    journal_set_feed(d->log.journal, f->index, &none);
    if (d->log.log_writer)
        log_writer_forget_feed(d->log.log_writer, f->index);
    feed_forget(f);
}

/*
 * Forget the least used of the feeds without a holder whose lines are all stored.  Looks at every
 * symbol.
 */
static void make_room(struct core *d, bool is_for_requests)
{
    static struct log_limit limit = {.burst = 5, .interval_ms = 60000};
    struct feed *f = find_least_used(d, is_for_requests);

    d->work -= 2 * (int64_t)book_count(d->log.book);
    if (!f)
        return;
    log_limited(&limit, d->time.now, LOG_WARNING,
                "feed %s is forgotten after line %llu: %d feeds have published, and a "
                "new one needs a place",
                f->name, (unsigned long long)f->received, FEED_COUNT_MAX);
    core_feed_drop(d, f);
}

void core_feed_refuse(struct core *d, struct control_request *q, enum err e, const struct feed *f,
                      const char *why)
{
    char text[256], owner[CORE_FEED_OWNER_MAX];

    if (e != ERR_HELD) {
        answer_error(q, e, why);
        return;
    }
    if (!f->is_held) {
        snprintf(text, sizeof text,
                 "feed %s is that of a feeder, which numbers its lines: choose another feed",
                 f->name);
        answer_error(q, e, text);
        return;
    }
    snprintf(text, sizeof text, "feed %s is held by %s", f->name,
             core_feed_owner(f->pid, f->host, owner));
    answer_begin(q, 3);
    pack_kv_text(&q->pk, "error", span_of(err_name(e)));
    pack_kv_text(&q->pk, "message", span_of(text));
    pack_kv_u(&q->pk, "retry_ms", retry_ms(d, f));
    answer_send(q);
}

struct feed *core_feed_grant(struct core *d, struct control_request *q, const struct feed_hello *h,
                             const char *full, const char *invalid, bool *is_new)
{
    struct feed *f = NULL;
    enum err e;

    if (feed_table_lacks_room(d->feeds, h))
        make_room(d, h->is_published);
    e = feed_table_hello(d->feeds, h, d->time.awake, &f, is_new);
    if (!e)
        return f;
    core_feed_refuse(d, q, e, f, e == ERR_FULL ? full : invalid);
    return NULL;
}
