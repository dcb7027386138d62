/* store_private: shared by the files of the store; no other file includes it. */
#ifndef BROKER_LOG_STORE_PRIVATE_H
#define BROKER_LOG_STORE_PRIVATE_H

#include <sqlite3.h>

#include "broker/log/store.h"
#include "broker/sqlite/database.h"
#include "broker/sqlite/statement.h"

#define STORE_BLOCK_BITS 17
#define STORE_BLOCK_OF(seq) ((seq) >> STORE_BLOCK_BITS)

#define STORE_ROW "SELECT seq, symbol, kind, prev, sent, accepted, body FROM log "

/* Prepared once at opening, which also checks that the tables exist. */
#define STORE_STATEMENTS(X)                                                                     \
    X(META, "SELECT value FROM meta WHERE name = ?1")                                           \
    X(KEY_LAST_PUT, "INSERT OR REPLACE INTO meta (name, value) VALUES ('last_key', ?1)")        \
    X(OWN_COPY, "UPDATE meta SET value = CASE name WHEN 'is_copy' THEN 0"                       \
                " WHEN 'last_key' THEN value ELSE"                                              \
                " (random() & 0x7ffffffffffffffe) + 1 END"                                      \
                " WHERE (SELECT value FROM meta WHERE name = 'is_copy')")                       \
    X(LOG_ENDS, "SELECT (SELECT min(seq) FROM log), (SELECT max(seq) FROM log),"                \
                " (SELECT min(first) FROM gaps), (SELECT max(last) FROM gaps"                   \
                " WHERE first = (SELECT max(first) FROM gaps)),"                                \
                " (SELECT seq FROM last_value WHERE symbol = 0),"                               \
                " (SELECT accepted FROM log ORDER BY seq DESC LIMIT 1)")                        \
    X(LOG_FIRST, "SELECT min(seq) FROM log")                                                    \
    X(LOG_LAST, "SELECT max(seq) FROM log")                                                     \
    X(GAP_FIRST, "SELECT min(first) FROM gaps")                                                 \
    X(GAP_LAST, "SELECT last FROM gaps ORDER BY first DESC LIMIT 1")                            \
    X(LOSS_LAST, "SELECT seq FROM last_value WHERE symbol = 0")                                 \
    X(BLOCK_FIRST, "SELECT min(block) FROM blocks")                                             \
    X(EPOCH_FIRST, "SELECT min(first_seq) FROM epochs")                                         \
    X(EPOCH_LAST, "SELECT epoch, first_seq FROM epochs"                                         \
                  " ORDER BY first_seq DESC LIMIT 1")                                           \
    X(EPOCH_OF, "SELECT epoch, first_seq, (SELECT min(first_seq) FROM epochs"                   \
                " WHERE first_seq > ?1) FROM epochs WHERE first_seq <= ?1"                      \
                " ORDER BY first_seq DESC LIMIT 1")                                             \
    X(EPOCH_ADD, "INSERT OR REPLACE INTO epochs (epoch, first_seq, reason, started)"            \
                 " VALUES (?1, ?2, ?3, ?4)")                                                    \
    X(LAST_ALL, "SELECT symbols.name, last_value.seq, is_stale, feeds.name, record"             \
                " FROM last_value JOIN symbols ON symbols.id = last_value.symbol"               \
                " LEFT JOIN feeds ON feeds.id = last_value.feed"                                \
                " ORDER BY last_value.symbol")                                                  \
    X(LAST_OF, "SELECT seq FROM last_value WHERE symbol = ?1")                                  \
    X(LAST_QUOTE, "INSERT INTO last_value"                                                      \
                  " (symbol, seq, is_stale, feed, quote_seq, bid, ask, last, record)"           \
                  " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT (symbol) DO UPDATE" \
                  " SET seq = excluded.seq, is_stale = excluded.is_stale,"                      \
                  " feed = coalesce(excluded.feed, feed), quote_seq = excluded.quote_seq,"      \
                  " bid = excluded.bid, ask = excluded.ask, last = excluded.last,"              \
                  " record = excluded.record")                                                  \
    X(LAST_STATE, "INSERT INTO last_value (symbol, seq, is_stale, feed)"                        \
                  " VALUES (?1, ?2, ?3, ?4) ON CONFLICT (symbol) DO UPDATE"                     \
                  " SET seq = excluded.seq, is_stale = excluded.is_stale,"                      \
                  " feed = coalesce(excluded.feed, feed)")                                      \
    X(LAST_REMOVED, "INSERT INTO last_value (symbol, seq, is_stale)"                            \
                    " VALUES (?1, ?2, 2) ON CONFLICT (symbol) DO UPDATE"                        \
                    " SET seq = excluded.seq, is_stale = 2, feed = NULL, quote_seq = NULL,"     \
                    " bid = NULL, ask = NULL, last = NULL, record = NULL, day = NULL")          \
    X(FEED_ALL, "SELECT name, owner, epoch, received, ended FROM feeds ORDER BY id")            \
    X(FEED_PUT, "INSERT INTO feeds (name, owner, epoch, received, ended)"                       \
                " VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (name) DO UPDATE"                     \
                " SET owner = excluded.owner, epoch = excluded.epoch,"                          \
                " received = excluded.received, ended = excluded.ended")                        \
    X(FEED_LEAVE, "UPDATE last_value SET feed = NULL"                                           \
                  " WHERE feed = (SELECT id FROM feeds WHERE name = ?1)")                       \
    X(FEED_DROP, "DELETE FROM feeds WHERE name = ?1")                                           \
    X(FEED_ID, "SELECT id FROM feeds WHERE name = ?1")                                          \
    X(SYMBOL_ALL, "SELECT id, name FROM symbols")                                               \
    X(SYMBOL_ID, "SELECT id FROM symbols WHERE name = ?1")                                      \
    X(SYMBOL_NAME, "SELECT name FROM symbols WHERE id = ?1")                                    \
    X(SYMBOL_ADD, "INSERT INTO symbols (name) VALUES (?1)")                                     \
    X(GAP_ADD, "INSERT INTO gaps (first, last, reason, recorded)"                               \
               " VALUES (?1, ?2, ?3, ?4)")                                                      \
    X(GAPS_UP, "SELECT first, last, reason FROM gaps WHERE first <= ?2 AND last > ?1"           \
               " AND first >= (SELECT coalesce(max(first), 0) FROM gaps"                        \
               " WHERE first <= ?1) ORDER BY first")                                            \
    X(GAPS_DOWN, "SELECT first, last, reason FROM gaps WHERE first <= ?2"                       \
                 " AND last > ?1 AND first >= (SELECT coalesce(max(first), 0)"                  \
                 " FROM gaps WHERE first <= ?1) ORDER BY first DESC")                           \
    X(LOG_ADD, "INSERT INTO log"                                                                \
               " (seq, symbol, kind, prev, sent, accepted, bid, ask, last, body)"               \
               " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)")                             \
    X(BLOCK_PUT, "INSERT OR REPLACE INTO blocks (block, oldest, newest, records)"               \
                 " VALUES (?1, ?2, ?3, ?4)")                                                    \
    X(BLOCK_AT, "SELECT oldest, newest, records FROM blocks WHERE block = ?1")                  \
    X(BLOCK_UP, "SELECT block FROM blocks WHERE block BETWEEN ?1 AND ?2"                        \
                " AND newest >= ?3 AND oldest < ?4 ORDER BY block LIMIT 1")                     \
    X(BLOCK_DOWN, "SELECT block FROM blocks WHERE block BETWEEN ?1 AND ?2"                      \
                  " AND newest >= ?3 AND oldest < ?4 ORDER BY block DESC LIMIT 1")              \
    X(CHAIN_PUT, "INSERT OR REPLACE INTO chain (block, symbol, seq, records)"                   \
                 " VALUES (?1, ?2, ?3, ?4)")                                                    \
    X(CHAIN_AT, "SELECT seq, records FROM chain WHERE block = ?1 AND symbol = ?2")              \
    X(CHAIN_BLOCK, "SELECT symbol, seq, records FROM chain WHERE block = ?1")                   \
    X(ROW_AT, STORE_ROW "WHERE seq = ?1")                                                       \
    X(KEY_DOWN, "SELECT seq FROM log WHERE kind = ?1 AND seq < ?2 AND seq >= ?3"                \
                " ORDER BY seq DESC LIMIT 1")                                                   \
    X(ROWS_UP, STORE_ROW "WHERE seq >= ?1 AND seq <= ?2 ORDER BY seq")                          \
    X(ROWS_DOWN, STORE_ROW "WHERE seq >= ?1 AND seq <= ?2 ORDER BY seq DESC")                   \
    X(ROW_FROM, STORE_ROW "WHERE seq >= ?1 ORDER BY seq LIMIT 1")                               \
    X(ROW_UPTO, STORE_ROW "WHERE seq <= ?1 ORDER BY seq DESC LIMIT 1")                          \
    X(EPOCH_IN, "SELECT max(first_seq) FROM epochs"                                             \
                " WHERE first_seq > ?1 AND first_seq <= ?2")                                    \
    X(STEP_AT, "SELECT symbol, prev, accepted FROM log WHERE seq = ?1")                         \
    X(PRUNE_NTH, "SELECT seq FROM log ORDER BY seq LIMIT 1 OFFSET ?1")                          \
    X(PRUNE_AGE, "SELECT seq, accepted FROM log WHERE seq <= ?1 ORDER BY seq")                  \
    X(PRUNE_LOG, "DELETE FROM log WHERE seq <= ?1")                                             \
    X(PRUNE_GAPS, "DELETE FROM gaps WHERE first IN (SELECT first FROM gaps"                     \
                  " WHERE first <= ?1 ORDER BY first LIMIT ?2) AND last <= ?1")                 \
    X(PRUNE_BLOCKS, "DELETE FROM blocks WHERE block < ?1")                                      \
    X(PRUNE_CHAIN_FROM, "SELECT min(block) FROM chain")                                         \
    X(PRUNE_CHAIN, "DELETE FROM chain WHERE block = ?1 AND symbol <"                            \
                   " coalesce((SELECT symbol FROM chain WHERE block = ?1"                       \
                   " ORDER BY symbol LIMIT 1 OFFSET ?2), 0x7fffffffffffffff)")

enum store_statement {
#define X(name, sql) STORE_##name,
    STORE_STATEMENTS(X)
#undef X
        STORE_STATEMENT_COUNT
};

struct store_writer; /* store_write.c's */

struct store {
    struct database file;
    enum store_mode mode;
    struct store_writer *writer; /* NULL: not read yet, or no longer valid */
    struct store_feed_known {
        char name[65];
        int64_t id; /* in feeds, 0: to be looked up */
    } * feeds;      /* by the caller's index; NULL: no feed is known yet */
    /* Frames in FILE-wal after the last commit, and when we last moved them. */
    size_t wal_frames, wal_moved;
    size_t page_size;
    /* Names of symbols by id, as far as they were needed: they never change. */
    struct store_name {
        char text[QUOTE_SYMBOL_MAX + 1];
        uint8_t len; /* 0: not read yet */
    } * names;
    size_t name_cap;
    uint64_t damaged_page;    /* the damaged page found at opening; 0: none */
    struct store_state known; /* as last read; all zero: never */
};

/* Ready to bind and step. */
static inline sqlite3_stmt *store_statement(struct store *s, enum store_statement which)
{
    return database_statement(&s->file, which);
}

/* Within a transaction. */
int store_read_state(struct store *s, struct store_state *out);

/* store_feed.c: within a transaction. */
int store_put_feeds(struct store *s, const struct store_batch *b);
/* A record of this batch removes the feed. */
int store_drop_feed(struct store *s, const struct store_batch *b, struct span name);
/* The newest key stands there; 0: no newer one. */
int store_put_last_key(struct store *s, uint64_t seq);
/* The id of the feed's row; 0: unknown.  Call store_put_feeds before. */
int64_t store_feed_id(struct store *s, uint32_t index);
/* Keep the names and drop the row ids: a failed transaction may have removed the rows. */
void store_forget_feeds(struct store *s);

/* store_write.c */
void store_writer_forget(struct store *s);
/* Does the store have everything that writing needs?  SQLITE_OK, or the error. */
int store_writer_check(struct store *s);

#endif
