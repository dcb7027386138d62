/* tail_config: every setting of pregon-tail; the only place to add one. */
#ifndef CONSUMER_TAIL_TAIL_CONFIG_H
#define CONSUMER_TAIL_TAIL_CONFIG_H

#include "shared/config/config.h"

/* clang-format off */
#define TAIL_SETTINGS(X)                                                                 \
    /* kind, NAME, field, default, min, max, allowed, help */                            \
    X(list, SYMBOLS, symbols, "*", 0, 65536, NULL,                                       \
      "What to follow: symbols, or prefixes with a star (BTC*); also without the "       \
      "flag. Put a star in quotes because of the shell.")                                \
    X(choice, FORMAT, format, "auto", 0, 8, "auto|json|table",                           \
      "json: one object a line, as browsers get them; table: aligned columns; auto: a "  \
      "table on a terminal, else json. NO_COLOR, set to anything, keeps it plain.")      \
    X(choice, MODE, mode, "all", 0, 8, "all|merge",                                      \
      "all: every record; merge: only the newest value of each symbol, if more "         \
      "arrives than can be written.")                                                    \
    X(text, SINCE, since, "", 0, 64, NULL,                                               \
      "Continue after this position, EPOCH:SEQ, as printed at the end of an earlier "    \
      "run. Records that were written within the last second before that end may come "  \
      "again. start: everything in the broker's log. A time, such as "                   \
      "2026-11-25T12:00:00Z (UTC unless it has an offset) or @ and Unix seconds: what "  \
      "the broker accepted then or later; it reads the log from its beginning.")         \
    X(text, UNTIL, until, "", 0, 64, NULL,                                               \
      "end: stop after the records that the log has at the start of the run. A time, "   \
      "as for SINCE: stop before the first record that the broker accepted then or "     \
      "later; if it lies in the future, 2 s after it at the latest.")                    \
    X(int, COUNT, count, "0", 0, INT64_MAX, NULL,                                        \
      "End after this many quotes (snapshots count); 0: continue until stopped.")        \
    X(flag, SNAPSHOT, snapshot, "1", 0, 1, NULL,                                         \
      "Begin with the newest value of each symbol.")                                     \
    X(text, FORGET, forget, "", 0, 70, NULL,                                             \
      "Instead of following: remove this symbol, or with feed:NAME this feed and its "   \
      "symbols, from the broker. It must have ended, or be silent; a symbol that comes " \
      "again is there again.")                                                           \
    X(endpoint, BROKER_PUBLISH, broker_publish, "tcp://127.0.0.1:5556", 6, 200, NULL,    \
      "Address at which the broker publishes records.")                                  \
    X(endpoint, BROKER_CONTROL, broker_control, "tcp://127.0.0.1:5557", 6, 200, NULL,    \
      "Address at which the broker answers requests.")
/* clang-format on */

struct tail_config {
    CONFIG_COMMON(CONFIG_FIELD)
    TAIL_SETTINGS(CONFIG_FIELD)
};

extern const struct config_program tail_program;

#endif
