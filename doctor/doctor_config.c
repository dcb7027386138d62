#include "doctor/doctor_config.h"

#define CONFIG_STRUCT doctor_config
static const struct config_option options[] = {
    DOCTOR_SETTINGS(CONFIG_ROW){0},
};

const struct config_program doctor_program = {
    .name = "pregon-doctor",
    .about = "Says what is wrong with this set-up and which line of .env to change. It "
             "checks settings, ports and the processes that hold them, descriptors, broker, "
             "store, feeders, clocks and the proxy. Then it makes a handshake as a page of "
             "every configured origin would, and as one of a foreign origin. It reads the "
             "same .env and environment as the programs, and changes nothing. Exit code 0: "
             "everything works (notes do not count); 1: it found an error or a warning; 2: "
             "wrong usage, or it could not check. Every finding has a name: --list prints "
             "them, docs/troubleshooting.md explains them.",
    .examples = "  pregon-doctor\n"
                "  pregon-doctor --public-url https://quotes.example --origin https://my.page\n"
                "  pregon-doctor --json | jq -r '.findings[].name'\n"
                "  PORT=8001 pregon-doctor --env-file /etc/pregon/pregon.env\n",
    .options = options,
};
