/* feeder_config: every setting of the feeder; the only place to add one. */
#ifndef FEEDER_FEEDER_CONFIG_H
#define FEEDER_FEEDER_CONFIG_H

#include "shared/config/config.h"

/* clang-format off */
#define FEEDER_SETTINGS(X)                                                               \
    /* kind, NAME, field, default, min, max, allowed, help */                            \
    X(text, FEED, feed, "feed", 1, 64, NULL,                                             \
      "Name of the feed, of A-Z a-z 0-9 . _ -; a second feeder of that name stands by.") \
    X(list, SOURCE, source, "", 0, 8000, NULL,                                           \
      "Where quotes come from; may be given again. csv:FILE plays a recorded table, - "  \
      "reads one JSON object per line from standard input, sim:N makes up N symbols. "   \
      "Own values for one source: csv:FILE?speed=60&loop=1&max_gap=2, "                  \
      "sim:N?rate=1000&bytes=120&seed=1. A path with a comma needs a JSON list.")        \
    X(int, SPEED, speed, "1", 0, 1000000000, NULL,                                       \
      "How many times faster than recorded a table is played; 0: without waiting.")      \
    X(flag, LOOP, loop, "0", 0, 1, NULL,                                                 \
      "Play a table again when it ends, after a silence of MAX_GAP.")                    \
    X(int, RATE, rate, "1000", 0, 100000000, NULL,                                       \
      "Quotes per second of a simulation; 0: as fast as it goes.")                       \
    X(seconds, MAX_GAP, max_gap, "2", 0, 86400, NULL,                                    \
      "Seconds; a longer silence of a table (already divided by SPEED) is cut to this.") \
    X(seconds, MAX_FUTURE, max_future, "60", 0, 86400, NULL,                             \
      "Seconds a quote's timestamp may lie ahead of our clock; the broker has the same.")\
    X(choice, TIMESTAMPS, timestamps, "now", 0, 8, "now|tape",                           \
      "Timestamp of a recorded quote: now, with its own time as recorded_at; or its own "\
      "time.")                                                                           \
    X(choice, CROSSED, crossed, "refuse", 0, 8, "refuse|allow",                          \
      "What becomes of quotes whose bid is above the ask.")                              \
    X(choice, NEGATIVE, negative, "allow", 0, 8, "refuse|allow",                         \
      "What becomes of quotes with a price below 0 (oil in April 2020, power, spreads).")\
    X(text, SOURCE_LABEL, source_label, "", 0, 64, NULL,                                 \
      "The field source of quotes that name none; default: \"recorded data\" for csv, "  \
      "the feed's name for the others.")                                                 \
    X(int, RING, ring, "65536", 16, 16777216, NULL,                                      \
      "Quotes kept until the broker has received them (and 64 MiB at most); full, the "  \
      "sources wait.")                                                                   \
    X(endpoint, BROKER_INGEST, broker_ingest, "tcp://127.0.0.1:5555", 6, 200, NULL,      \
      "Where the broker takes quotes.")                                                  \
    X(endpoint, BROKER_CONTROL, broker_control, "tcp://127.0.0.1:5557", 6, 200, NULL,    \
      "Where the broker answers questions.")                                             \
    X(seconds, TIMEOUT_GRACEFUL_SHUTDOWN, timeout_graceful_shutdown, "5", 0, 600, NULL,  \
      "Seconds to wait for the broker to receive what was sent, after SIGTERM in all, "  \
      "at the end of input without progress; a second signal ends it at once.")
/* clang-format on */

struct feeder_config {
    CONFIG_COMMON(CONFIG_FIELD)
    FEEDER_SETTINGS(CONFIG_FIELD)
};

extern const struct config_program feeder_program;

bool feeder_config_is_feed(const char *name); /* may FEED say so? */

#endif
