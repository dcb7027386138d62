#include "shared/config/config_help.h"

#include <ctype.h>
#include <string.h>

#define WIDTH 88

const char *config_help_flag(const struct config_option *o, const char *dashes,
                             char out[CONFIG_HELP_FLAG_MAX])
{
    snprintf(out, CONFIG_HELP_FLAG_MAX, "%s%s", dashes, o->name);
    for (char *c = out; *c; c++)
        *c = *c == '_' ? '-' : (char)tolower((unsigned char)*c);
    return out;
}

void config_help_allowed(struct buf *b, const struct config_option *o)
{
    long long min = o->min, max = o->max;

    switch (o->kind) {
    case CONFIG_text:
    case CONFIG_secret:
    case CONFIG_list:
        buf_adds(b, o->kind == CONFIG_list ? "a comma list or JSON list of " : "text of ");
        if (min)
            buf_printf(b, "%lld to %lld bytes", min, max);
        else
            buf_printf(b, "at most %lld bytes", max);
        break;
    case CONFIG_address:
        buf_adds(b, "an address: IPv4, or a name that has one");
        break;
    case CONFIG_endpoint:
        buf_adds(b, "tcp://HOST:PORT or ipc://PATH");
        break;
    case CONFIG_choice:
        buf_adds(b, "one of ");
        for (const char *c = o->allowed; *c; c++)
            if (*c == '|')
                buf_adds(b, ", ");
            else
                buf_addc(b, *c);
        break;
    case CONFIG_int:
        buf_printf(b, "a whole number from %lld to %lld", min, max);
        break;
    case CONFIG_flag:
        buf_adds(b, "1/0, true/false, yes/no or on/off");
        break;
    case CONFIG_seconds:
        buf_printf(b, "seconds from %lld to %lld, with up to 3 decimals", min, max);
        break;
    }
}

static void put_wrapped(FILE *to, int indent, const char *text)
{
    int column = 0;

    while (*text) {
        int len = (int)strcspn(text, " ");

        if (column && column + 1 + len > WIDTH) {
            fputc('\n', to);
            column = 0;
        }
        column += fprintf(to, "%*s%.*s", column ? 1 : indent, "", len, text);
        text += len;
        text += strspn(text, " ");
    }
    fputc('\n', to);
}

static void put_flag(FILE *to, const struct config_program *p, const struct config_option *o)
{
    static const char *const values[] = {
        [CONFIG_text] = "TEXT",       [CONFIG_list] = "LIST",         [CONFIG_choice] = "WORD",
        [CONFIG_address] = "ADDRESS", [CONFIG_endpoint] = "ENDPOINT", [CONFIG_int] = "N",
        [CONFIG_seconds] = "SECONDS",
    };
    char flag[CONFIG_HELP_FLAG_MAX];

    if (o->kind == CONFIG_secret) {
        fprintf(to, "\n  %s in the environment; no flag\n", o->name);
        return;
    }
    fprintf(to, "\n  %s", config_help_flag(o, "--", flag));
    if (o->kind == CONFIG_flag)
        fprintf(to, ", %s", config_help_flag(o, "--no-", flag));
    else
        fprintf(to, " %s", values[o->kind]);
    if (p->words && strcmp(o->name, p->words) == 0)
        fprintf(to, ", %s...", p->word_name);
    fputc('\n', to);
}

void config_help_put(const struct config_program *p, FILE *to)
{
    struct buf line = {0};

    fprintf(to, "usage: %s [--NAME VALUE]...", p->name);
    if (p->words)
        fprintf(to, " [%s]...", p->word_name);
    fputs("\n\n", to);
    put_wrapped(to, 0, p->about);
    fputc('\n', to);
    put_wrapped(to, 0,
                "Every setting is a flag, an environment variable, and a line of the .env "
                "file: a flag beats the environment, which beats .env, which beats the "
                "default.");
    for (const struct config_option *o = p->options; o->name; o++) {
        put_flag(to, p, o);
        put_wrapped(to, 6, o->help);
        buf_clear(&line);
        buf_printf(&line, "%s, default %s; ", o->name, o->value[0] ? o->value : "empty");
        config_help_allowed(&line, o);
        put_wrapped(to, 6, buf_text(&line));
    }
    fprintf(to,
            "\n  --env-file PATH\n      Path of the .env file; default %s, if it "
            "exists.\n\n  --help, --version\n\n"
            "  --check\n      Ask the running process whether it is ready; exit code 0 "
            "if it is, else 1.\n\n"
            "  --settings-doc\n      These settings as a page of Markdown.\n",
            CONFIG_HELP_ENV_FILE);
    if (p->examples)
        fprintf(to, "\nexamples:\n%s", p->examples);
    buf_free(&line);
}

static void put_cell(FILE *to, const char *text)
{
    for (; *text; text++) {
        if (*text == '|')
            fputc('\\', to);
        fputc(*text, to);
    }
}

void config_help_markdown(const struct config_program *p, FILE *to)
{
    struct buf allowed = {0};
    char flag[CONFIG_HELP_FLAG_MAX];

    fprintf(to,
            "## %s\n\n| flag | variable | default | allowed | what it does |\n"
            "|---|---|---|---|---|\n",
            p->name);
    for (const struct config_option *o = p->options; o->name; o++) {
        buf_clear(&allowed);
        config_help_allowed(&allowed, o);
        if (o->kind == CONFIG_secret)
            fputs("| none", to);
        else
            fprintf(to, "| `%s`", config_help_flag(o, "--", flag));
        if (p->words && strcmp(o->name, p->words) == 0)
            fprintf(to, ", `%s...`", p->word_name);
        fprintf(to, " | `%s` | ", o->name);
        fputs(o->value[0] ? "`" : "empty", to);
        put_cell(to, o->value);
        fputs(o->value[0] ? "` | " : " | ", to);
        put_cell(to, buf_text(&allowed));
        fputs(" | ", to);
        put_cell(to, o->help);
        fputs(" |\n", to);
    }
    buf_free(&allowed);
}
