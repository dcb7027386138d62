#include "consumer/tail/tail_config.h"

#define CONFIG_STRUCT tail_config
static const struct config_option options[] = {
    CONFIG_COMMON(CONFIG_ROW) TAIL_SETTINGS(CONFIG_ROW){0},
};

const struct config_program tail_program = {
    .name = "pregon-tail",
    .about = "Writes quotes to standard output as they arrive, each once and in order. It "
             "fetches from the broker's log what it missed while the broker or the network "
             "was away, and reports records that are lost. Exit code 0: COUNT or UNTIL is reached, "
             "it "
             "was stopped, or its output was closed; 1: it cannot write; 2: a setting is "
             "wrong.",
    .examples = "  pregon-tail 'BTC*' EUR/USD\n"
                "  pregon-tail --format json --count 1000 > some.ndjson\n"
                "  pregon-tail --since 0efc6f433b8d1fa2:990 'BTC*' | jq -r .last\n"
                "  pregon-tail --format json --since start --until end > everything.ndjson\n"
                "  pregon-tail --since 2026-11-25T09:00:00Z --until 2026-11-25T10:00:00Z DAX\n",
    .options = options,
    .words = "SYMBOLS",
    .word_name = "SYMBOL",
};
