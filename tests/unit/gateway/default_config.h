/* default_config: the gateway's settings as they are without any flag, .env or environment. */
#ifndef TESTS_UNIT_GATEWAY_DEFAULT_CONFIG_H
#define TESTS_UNIT_GATEWAY_DEFAULT_CONFIG_H

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gateway/config/gateway_config.h"
#include "shared/base/log.h"
#include "shared/config/config.h"

static inline void load_default_config(struct gateway_config *config)
{
    const char *const argv[] = {"pregon-gateway", NULL};

    clearenv();
    assert_int_equal(chdir("/"), 0); /* where no .env is */
    log_init("test", "critical", "text");
    memset(config, 0, sizeof *config);
    assert_int_equal(config_load(&gateway_program, (char *const *)argv, config), CONFIG_RUN);
    log_init("test", "critical", "text");
}

#endif
