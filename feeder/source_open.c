#include "feeder/source.h"

#include <ctype.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shared/base/mem.h"

/* KIND_TAPE: a recording as NDJSON. */
enum kind { KIND_CSV, KIND_TAPE, KIND_NDJSON, KIND_SIM, KIND_COUNT };

static const char *const csv_label = "recorded data";

/* The options after the question mark: which kinds take them, and their bounds. */
static const struct option {
    const char *name;
    unsigned kinds; /* bits: 1 << kind */
    size_t offset;
    bool is_flag;
    int decimals; /* digits after the decimal point; the value is scaled by them */
    int64_t min, max;
} options[] = {
    {"speed", 1 << KIND_CSV | 1 << KIND_TAPE, offsetof(struct source_settings, speed), false, 0, 0,
     1000000000},
    {"max_gap", 1 << KIND_CSV | 1 << KIND_TAPE, offsetof(struct source_settings, max_gap_ms), false,
     3, 0, 86400},
    {"loop", 1 << KIND_CSV | 1 << KIND_TAPE, offsetof(struct source_settings, loop), true, 0, 0, 1},
    {"rate", 1 << KIND_SIM, offsetof(struct source_settings, rate), false, 0, 0, 100000000},
    {"bytes", 1 << KIND_SIM, offsetof(struct source_settings, bytes), false, 0, 0, 8000},
    {"seed", 1 << KIND_SIM, offsetof(struct source_settings, seed), false, 0, 0, INT64_MAX},
};

static bool parse_number(const char *text, int decimals, int64_t *out)
{
    int64_t n = 0;
    bool has_point = false;

    if (!isdigit((unsigned char)*text))
        return false;
    for (; *text; text++) {
        if (*text == '.' && !has_point && decimals) {
            has_point = true;
            continue;
        }
        if (!isdigit((unsigned char)*text) || (has_point && decimals-- == 0))
            return false;
        if (__builtin_mul_overflow(n, 10, &n) || __builtin_add_overflow(n, *text - '0', &n))
            return false;
    }
    for (; decimals > 0; decimals--)
        if (__builtin_mul_overflow(n, 10, &n))
            return false;
    *out = n;
    return true;
}

static bool set_option(struct source_settings *set, const struct option *o, const char *value)
{
    char *field = (char *)set + o->offset;
    int64_t n, scale = 1;

    for (int i = 0; i < o->decimals; i++)
        scale *= 10;
    if (strcmp(o->name, "speed") == 0 && strcmp(value, "max") == 0)
        value = "0";
    if (!parse_number(value, o->decimals, &n) || n < o->min * scale || n > o->max * scale)
        return false;
    if (o->is_flag)
        *(bool *)field = n != 0;
    else
        memcpy(field, &n, sizeof n);
    return true;
}

/* Parses "speed=60&loop=1" in place. */
static enum err parse_options(const char *spec, enum kind kind, char *text,
                              struct source_settings *set)
{
    char *rest = text;

    for (char *part = strsep(&rest, "&"); part; part = strsep(&rest, "&")) {
        const struct option *found = NULL;
        char *value = strchr(part, '=');

        if (value)
            *value++ = '\0';
        for (size_t i = 0; i < sizeof options / sizeof options[0]; i++)
            if ((options[i].kinds & 1U << kind) && strcmp(options[i].name, part) == 0)
                found = &options[i];
        if (!found) {
            log_error("source %s: no option %s for this kind of source", spec, part);
            return ERR_INVALID;
        }
        if (!value || !set_option(set, found, value)) {
            log_error("source %s: %s wants %lld to %lld", spec, part, (long long)found->min,
                      (long long)found->max);
            return ERR_INVALID;
        }
    }
    return OK;
}

static enum kind kind_of(const char *spec, const char **rest)
{
    *rest = spec + 7;
    if (strncmp(spec, "ndjson:", 7) == 0)
        return KIND_TAPE;
    *rest = spec + 4;
    if (strncmp(spec, "csv:", 4) == 0)
        return KIND_CSV;
    if (strncmp(spec, "sim:", 4) == 0)
        return KIND_SIM;
    *rest = spec;
    return strcmp(spec, "-") == 0 ? KIND_NDJSON : KIND_COUNT;
}

enum err source_open(const char *spec, const struct source_settings *defaults, const char *feed,
                     struct source **out)
{
    struct source_settings set = *defaults;
    struct source *s = NULL;
    const char *rest;
    enum kind kind = kind_of(spec, &rest);
    char *name = mem_strdup(spec), *query = strchr(name, '?'), *path;

    if (query)
        *query++ = '\0';
    path = name + (rest - spec);
    if (!set.label)
        set.label = kind == KIND_CSV || kind == KIND_TAPE ? csv_label : feed;
    if (kind == KIND_COUNT)
        log_error("SOURCE=\"%s\": want csv:FILE, ndjson:FILE, - or sim:N", spec);
    else if (!query || parse_options(spec, kind, query, &set) == OK)
        s = kind == KIND_CSV    ? source_csv_open(path)
            : kind == KIND_TAPE ? source_ndjson_open_file(path)
            : kind == KIND_SIM  ? source_sim_open(path, &set)
                                : source_ndjson_open(STDIN_FILENO);
    if (!s) {
        free(name);
        return ERR_INVALID;
    }
    if (kind == KIND_NDJSON) {
        free(name);
        name = mem_strdup("standard input");
    }
    s->name = name;
    s->set = set;
    s->is_paced =
        ((kind == KIND_CSV || kind == KIND_TAPE) && set.speed) || (kind == KIND_SIM && set.rate);
    s->limit = (struct log_limit){.burst = 5, .interval_ms = 10000};
    *out = s;
    return OK;
}
