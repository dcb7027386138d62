/*
 * pregon-doctor: checks the set-up, prints the findings and ends; the order is in checks.h.
 *
 * Folder doctor: this program.  No other program calls code of it; it includes the settings
 * headers of all programs and the rules of the gateway.
 */
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "doctor/checks.h"
#include "doctor/doctor_text.h"
#include "doctor/finding_texts.h"
#include "doctor/probe.h"
#include "shared/config/config_help.h"
#include "shared/base/json.h"
#include "shared/base/mem.h"
#include "shared/base/version.h"
#include "shared/base/redact.h"

/*
 * The doctor reads --env-file itself, because a wrong file is a finding and must not end it.
 * Removes the flag from argv; NULL: there is none.
 */
static const char *take_env_file(char **argv)
{
    const char *path = NULL;
    char **to = argv;

    for (char **from = argv; *from; from++) {
        if (strncmp(*from, "--env-file=", 11) == 0)
            path = *from + 11;
        else if (strcmp(*from, "--env-file") == 0 && from[1])
            path = *++from;
        else
            *to++ = *from;
    }
    *to = NULL;
    return path;
}

/* The doctor's own settings may be in .env too; variables of the environment take precedence. */
static void lend_environment(const char *path)
{
    char error[CONFIG_FILE_ERROR_MAX];
    struct config_file file;

    (void)config_file_read(path, true, &file, error);
    for (const struct config_option *o = doctor_program.options; o->name; o++) {
        const struct config_line *line = config_file_find(&file, o->name);

        if (line)
            setenv(o->name, line->value, 0);
    }
    config_file_free(&file);
}

/*
 * The language is that of the first variable that is set.  The setting LANG has the last one's
 * value, unless the flag --lang is given.
 */
static void take_locale(void)
{
    static const char *const names[] = {"LC_ALL", "LC_MESSAGES", "LANG"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *value = getenv(names[i]);

        if (value && value[0]) {
            setenv("LANG", value, 1);
            return;
        }
    }
}

static void load(char **argv, const char *env_file, struct doctor_config *config)
{
    char none[] = "--env-file=/dev/null";
    size_t count = 0;
    char **args;

    lend_environment(env_file);
    while (argv[count])
        count++;
    args = mem_alloc((count + 2) * sizeof *args);
    args[0] = argv[0];
    args[1] = none;
    memcpy(args + 2, argv + 1, count * sizeof *args);
    config_start(&doctor_program, args, config);
    free(args);
}

static bool is_url(const char *setting, const char *value)
{
    struct buf shown = {0};
    char origin[300];

    if (!value[0] || (!strpbrk(value, "?#") && probe_origin(value, origin)))
        return true;
    redact_address(span_of(value), &shown);
    fprintf(stderr,
            "%s=%s: must be http://HOST[:PORT] or https://HOST[:PORT], and a path if "
            "there is one, without a query\n",
            setting, buf_text(&shown));
    buf_free(&shown);
    return false;
}

static void list_names(enum language l)
{
    static const char *const severities[] = {"error", "warning", "note"};
    struct buf meaning = {0};

    for (int i = 0; i < FINDING_END; i++) {
        buf_clear(&meaning);
        language_add(&meaning, l, finding_texts, finding_meaning((enum finding_name)i));
        printf("%-29s %-8s %s\n", finding_text((enum finding_name)i),
               severities[finding_severity((enum finding_name)i)], buf_text(&meaning));
    }
    buf_free(&meaning);
}

static void put_handshake(const struct checks *x, const struct checks_handshake *h, struct buf *out)
{
    struct buf who = {0};

    buf_printf(out, "%-10s ", h->through);
    doctor_text_add(out, x->language, h->is_admitted ? "admits " : "refuses");
    buf_addc(out, ' ');
    doctor_text_add(&who, x->language, h->origin[0] ? h->origin : "programs, which send no Origin");
    buf_printf(&who, ": HTTP %d ", h->status);
    doctor_text_add(&who, x->language, h->code[0] ? h->code : "without a reason");
    finding_put_clean(out, buf_text(&who));
    if (!h->is_expected)
        doctor_text_add(out, x->language, ", which is not as it should be");
    buf_addc(out, '\n');
    buf_free(&who);
}

static void put_count(const struct checks *x, enum finding_severity severity, const char *one,
                      const char *many, const char *end, struct buf *out)
{
    size_t count = finding_count(&x->found, severity);

    buf_printf(out, "%zu ", count);
    doctor_text_add(out, x->language, count == 1 ? one : many);
    buf_adds(out, end);
}

static void put_text(const struct checks *x, struct buf *out)
{
    for (size_t i = 0; i < x->found.count; i++) {
        finding_put_text(&x->found.items[i], x->language, out);
        buf_addc(out, '\n');
    }
    for (size_t i = 0; i < x->handshake_count; i++)
        put_handshake(x, &x->handshakes[i], out);
    if (!finding_count(&x->found, FINDING_ERROR) && !finding_count(&x->found, FINDING_WARNING)) {
        doctor_text_add(out, x->language, "Everything works.");
        buf_addc(out, '\n');
    }
    put_count(x, FINDING_ERROR, "error", "errors", ", ", out);
    put_count(x, FINDING_WARNING, "warning", "warnings", ", ", out);
    put_count(x, FINDING_NOTE, "note", "notes", "\n", out);
}

static void put_json(const struct checks *x, struct buf *out)
{
    buf_adds(out, "{\"version\":\"" PREGON_VERSION "\",\"env_file\":");
    buf_jsons(out, x->env_file);
    buf_adds(out, ",\"gateway\":");
    buf_jsons(out, x->url);
    buf_adds(out, ",\"broker\":");
    buf_jsons(out, x->gateway.broker_control);
    buf_adds(out, ",\"public_url\":");
    buf_jsons(out, x->config.public_url);
    buf_adds(out, ",\"findings\":[");
    for (size_t i = 0; i < x->found.count; i++) {
        if (i)
            buf_addc(out, ',');
        finding_put_json(&x->found.items[i], x->language, out);
    }
    buf_adds(out, "],\"handshakes\":[");
    for (size_t i = 0; i < x->handshake_count; i++) {
        const struct checks_handshake *h = &x->handshakes[i];

        buf_printf(out, "%s{\"through\":\"%s\",\"origin\":", i ? "," : "", h->through);
        buf_jsons(out, h->origin);
        buf_printf(out, ",\"admitted\":%s,\"expected\":%s,\"status\":%d,\"code\":",
                   h->is_admitted ? "true" : "false", h->is_expected ? "true" : "false", h->status);
        buf_jsons(out, h->code);
        buf_addc(out, '}');
    }
    buf_printf(out, "],\"errors\":%zu,\"warnings\":%zu,\"notes\":%zu}\n",
               finding_count(&x->found, FINDING_ERROR), finding_count(&x->found, FINDING_WARNING),
               finding_count(&x->found, FINDING_NOTE));
}

static int examine(struct checks *x, const char *env_file, bool is_default)
{
    struct buf out = {0};
    int code;

    x->json = json_new();
    checks_settings(x, env_file, is_default);
    checks_ports(x);
    checks_broker(x);
    checks_gateway(x);
    checks_pages(x);
    checks_proxy(x);
    if (x->config.json)
        put_json(x, &out);
    else
        put_text(x, &out);
    code = finding_count(&x->found, FINDING_ERROR) || finding_count(&x->found, FINDING_WARNING);
    if (fwrite(out.data, 1, out.len, stdout) != out.len || fflush(stdout))
        code = 2;
    buf_free(&out);
    checks_free(x);
    return code;
}

int main(int argc, char **argv)
{
    static struct checks x;
    const char *env_file = take_env_file(argv);
    bool is_default = !env_file;
    int code = 2;

    (void)argc;
    if (is_default)
        env_file = CONFIG_HELP_ENV_FILE;
    take_locale();
    load(argv, env_file, &x.config);
    (void)language_read(span_of(x.config.lang), &x.language);
    if (x.config.list) {
        list_names(x.language);
        code = 0;
    } else if (is_url("PUBLIC_URL", x.config.public_url) &&
               is_url("GATEWAY_URL", x.config.gateway_url)) {
        curl_global_init(CURL_GLOBAL_DEFAULT);
        code = examine(&x, env_file, is_default);
        curl_global_cleanup();
    }
    config_free(&doctor_program, &x.config);
    return code;
}
