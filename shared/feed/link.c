#include "shared/feed/link_private.h"

#include <msgpack.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "shared/base/mem.h"
#include "shared/wire/pack.h"

#define NO_BROKER_MS 3000        /* time without any answer before the first warning */
#define NO_BROKER_AGAIN_MS 60000 /* time until the next warnings */
#define OPENING_HEARTBEAT_MS 100
#define GOODBYE_MS 1000 /* time to wait for the answer to goodbye */
/* retry time for a full pipe, in case its descriptor's edge is missed */
#define FULL_MS 10
/*
 * Maximum of lines sent and not acknowledged: a lost line makes the feeder send that many again.
 * The broker acknowledges much more often.
 */
#define WINDOW 16384

struct link *link_new(const struct link_settings *settings, struct outbox *outbox,
                      const struct link_out *out)
{
    struct link *k = mem_zalloc(sizeof *k);

    k->set = *settings;
    k->outbox = outbox;
    k->out = *out;
    k->broken_at = INT64_MAX; /* the first hello sets it */
    k->grant_limit = (struct log_limit){.burst = 3, .interval_ms = 10000};
    k->held_limit = (struct log_limit){.burst = 1, .interval_ms = 60000};
    k->odd_limit = (struct log_limit){.burst = 5, .interval_ms = 10000};
    k->resend_limit = (struct log_limit){.burst = 5, .interval_ms = 10000};
    k->silence_limit = (struct log_limit){.burst = 2, .interval_ms = 10000};
    k->behind_limit = k->caught_up_limit = k->refusal_limit =
        (struct log_limit){.burst = 1, .interval_ms = 60000};
    return k;
}

void link_free(struct link *k)
{
    if (!k)
        return;
    buf_free(&k->message);
    free(k);
}

void link_note(struct link *k, struct log_limit *limit, enum log_level level, const char *format,
               ...)
{
    char text[LINK_TEXT_MAX];
    int64_t suppressed;
    size_t len;
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (level >= LOG_WARNING)
        snprintf(k->why, sizeof k->why, "%s", text);
    suppressed = limit ? log_limit_pass(limit, k->now) : 0;
    len = strlen(text);
    if (suppressed > 0)
        snprintf(text + len, sizeof text - len, " (%lld similar lines suppressed)",
                 (long long)suppressed);
    if (suppressed >= 0)
        k->out.note(k->out.ctx, level, text);
}

/* Sends the packed request.  Returns false if the socket takes no more. */
static bool send_request(struct link *k)
{
    if (!k->out.control(k->out.ctx, buf_span(&k->message)))
        return false;
    k->last_id++;
    return true;
}

/* Packs the first two keys of a request; the caller adds the other pairs. */
static void begin_request(struct link *k, msgpack_packer *pk, const char *op, uint32_t pairs)
{
    buf_clear(&k->message);
    msgpack_packer_init(pk, &k->message, buf_pack_write);
    msgpack_pack_map(pk, pairs);
    pack_kv_text(pk, "op", span_of(op));
    pack_kv_u(pk, "id", k->last_id + 1);
}

static void send_hello(struct link *k)
{
    msgpack_packer pk;

    k->hello_at = k->now + HELLO_MS;
    if (k->broken_at == INT64_MAX)
        k->broken_at = k->now + LINK_SILENCE_MS;
    if (!k->warn_at)
        k->warn_at = k->now + NO_BROKER_MS;
    begin_request(k, &pk, "hello", 12);
    pack_kv_text(&pk, "role", SPAN("feeder"));
    pack_kv_text(&pk, "name", span_of(k->set.feed));
    pack_kv_text(&pk, "owner", span_of(k->set.owner));
    pack_kv_u(&pk, "oldest", WIRE_VERSION_OLDEST);
    pack_kv_u(&pk, "newest", WIRE_VERSION);
    pack_kv_u(&pk, "acked", outbox_received(k->outbox));
    pack_kv_u(&pk, "window", k->set.window);
    pack_kv_bool(&pk, "allow_crossed", k->set.allow_crossed);
    pack_kv_text(&pk, "host", span_of(k->set.host));
    pack_kv_u(&pk, "pid", k->set.pid);
    send_request(k);
}

void link_request_name(struct link *k)
{
    k->state = LINK_REQUESTING;
    k->hello_from = k->last_id + 1;
    send_hello(k);
}

static void send_lost(struct link *k, const struct outbox_range *lost)
{
    msgpack_packer pk;

    link_note(
        k, NULL, LOG_WARNING, "lost: lines %llu to %llu (%llu) %s", (unsigned long long)lost->first,
        (unsigned long long)lost->last, (unsigned long long)lost->count,
        lost->was_received ? "were received, but the broker's log is another one now: a store put "
                             "back, or one that lost its end; the old one may have them"
                           : "left the ring before the broker received them; a larger RING keeps "
                             "more");
    begin_request(k, &pk, "lost", 6);
    pack_kv_u(&pk, "epoch", k->epoch);
    pack_kv_u(&pk, "first", lost->first);
    pack_kv_u(&pk, "last", lost->last);
    pack_kv_text(&pk, "reason", lost->was_received ? SPAN("log_replaced") : SPAN("ring_overflow"));
    send_request(k); /* if this fails, the broker requests the lines again */
}

void link_send_heartbeat(struct link *k)
{
    struct span frames[2] = {SPAN(WIRE_TOPIC_HEARTBEAT)};
    struct wire_record r = {.kind = WIRE_HEARTBEAT,
                            .epoch = k->epoch,
                            .seq = outbox_sent(k->outbox),
                            .sent_us = (uint64_t)k->wall_us};

    buf_clear(&k->message);
    wire_put(&k->message, &r);
    frames[1] = buf_span(&k->message);
    k->heartbeat_at = k->now + (k->state == LINK_OPENING ? OPENING_HEARTBEAT_MS : HEARTBEAT_MS);
    if (!k->out.ingest(k->out.ctx, frames))
        k->heartbeat_at = k->now + FULL_MS;
}

void link_rewind_to(struct link *k, uint64_t from)
{
    uint64_t sent = outbox_sent(k->outbox);
    struct outbox_range lost;

    k->rewind_requested = 0;
    if (!outbox_rewind(k->outbox, from, &lost))
        return;
    k->rewound_to = from;
    k->rewound_at = k->now;
    link_note(k, &k->resend_limit, LOG_INFO,
              "the broker misses line %llu: sending %llu lines again", (unsigned long long)from,
              (unsigned long long)(sent - outbox_sent(k->outbox)));
    if (lost.count)
        send_lost(k, &lost);
}

static void catch_up_rewind(struct link *k)
{
    if (!k->rewind_requested || k->now < k->rewound_at + REWIND_MS)
        return;
    if (k->rewind_requested > outbox_received(k->outbox))
        link_rewind_to(k, k->rewind_requested);
    k->rewind_requested = 0;
}

/*
 * If the whole lease has passed between two turns, this process was stopped. Another owner may have
 * the name, so the link sends nothing more before the broker has answered which owner has it.
 */
static void judge_pause(struct link *k, int64_t mono)
{
    int64_t pause = mono - k->mono;

    k->mono = mono;
    if (pause < WIRE_FEED_LEASE_MS || (k->state != LINK_OPEN && k->state != LINK_OPENING))
        return;
    link_note(k, &k->silence_limit, LOG_WARNING,
              "stopped for %.1f s: checking with the broker whether feed %s is still ours",
              (double)pause / 1e3, k->set.feed);
    link_request_name(k);
}

void link_begin_turn(struct link *k, int64_t now, int64_t mono, int64_t wall_us)
{
    k->now = now;
    k->wall_us = wall_us;
    judge_pause(k, mono);
}

void link_tick(struct link *k)
{
    int64_t now = k->now;

    catch_up_rewind(k);
    switch (k->state) {
    case LINK_REQUESTING:
    case LINK_STANDBY:
        if (now >= k->hello_at)
            send_hello(k);
        if (k->warn_at && now >= k->warn_at) {
            k->warn_at = now + NO_BROKER_AGAIN_MS;
            link_note(k, NULL, LOG_WARNING, "no broker at %s and %s%s: is pregon-broker running?",
                      k->set.ingest, k->set.control, k->was_open ? "" : " yet");
        }
        break;
    case LINK_OPENING:
    case LINK_OPEN:
        if (now >= k->silent_at) {
            link_note(k, &k->silence_limit, LOG_WARNING,
                      "nothing from the broker at %s for %.1f s: sending hello again",
                      k->set.control, SILENCE_MS / 1e3);
            link_request_name(k);
        } else if (now >= k->heartbeat_at) {
            link_send_heartbeat(k);
        }
        break;
    case LINK_LEAVING:
        if (now >= k->gone_at)
            k->state = LINK_GONE;
        break;
    case LINK_GONE:
    case LINK_REFUSED:
        break;
    }
}

bool link_is_broken(const struct link *k)
{
    return k->now >= k->broken_at && k->state <= LINK_OPEN;
}

void link_reopened(struct link *k, bool is_new)
{
    k->broken_at = k->now + LINK_SILENCE_MS;
    k->is_unproven = false;
    if (is_new)
        link_request_name(k);
}

bool link_send(struct link *k, int burst)
{
    struct span frames[2];

    if (k->state != LINK_OPEN || k->rewind_requested)
        return false;
    k->is_full = false;
    while (outbox_sent(k->outbox) - outbox_received(k->outbox) < WINDOW &&
           outbox_peek(k->outbox, &frames[0], &frames[1])) {
        if (!burst--)
            return true;
        if (!k->out.ingest(k->out.ctx, frames)) {
            k->is_full = true;
            return false;
        }
        outbox_advance(k->outbox);
        k->heartbeat_at = k->now + HEARTBEAT_MS; /* a line proves as much as a heartbeat */
    }
    return false;
}

int64_t link_deadline(const struct link *k)
{
    int64_t at;

    switch (k->state) {
    case LINK_REQUESTING:
    case LINK_STANDBY:
        return k->hello_at < k->broken_at ? k->hello_at : k->broken_at;
    case LINK_OPENING:
    case LINK_OPEN:
        at = k->silent_at < k->heartbeat_at ? k->silent_at : k->heartbeat_at;
        if (k->broken_at < at)
            at = k->broken_at;
        if (k->rewind_requested && k->rewound_at + REWIND_MS < at)
            at = k->rewound_at + REWIND_MS;
        return k->is_full && k->now + FULL_MS < at ? k->now + FULL_MS : at;
    case LINK_LEAVING:
        return k->gone_at;
    case LINK_GONE:
    case LINK_REFUSED:
        break;
    }
    return INT64_MAX;
}

void link_leave(struct link *k, int64_t now)
{
    msgpack_packer pk;

    k->now = now;
    k->gone_at = now + GOODBYE_MS;
    if (k->state != LINK_OPEN && k->state != LINK_OPENING) {
        k->state = LINK_GONE;
        return;
    }
    begin_request(k, &pk, "goodbye", 3);
    pack_kv_u(&pk, "epoch", k->epoch);
    k->state = send_request(k) ? LINK_LEAVING : LINK_GONE;
}

enum link_state link_state(const struct link *k)
{
    return k->state;
}

bool link_is_granted(const struct link *k)
{
    return k->epoch && k->state != LINK_STANDBY;
}

const char *link_why(const struct link *k)
{
    return k->why;
}

bool link_stored(const struct link *k, uint64_t *line)
{
    if (k->stored.is_known)
        *line = k->stored.line;
    return k->stored.is_known;
}
