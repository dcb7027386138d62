#include "broker/log/store_schema.h"

/* The comments are inside the statements, so that `sqlite3 FILE .schema` shows them. */
static const char version_1[] =
    "CREATE TABLE meta (\n"
    "  -- About this file; the version of its tables is PRAGMA user_version.\n"
    "  --   store_id  a random number that tells this store from others\n"
    "  --   is_copy   1: made by a backup; a broker that opens it begins a new epoch\n"
    "  name TEXT NOT NULL PRIMARY KEY,\n"
    "  value INTEGER NOT NULL\n"
    ") WITHOUT ROWID;\n"

    "CREATE TABLE symbols (\n"
    "  -- Every symbol that ever was, in the order of appearance.\n"
    "  id INTEGER PRIMARY KEY,\n"
    "  name TEXT NOT NULL UNIQUE\n"
    ");\n"

    "CREATE TABLE feeds (\n"
    "  -- Who may publish, and how far each feed has come.  Epochs are unsigned;\n"
    "  -- printf('%llu', epoch) shows them.\n"
    "  id INTEGER PRIMARY KEY,\n"
    "  name TEXT NOT NULL UNIQUE,\n"
    "  owner TEXT NOT NULL,        -- the process that held the name last\n"
    "  epoch INTEGER NOT NULL,     -- the token of its lease\n"
    "  received INTEGER NOT NULL   -- all its lines up to this one are in\n"
    ");\n"

    "CREATE TABLE epochs (\n"
    "  -- Which epoch of the log positions belong to: the last one with\n"
    "  -- first_seq <= seq.  The log of the broker shows printf('%016llx', epoch).\n"
    "  first_seq INTEGER PRIMARY KEY,\n"
    "  epoch INTEGER NOT NULL,\n"
    "  started INTEGER NOT NULL,   -- microseconds since 1970\n"
    "  reason TEXT NOT NULL\n"
    ");\n"

    "CREATE TABLE log (\n"
    "  -- Every record that was published, by position; the view quotes is easier to "
    "read.\n"
    "  -- Times are microseconds since 1970.\n"
    "  seq INTEGER PRIMARY KEY,    -- position, dense but for gaps\n"
    "  symbol INTEGER,             -- symbols.id, NULL: a loss, which concerns all\n"
    "  kind INTEGER NOT NULL,      -- 1 quote, 2 state (stale or live), 3 loss\n"
    "  prev INTEGER NOT NULL,      -- the symbol's record before, 0: none\n"
    "  sent INTEGER NOT NULL,      -- when it left the feeder\n"
    "  accepted INTEGER NOT NULL,  -- when the broker took it\n"
    "  bid TEXT, ask TEXT, last TEXT,  -- copies for people, as decimal text\n"
    "  body BLOB NOT NULL          -- all of its fields, msgpack\n"
    ");\n"

    "CREATE TABLE gaps (\n"
    "  -- Positions that were published and could not be stored.\n"
    "  first INTEGER PRIMARY KEY,\n"
    "  last INTEGER NOT NULL,\n"
    "  reason TEXT NOT NULL,\n"
    "  recorded INTEGER NOT NULL   -- microseconds since 1970\n"
    ");\n"

    "CREATE TABLE last_value (\n"
    "  -- The last quote of every symbol; it outlives its record in the log.\n"
    "  -- The view latest is easier to read.  Symbol 0 is the last loss.\n"
    "  symbol INTEGER PRIMARY KEY,\n"
    "  seq INTEGER NOT NULL,       -- of its last record of any kind\n"
    "  is_stale INTEGER NOT NULL,\n"
    "  feed INTEGER,               -- feeds.id, NULL: not known\n"
    "  quote_seq INTEGER,\n"
    "  bid TEXT, ask TEXT, last TEXT,\n"
    "  record BLOB                 -- as published, msgpack\n"
    ");\n"

    "CREATE TABLE blocks (\n"
    "  -- Blocks of 131072 positions (seq >> 17), to find times.\n"
    "  block INTEGER PRIMARY KEY,\n"
    "  oldest INTEGER NOT NULL,    -- accepted, least and most\n"
    "  newest INTEGER NOT NULL,\n"
    "  records INTEGER NOT NULL\n"
    ");\n"

    "CREATE TABLE chain (\n"
    "  -- A symbol's last position in every block (see blocks) it occurs in; those "
    "before it in\n"
    "  -- the block follow by log.prev.  Symbol 0: losses.  An index of the log on\n"
    "  -- (symbol, seq) would more than halve the speed of writing.\n"
    "  block INTEGER NOT NULL,\n"
    "  symbol INTEGER NOT NULL,\n"
    "  seq INTEGER NOT NULL,\n"
    "  records INTEGER NOT NULL,   -- of the symbol in this block\n"
    "  PRIMARY KEY (block, symbol)\n"
    ") WITHOUT ROWID;\n"

    "CREATE VIEW quotes AS\n"
    "  SELECT log.seq, symbols.name AS symbol, log.bid, log.ask, log.last,\n"
    "    strftime('%Y-%m-%d %H:%M:%f', log.accepted / 1e6, 'unixepoch') AS accepted,\n"
    "    strftime('%Y-%m-%d %H:%M:%f', log.sent / 1e6, 'unixepoch') AS sent\n"
    "  FROM log JOIN symbols ON symbols.id = log.symbol WHERE log.kind = 1;\n"

    "CREATE VIEW latest AS\n"
    "  SELECT symbols.name AS symbol, last_value.bid, last_value.ask, "
    "last_value.last,\n"
    "    CASE is_stale WHEN 0 THEN 'live' ELSE 'stale' END AS state,\n"
    "    feeds.name AS feed, last_value.seq, last_value.quote_seq\n"
    "  FROM last_value JOIN symbols ON symbols.id = last_value.symbol\n"
    "    LEFT JOIN feeds ON feeds.id = last_value.feed;\n"

    "INSERT INTO meta VALUES"
    " ('store_id', (random() & 0x7ffffffffffffffe) + 1), ('is_copy', 0);\n";

/* The log may have keys (kind 7), which older versions take for damage. */
static const char version_2[] = "INSERT INTO meta VALUES ('last_key', 0);\n";

/* The log may have removals: of symbols (a state), and of feeds (kind 8). */
static const char version_3[] =
    "ALTER TABLE feeds ADD COLUMN ended INTEGER NOT NULL DEFAULT 0;\n" /* it announced its end */
    /* The symbol's trading day as of that quote, msgpack; is_stale 2: the symbol is removed. */
    "ALTER TABLE last_value ADD COLUMN day BLOB;\n"
    "DROP VIEW latest;\n"
    "CREATE VIEW latest AS\n"
    "  SELECT symbols.name AS symbol, last_value.bid, last_value.ask, "
    "last_value.last,\n"
    "    CASE is_stale WHEN 0 THEN 'live' ELSE 'stale' END AS state,\n"
    "    feeds.name AS feed, last_value.seq, last_value.quote_seq\n"
    "  FROM last_value JOIN symbols ON symbols.id = last_value.symbol\n"
    "    LEFT JOIN feeds ON feeds.id = last_value.feed WHERE is_stale < 2;\n";

static const struct schema_step steps_all[] = {
    {version_1},
    {version_2},
    {version_3},
};

const struct schema *store_schema_log(void)
{
    static const struct schema schema = {0x50726567, steps_all,
                                         sizeof steps_all / sizeof steps_all[0]};

    return &schema;
}
