#include "consumer/tail/tail_config.h"

#define CONFIG_STRUCT tail_config
static const struct config_option options[] = {
    CONFIG_COMMON(CONFIG_ROW) TAIL_SETTINGS(CONFIG_ROW){0},
};

const struct config_program tail_program = {
    .name = "pregon-tail",
    .about =
        "Writes quotes to standard output as they come, each once and in order: what "
        "was missed while the broker or the network was away is made up for from the "
        "broker's log, and what nobody has any more is said. Ends with 0 when COUNT is "
        "reached, when it is stopped, and when nobody reads its output any more; with "
        "1 when it cannot write, with 2 when a setting is wrong.",
    .examples = "  pregon-tail 'BTC*' EUR/USD\n"
                "  pregon-tail --format json --count 1000 > some.ndjson\n"
                "  pregon-tail --since 0efc6f433b8d1fa2:990 'BTC*' | jq -r .last\n",
    .options = options,
    .words = "SYMBOLS",
    .word_name = "SYMBOL",
};
