/* link_take: handles the broker's messages. */
#include "shared/feed/link_private.h"

#include "shared/feed/former.h"
#include "shared/wire/pack.h"

#define REASON_MAX 32 /* bytes of a refusal's name */

/*
 * True if the broker reports more lines than this feed ever sent: it would ignore the next lines as
 * known.
 */
static bool claims_too_much(struct link *k, uint64_t received)
{
    if (received <= outbox_last(k->outbox))
        return false;
    link_note(k, NULL, LOG_ERROR,
              "the broker at %s says that it received line %llu of feed %s, which has "
              "sent %llu: "
              "its log and this feed do not belong together, or somebody else sends "
              "under this "
              "name; see the broker's log, then start this feeder again",
              k->set.control, (unsigned long long)received, k->set.feed,
              (unsigned long long)outbox_last(k->outbox));
    k->state = LINK_REFUSED;
    return true;
}

static void on_grant(struct link *k, struct span m)
{
    char follows[256];
    uint64_t version = pack_find_u(m, "version", 0);
    uint64_t epoch = pack_find_u(m, "epoch", 0), received = pack_find_u(m, "received", 0);

    if (version < WIRE_VERSION_OLDEST || version > WIRE_VERSION || !epoch) {
        link_note(k, NULL, LOG_ERROR,
                  "the broker answered hello with wire version %llu and feed epoch %llu",
                  (unsigned long long)version, (unsigned long long)epoch);
        k->state = LINK_REFUSED;
        return;
    }
    if (claims_too_much(k, received))
        return;
    former_describe(m, follows, sizeof follows);
    link_note(k, &k->grant_limit, LOG_INFO,
              "feed %s granted by the broker at %s: epoch %llu, %llu lines received%s%s",
              k->set.feed, k->set.control, (unsigned long long)epoch, (unsigned long long)received,
              k->was_open ? ", going on" : "", follows);
    k->epoch = epoch;
    k->state = LINK_OPENING;
    k->rewound_to = k->rewind_requested = 0;
    outbox_grant(k->outbox, epoch, received);
    stored_pause(&k->stored);
    k->silent_at = k->now + SILENCE_MS;
    if (!k->is_unproven) /* answers to hellos prove only the control socket */
        k->broken_at = k->now + LINK_SILENCE_MS;
    k->is_unproven = true;
    link_send_heartbeat(k);
}

static void on_denial(struct link *k, struct span m, struct span error)
{
    struct span text = pack_find_text(m, "message");
    uint64_t retry = pack_find_u(m, "retry_ms", HELLO_MS);
    bool is_held = span_eq(error, err_name(ERR_HELD));

    if (span_eq(error, err_name(ERR_VERSION)) || span_eq(error, err_name(ERR_INVALID))) {
        link_note(k, NULL, LOG_ERROR, "the broker refused the feed %s: %.*s: %.*s", k->set.feed,
                  (int)error.len, error.at, (int)text.len, text.at);
        k->state = LINK_REFUSED;
        return;
    }
    k->hello_at = k->now + (int64_t)(retry > RETRY_MAX_MS   ? RETRY_MAX_MS
                                     : retry < RETRY_MIN_MS ? RETRY_MIN_MS
                                                            : retry);
    k->broken_at = k->hello_at + LINK_SILENCE_MS;
    link_note(k, is_held ? &k->held_limit : &k->odd_limit, LOG_WARNING,
              "feed %s is not ours%s: %.*s: %.*s", k->set.feed, is_held ? ", standing by" : "",
              (int)error.len, error.at, (int)text.len, text.at);
    if (is_held) {
        k->state = LINK_STANDBY;
        k->epoch = 0;
    }
}

static void judge_stored(struct link *k, struct span m)
{
    uint64_t received = outbox_received(k->outbox);
    struct pack_value v;

    if (!pack_find(m, "stored", &v, NULL) || v.type != PACK_UINT) {
        stored_forget(&k->stored);
        return;
    }
    switch (stored_judge(&k->stored, received, v.u < received ? v.u : received, k->now)) {
    case STORED_NO_NEWS:
        break;
    case STORED_BEHIND:
        link_note(k, &k->behind_limit, LOG_WARNING,
                  "received but not stored for %d s: lines %llu to %llu; the log of the "
                  "broker at %s says why",
                  STORED_LATE_MS / 1000, (unsigned long long)k->stored.line + 1,
                  (unsigned long long)received, k->set.control);
        break;
    case STORED_CAUGHT_UP:
        link_note(k, &k->caught_up_limit, LOG_INFO,
                  "the broker's store has caught up: stored up to line %llu of %llu",
                  (unsigned long long)k->stored.line, (unsigned long long)received);
        break;
    }
}

static bool take_refusal(struct span *c, uint64_t *line, struct span *reason)
{
    return pack_next_array(c, 2) && pack_next_u(c, line) && pack_next_text(c, reason) &&
           reason->len <= REASON_MAX;
}

/* The broker names some of the lines that it refused since its last notice. */
static void take_refusals(struct link *k, struct span m)
{
    struct span c, reason;
    uint64_t line;
    uint32_t count = pack_find_list(m, "refusals", &c);

    for (uint32_t i = 0; i < count && take_refusal(&c, &line, &reason); i++) {
        if (!i)
            link_note(k, &k->refusal_limit, LOG_WARNING,
                      "the broker refused the quote of line %llu: %.*s; refused so far: %llu",
                      (unsigned long long)line, (int)reason.len, reason.at,
                      (unsigned long long)pack_find_u(m, "refused", 0));
        if (k->out.refused)
            k->out.refused(k->out.ctx, line, reason);
    }
}

static void on_received(struct link *k, struct span m)
{
    uint64_t line = pack_find_u(m, "line", 0);

    if (claims_too_much(k, line))
        return;
    outbox_receive(k->outbox, line);
    judge_stored(k, m);
    take_refusals(k, m);
    k->silent_at = k->now + SILENCE_MS;
    k->broken_at = k->now + LINK_SILENCE_MS;
    k->is_unproven = false;
    if (k->state != LINK_OPENING)
        return;
    k->state = LINK_OPEN;
    k->was_open = true;
    k->heartbeat_at = k->now + HEARTBEAT_MS;
}

/*
 * After a reconnect the broker reads the old connection's lines and the new one's in turns, and
 * every other line looks like a gap. So a rewind waits REWIND_MS after the one before, sending
 * pauses meanwhile, and what has arrived by then is not sent again.
 */
static void on_resend(struct link *k, struct span m)
{
    uint64_t from = pack_find_u(m, "from", 0);

    if (!k->rewound_to || k->now >= k->rewound_at + REWIND_MS)
        link_rewind_to(k, from);
    else if (from != k->rewound_to)
        k->rewind_requested = from;
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
        bool is_requesting = k->state == LINK_REQUESTING || k->state == LINK_STANDBY;

        if (!is_requesting || pack_find_u(m, "id", 0) < k->hello_from)
            return;
        k->warn_at = 0;
        if (error.len)
            on_denial(k, m, error);
        else
            on_grant(k, m);
        return;
    }
    /* A broker that restarted meanwhile knows neither this feeder nor its epoch. */
    if (error.len && (k->state == LINK_OPENING || k->state == LINK_OPEN)) {
        link_note(k, &k->odd_limit, LOG_WARNING,
                  "the broker answered %.*s with %.*s: sending hello again", (int)re.len, re.at,
                  (int)error.len, error.at);
        link_request_name(k);
    }
}

void link_take(struct link *k, struct span m)
{
    struct span op, re;

    if (pack_check(m)) {
        link_note(k, &k->odd_limit, LOG_WARNING,
                  "a malformed message of %zu bytes from the broker was dropped", m.len);
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
