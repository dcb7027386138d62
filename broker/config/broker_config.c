#include "broker/config/broker_config.h"

#include <stdio.h>
#include <string.h>

#define SQLITE "sqlite:"

#define CONFIG_STRUCT broker_config
static const struct config_option options[] = {
    CONFIG_COMMON(CONFIG_ROW) BROKER_SETTINGS(CONFIG_ROW){0},
};

const struct config_program broker_program = {
    .name = "pregon-broker",
    .about = "Receives quotes from feeders, numbers them in one log, keeps the last "
             "value of "
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

    return strcmp(store, "memory") == 0 || (strncmp(store, SQLITE, len) == 0 && store[len]);
}

/* A port of 0 takes a free one for each. */
static bool is_same_port(const char *a, const char *b)
{
    const char *colon = strrchr(a, ':');

    return strcmp(a, b) == 0 && colon && strcmp(colon, ":0") != 0;
}

bool broker_config_check(const struct broker_config *c)
{
    const struct {
        const char *name, *address;
    } sockets[] = {{"BROKER_INGEST", c->broker_ingest},
                   {"BROKER_PUBLISH", c->broker_publish},
                   {"BROKER_CONTROL", c->broker_control}};

    if (!broker_config_is_store(c->store)) {
        fprintf(stderr,
                "CRITICAL: STORE=\"%s\": must be sqlite:FILE or memory, like "
                "sqlite:data/pregon.db\n",
                c->store);
        return false;
    }
    if (c->backup[0] && c->restore[0]) {
        fprintf(stderr, "CRITICAL: BACKUP and RESTORE are both given: give one\n");
        return false;
    }
    for (int i = 1; i < 3; i++)
        for (int k = 0; k < i; k++)
            if (is_same_port(sockets[i].address, sockets[k].address)) {
                fprintf(stderr, "CRITICAL: %s and %s are both %s: give each a port of its own\n",
                        sockets[k].name, sockets[i].name, sockets[i].address);
                return false;
            }
    return true;
}
