/*
 * The broker's core: whatever its three sockets bring, in any order.
 *
 * {"op":"!line","topic":…,"kind":…,"epoch":…,"seq":…,"body":…}: a feeder's record; {"op":
 * "!subscribe","topic":…}; {"op":"!time","ms":…}.  Another object is a request of "peer"; any other
 * line goes to all three sockets as it is.  See messages.h.
 */
#include "broker/core/core.h"
#include "shared/wire/pack.h"
#include "tests/fuzz/messages.h"

#define WALL_US 1640995200000000
#define MESSAGES_MAX 300
#define PASSED_MAX_MS 3600000

static const struct broker_config config = {.journal_bytes = 1 << 16,
                                            .publish_timeout = 60000,
                                            .publish_keys = 50,
                                            .max_symbols_total = 50,
                                            .max_future = 60000,
                                            .lock_ttl_max = 600000,
                                            .lock_delay_max = 600000,
                                            .lock_count_max = 20};
static struct core core;
static uint64_t last_seq;

/* Records are numbered without a gap; heartbeats, marks and locks have no position of their own. */
static void on_publish(void *ctx, struct span topic, struct span record)
{
    struct wire_record r;

    (void)ctx;
    MUST(topic.len > 0 && topic.len <= WIRE_TOPIC_MAX + 16);
    MUST(wire_read(record, &r, NULL) == OK);
    if (r.kind != WIRE_QUOTE && r.kind != WIRE_STATE && r.kind != WIRE_LOST)
        return;
    MUST(r.seq == last_seq + 1 && r.prev < r.seq);
    last_seq = r.seq;
}

static void on_send(void *ctx, struct span peer, struct span message)
{
    (void)ctx;
    MUST(peer.len > 0);
    MUST(pack_check(message) == OK);
    MUST(message.len < WIRE_ANSWER_FRAME_MAX);
}

static void ingest(struct span topic, struct span message)
{
    char *own_topic = fuzz_text(topic), *own = fuzz_text(message);
    struct span t = {own_topic, topic.len}, m = {own, message.len};

    if (core_ingest(&core, t, m))
        on_publish(NULL, t, m);
    free(own_topic);
    free(own);
}

static void take_line(const struct json_value *v)
{
    struct buf message = {0};

    message_record(v, &message);
    ingest(message_text(v, "topic", "EUR/USD "), buf_span(&message));
    buf_free(&message);
}

static void pass_time(int64_t ms)
{
    core.time.now += ms;
    core.time.awake += ms;
    core.time.wall_us += 1000 * ms;
}

static void subscribe(struct span topic)
{
    struct buf frame = {0};

    buf_addc(&frame, 1);
    buf_add(&frame, topic.at, topic.len);
    core_subscription(&core, buf_span(&frame));
    buf_free(&frame);
}

static void take_json(const struct json_value *v)
{
    struct span op = message_text(v, "op", "");
    struct buf message = {0};

    if (span_eq(op, "!line")) {
        take_line(v);
    } else if (span_eq(op, "!subscribe")) {
        subscribe(message_text(v, "topic", WIRE_TOPIC_MARK "a "));
    } else if (span_eq(op, "!time")) {
        pass_time((int64_t)(message_number(v, "ms") % PASSED_MAX_MS));
    } else {
        message_pack(v, &message);
        core_control(&core, message_text(v, "peer", "a"), buf_span(&message));
        buf_free(&message);
    }
}

static void take_message(struct json *j, struct span message)
{
    const struct json_value *root;

    core_begin_turn(&core);
    if (message_read(j, message, &root)) {
        take_json(root);
    } else if (message.len) {
        core_control(&core, SPAN("raw"), message);
        core_subscription(&core, message);
        ingest(SPAN("BTC "), message);
    }
    core_acknowledge(&core);
    (void)core_work(&core);
    MUST(core_tick(&core) >= 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span rest = fuzz_span(data, size);
    struct json *j = json_new();
    int turns = 0;

    fuzz_quiet();
    last_seq = 0;
    core = (struct core){.config = &config,
                         .out = {.publish = on_publish, .send = on_send},
                         .time = {5000, 5000, WALL_US}};
    core_init(&core, 7777);
    for (int i = 0; i < MESSAGES_MAX && rest.len; i++)
        take_message(j, fuzz_part(&rest, "\n"));
    /* Requests that wait end, in a bounded number of turns. */
    do {
        core_begin_turn(&core);
        MUST(turns++ < 10000);
    } while (core_work(&core));
    core_fini(&core);
    json_free(j);
    return 0;
}
