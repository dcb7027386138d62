/*
 * pregon_feed: publishes quotes under a feed's name, with the feeder's own link and outbox.
 *
 * The link is driven in pregon_turn. What it reports is kept until the link has done its turn, so
 * that a callback may publish, open and close feeds, and call pregon_stop.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "consumer/lib/pregon_private.h"
#include "shared/base/array.h"
#include "shared/base/clock.h"
#include "shared/base/mem.h"
#include "shared/base/utf8.h"
#include "shared/feed/broker_link.h"
#include "shared/wire/bus.h"
#include "shared/wire/quote.h"

#define LINES_USUAL 65536
#define LINES_MIN 16
#define LINES_MAX 16777216
#define SEND_BURST 2048    /* lines to the broker per turn */
#define REFUSALS_MAX 16384 /* more than a broker names in all that one turn reads */
#define NAME_MAX_BYTES 64
#define SOURCE_MAX 64
#define MAX_FUTURE_US 60000000
#define LATE_MS 500   /* this much after its time a turn means that the program was busy */
#define LINGER_MS 200 /* for the goodbye of a closed feed */
#define FIELDS_MAX 64 /* fields of a quote, its symbol included */
#define NO_FIELD SIZE_MAX

struct refusal {
    uint64_t line;
    char code[33];
};

struct pregon_feed {
    struct pregon *p;
    struct pregon_feed *next;
    struct pregon_feed_options options; /* its texts are not valid */
    char name[NAME_MAX_BYTES + 1], source[SOURCE_MAX + 1], *ingest;
    struct outbox *outbox;
    struct broker_link *broker;
    struct link *link; /* state of `broker` */
    struct buf body;
    bool is_closed;
    /* what the callbacks have reported */
    enum pregon_feed_state state;
    uint64_t received, stored;
    struct refusal *refusals; /* not yet reported */
    size_t refusal_count, refusal_capacity;
};

/* --- what the link needs ------------------------------------------------------------- */

static bool watch(void *ctx, int fd)
{
    return pregon_link_watch(((struct pregon_feed *)ctx)->p, fd);
}

static void unwatch(void *ctx, int fd)
{
    epoll_ctl(((struct pregon_feed *)ctx)->p->fd, EPOLL_CTL_DEL, fd, NULL);
}

static void note(void *ctx, enum log_level level, const char *text)
{
    if (level >= LOG_WARNING)
        pregon_note(((struct pregon_feed *)ctx)->p, text);
}

static void refused(void *ctx, uint64_t line, struct span reason)
{
    struct pregon_feed *f = ctx;
    struct refusal r = {.line = line};

    if (f->refusal_count == REFUSALS_MAX)
        return;
    span_copy(r.code, sizeof r.code, reason);
    ARRAY_ADD(f->refusals, f->refusal_capacity, f->refusal_count, r);
}

/* --- opening, closing ------------------------------------------------------------------- */

static bool is_name(const char *name)
{
    size_t len = name ? strlen(name) : 0;

    return len && len <= NAME_MAX_BYTES &&
           strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") == len;
}

static bool is_utf8(const char *text)
{
    size_t left = strlen(text), len = 1;

    for (; left && len; text += len, left -= len)
        len = utf8_len(text, left);
    return !left;
}

static bool is_allowed(const struct pregon_feed_options *o)
{
    return (!o->lines || (o->lines >= LINES_MIN && o->lines <= LINES_MAX)) &&
           (!o->source || (o->source[0] && strlen(o->source) <= SOURCE_MAX && is_utf8(o->source)));
}

static bool open_link(struct pregon_feed *f)
{
    struct broker_link_out out = {f, watch, unwatch, note, refused};
    uint32_t lines = f->options.lines ? f->options.lines : LINES_USUAL;
    struct link_settings settings = {.feed = f->name,
                                     .ingest = f->ingest,
                                     .control = f->p->requests_to,
                                     .allow_crossed = f->options.allow_crossed,
                                     .window = lines};

    f->outbox = outbox_new(lines, OUTBOX_BYTES_MAX);
    f->broker = broker_link_open(f->p->context, &settings, f->outbox, &out);
    if (!f->broker)
        return false;
    f->link = broker_link_state(f->broker);
    return true;
}

static void free_feed(struct pregon_feed *f)
{
    int error = errno;

    broker_link_close(f->broker, LINGER_MS);
    outbox_free(f->outbox);
    buf_free(&f->body);
    free(f->refusals);
    free(f->ingest);
    free(f);
    errno = error;
}

enum pregon_error pregon_feed_open(struct pregon *p, const char *name,
                                   const struct pregon_feed_options *options,
                                   struct pregon_feed **out)
{
    struct pregon_feed_options o = {0};
    struct pregon_feed *f;

    if (!is_name(name) || !options || !options->size)
        return PREGON_ERROR_INVALID;
    memcpy(&o, options, options->size < sizeof o ? options->size : sizeof o);
    if (!is_allowed(&o))
        return PREGON_ERROR_INVALID;
    if (p->is_closing)
        return PREGON_ERROR_CLOSED;
    f = mem_zalloc(sizeof *f);
    f->p = p;
    f->options = o;
    snprintf(f->name, sizeof f->name, "%s", name);
    snprintf(f->source, sizeof f->source, "%s", o.source ? o.source : name);
    f->ingest = pregon_link_address(o.ingest, "BROKER_INGEST", "tcp://127.0.0.1:5555");
    f->options.source = f->options.ingest = NULL;
    if (!f->ingest || !open_link(f)) {
        free_feed(f);
        return pregon_link_error(errno);
    }
    f->next = p->feeds;
    p->feeds = f;
    pregon_wake(p);
    *out = f;
    return PREGON_OK;
}

void pregon_feed_close(struct pregon_feed **ff)
{
    struct pregon_feed *f = *ff;

    *ff = NULL;
    if (!f)
        return;
    f->is_closed = true;
    link_leave(f->link, f->p->feed_time.awake);
    pregon_wake(f->p);
}

void pregon_feeds_free(struct pregon *p, bool is_all)
{
    struct pregon_feed **at = &p->feeds;

    while (*at) {
        struct pregon_feed *f = *at;

        if (!is_all && !f->is_closed) {
            at = &f->next;
            continue;
        }
        if (!f->is_closed)
            link_leave(f->link, p->feed_time.awake);
        *at = f->next;
        free_feed(f);
    }
}

/* --- publishing --------------------------------------------------------------------------- */

static struct json_value *put(struct json_value *at, const char *name, enum json_type type,
                              struct span text, size_t index)
{
    *at++ =
        (struct json_value){.type = JSON_STRING, .skip = 1, .offset = index, .text = span_of(name)};
    *at++ = (struct json_value){.type = type, .skip = 1, .offset = index, .text = text};
    return at;
}

/* A number that is not a plain decimal ("1e-7") is written out, as in JSON; words are text. */
static enum json_type type_of(const struct pregon_publish_field *field)
{
    switch (quote_field_kind(span_of(field->name))) {
    case QUOTE_FIELD_PRICE:
    case QUOTE_FIELD_SIZE:
        return quote_is_empty_word(span_of(field->text)) ? JSON_STRING : JSON_NUMBER;
    case QUOTE_FIELD_TIME:
        return JSON_NUMBER;
    case QUOTE_FIELD_TEXT:
    case QUOTE_FIELD_OTHER:
        break;
    }
    return JSON_STRING;
}

/*
 * Makes a JSON object of the fields, so that one function checks the quotes of all programs. The
 * offset of a value is its index; of the symbol: `count`.
 */
static enum quote_refusal make_quote(struct pregon_feed *f, const char *symbol,
                                     const struct pregon_publish_field *fields, size_t count,
                                     int64_t now_us, size_t *index)
{
    struct json_value values[1 + 2 * FIELDS_MAX], *at = values + 1;
    struct quote_rules rules = {.now_us = now_us,
                                .max_future_us = MAX_FUTURE_US,
                                .allow_crossed = f->options.allow_crossed,
                                .refuse_negative = f->options.refuse_negative};
    char name[QUOTE_SYMBOL_MAX + 1];

    *index = NO_FIELD;
    if (count >= FIELDS_MAX)
        return QUOTE_MALFORMED;
    at = put(at, "symbol", JSON_STRING, span_of(symbol ? symbol : ""), count);
    for (size_t i = 0; i < count; i++) {
        const struct pregon_publish_field *field = &fields[i];

        *index = i;
        if (!field->name || !is_utf8(field->name))
            *index = NO_FIELD;
        if (*index == NO_FIELD || !field->text || !is_utf8(field->text))
            return QUOTE_MALFORMED;
        for (const struct json_value *v = values + 1; v < at; v += 2)
            if (span_eq(v->text, field->name)) /* twice */
                return QUOTE_MALFORMED;
        at = put(at, field->name, type_of(field), span_of(field->text), i);
    }
    values[0] = (struct json_value){.type = JSON_OBJECT,
                                    .size = (uint32_t)(at - values) / 2,
                                    .skip = (uint32_t)(at - values),
                                    .offset = NO_FIELD};
    buf_clear(&f->body);
    return quote_from_json(values, f->source, &rules, name, &f->body, index);
}

static struct pregon_refusal describe(uint64_t line, enum quote_refusal why, const char *field)
{
    return (struct pregon_refusal){line, quote_refusal_name(why),
                                   field ? field : quote_refusal_field(why),
                                   quote_refusal_text(why)};
}

enum pregon_error pregon_publish(struct pregon_feed *f, const char *symbol,
                                 const struct pregon_publish_field *fields, size_t count,
                                 uint64_t *line, struct pregon_refusal *refusal)
{
    int64_t now_us = clock_wall_us();
    enum quote_refusal why;
    size_t index;
    uint64_t number;

    if (f->is_closed || link_state(f->link) == LINK_REFUSED)
        return PREGON_ERROR_CLOSED;
    if (!outbox_has_room(f->outbox))
        return PREGON_ERROR_FULL;
    why = make_quote(f, symbol, fields, count, now_us, &index);
    if (why) {
        if (refusal)
            *refusal = describe(0, why,
                                index < count    ? fields[index].name
                                : index == count ? "symbol"
                                                 : NULL);
        return PREGON_ERROR_INVALID;
    }
    if (outbox_sent(f->outbox) == outbox_last(f->outbox)) /* else a turn is due already */
        pregon_wake(f->p);
    number = outbox_add(f->outbox, span_of(symbol), buf_span(&f->body), (uint64_t)now_us);
    if (line)
        *line = number;
    return PREGON_OK;
}

/* --- callbacks ---------------------------------------------------------------------------- */

static enum pregon_feed_state state_of(const struct pregon_feed *f)
{
    switch (link_state(f->link)) {
    case LINK_OPEN:
        return PREGON_FEED_OPEN;
    case LINK_STANDBY:
        return PREGON_FEED_STANDBY;
    case LINK_REFUSED:
        return PREGON_FEED_REFUSED;
    case LINK_REQUESTING:
    case LINK_OPENING:
    case LINK_LEAVING:
    case LINK_GONE:
        break;
    }
    return PREGON_FEED_REQUESTING;
}

/* May the next callback be called? */
static bool may_report(const struct pregon_feed *f)
{
    return !f->is_closed && !receiver_is_paused(f->p->receiver);
}

/* Returns false if some are left, because a callback stopped the connection or closed the feed. */
static bool report_refusals(struct pregon_feed *f)
{
    size_t done = 0;

    while (done < f->refusal_count && may_report(f)) {
        const struct refusal *r = &f->refusals[done++];
        struct pregon_refusal out = {r->line, r->code, "", ""};
        enum quote_refusal why;

        if (quote_refusal_find(span_of(r->code), &why))
            out = describe(r->line, why, NULL);
        if (f->options.on_refused)
            f->options.on_refused(f->options.ctx, f, &out);
    }
    f->refusal_count -= done;
    if (f->refusal_count)
        memmove(f->refusals, f->refusals + done, f->refusal_count * sizeof *f->refusals);
    ARRAY_SHRINK(f->refusals, f->refusal_capacity, f->refusal_count);
    return may_report(f);
}

static void report(struct pregon_feed *f)
{
    const struct pregon_feed_options *o = &f->options;
    enum pregon_feed_state state = state_of(f);
    uint64_t stored;

    if (may_report(f) && state != f->state) {
        f->state = state;
        if (o->on_state)
            o->on_state(o->ctx, f, state,
                        state == PREGON_FEED_STANDBY || state == PREGON_FEED_REFUSED
                            ? link_why(f->link)
                            : "");
    }
    if (!report_refusals(f))
        return;
    if (outbox_received(f->outbox) > f->received) {
        f->received = outbox_received(f->outbox);
        if (o->on_received)
            o->on_received(o->ctx, f, f->received);
    }
    if (may_report(f) && link_stored(f->link, &stored) && stored > f->stored) {
        f->stored = stored;
        if (o->on_stored)
            o->on_stored(o->ctx, f, stored);
    }
}

/* --- turns ---------------------------------------------------------------------------------- */

/* A turn that comes late means that this program was busy, not that the broker was silent. */
static void read_time(struct pregon *p)
{
    int64_t mono = clock_mono_ms();

    if (p->feed_due && mono - p->feed_due > LATE_MS)
        p->feed_pauses += mono - p->feed_due;
    p->feed_time = (struct broker_link_time){mono - p->feed_pauses, mono, clock_wall_us()};
}

int64_t pregon_feeds_turn(struct pregon *p)
{
    int64_t wait = INT64_MAX;

    read_time(p);
    for (struct pregon_feed *f = p->feeds; f; f = f->next) {
        int64_t due;
        bool has_more;

        if (!may_report(f))
            continue;
        broker_link_turn(f->broker, &p->feed_time);
        report(f);
        has_more = !f->is_closed && link_send(f->link, SEND_BURST);
        due = broker_link_deadline(f->broker) - p->feed_time.awake;
        wait = has_more || due < 0 ? 0 : due < wait ? due : wait;
    }
    pregon_feeds_free(p, false);
    return wait;
}

void pregon_feeds_wait(struct pregon *p, int64_t wait)
{
    p->feed_due = clock_mono_ms() + wait;
}

/* --- queries ---------------------------------------------------------------------------- */

enum pregon_feed_state pregon_feed_state(const struct pregon_feed *f)
{
    return f->state;
}

uint64_t pregon_feed_published(const struct pregon_feed *f)
{
    return outbox_last(f->outbox);
}

uint64_t pregon_feed_received(const struct pregon_feed *f)
{
    return f->received;
}

uint64_t pregon_feed_stored(const struct pregon_feed *f)
{
    return f->stored;
}

bool pregon_feed_has_room(const struct pregon_feed *f)
{
    return outbox_has_room(f->outbox);
}
