/* checks_broker: the broker's answers about its store, feeds, locks and clock. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timex.h>

#include <msgpack.h>

#include "doctor/checks.h"
#include "shared/wire/bus.h"
#include "shared/base/clock.h"
#include "shared/wire/pack.h"
#include "shared/base/version.h"
#include "shared/wire/wire.h"

#define BEHIND_US 10000000 /* a feeder warns at the same age */

/* Wait for a message, until `until` (monotonic). */
static bool next(void *socket, int64_t until, struct bus_message *m)
{
    for (;;) {
        int64_t left = until - clock_mono_ms();
        zmq_pollitem_t item = {.socket = socket, .events = ZMQ_POLLIN};

        if (bus_recv(socket, m) == OK)
            return true;
        if (left <= 0 || zmq_poll(&item, 1, (long)left) < 0)
            return false;
    }
}

/* Send a request and put the answer's bytes into `out`.  False: no answer in time. */
static bool request_answer(struct checks *x, void *control, const char *op, const char *prefix,
                           struct buf *out)
{
    int64_t until = clock_mono_ms() + x->config.patience;
    struct buf request = {0};
    struct bus_message m;
    msgpack_packer pk;
    struct span frame;
    bool is_answered = false;

    msgpack_packer_init(&pk, &request, buf_pack_write);
    msgpack_pack_map(&pk, prefix ? 3 : 2);
    pack_kv_text(&pk, "op", span_of(op));
    pack_kv_u(&pk, "id", 1);
    if (prefix)
        pack_kv_text(&pk, "prefix", span_of(prefix));
    frame = buf_span(&request);
    if (bus_send(control, &frame, 1) == OK)
        while (!is_answered && next(control, until, &m)) {
            struct span answer = bus_frame(&m, 0);

            if (m.count == 1 && pack_check(answer) == OK &&
                span_eq(pack_find_text(answer, "re"), op)) {
                buf_clear(out);
                buf_add(out, answer.at, answer.len);
                is_answered = true;
            }
            bus_message_close(&m);
        }
    buf_free(&request);
    return is_answered;
}

/* --- store and feeds -------------------------------------------------------------------- */

static void judge_store(struct checks *x, struct span status)
{
    struct pack_value v;
    struct span store = {0};
    char kind[20], reason[300], damage[600], where[CHECKS_WHERE_MAX];
    bool is_memory;

    if (!pack_find(status, "store", &v, &store))
        return;
    span_copy(kind, sizeof kind, pack_find_text(store, "kind"));
    span_copy(reason, sizeof reason, pack_find_text(store, "reason"));
    span_copy(damage, sizeof damage, pack_find_text(store, "damage"));
    checks_where(x, "STORE", where);
    is_memory = strcmp(kind, "memory") == 0;
    if (is_memory && broker_config_store(&x->broker))
        finding_add(&x->found, FINDING_settings_not_in_force, where,
                    "start the broker again with this STORE", NULL,
                    "STORE names a file, and the broker that runs keeps its log in memory.");
    else if (is_memory)
        finding_add(&x->found, FINDING_store_in_memory, where,
                    "if the log is to survive the broker, name a file", "STORE=sqlite:pregon.db",
                    "The broker keeps its log in memory.");
    else if (!pack_find_bool(store, "durable", true))
        finding_add(&x->found, FINDING_store_not_durable, where,
                    "make room on the disk, and give the broker's user the right to "
                    "write there",
                    NULL, "The broker cannot store the log: %.200s", reason);
    else if (damage[0])
        finding_add(&x->found, FINDING_store_damaged, where,
                    "stop the broker, look at the disk and restore a backup", NULL, "%.600s",
                    damage);
    else if (pack_find_u(store, "behind_us", 0) > BEHIND_US)
        finding_add(&x->found, FINDING_store_behind, where,
                    "a faster disk, fewer quotes, or less else on that disk", NULL,
                    "The oldest record that is not stored yet is %llu s old.",
                    (unsigned long long)pack_find_u(store, "behind_us", 0) / 1000000);
}

static void judge_feed(struct checks *x, struct span feed)
{
    char name[65], where[CHECKS_WHERE_MAX], at[200], host[65];
    unsigned long long silent = pack_find_u(feed, "silent_ms", 0),
                       refused = pack_find_u(feed, "refused", 0), pid = pack_find_u(feed, "pid", 0),
                       lost = pack_find_u(feed, "lost", 0);

    span_copy(name, sizeof name, pack_find_text(feed, "name"));
    span_copy(host, sizeof host, pack_find_text(feed, "host"));
    /* A broker that has just started knows only the name. */
    if (host[0] && pid)
        snprintf(at, sizeof at, "feed %s, host %s, pid %llu", name, host, pid);
    else
        snprintf(at, sizeof at, "feed %s", name);
    checks_where(x, "FEED", where);
    if (pack_find_bool(feed, "left", false))
        finding_add(&x->found, FINDING_feed_ended, at,
                    "start its feeder again (a table that has ended needs LOOP=1), or remove it: "
                    "pregon-tail --forget feed:NAME",
                    NULL, "The feeder ended in order.");
    else if (!pack_find_bool(feed, "live", false))
        finding_add(&x->found, FINDING_feed_silent, at,
                    "see whether its pregon-feeder still runs, and reaches BROKER_INGEST and "
                    "BROKER_CONTROL",
                    NULL, "Nothing has come from it for %.1f s.", (double)silent / 1000);
    else if (!pack_find_u(feed, "accepted", 0) && !pack_find_u(feed, "received", 0) &&
             !refused) /* "accepted" counts since the broker's start */
        finding_add(&x->found, FINDING_feed_empty, at, "check what its SOURCE prints", NULL,
                    "Its feeder runs, but has never sent a quote.");
    if (refused)
        finding_add(&x->found, FINDING_quotes_refused, at,
                    "the broker's log says why, and so does the feeder's", NULL,
                    "The broker refused %llu quotes of it.", refused);
    if (lost)
        finding_add(&x->found, FINDING_lines_lost, at,
                    "a larger RING lets it wait longer for a broker that is away", NULL,
                    "%llu of its lines are lost.", lost);
}

static void judge_feeds(struct checks *x, struct span status)
{
    struct pack_value v;
    struct span at = {0};

    if (!pack_find(status, "feeds", &v, &at) || !pack_next(&at, &v) || v.type != PACK_ARRAY)
        return;
    if (!v.count)
        finding_add(&x->found, FINDING_feed_none, "",
                    "start a feeder; its BROKER_INGEST and BROKER_CONTROL are the broker's", NULL,
                    "No feeder has ever connected to this broker: there are no quotes.");
    for (uint32_t i = v.count; i > 0; i--) {
        struct span feed = at;

        if (!pack_skip(&at))
            return;
        judge_feed(x, feed);
    }
}

static void judge_active(struct checks *x, void *control)
{
    char where[CHECKS_WHERE_MAX];
    struct buf answer = {0};
    struct pack_value v;
    struct span at = {0};
    bool is_held = false;

    if (!x->telegram.telegram_token[0] && !x->telegram.telegram_token_file[0])
        return;
    if (!request_answer(x, control, "locks", "telegram", &answer) ||
        !pack_find(buf_span(&answer), "locks", &v, &at) || !pack_next(&at, &v))
        goto out;
    for (uint32_t i = v.type == PACK_ARRAY ? v.count : 0; i > 0; i--) {
        struct span lock = at;

        if (!pack_skip(&at))
            break;
        is_held = is_held || span_eq(pack_find_text(lock, "state"), "held");
    }
    if (!is_held)
        finding_add(
            &x->found, FINDING_telegram_nobody_on_duty,
            checks_where(
                x, x->telegram.telegram_token[0] ? "TELEGRAM_TOKEN" : "TELEGRAM_TOKEN_FILE", where),
            "start pregon-telegram; after one that was killed the lock stays "
            "closed for "
            "a minute",
            NULL, "A bot is configured, but no lock named telegram… is held.");
out:
    buf_free(&answer);
}

/* --- clocks ------------------------------------------------------------------------------ */

static void judge_clock(struct checks *x, const char *whose, int64_t skew_us)
{
    double seconds = (double)skew_us / 1e6;

    if ((skew_us < 0 ? -skew_us : skew_us) / 1000 <= x->config.max_skew)
        return;
    finding_add(&x->found, FINDING_clock_skew, whose,
                "let both machines follow a time server (timedatectl set-ntp true)", NULL,
                "The clock of %s is %.1f s %s this machine's.", whose,
                seconds < 0 ? -seconds : seconds, seconds < 0 ? "behind" : "ahead of");
}

/* Processes of one machine share its clock. */
static void judge_synchronisation(struct checks *x)
{
    char host[256];
    struct timex t = {0};
    int port;

    if (!checks_endpoint(x->gateway.broker_control, host, &port) || checks_is_local(host))
        return;
    if (adjtimex(&t) == TIME_ERROR || (t.status & STA_UNSYNC))
        finding_add(&x->found, FINDING_clock_unsynchronised, "this machine",
                    "timedatectl set-ntp true", NULL,
                    "The kernel says that its clock follows no time server, and the broker is "
                    "on another machine.");
}

static void hear_heartbeat(struct checks *x, void *context)
{
    int64_t until = clock_mono_ms() + x->config.patience;
    void *publish =
        bus_try_connect(context, ZMQ_SUB, x->gateway.broker_publish, 1000, WIRE_RECORD_FRAME_MAX);
    char where[CHECKS_WHERE_MAX];
    struct wire_record r = {0};
    struct bus_message m;
    bool is_heard = false;

    if (publish)
        zmq_setsockopt(publish, ZMQ_SUBSCRIBE, WIRE_TOPIC_HEARTBEAT, strlen(WIRE_TOPIC_HEARTBEAT));
    while (publish && !is_heard && next(publish, until, &m)) {
        is_heard = m.count == 2 && wire_read(bus_frame(&m, 1), &r, NULL) == OK;
        bus_message_close(&m);
    }
    bus_close(publish);
    if (is_heard)
        judge_clock(x, "the broker", (int64_t)r.accepted_us - clock_wall_us());
    else
        finding_add(&x->found, FINDING_publish_silent, checks_where(x, "BROKER_PUBLISH", where),
                    "set it to the publish= of the broker's ready line; between machines, let "
                    "that port through",
                    NULL, "The broker answers, but at %.200s no heartbeat comes within %.1f s.",
                    x->gateway.broker_publish, (double)x->config.patience / 1000);
}

void checks_broker(struct checks *x)
{
    void *context, *control;
    struct buf status = {0};
    char where[CHECKS_WHERE_MAX];

    judge_synchronisation(x);
    if (!x->is_broker_there)
        return;
    context = bus_context();
    control =
        bus_try_connect(context, ZMQ_DEALER, x->gateway.broker_control, 100, WIRE_ANSWER_FRAME_MAX);
    if (!control || !request_answer(x, control, "status", NULL, &status)) {
        finding_add(&x->found, FINDING_broker_silent, checks_where(x, "BROKER_CONTROL", where),
                    "set it to the control= of the broker's ready line; between machines, let "
                    "that port through",
                    NULL, "No broker answers at %.200s within %.1f s.", x->gateway.broker_control,
                    (double)x->config.patience / 1000);
    } else {
        struct span s = buf_span(&status);

        x->broker_epoch = pack_find_u(s, "epoch", 0);
        span_copy(x->broker_version, sizeof x->broker_version, pack_find_text(s, "version"));
        hear_heartbeat(x, context);
        judge_store(x, s);
        judge_feeds(x, s);
        judge_active(x, control);
    }
    buf_free(&status);
    bus_close(control);
    zmq_ctx_term(context);
}
