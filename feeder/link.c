#include "feeder/link.h"

#include <errno.h>
#include <msgpack.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "feeder/former.h"
#include "feeder/link_sockets.h"
#include "feeder/stored.h"
#include "shared/wire/bus.h"
#include "shared/base/log.h"
#include "shared/base/mem.h"
#include "shared/wire/pack.h"
#include "shared/wire/wire.h"

#define ASK_MS 1000              /* between hellos nobody answers */
#define NO_BROKER_MS 3000        /* without any answer, before it is said, */
#define NO_BROKER_AGAIN_MS 60000 /* and again */
#define OPENING_HEARTBEAT_MS 100
/* Of `received`, before saying hello again: then the name may be another's already. */
#define SILENCE_MS WIRE_FEED_LEASE_MS
#define HEARTBEAT_MS (WIRE_FEED_HEARTBEAT_MS / 2) /* one may come late */
#define GOODBYE_MS 1000                           /* to wait for its answer */
#define REWIND_MS 50                              /* between rewinds, see on_resend */
#define RETRY_MIN_MS 10
#define RETRY_MAX_MS 10000
#define FULL_MS 10    /* to look again at a full pipe, should its edge be missed */
#define DRAIN_MAX 256 /* messages of the broker per turn */
/* Lines under way at most: what a lost one makes us send again.  The broker acknowledges far oftener. */
#define WINDOW 16384

#define OWNER_BYTES 16

struct link {
    struct link_settings set;
    struct outbox *line;
    void *context;
    struct link_sockets bus;
    enum link_state state;
    char owner[2 * OWNER_BYTES + 1], host[65];
    uint64_t last_id;    /* of our questions */
    uint64_t asked_from; /* first hello of this round: answers to older ones are void */
    uint64_t epoch;      /* of our grant, 0: none */
    int64_t now, mono, wall_us; /* of this turn */
    int64_t ask_at, heartbeat_at, silent_at, gone_at;
    /* Unless the broker proves by then that it hears us on both sockets. */
    int64_t broken_at;
    bool is_unproven;    /* granted since the last proof */
    int64_t complain_at; /* if no hello is answered by then; 0: all were */
    uint64_t rewound_to;
    int64_t rewound_at;
    uint64_t rewind_asked; /* waits until REWIND_MS after the last one; 0: none */
    bool is_full, was_open;
    bool has_more; /* the broker said more than a turn takes in */
    struct stored stored;
    struct log_limit grant_limit, held_limit, odd_limit, resend_limit, silence_limit,
        behind_limit, caught_up_limit;
    struct buf out;
};

static void make_owner(struct link *k)
{
    unsigned char random[OWNER_BYTES];

    if (getrandom(random, sizeof random, 0) != sizeof random) {
        log_critical("no random bytes: %s", strerror(errno));
        abort();
    }
    for (size_t i = 0; i < sizeof random; i++)
        snprintf(k->owner + 2 * i, 3, "%02x", random[i]);
}

struct link *link_open(void *context, const struct link_settings *settings,
                       struct outbox *line)
{
    struct link *k = mem_zalloc(sizeof *k);

    k->set = *settings;
    k->context = context;
    k->line = line;
    k->broken_at = INT64_MAX; /* the first hello sets it */
    k->grant_limit = (struct log_limit){.burst = 3, .interval_ms = 10000};
    k->held_limit = (struct log_limit){.burst = 1, .interval_ms = 60000};
    k->odd_limit = (struct log_limit){.burst = 5, .interval_ms = 10000};
    k->resend_limit = (struct log_limit){.burst = 5, .interval_ms = 10000};
    k->silence_limit = (struct log_limit){.burst = 2, .interval_ms = 10000};
    k->behind_limit = k->caught_up_limit =
        (struct log_limit){.burst = 1, .interval_ms = 60000};
    make_owner(k);
    if (gethostname(k->host, sizeof k->host - 1))
        k->host[0] = '\0';
    if (!link_sockets_open(context, &k->set, &k->bus)) {
        free(k);
        return NULL;
    }
    return k;
}

void link_close(struct link *k)
{
    if (!k)
        return;
    link_sockets_close(&k->bus);
    buf_free(&k->out);
    free(k);
}

void link_descriptors(const struct link *k, int out[2])
{
    out[0] = bus_fd(k->bus.ingest);
    out[1] = bus_fd(k->bus.control);
}

static bool send_control(struct link *k)
{
    struct span frame = buf_span(&k->out);

    return bus_send(k->bus.control, &frame, 1) == OK;
}

/* A question's first two keys; the caller adds the other pairs. */
static void begin_question(struct link *k, msgpack_packer *pk, const char *op,
                           uint32_t pairs)
{
    buf_clear(&k->out);
    msgpack_packer_init(pk, &k->out, buf_pack_write);
    msgpack_pack_map(pk, pairs);
    pack_kv_text(pk, "op", span_of(op));
    pack_kv_u(pk, "id", k->last_id + 1);
}

static void say_hello(struct link *k)
{
    msgpack_packer pk;

    k->ask_at = k->now + ASK_MS;
    if (k->broken_at == INT64_MAX)
        k->broken_at = k->now + BUS_SILENCE_MS;
    if (!k->complain_at)
        k->complain_at = k->now + NO_BROKER_MS;
    begin_question(k, &pk, "hello", 12);
    pack_kv_text(&pk, "role", SPAN("feeder"));
    pack_kv_text(&pk, "name", span_of(k->set.feed));
    pack_kv_text(&pk, "owner", span_of(k->owner));
    pack_kv_u(&pk, "oldest", WIRE_VERSION_OLDEST);
    pack_kv_u(&pk, "newest", WIRE_VERSION);
    pack_kv_u(&pk, "acked", outbox_received(k->line));
    pack_kv_u(&pk, "window", k->set.window);
    pack_kv_bool(&pk, "allow_crossed", k->set.allow_crossed);
    pack_kv_text(&pk, "host", span_of(k->host));
    pack_kv_u(&pk, "pid", (uint64_t)getpid());
    if (send_control(k))
        k->last_id++;
}

static void begin_asking(struct link *k)
{
    k->state = LINK_ASKING;
    k->asked_from = k->last_id + 1;
    say_hello(k);
}

static void say_lost(struct link *k, const struct outbox_range *lost)
{
    msgpack_packer pk;

    log_warning(
        "lost: lines %llu to %llu (%llu) %s", (unsigned long long)lost->first,
        (unsigned long long)lost->last, (unsigned long long)lost->count,
        lost->was_received
            ? "were received, but the broker's log is another one now: a store put "
              "back, or one that lost its end; the old one may have them"
            : "left the ring before the broker received them; a larger RING keeps "
              "more");
    begin_question(k, &pk, "lost", 6);
    pack_kv_u(&pk, "epoch", k->epoch);
    pack_kv_u(&pk, "first", lost->first);
    pack_kv_u(&pk, "last", lost->last);
    pack_kv_text(&pk, "reason",
                 lost->was_received ? SPAN("log_replaced") : SPAN("ring_overflow"));
    if (send_control(k))
        k->last_id++; /* else the broker asks again */
}

static void send_heartbeat(struct link *k)
{
    struct span frames[2] = {SPAN(WIRE_TOPIC_HEARTBEAT)};
    struct wire_record r = {.kind = WIRE_HEARTBEAT,
                            .epoch = k->epoch,
                            .seq = outbox_sent(k->line),
                            .sent_us = (uint64_t)k->wall_us};

    buf_clear(&k->out);
    wire_put(&k->out, &r);
    frames[1] = buf_span(&k->out);
    k->heartbeat_at =
        k->now + (k->state == LINK_OPENING ? OPENING_HEARTBEAT_MS : HEARTBEAT_MS);
    if (bus_send(k->bus.ingest, frames, 2))
        k->heartbeat_at = k->now + FULL_MS;
}

/* More than was ever sent under this name: what is sent from now on would be dropped as known. */
static bool claims_too_much(struct link *k, uint64_t received)
{
    if (received <= outbox_last(k->line))
        return false;
    log_error("the broker at %s says that it received line %llu of feed %s, which has "
              "sent %llu: "
              "its log and this feed do not belong together, or somebody else sends "
              "under this "
              "name; see the broker's log, then start this feeder again",
              k->set.control, (unsigned long long)received, k->set.feed,
              (unsigned long long)outbox_last(k->line));
    k->state = LINK_REFUSED;
    return true;
}

static void on_grant(struct link *k, struct span m)
{
    char follows[256];
    uint64_t version = pack_find_u(m, "version", 0);
    uint64_t epoch = pack_find_u(m, "epoch", 0),
             received = pack_find_u(m, "received", 0);

    if (version < WIRE_VERSION_OLDEST || version > WIRE_VERSION || !epoch) {
        log_error(
            "the broker answered hello with wire version %llu and feed epoch %llu",
            (unsigned long long)version, (unsigned long long)epoch);
        k->state = LINK_REFUSED;
        return;
    }
    if (claims_too_much(k, received))
        return;
    former_describe(m, follows, sizeof follows);
    log_limited(
        &k->grant_limit, k->now, LOG_INFO,
        "feed %s granted by the broker at %s: epoch %llu, %llu lines received%s%s",
        k->set.feed, k->set.control, (unsigned long long)epoch,
        (unsigned long long)received, k->was_open ? ", going on" : "", follows);
    k->epoch = epoch;
    k->state = LINK_OPENING;
    k->rewound_to = k->rewind_asked = 0;
    outbox_grant(k->line, epoch, received);
    stored_pause(&k->stored);
    k->silent_at = k->now + SILENCE_MS;
    if (!k->is_unproven) /* hellos alone, again and again, prove one socket only */
        k->broken_at = k->now + BUS_SILENCE_MS;
    k->is_unproven = true;
    send_heartbeat(k);
}

static void on_denial(struct link *k, struct span m, struct span error)
{
    struct span text = pack_find_text(m, "message");
    uint64_t retry = pack_find_u(m, "retry_ms", ASK_MS);
    bool is_held = span_eq(error, err_name(ERR_HELD));

    if (span_eq(error, err_name(ERR_VERSION)) ||
        span_eq(error, err_name(ERR_INVALID))) {
        log_error("the broker refused the feed %s: %.*s: %.*s", k->set.feed,
                  (int)error.len, error.at, (int)text.len, text.at);
        k->state = LINK_REFUSED;
        return;
    }
    k->ask_at = k->now + (int64_t)(retry > RETRY_MAX_MS   ? RETRY_MAX_MS
                                   : retry < RETRY_MIN_MS ? RETRY_MIN_MS
                                                          : retry);
    k->broken_at = k->ask_at + BUS_SILENCE_MS;
    log_limited(is_held ? &k->held_limit : &k->odd_limit, k->now, LOG_WARNING,
                "feed %s is not ours%s: %.*s: %.*s", k->set.feed,
                is_held ? ", standing by" : "", (int)error.len, error.at, (int)text.len,
                text.at);
    if (is_held) {
        k->state = LINK_STANDBY;
        k->epoch = 0;
    }
}

static void judge_stored(struct link *k, struct span m)
{
    uint64_t received = outbox_received(k->line);
    struct pack_value v;

    if (!pack_find(m, "stored", &v, NULL) || v.type != PACK_UINT) {
        stored_forget(&k->stored);
        return;
    }
    switch (
        stored_judge(&k->stored, received, v.u < received ? v.u : received, k->now)) {
    case STORED_NO_NEWS:
        break;
    case STORED_BEHIND:
        log_limited(
            &k->behind_limit, k->now, LOG_WARNING,
            "received but not stored for %d s: lines %llu to %llu; the log of the "
            "broker at %s says why",
            STORED_LATE_MS / 1000, (unsigned long long)k->stored.line + 1,
            (unsigned long long)received, k->set.control);
        break;
    case STORED_CAUGHT_UP:
        log_limited(&k->caught_up_limit, k->now, LOG_INFO,
                    "the broker's store has caught up: stored up to line %llu of %llu",
                    (unsigned long long)k->stored.line, (unsigned long long)received);
        break;
    }
}

static void on_received(struct link *k, struct span m)
{
    uint64_t line = pack_find_u(m, "line", 0);

    if (claims_too_much(k, line))
        return;
    outbox_receive(k->line, line);
    judge_stored(k, m);
    k->silent_at = k->now + SILENCE_MS;
    k->broken_at = k->now + BUS_SILENCE_MS;
    k->is_unproven = false;
    if (k->state != LINK_OPENING)
        return;
    k->state = LINK_OPEN;
    k->was_open = true;
    k->heartbeat_at = k->now + HEARTBEAT_MS;
}

static void rewind_to(struct link *k, uint64_t from)
{
    uint64_t sent = outbox_sent(k->line);
    struct outbox_range lost;

    k->rewind_asked = 0;
    if (!outbox_rewind(k->line, from, &lost))
        return;
    k->rewound_to = from;
    k->rewound_at = k->now;
    log_limited(&k->resend_limit, k->now, LOG_INFO,
                "the broker misses line %llu: sending %llu lines again",
                (unsigned long long)from,
                (unsigned long long)(sent - outbox_sent(k->line)));
    if (lost.count)
        say_lost(k, &lost);
}

/*
 * After a reconnect the broker reads the old connection's lines and the new one's in
 * turns, and every other line looks like a gap.  So a rewind waits a while after the
 * one before, sending pauses meanwhile, and what has arrived by then is not sent again.
 */
static void on_resend(struct link *k, struct span m)
{
    uint64_t from = pack_find_u(m, "from", 0);

    if (!k->rewound_to || k->now >= k->rewound_at + REWIND_MS)
        rewind_to(k, from);
    else if (from != k->rewound_to)
        k->rewind_asked = from;
}

static void catch_up_rewind(struct link *k)
{
    if (!k->rewind_asked || k->now < k->rewound_at + REWIND_MS)
        return;
    if (k->rewind_asked > outbox_received(k->line))
        rewind_to(k, k->rewind_asked);
    k->rewind_asked = 0;
}

static void on_answer(struct link *k, struct span re, struct span m)
{
    struct span error = pack_find_text(m, "error");

    if (span_eq(re, "goodbye")) {
        if (k->state == LINK_LEAVING)
            k->state = LINK_GONE;
        return;
    }
    if (span_eq(re, "hello")) {
        bool is_asking = k->state == LINK_ASKING || k->state == LINK_STANDBY;

        if (!is_asking || pack_find_u(m, "id", 0) < k->asked_from)
            return;
        k->complain_at = 0;
        if (error.len)
            on_denial(k, m, error);
        else
            on_grant(k, m);
        return;
    }
    /* A broker that restarted in between knows neither us nor our epoch. */
    if (error.len && (k->state == LINK_OPENING || k->state == LINK_OPEN)) {
        log_limited(&k->odd_limit, k->now, LOG_WARNING,
                    "the broker answered %.*s with %.*s: saying hello again",
                    (int)re.len, re.at, (int)error.len, error.at);
        begin_asking(k);
    }
}

static void on_message(struct link *k, struct span m)
{
    struct span op, re;

    if (pack_check(m)) {
        log_limited(&k->odd_limit, k->now, LOG_WARNING,
                    "a malformed message of %zu bytes from the broker was dropped",
                    m.len);
        return;
    }
    re = pack_find_text(m, "re");
    if (re.len) {
        on_answer(k, re, m);
        return;
    }
    op = pack_find_text(m, "op");
    if (!k->epoch || pack_find_u(m, "epoch", 0) != k->epoch ||
        (k->state != LINK_OPENING && k->state != LINK_OPEN))
        return;
    if (span_eq(op, "received"))
        on_received(k, m);
    else if (span_eq(op, "resend"))
        on_resend(k, m);
}

static void drain_control(struct link *k)
{
    struct bus_message m;
    enum err e;

    k->has_more = false;
    for (int i = 0; i < DRAIN_MAX; i++) {
        e = bus_recv(k->bus.control, &m);
        if (e == ERR_AGAIN)
            return;
        if (e)
            continue;
        on_message(k, bus_frame(&m, m.count - 1));
        bus_message_close(&m);
    }
    k->has_more = true;
}

/*
 * Between two turns our whole lease has passed: we were stopped.  Another may have the name, so
 * nothing more is sent before the broker has said whose it is.
 */
static void judge_pause(struct link *k, int64_t mono)
{
    int64_t pause = mono - k->mono;

    k->mono = mono;
    if (pause < WIRE_FEED_LEASE_MS ||
        (k->state != LINK_OPEN && k->state != LINK_OPENING))
        return;
    log_limited(&k->silence_limit, k->now, LOG_WARNING,
                "stopped for %.1f s: asking the broker whether feed %s is still ours",
                (double)pause / 1e3, k->set.feed);
    begin_asking(k);
}

void link_turn(struct link *k, int64_t now, int64_t mono, int64_t wall_us)
{
    k->now = now;
    k->wall_us = wall_us;
    judge_pause(k, mono);
    drain_control(k);
    catch_up_rewind(k);
    (void)bus_is_readable(k->bus.ingest); /* never, but this clears its descriptor */
    switch (k->state) {
    case LINK_ASKING:
    case LINK_STANDBY:
        if (now >= k->ask_at)
            say_hello(k);
        if (now >= k->complain_at) {
            k->complain_at = now + NO_BROKER_AGAIN_MS;
            log_warning("no broker at %s and %s%s: is pregon-broker running?",
                        k->set.ingest, k->set.control, k->was_open ? "" : " yet");
        }
        break;
    case LINK_OPENING:
    case LINK_OPEN:
        if (now >= k->silent_at) {
            log_limited(&k->silence_limit, now, LOG_WARNING,
                        "nothing from the broker at %s for %.1f s: saying hello again",
                        k->set.control, SILENCE_MS / 1e3);
            begin_asking(k);
        } else if (now >= k->heartbeat_at) {
            send_heartbeat(k);
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
    return k->now >= k->broken_at && !k->has_more && k->state <= LINK_OPEN;
}

void link_reopen(struct link *k)
{
    struct link_sockets fresh;

    k->broken_at = k->now + BUS_SILENCE_MS;
    k->is_unproven = false;
    if (!link_sockets_open(k->context, &k->set, &fresh))
        return;
    log_debug("nothing proves that the broker hears us: new sockets");
    link_sockets_close(&k->bus);
    k->bus = fresh;
    begin_asking(k);
}

bool link_send(struct link *k, int burst)
{
    struct span frames[2];

    if (k->state != LINK_OPEN || k->rewind_asked)
        return false;
    k->is_full = false;
    while (outbox_sent(k->line) - outbox_received(k->line) < WINDOW &&
           outbox_peek(k->line, &frames[0], &frames[1])) {
        if (!burst--)
            return true;
        if (bus_send(k->bus.ingest, frames, 2)) {
            k->is_full = true;
            return false;
        }
        outbox_advance(k->line);
        k->heartbeat_at = k->now + HEARTBEAT_MS; /* who sends lines is heard */
    }
    return false;
}

int64_t link_deadline(const struct link *k)
{
    int64_t at;

    if (k->has_more)
        return k->now;
    switch (k->state) {
    case LINK_ASKING:
    case LINK_STANDBY:
        return k->ask_at < k->broken_at ? k->ask_at : k->broken_at;
    case LINK_OPENING:
    case LINK_OPEN:
        at = k->silent_at < k->heartbeat_at ? k->silent_at : k->heartbeat_at;
        if (k->broken_at < at)
            at = k->broken_at;
        if (k->rewind_asked && k->rewound_at + REWIND_MS < at)
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
    begin_question(k, &pk, "goodbye", 3);
    pack_kv_u(&pk, "epoch", k->epoch);
    k->state = send_control(k) ? LINK_LEAVING : LINK_GONE;
    k->last_id++;
}

enum link_state link_state(const struct link *k)
{
    return k->state;
}

bool link_is_granted(const struct link *k)
{
    return k->epoch && k->state != LINK_STANDBY;
}

bool link_stored(const struct link *k, uint64_t *line)
{
    if (k->stored.is_known)
        *line = k->stored.line;
    return k->stored.is_known;
}
