/*
 * The receiver of gateway and libpregon: whatever the broker's two sockets bring, in any order.
 *
 * The first line of the input holds the settings: a letter for each that is on (see open_receiver).
 * {"op":"!record","topic":…,"kind":…,…}: a record (topic "mark": of the mark that is awaited);
 * {"op":"!add","pattern":…}, {"op":"!remove",…}; {"op":"!time","ms":…}; {"op":"!welcome"};
 * {"op":"!hello","epoch":…}; {"op":"!listen"}; {"op":"!pause"}, {"op":"!resume"}.  Another object
 * is the answer to the newest request, or to "request"; any other line is a record's bytes.
 * See messages.h.
 */
#include "shared/sync/receiver.h"
#include "shared/wire/pack.h"
#include "tests/fuzz/messages.h"

#define MESSAGES_MAX 300
#define SYMBOLS_MAX 32

static struct receiver *f;
static uint64_t newest_request;
static char mark[WIRE_TOPIC_MAX + 1];
static int64_t now;

static struct known {
    char name[QUOTE_SYMBOL_MAX + 1];
    uint64_t last;
} symbols[SYMBOLS_MAX];
static size_t symbol_count;

static void on_listen(void *ctx, struct span topic, bool is_on)
{
    (void)ctx;
    if (is_on && topic.len > 6 && memcmp(topic.at, WIRE_TOPIC_MARK, 6) == 0)
        span_copy(mark, sizeof mark, topic);
}

static void on_request_snapshot(void *ctx, uint64_t request, struct span pattern, uint64_t from)
{
    (void)ctx, (void)from;
    MUST(request && receiver_is_pattern(pattern));
    newest_request = request;
}

static void on_request_replay(void *ctx, uint64_t request, struct span patterns, uint64_t after,
                              uint64_t until)
{
    (void)ctx, (void)patterns;
    MUST(request && after < until);
    newest_request = request;
}

/* Patterns up to M… are in mode all. */
static bool wants_all(void *ctx, struct span pattern)
{
    (void)ctx;
    return pattern.at[0] <= 'M';
}

static struct receiver_symbol on_find(void *ctx, struct span name, bool may_add)
{
    struct known *k = symbols;

    (void)ctx;
    while (k < symbols + symbol_count && !span_eq(name, k->name))
        k++;
    if (k == symbols + symbol_count) {
        if (!may_add || symbol_count == SYMBOLS_MAX || !receiver_match(f, name).is_wanted)
            return (struct receiver_symbol){NULL, 0};
        span_copy(k->name, sizeof k->name, name);
        k->last = 0;
        symbol_count++;
    }
    return (struct receiver_symbol){k, k->last};
}

static struct receiver_coverage on_cover(void *ctx, struct span name,
                                         const struct receiver_symbol *s)
{
    struct receiver_match m = receiver_match(f, name);

    (void)ctx, (void)s;
    return (struct receiver_coverage){.is_live = m.is_live,
                                      .is_followed = m.is_wanted && name.at[0] <= 'M'};
}

static void on_record(void *ctx, const struct receiver_symbol *s, const struct wire_record *r,
                      enum receiver_origin origin)
{
    struct known *k = s->of;

    (void)ctx, (void)origin;
    MUST(pack_check(r->body) == OK && r->epoch == receiver_epoch(f));
    if (r->seq > k->last)
        k->last = r->seq;
}

static void on_snapshot(void *ctx, const struct receiver_symbol *s, const struct wire_entry *e)
{
    struct known *k = s->of;

    (void)ctx;
    MUST(pack_check(e->quote.body) == OK);
    if (e->seq > k->last)
        k->last = e->seq;
}

static void on_lost(void *ctx, const struct wire_record *r)
{
    (void)ctx;
    MUST(pack_check(r->body) == OK);
}

static void on_reset(void *ctx, uint64_t epoch, uint64_t old, const char *reason)
{
    (void)ctx, (void)old;
    MUST(epoch == receiver_epoch(f) && reason[0]);
    symbol_count = 0;
}

static void on_live(void *ctx, struct span pattern, uint64_t seq)
{
    (void)ctx, (void)seq;
    MUST(receiver_is_pattern(pattern));
}

static void on_thawed(void *ctx)
{
    (void)ctx;
    MUST(receiver_is_verified(f));
}

static void on_seq(void *ctx, uint64_t seq)
{
    (void)ctx, (void)seq;
}

static void on_nothing(void *ctx)
{
    (void)ctx;
}

static void on_link(void *ctx, bool is_up)
{
    (void)ctx;
    MUST(is_up == receiver_is_up(f));
}

static void on_note(void *ctx, bool is_error, const char *text)
{
    (void)ctx, (void)is_error;
    MUST(text[0]);
}

static void open_receiver(const char *flags)
{
    static const struct receiver_out out = {.broker.listen = on_listen,
                                            .broker.request_snapshot = on_request_snapshot,
                                            .broker.request_replay = on_request_replay,
                                            .wants_all = wants_all,
                                            .find = on_find,
                                            .cover = on_cover,
                                            .record = on_record,
                                            .snapshot = on_snapshot,
                                            .lost = on_lost,
                                            .flush = on_nothing,
                                            .reset = on_reset,
                                            .presence = on_link,
                                            .unverified = on_nothing,
                                            .live = on_live,
                                            .synced = on_nothing,
                                            .passed = on_seq,
                                            .complete = on_seq,
                                            .thawed = on_thawed,
                                            .fell_back = on_nothing,
                                            .broker.note = on_note};
    struct receiver_settings settings = {.name = 1,
                                         .needs_heartbeat = strchr(flags, 'h'),
                                         .holds_for_snapshots = strchr(flags, 's'),
                                         .trusts_log = strchr(flags, 't'),
                                         .no_snapshot = strchr(flags, 'n'),
                                         .since_epoch = strchr(flags, 'p') ? 7 : 0,
                                         .since_seq = strchr(flags, 'p') ? 2 : 0};

    symbol_count = 0;
    newest_request = 0;
    mark[0] = '\0';
    now = 1000;
    f = receiver_new(&settings, &out, now);
}

/* As upstream and libpregon do: what wire_read refuses does not reach the receiver. */
static void take_record(struct span topic, struct span message)
{
    char *own = fuzz_text(message);
    struct span m = {own, message.len};
    struct wire_record r;

    if (wire_read(m, &r, NULL) == OK)
        (void)receiver_on_record(f, topic, m, &r, now);
    free(own);
}

static void take_answer(const struct json_value *v)
{
    uint64_t request = message_number(v, "request");
    struct buf bytes = {0};

    message_pack(v, &bytes);
    if (pack_check(buf_span(&bytes)) == OK)
        receiver_on_answer(f, request ? request : newest_request, buf_span(&bytes), now);
    buf_free(&bytes);
}

static void take_object(const struct json_value *v)
{
    struct span op = message_text(v, "op", ""), topic = message_text(v, "topic", "EUR/USD "),
                pattern = message_text(v, "pattern", "EUR/USD");
    struct buf bytes = {0};

    if (span_eq(op, "!record")) {
        message_record(v, &bytes);
        take_record(span_eq(topic, "mark") ? span_of(mark) : topic, buf_span(&bytes));
    } else if (span_eq(op, "!add")) {
        MUST((receiver_add(f, pattern) == OK) == receiver_is_pattern(pattern));
    } else if (span_eq(op, "!remove")) {
        MUST(receiver_remove(f, pattern) == OK || receiver_remove(f, pattern) == ERR_NOT_FOUND);
    } else if (span_eq(op, "!time")) {
        now += (int64_t)(message_number(v, "ms") % 10000);
    } else if (span_eq(op, "!welcome")) {
        receiver_on_welcome(f);
    } else if (span_eq(op, "!hello")) {
        receiver_on_hello(f, message_number(v, "epoch"), now);
    } else if (span_eq(op, "!listen")) {
        receiver_listen(f);
    } else if (span_eq(op, "!pause")) {
        receiver_pause(f);
    } else if (span_eq(op, "!resume")) {
        receiver_resume(f);
    } else {
        take_answer(v);
    }
    buf_free(&bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span rest = fuzz_span(data, size);
    char *flags = fuzz_line(&rest);
    const struct json_value *root;
    struct json *j = json_new();

    open_receiver(flags);
    for (int i = 0; i < MESSAGES_MAX && rest.len; i++) {
        struct span line = fuzz_part(&rest, "\n");

        if (message_read(j, line, &root))
            take_object(root);
        else
            take_record(SPAN("EUR/USD "), line);
        receiver_tick(f, true, now);
        (void)receiver_deadline(f);
    }
    receiver_free(f);
    json_free(j);
    free(flags);
    return 0;
}
