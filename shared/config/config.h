/*
 * config: one table of settings gives defaults, parsing, bounds, --help and docs.
 *
 * Every program lists its settings once, as an X-macro (see gateway/config/gateway_config.h).
 * A setting WEBSOCKET_TIMEOUT is that environment variable, that line of the .env file,
 * the flag --websocket-timeout, and a row of docs/config.md.  A flag takes precedence over the
 * environment, which takes precedence over .env, and .env over the default.  A wrong value stops
 * the program at start, never later; the message has the name, its origin, the value and the
 * allowed values.
 *
 * Flags take `--name value` or `--name=value`; a bool also `--name` and `--no-name`.
 * A LIST flag may be given more than once: the values are joined.  A program may name one LIST
 * setting whose values need no flag (after `--` even if they begin with a dash).  Every program
 * knows --help, --version, --check (see check.h) and --env-file PATH (default: .env if it exists).
 * The .env file may have settings of several programs: names that are not in the table are skipped.
 * Its values may be in '…' (unchanged) or "…" (with \n \r \t \" \\); nothing is expanded.
 *
 * Folder shared/config: settings from flags, environment and .env file.  Every program may call
 * it; it calls only shared/base.
 */
#ifndef SHARED_CONFIG_CONFIG_H
#define SHARED_CONFIG_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/base/err.h"

typedef char *config_text;     /* owned by the config; "" when empty */
typedef char *config_secret;   /* text without a flag, because the process list shows argv */
typedef char *config_list;     /* kept as text: entries separated by commas, or a JSON list */
typedef char *config_choice;   /* one of the words in `allowed` */
typedef char *config_address;  /* IPv4, or a name with an IPv4 address: resolved when it is read */
typedef char *config_endpoint; /* tcp://HOST:PORT or ipc://PATH, as in ZeroMQ */
typedef int64_t config_int;
typedef bool config_flag;       /* 1/0, true/false, yes/no, on/off */
typedef int64_t config_seconds; /* written as seconds with up to 3 decimals, kept as ms */

enum config_kind {
    CONFIG_text,
    CONFIG_secret,
    CONFIG_list,
    CONFIG_choice,
    CONFIG_address,
    CONFIG_endpoint,
    CONFIG_int,
    CONFIG_flag,
    CONFIG_seconds,
};

struct config_option {
    const char *name; /* upper case; NULL ends the table */
    enum config_kind kind;
    size_t offset;       /* offset of the field in the program's struct */
    const char *value;   /* the default, as a user would write it */
    int64_t min, max;    /* bounds of the number (seconds: in seconds), or of the text's length */
    const char *allowed; /* choice: "critical|error|…"; else NULL */
    const char *help;    /* one or two sentences, unit included */
};

/*
 * A settings list has lines  X(kind, NAME, field, default, min, max, allowed, help).
 * The field name is the lower-case NAME, so that grep finds both.
 */
#define CONFIG_FIELD(kind, NAME, field, value, min, max, allowed, help) config_##kind field;
#define CONFIG_ROW(kind, NAME, field, value, min, max, allowed, help) \
    {#NAME, CONFIG_##kind, offsetof(struct CONFIG_STRUCT, field), value, min, max, allowed, help},

/* The settings that every program has. */
#define CONFIG_COMMON(X)                                                                      \
    X(choice, LOG_LEVEL, log_level, "info", 0, 16, "critical|error|warning|info|debug|trace", \
      "How much is logged.")                                                                  \
    X(choice, LOG_FORMAT, log_format, "text", 0, 16, "text|json",                             \
      "Log lines for people, or one JSON object per line.")

struct config_program {
    const char *name;     /* "pregon-gateway" */
    const char *about;    /* one paragraph for --help */
    const char *examples; /* lines for the end of --help, or NULL */
    const struct config_option *options;
    const char *words;     /* the LIST setting of arguments without a flag, or NULL */
    const char *word_name; /* name of such an argument in --help: "SYMBOL" */
};

enum config_outcome {
    CONFIG_RUN,   /* *out is filled */
    CONFIG_DONE,  /* --help or --version was answered on stdout: exit 0 */
    CONFIG_WRONG, /* the mistakes are on stderr: exit 2; *out is untouched */
};

/*
 * Fill *out (a struct of the program's fields) from argv as main() got it (the
 * program's name first), environ, .env and defaults. Also used to reload: load into a
 * fresh struct, compare, free the old one.  With --check it asks the running process and exits.
 */
MUST_CHECK enum config_outcome config_load(const struct config_program *program, char *const *argv,
                                           void *out);
/* The same at a program's start, which ends here unless CONFIG_RUN: *out is filled. */
void config_start(const struct config_program *program, char *const *argv, void *out);
void config_free(const struct config_program *program, void *config);

/*
 * Entries of a LIST: a comma list or a JSON list of strings, spaces trimmed, empty ones
 * skipped.  Calls `each` for every entry (NUL-terminated, valid during the call).
 * ERR_MALFORMED if the text begins with '[' and is not such a JSON list.
 */
enum err config_list_each(const char *list, void (*each)(void *ctx, const char *entry), void *ctx);

/*
 * Seconds with up to three decimals as milliseconds: "0.5" is 500, by digits, so that no
 * rounding turns 0.3 into 299.  False: the text has another form, and *out is untouched.
 */
bool config_read_ms(const char *text, int64_t *out);

#endif
