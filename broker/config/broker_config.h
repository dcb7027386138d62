/* broker_config: every setting of the broker; the only place to add one. */
#ifndef BROKER_CONFIG_BROKER_CONFIG_H
#define BROKER_CONFIG_BROKER_CONFIG_H

#include "shared/config/config.h"
#include "shared/wire/publish.h"

/* clang-format off */
#define BROKER_SETTINGS(X)                                                               \
    /* kind, NAME, field, default, min, max, allowed, help */                            \
    X(endpoint, BROKER_INGEST, broker_ingest, "tcp://127.0.0.1:5555", 6, 200, NULL,      \
      "Address to which feeders publish; port 0 takes a free port, which the ready "     \
      "line shows.")                                                                     \
    X(endpoint, BROKER_PUBLISH, broker_publish, "tcp://127.0.0.1:5556", 6, 200, NULL,    \
      "Address at which gateways and consumers subscribe.")                              \
    X(endpoint, BROKER_CONTROL, broker_control, "tcp://127.0.0.1:5557", 6, 200, NULL,    \
      "Address at which all programs send requests.")                                    \
    X(int, PUBLISH_QUEUE, publish_queue, "100000", 1000, 100000000, NULL,                \
      "Records that may wait for one gateway or consumer; beyond that the broker "       \
      "closes its connection (the peer reconnects and requests what it missed from "     \
      "the log).")                                                                       \
    X(int, PEER_CONNECTIONS, peer_connections, "1000", 10, 1000000, NULL,                \
      "Connections to each of the three sockets. Beyond that the broker closes one "     \
      "that never sent a message, or else the newest.")                                  \
    X(int, PEER_BYTES, peer_bytes, "4194304", 262144, 1073741824, NULL,                  \
      "Bytes of answers that the broker keeps for one connection that does not read "    \
      "them; beyond that it refuses the connection's requests (too_many_requests). A "   \
      "quarter of this limits the topics that one connection may subscribe to (each "    \
      "counts its bytes plus 4).")                                                       \
    X(seconds, PEER_TIMEOUT, peer_timeout, "5", 1, 3600, NULL,                           \
      "Seconds after which the broker closes a connection that reads nothing although "  \
      "data waits for it.")                                                              \
    X(text, STORE, store, "memory", 1, 4000, NULL,                                       \
      "Where the broker keeps the log: sqlite:FILE (with FILE-ring beside it), which "   \
      "survives a killed broker, or memory.")                                            \
    X(int, RETENTION_COUNT, retention_count, "10000000", 1000, 1000000000000, NULL,      \
      "Records that the store keeps at most.")                                           \
    X(seconds, RETENTION_AGE, retention_age, "86400", 1, 3153600000, NULL,               \
      "Seconds for which the store keeps a record; it keeps last values for ever.")      \
    X(int, JOURNAL_BYTES, journal_bytes, "134217728", 1048576, 17179869184, NULL,        \
      "Bytes of the newest records that the broker keeps in memory: for replay, and "    \
      "until they are stored.")                                                          \
    X(text, BACKUP, backup, "", 0, 4000, NULL,                                           \
      "Copy the STORE and its locks to this one file, also while a broker is writing, "  \
      "and exit; RESTORE puts it back.")                                                 \
    X(text, RESTORE, restore, "", 0, 4000, NULL,                                         \
      "Check this backup, put it in the place of the STORE and its locks, and exit; "    \
      "the previous files are kept beside it.  No broker may be using the STORE.")       \
    X(int, MAX_SYMBOLS_TOTAL, max_symbols_total, "1000000", 1, 100000000, NULL,          \
      "Symbols that the broker knows at most; it refuses a quote of one more.")          \
    X(seconds, MAX_FUTURE, max_future, "60", 0, 86400, NULL,                             \
      "Seconds by which a quote's timestamp may be ahead of the broker's clock.")        \
    X(seconds, PUBLISH_TIMEOUT, publish_timeout, "60", 1, 86400, NULL,                    \
      "Seconds after the last request to publish (POST /cotizaciones/quotes) after "     \
      "which its feed is silent: its symbols become stale.")                             \
    X(int, PUBLISH_KEYS, publish_keys, "200000", PUBLISH_PARTS_MAX, 10000000, NULL,      \
      "Idempotency keys that the broker keeps at most, each for ten minutes; beyond "    \
      "that it refuses requests with a new key.")                                        \
    X(seconds, LOCK_TTL_MAX, lock_ttl_max, "600", 1, 600, NULL,                          \
      "Seconds for which the broker grants a lock at most; then the holder must renew "  \
      "it.")                                                                             \
    X(seconds, LOCK_DELAY_MAX, lock_delay_max, "600", 0, 600, NULL,                      \
      "Seconds for which a lock may stay closed at most after its holder fell silent.")  \
    X(int, LOCK_COUNT_MAX, lock_count_max, "10000", 1, 1000000, NULL,                    \
      "Locks that the broker knows at most.")                                            \
    X(seconds, TIMEOUT_GRACEFUL_SHUTDOWN, timeout_graceful_shutdown, "5", 0, 600, NULL,  \
      "Seconds after SIGTERM in which the broker publishes what has arrived; a second "  \
      "signal ends it at once.")
/* clang-format on */

struct broker_config {
    CONFIG_COMMON(CONFIG_FIELD)
    BROKER_SETTINGS(CONFIG_FIELD)
};

extern const struct config_program broker_program;

/* The path in STORE, or NULL for memory. */
const char *broker_config_store(const struct broker_config *config);
bool broker_config_is_store(const char *store); /* is this a valid STORE? */
/* Do the settings go together?  False: standard error has which do not, and what to change. */
bool broker_config_check(const struct broker_config *config);

#endif
