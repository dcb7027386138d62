/* feeder_config: every setting of the feeder; the only place to add one. */
#ifndef FEEDER_FEEDER_CONFIG_H
#define FEEDER_FEEDER_CONFIG_H

#include "shared/config/config.h"

/* clang-format off */
#define FEEDER_SETTINGS(X)                                                               \
    /* kind, NAME, field, default, min, max, allowed, help */                            \
    X(text, FEED, feed, "feed", 1, 64, NULL,                                             \
      "Name of the feed: A-Z a-z 0-9 . _ -. A second feeder of that name waits as a "    \
      "standby.")                                                                        \
    X(list, SOURCE, source, "", 0, 8000, NULL,                                           \
      "Where quotes come from; may be given more than once. csv:FILE replays a "         \
      "recorded table, ndjson:FILE what pregon-tail or history?format=ndjson wrote, - "  \
      "reads one JSON object per line from standard input, sim:N simulates N symbols. "  \
      "Values for one source alone: csv:FILE?speed=60&loop=1&max_gap=2 (ndjson too; "    \
      "speed=max: without pauses), sim:N?rate=1000&bytes=120&seed=1. A path with a "     \
      "comma needs a JSON list.")                                                        \
    X(int, SPEED, speed, "1", 0, 1000000000, NULL,                                       \
      "How many times faster than recorded a recording is replayed; 0: without "         \
      "pauses.")                                                                         \
    X(flag, LOOP, loop, "0", 0, 1, NULL,                                                 \
      "Replay a recording again when it ends, after a pause of MAX_GAP.")                    \
    X(int, RATE, rate, "1000", 0, 100000000, NULL,                                       \
      "Quotes per second of a simulation; 0: as fast as possible.")                      \
    X(seconds, MAX_GAP, max_gap, "2", 0, 86400, NULL,                                    \
      "Longest pause of a replayed table in seconds (after division by SPEED); longer "  \
      "ones are shortened to this.")                                                     \
    X(seconds, MAX_FUTURE, max_future, "60", 0, 86400, NULL,                             \
      "Seconds by which a quote's timestamp may be ahead of the feeder's clock; the "    \
      "broker has the same setting.")                                                    \
    X(choice, TIMESTAMPS, timestamps, "now", 0, 8, "now|tape",                           \
      "Timestamp of a recorded quote. now: the present time, with its original time "    \
      "as recorded_at; tape: its original time.")                                        \
    X(choice, CROSSED, crossed, "refuse", 0, 8, "refuse|allow",                          \
      "Whether quotes whose bid is above the ask are accepted.")                         \
    X(choice, NEGATIVE, negative, "allow", 0, 8, "refuse|allow",                         \
      "Whether quotes with a price below 0 are accepted (oil in April 2020, power, "     \
      "spreads).")                                                                       \
    X(text, SOURCE_LABEL, source_label, "", 0, 64, NULL,                                 \
      "The field source of quotes that name none; default: \"recorded data\" for csv, "  \
      "the feed's name for the others.")                                                 \
    X(int, RING, ring, "65536", 16, 16777216, NULL,                                      \
      "Quotes that the feeder keeps until the broker has received them (64 MiB at "      \
      "most); when full, the sources wait.")                                             \
    X(endpoint, BROKER_INGEST, broker_ingest, "tcp://127.0.0.1:5555", 6, 200, NULL,      \
      "Address at which the broker receives quotes.")                                    \
    X(endpoint, BROKER_CONTROL, broker_control, "tcp://127.0.0.1:5557", 6, 200, NULL,    \
      "Address at which the broker answers requests.")                                   \
    X(seconds, TIMEOUT_GRACEFUL_SHUTDOWN, timeout_graceful_shutdown, "5", 0, 600, NULL,  \
      "Seconds to wait until the broker has received all lines: after SIGTERM in "       \
      "total, at the end of input without progress. A second signal ends it at once.")
/* clang-format on */

struct feeder_config {
    CONFIG_COMMON(CONFIG_FIELD)
    FEEDER_SETTINGS(CONFIG_FIELD)
};

extern const struct config_program feeder_program;

bool feeder_config_is_feed(const char *name); /* is it valid as FEED? */

#endif
