#include "gateway/config/gateway_config.h"

#define CONFIG_STRUCT gateway_config
static const struct config_option options[] = {
    CONFIG_COMMON(CONFIG_ROW) GATEWAY_SETTINGS(CONFIG_ROW){0},
};

const struct config_program gateway_program = {
    .name = "pregon-gateway",
    .about = "Sends the broker's quotes to browsers and programs over WebSocket and HTTP.  "
             "Run as many gateways as you like.",
    .examples = "  pregon-gateway --port 8000 --cors-origins https://app.example\n"
                "  pregon-gateway --port 8001 --websocket-max-connections 15000\n",
    .options = options,
};
