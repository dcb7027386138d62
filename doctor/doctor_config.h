/* doctor_config: every setting of pregon-doctor; the only place to add one. */
#ifndef DOCTOR_DOCTOR_CONFIG_H
#define DOCTOR_DOCTOR_CONFIG_H

#include "shared/config/config.h"

/* clang-format off */
#define DOCTOR_SETTINGS(X)                                                               \
    /* kind, NAME, field, default, min, max, allowed, help */                            \
    X(text, PUBLIC_URL, public_url, "", 0, 400, NULL,                                    \
      "The address that browsers use (https://quotes.example), if there is a proxy: "    \
      "the doctor compares the answers through the proxy with those of the gateway.")    \
    X(text, GATEWAY_URL, gateway_url, "", 0, 400, NULL,                                  \
      "Address of the gateway without a proxy; empty: http://HOST:PORT.")                \
    X(list, ORIGIN, origin, "", 0, 8000, NULL,                                           \
      "Origins of pages to try in addition to those in CORS_ORIGINS; may be given "      \
      "more than once.")                                                                 \
    X(seconds, PATIENCE, patience, "5", 2, 60, NULL,                                     \
      "Seconds to wait for one answer.")                                                 \
    X(seconds, MAX_SKEW, max_skew, "2", 0, 3600, NULL,                                   \
      "Seconds by which the clocks of two machines may differ.")                         \
    X(int, DISK_FREE_MIN, disk_free_min, "1073741824", 0, INT64_MAX, NULL,               \
      "Bytes that the disk of STORE should have free.")                                  \
    X(text, LANG, lang, "", 0, 100, NULL,                                                \
      "Language of the texts: es, en, or a locale like es_AR.UTF-8; any other is "       \
      "English. LC_ALL and LC_MESSAGES take precedence over the variable, not over "     \
      "the flag.")                                                                       \
    X(flag, JSON, json, "0", 0, 1, NULL,                                                 \
      "One JSON object instead of text.")                                                \
    X(flag, LIST, list, "0", 0, 1, NULL,                                                 \
      "Print the name and meaning of every finding, and exit.")
/* clang-format on */

struct doctor_config {
    DOCTOR_SETTINGS(CONFIG_FIELD)
};

extern const struct config_program doctor_program;

#endif
