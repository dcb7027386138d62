#include "broker/broker_config.h"

#define CONFIG_STRUCT broker_config
static const struct config_option options[] = {
    CONFIG_COMMON(CONFIG_ROW) BROKER_SETTINGS(CONFIG_ROW){0},
};

const struct config_program broker_program = {
    .name = "pregon-broker",
    .about =
        "Takes quotes from feeders, gives each its position, keeps the last value of "
        "every symbol, and publishes to gateways and consumers.",
    .examples = "  pregon-broker\n"
                "  pregon-broker --broker-publish tcp://0.0.0.0:5556\n",
    .options = options,
};
