#include "feeder/feeder_config.h"

#include <string.h>

#define CONFIG_STRUCT feeder_config
static const struct config_option options[] = {
    CONFIG_COMMON(CONFIG_ROW) FEEDER_SETTINGS(CONFIG_ROW){0},
};

const struct config_program feeder_program = {
    .name = "pregon-feeder",
    .about = "Reads quotes from tables, programs or a simulation and sends them to the "
             "broker. It loses none: it keeps the quotes that the broker has not received, "
             "sends them again if needed, and pauses its sources while it has no room.",
    .examples = "  pregon-feeder --feed tape --source "
                "'csv:feeder/data/usdthb.csv?speed=60' --loop\n"
                "  my-quotes | pregon-feeder --feed mine --source -\n"
                "  pregon-feeder --feed sim --source sim:500 --rate 20000\n",
    .options = options,
};

bool feeder_config_is_feed(const char *name)
{
    return *name && !name[strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                       "0123456789._-")];
}
