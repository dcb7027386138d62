/*
 * pregon_publish: publish quotes over a connection of libpregon, and learn what became of them.
 *
 *     static void on_refused(void *ctx, struct pregon_feed *f, const struct pregon_refusal *r) …
 *
 *     struct pregon_feed_options o = PREGON_FEED_OPTIONS;
 *     struct pregon_publish_field quote[] = {{"bid", "1.0842"}, {"ask", "1.0843"}};
 *
 *     o.on_refused = on_refused;
 *     if (pregon_feed_open(p, "my-feed", &o, &feed))
 *         …
 *     pregon_publish(feed, "EUR/USD", quote, 2, NULL, &refusal);
 *
 * A feed is a named stream of quotes that one program publishes at a time; more programs may open
 * it and stand by. pregon_publish numbers the feed's quotes from 1 (their lines) and keeps each
 * until the broker has received it; pregon_turn sends them. The broker takes each line once and in
 * order, also when connections break or the broker is killed and starts again. Memory: at most
 * `lines` quotes and 64 MiB for each feed; pregon_publish returns PREGON_ERROR_FULL then.
 *
 * Call pregon_turn at least twice a second, as for locks: a program that is silent for 0.9 s loses
 * the name to a program that stands by. It then stands by itself, and its quotes wait.
 *
 * Threads, callbacks, ownership, units and errors are as in pregon.h.
 */
#ifndef PREGON_PUBLISH_H
#define PREGON_PUBLISH_H

#include "pregon.h"

#ifdef __cplusplus
extern "C" {
#endif

struct pregon_feed; /* a feed that this program publishes over a connection */

enum pregon_feed_state {
    PREGON_FEED_REQUESTING, /* no broker has answered yet, or it is away: quotes wait */
    PREGON_FEED_OPEN,       /* this program has the name, and quotes are sent */
    /* another program has the name: quotes wait, and are sent when this one gets the name */
    PREGON_FEED_STANDBY,
    /* the broker refused the feed for good: nothing is sent any more, close the feed */
    PREGON_FEED_REFUSED,
};

/*
 * A quote that is refused. The texts are constants, or names that the caller gave; of a callback
 * they are valid until it returns.
 */
struct pregon_refusal {
    uint64_t line;       /* of the broker: the quote's line; of pregon_publish: 0, it has none */
    const char *code;    /* "bad_price", "future", …; docs/protocol/README.md */
    const char *field;   /* the field that it is about; "": the quote as a whole */
    const char *message; /* one sentence; "" for a code that this library does not know */
};

struct pregon_feed_options {
    size_t size; /* PREGON_FEED_OPTIONS sets it */
    /* NULL: the environment's BROKER_INGEST; without it tcp://127.0.0.1:5555. */
    const char *ingest;
    /* The field `source` of quotes that have none: 1 to 64 bytes; NULL: the feed's name. */
    const char *source;
    uint32_t lines;       /* quotes that may wait for the broker: 16 to 16777216, 0: 65536 */
    bool allow_crossed;   /* publish quotes whose bid is above the ask */
    bool refuse_negative; /* refuse prices below 0 */

    void *ctx; /* passed to the callbacks; each callback may be NULL */
    /* All lines up to this one have arrived at the broker. */
    void (*on_received)(void *ctx, struct pregon_feed *f, uint64_t line);
    /* All lines up to this one are on the broker's disk; never called if it has no store. */
    void (*on_stored)(void *ctx, struct pregon_feed *f, uint64_t line);
    /*
     * The broker refused the quote of a line: its clock or its settings differ from this program's,
     * or it knows no more symbols. Called before on_received for that line. The broker names the
     * first 32 of the quotes refused within 50 ms.
     */
    void (*on_refused)(void *ctx, struct pregon_feed *f, const struct pregon_refusal *r);
    /* The state changed. why: one sentence, for PREGON_FEED_STANDBY and PREGON_FEED_REFUSED. */
    void (*on_state)(void *ctx, struct pregon_feed *f, enum pregon_feed_state state,
                     const char *why);
};

static inline struct pregon_feed_options pregon_feed_options_begin(void)
{
    struct pregon_feed_options o;

    memset(&o, 0, sizeof o);
    o.size = sizeof o;
    return o;
}
#define PREGON_FEED_OPTIONS pregon_feed_options_begin()

/*
 * Opens a feed: 1 to 64 characters of A-Z a-z 0-9 . _ -. The broker need not run yet.
 * PREGON_ERROR_INVALID: the name, an option or an address is not valid; PREGON_ERROR_SYSTEM. The
 * feed lives until pregon_feed_close, or pregon_close, which closes it.
 */
PREGON_API enum pregon_error pregon_feed_open(struct pregon *p, const char *name,
                                              const struct pregon_feed_options *options,
                                              struct pregon_feed **out);
/*
 * Gives the name back: the feed's symbols become stale. Lines that the broker has not received are
 * dropped; to keep them, first run until pregon_feed_received equals pregon_feed_published. No
 * callback of the feed is called after this.
 */
PREGON_API void pregon_feed_close(struct pregon_feed **f);

/* A field of a quote as text: a price "1034.50", a size, seconds since 1970, or a word. */
struct pregon_publish_field {
    const char *name;
    const char *text;
};

/*
 * Publishes a quote: its symbol and up to 63 fields, of which one must be bid, ask or last. Names
 * and texts are UTF-8. Prices and sizes keep their text (an exponent is written out). Without a
 * `timestamp` it gets the time of this call. *line (NULL is allowed) is the quote's number.
 *
 * PREGON_ERROR_INVALID: the quote is not valid, and *refusal (NULL is allowed) gives the reason.
 * PREGON_ERROR_FULL: too many quotes wait for the broker; publish it again after on_received.
 * PREGON_ERROR_CLOSED: the broker refused the feed for good.
 */
PREGON_API enum pregon_error pregon_publish(struct pregon_feed *f, const char *symbol,
                                            const struct pregon_publish_field *fields, size_t count,
                                            uint64_t *line, struct pregon_refusal *refusal);

/* As the callbacks last reported. */
PREGON_API enum pregon_feed_state pregon_feed_state(const struct pregon_feed *f);
PREGON_API uint64_t pregon_feed_received(const struct pregon_feed *f);
PREGON_API uint64_t pregon_feed_stored(const struct pregon_feed *f);
/* The line of the last quote, 0: none. */
PREGON_API uint64_t pregon_feed_published(const struct pregon_feed *f);
/* Will pregon_publish take a quote? */
PREGON_API bool pregon_feed_has_room(const struct pregon_feed *f);

#ifdef __cplusplus
}
#endif

#endif
