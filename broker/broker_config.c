#include "broker/broker_config.h"

#include <string.h>

#define SQLITE "sqlite:"

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

const char *broker_config_store(const struct broker_config *config)
{
    size_t len = strlen(SQLITE);

    return strncmp(config->store, SQLITE, len) == 0 ? config->store + len : NULL;
}

bool broker_config_is_store(const char *store)
{
    size_t len = strlen(SQLITE);

    return strcmp(store, "memory") == 0 ||
           (strncmp(store, SQLITE, len) == 0 && store[len]);
}
