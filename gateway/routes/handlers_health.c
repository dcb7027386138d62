/* handlers_health: /cotizaciones/health: the state of each part, with the reason of each fault. */
#include <stdio.h>

#include "gateway/limits/gate.h"
#include "gateway/routes/handlers_private.h"
#include "shared/wire/pack.h"
#include "shared/wire/quote.h"
#include "shared/base/version.h"

#define REFUSED_ROW 3   /* after this many refusals in a row, it is not a single bad quote */
#define QUIET_MS 60000u /* without an accepted quote: they do not "flow" */

/* The state of all feeds together. */
struct feeds_seen {
    uint32_t count, live, refusing;
    bool has_recent;   /* a live feed's quote was accepted within QUIET_MS */
    bool is_restarted; /* within QUIET_MS, with a log of before */
    char refused[160]; /* of the first that is refusing: its name and why */
};

static const char *refusal_text(struct span name)
{
    enum quote_refusal why;

    return quote_refusal_find(name, &why) ? quote_refusal_text(why)
                                          : "a reason that this gateway does not know";
}

/* Is every quote of this feed refused? */
static bool is_refusing(struct span feed)
{
    uint64_t row = pack_find_u(feed, "refused_in_row", 0);

    return row >= REFUSED_ROW || (row && !pack_find_u(feed, "accepted", 0));
}

static void see_feed(struct feeds_seen *s, struct span feed)
{
    struct span name = pack_find_text(feed, "name"), why = pack_find_text(feed, "refused_why");

    s->count++;
    if (!pack_find_bool(feed, "live", false))
        return;
    s->live++;
    /* A broker of an earlier version sends neither. */
    if (pack_find_u(feed, "quote_ms", UINT64_MAX) < QUIET_MS ||
        !pack_find(feed, "refused_in_row", &(struct pack_value){0}, NULL))
        s->has_recent = true;
    if (is_refusing(feed) && !s->refusing++)
        snprintf(s->refused, sizeof s->refused, "%.*s: %s", (int)name.len, name.at,
                 refusal_text(why));
}

void handlers_put_feed(struct buf *b, struct span feed, bool is_first, bool has_store)
{
    uint64_t silent = pack_find_u(feed, "silent_ms", 0),
             row = pack_find_u(feed, "refused_in_row", 0),
             quote_ms = pack_find_u(feed, "quote_ms", UINT64_MAX);
    bool is_live = pack_find_bool(feed, "live", false);
    bool has_left = pack_find_bool(feed, "left", false);
    struct span why = pack_find_text(feed, "refused_why");
    char refusing[160];

    snprintf(refusing, sizeof refusing, "lines arrive, but the last %llu quotes were refused: %s",
             (unsigned long long)row, refusal_text(why));
    buf_printf(b, "%s{\"name\":", is_first ? "" : ",");
    buf_json(b, pack_find_text(feed, "name"));
    member_text(b, "status", is_live ? SPAN("live") : has_left ? SPAN("ended") : SPAN("silent"));
    member_text(b, "reason",
                is_live && is_refusing(feed) ? span_of(refusing)
                : is_live                    ? SPAN("lines or heartbeats arrive")
                : has_left                   ? SPAN("it said goodbye: its symbols are stale")
                           : SPAN("no line and no heartbeat: its symbols are stale"));
    member_seconds(b, "age", silent);
    if (quote_ms != UINT64_MAX)
        member_seconds(b, "quote_age", quote_ms);
    member_u(b, "received", pack_find_u(feed, "received", 0));
    if (has_store)
        member_u(b, "stored", pack_find_u(feed, "stored", 0));
    member_u(b, "accepted", pack_find_u(feed, "accepted", 0));
    member_u(b, "refused", pack_find_u(feed, "refused", 0));
    member_u(b, "refused_in_row", row);
    member_u(b, "lost", pack_find_u(feed, "lost", 0));
    buf_addc(b, '}');
}

static void put_broker(const struct handlers *h, struct buf *b, struct span answer)
{
    int64_t silence = upstream_silence_ms(h->upstream);

    buf_printf(b,
               ",\"broker\":{\"status\":\"%s\",\"reason\":\"%s\",\"age\":%lld.%03lld,"
               "\"epoch\":\"%016llx\",\"seq\":%llu,\"gaps\":%llu",
               answer.len ? "up" : "away",
               answer.len ? "heartbeats and answers arrive"
                          : "no heartbeat or no answer: is pregon-broker running at "
                            "BROKER_PUBLISH and BROKER_CONTROL?",
               (long long)silence / 1000, (long long)silence % 1000,
               (unsigned long long)hub_epoch(h->hub), (unsigned long long)hub_seq(h->hub),
               (unsigned long long)upstream_gaps(h->upstream));
    if (answer.len) {
        member_text(b, "version", pack_find_text(answer, "version"));
        if (pack_find_text(answer, "epoch_reason").len)
            member_text(b, "epoch_reason", pack_find_text(answer, "epoch_reason"));
        member_u(b, "symbols", pack_find_u(answer, "symbols", 0));
        member_time(b, "started", pack_find_u(answer, "started", 0));
    }
    buf_addc(b, '}');
}

/* How the broker stores quotes; store.len 0: the broker did not answer this. */
struct keeping {
    struct span store, kind, reason, damage;
    bool is_durable, has_store; /* has_store: it is a file */
};

static struct keeping find_keeping(struct span answer)
{
    struct keeping k = {0};
    struct pack_value map;

    if (!pack_find(answer, "store", &map, &k.store) || map.type != PACK_MAP)
        return (struct keeping){0};
    k.kind = pack_find_text(k.store, "kind");
    k.has_store = k.kind.len && !span_eq(k.kind, "memory");
    k.is_durable = pack_find_bool(k.store, "durable", false);
    k.reason = pack_find_text(k.store, "reason");
    k.damage = pack_find_text(k.store, "damage");
    if (!k.reason.len)
        k.reason = k.is_durable ? SPAN("quotes are stored as they come")
                                : SPAN("the broker does not say why");
    return k;
}

static void put_keeping(struct buf *b, const struct keeping *k)
{
    if (!k->store.len)
        return;
    buf_adds(b, ",\"store\":{\"kind\":");
    buf_json(b, k->kind);
    member_flag(b, "durable", k->is_durable);
    member_text(b, "reason", k->reason);
    if (k->has_store) {
        member_u(b, "stored", pack_find_u(k->store, "stored", 0));
        member_u(b, "first", pack_find_u(k->store, "first", 0));
        member_u(b, "gaps", pack_find_u(k->store, "gaps", 0));
        member_seconds(b, "behind", pack_find_u(k->store, "behind_us", 0) / 1000);
        member_u(b, "damaged", pack_find_u(k->store, "damaged", 0));
        if (k->damage.len)
            member_text(b, "damage", k->damage);
    }
    buf_addc(b, '}');
}

/*
 * Quotes that are not stored, or damage in the log, are reported, but are no reason to take the
 * gateway out of service.
 */
static void put_verdict(struct buf *b, const char *ill, const struct feeds_seen *feeds,
                        const struct keeping *k)
{
    struct buf reason = {0};
    bool is_unstored = !ill && k->has_store && !k->is_durable;
    bool is_damaged = !ill && k->damage.len;
    bool is_degraded = is_unstored || is_damaged || (!ill && feeds->refusing);

    buf_adds(&reason, ill                 ? ill
                      : feeds->has_recent ? "quotes flow"
                      : feeds->is_restarted
                          ? "feeds are live, but no quote was accepted since the broker "
                            "started"
                          : "feeds are live, but no quote was accepted in "
                            "the last 60 s");
    if (is_unstored) {
        buf_adds(&reason, ", but are not being stored: ");
        buf_add(&reason, k->reason.at, k->reason.len);
    }
    if (is_damaged) {
        buf_adds(&reason, is_unstored ? "; also, a part of the log is damaged: "
                                      : ", but a part of the log is damaged: ");
        buf_add(&reason, k->damage.at, k->damage.len);
    }
    if (feeds->live && feeds->refusing)
        buf_printf(&reason, "%s every quote of %u of %u live feeds is refused (%s)",
                   ill                         ? ":"
                   : is_unstored || is_damaged ? "; also,"
                                               : ", but",
                   feeds->refusing, feeds->live, feeds->refused);
    buf_printf(b, "{\"status\":\"%s\"", ill ? "unhealthy" : is_degraded ? "degraded" : "ok");
    member_text(b, "reason", buf_span(&reason));
    buf_free(&reason);
}

void handlers_answer_health(void *ctx, struct span answer)
{
    struct loop_request *q = ctx;
    struct handlers *h = q->handlers;
    struct buf feeds = {0};
    struct span c;
    struct keeping keeping = find_keeping(answer);
    uint32_t count = pack_find_list(answer, "feeds", &c);
    struct feeds_seen seen = {0};
    const char *ill;

    for (uint32_t i = 0; i < count; i++) {
        struct span feed = pack_next_raw(&c);

        see_feed(&seen, feed);
        handlers_put_feed(&feeds, feed, i == 0, keeping.has_store);
    }
    seen.is_restarted =
        pack_find_u(answer, "seq", 0) &&
        pack_find_u(answer, "started", 0) + QUIET_MS * 1000ull > (uint64_t)h->sessions->wall_us;
    ill = gate_is_leaving(h->gate)    ? "this gateway is draining: SIGTERM came"
          : !gate_is_started(h->gate) ? "no broker reached since the start"
          : !answer.len               ? "the broker is away: values are stale"
          : !seen.count               ? "no feeder has ever connected"
          : !seen.live                ? "every feed is silent or has ended: values are stale"
          : seen.refusing == seen.live
              ? "feeds are live, but the broker accepts none of their quotes"
              : NULL;
    put_verdict(&q->body, ill, &seen, &keeping);
    put_broker(h, &q->body, answer);
    put_keeping(&q->body, &keeping);
    buf_adds(&q->body, ",\"feeds\":[");
    buf_add(&q->body, feeds.data, feeds.len);
    buf_addc(&q->body, ']');
    buf_free(&feeds);
    buf_adds(&q->body, ",\"gateway\":{\"name\":");
    buf_jsons(&q->body, h->name);
    member_text(&q->body, "version", SPAN(PREGON_VERSION));
    member_time(&q->body, "started", (uint64_t)h->started_us);
    member_u(&q->body, "active_connections", h->sessions->place_count);
    member_u(&q->body, "max_connections", (uint64_t)gate_limit(h->gate));
    member_flag(&q->body, "websocket_enabled", h->config->websocket_enabled);
    member_u(&q->body, "symbols", hub_symbol_count(h->hub));
    buf_addc(&q->body, '}');
    handlers_put_timestamp(h, &q->body);
    loop_request_answer(h->requests, q, ill ? 503 : 200);
}
