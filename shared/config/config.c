#include "shared/config/config.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/buf.h"
#include "shared/base/check.h"
#include "shared/config/config_file.h"
#include "shared/config/config_help.h"
#include "shared/config/config_near.h"
#include "shared/config/config_value.h"
#include "shared/base/log.h"
#include "shared/base/mem.h"
#include "shared/base/version.h"

struct setting {
    const struct config_option *option;
    char *flag;        /* as typed on the command line, or NULL */
    const char *file;  /* as in the .env file, or NULL */
    unsigned line;     /* of the .env file */
    const char *value; /* the value that takes effect */
    int64_t number;    /* the parsed value, unless it is text */
};

struct load {
    struct setting *settings;
    size_t count;
    const char *env_file;
    struct config_file lines; /* of it */
    struct setting *words;    /* whose values need no flag, or NULL */
    bool wrong;
};

/* Report every mistake, not only the first, so that the user can correct all of them at once. */
static void complain(struct load *l, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void complain(struct load *l, const char *format, ...)
{
    char text[1024];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    log_critical("%s", text);
    l->wrong = true;
}

static bool is_text(enum config_kind kind)
{
    return kind == CONFIG_text || kind == CONFIG_secret || kind == CONFIG_list ||
           kind == CONFIG_choice || kind == CONFIG_address || kind == CONFIG_endpoint;
}

static void complain_of_value(struct load *l, const struct setting *s)
{
    struct buf text = {0};
    char flag[CONFIG_HELP_FLAG_MAX];

    buf_adds(&text, s->option->name);
    if (!config_value_is_secret(s->option)) {
        struct span value = span_of(s->value);

        value.len = value.len > 100 ? 100 : value.len;
        buf_addc(&text, '=');
        buf_json(&text, value);
    }
    if (s->value == s->flag)
        buf_printf(&text, " (flag %s)", config_help_flag(s->option, "--", flag));
    else if (s->value == s->file)
        buf_printf(&text, " (%s:%u)", l->env_file, s->line);
    else
        buf_printf(&text, " (%s)", s->value == s->option->value ? "default" : "environment");
    buf_adds(&text, ": must be ");
    config_help_allowed(&text, s->option);
    complain(l, "%s", buf_text(&text));
    buf_free(&text);
}

static void add_entry(void *list, const char *entry)
{
    struct buf *b = list;

    if (b->len)
        buf_addc(b, ',');
    buf_adds(b, entry);
}

/* Join both as a comma list; check() finds malformed entries. */
static char *join(const char *a, const char *b)
{
    struct buf list = {0};
    char *joined;

    if (config_list_each(a, add_entry, &list))
        joined = mem_strdup(a);
    else if (config_list_each(b, add_entry, &list))
        joined = mem_strdup(b);
    else
        joined = mem_strdup(buf_text(&list));
    buf_free(&list);
    return joined;
}

static void set_flag(struct setting *s, const char *value)
{
    char *old = s->flag;

    s->flag = old && s->option->kind == CONFIG_list ? join(old, value) : mem_strdup(value);
    free(old);
}

static void nearer(const char *word, const char *known, size_t *best,
                   char out[CONFIG_HELP_FLAG_MAX])
{
    bool is_start = strlen(word) > 4 && strncmp(word, known, strlen(word)) == 0;
    size_t distance = is_start ? 1 : config_near_edits(word, known);

    if (distance < *best) {
        *best = distance;
        snprintf(out, CONFIG_HELP_FLAG_MAX, "%s", known);
    }
}

static void complain_of_flag(struct load *l, const char *word)
{
    static const char *const always[] = {"--help", "--version", "--check", "--env-file"};
    char flag[CONFIG_HELP_FLAG_MAX], nearest[CONFIG_HELP_FLAG_MAX];
    size_t best = strlen(word) / 3 + 1;

    nearest[0] = '\0';
    for (size_t i = 0; i < sizeof always / sizeof always[0]; i++)
        nearer(word, always[i], &best, nearest);
    for (size_t i = 0; i < l->count; i++) {
        const struct config_option *o = l->settings[i].option;

        if (o->kind == CONFIG_secret)
            continue;
        nearer(word, config_help_flag(o, "--", flag), &best, nearest);
        if (o->kind == CONFIG_flag)
            nearer(word, config_help_flag(o, "--no-", flag), &best, nearest);
    }
    if (nearest[0])
        complain(l, "unknown flag %s: did you mean %s?", word, nearest);
    else
        complain(l, "unknown flag %s: see --help", word);
}

/* The setting of a flag, or NULL; *is_no: it was `--no-name`. */
static struct setting *find_flag(struct load *l, const char *word, bool *is_no)
{
    char flag[CONFIG_HELP_FLAG_MAX];

    for (size_t i = 0; i < l->count; i++) {
        struct setting *s = &l->settings[i];

        *is_no = s->option->kind == CONFIG_flag &&
                 strcmp(word, config_help_flag(s->option, "--no-", flag)) == 0;
        if (*is_no || strcmp(word, config_help_flag(s->option, "--", flag)) == 0)
            return s;
    }
    return NULL;
}

/* Read the flag at *argv and, if it is the next argument, its value. */
static void take_flag(struct load *l, char *const **argv)
{
    const char *typed = **argv, *next = (*argv)[1];
    const char *value = strchr(typed, '=');
    /* Only up to the '=': the text after it may be a secret. */
    char *word = mem_strndup(typed, value ? (size_t)(value++ - typed) : strlen(typed));
    bool is_no = false, is_env_file = strcmp(word, "--env-file") == 0;
    int64_t yes;
    struct setting *s = find_flag(l, word, &is_no);

    if (l->words && typed[0] != '-') {
        set_flag(l->words, typed);
    } else if (strncmp(word, "--", 2) != 0) {
        complain(l, "\"%s\" is not a flag: settings are given as --name value", word);
    } else if (!s && !is_env_file) {
        complain_of_flag(l, word);
        if (!value && next && strncmp(next, "--", 2) != 0)
            ++*argv; /* the value of the unknown flag: do not report it as a second mistake */
    } else if (s && s->option->kind == CONFIG_secret) {
        complain(l,
                 "flag %s is refused, because the list of processes shows it to "
                 "everybody: set the environment variable %s, or a line of the .env "
                 "file",
                 word, s->option->name);
        if (!value && next && strncmp(next, "--", 2) != 0)
            ++*argv;
    } else if (is_no && value) {
        complain(l, "flag %s takes no value", word);
    } else if (is_no) {
        set_flag(s, "0");
    } else {
        bool is_bare =
            s && s->option->kind == CONFIG_flag &&
            (!next || next[0] == '-' || (l->words && !config_value_read_flag(next, &yes)));

        if (!value && !is_bare && next && strncmp(next, "--", 2) != 0) {
            value = next;
            ++*argv;
        }
        if (!value && !is_bare)
            complain(l, "flag %s needs a value", word);
        else if (is_env_file)
            l->env_file = value;
        else
            set_flag(s, value ? value : "1");
    }
    free(word);
}

static void read_env_file(struct load *l)
{
    char error[CONFIG_FILE_ERROR_MAX], nearest[CONFIG_HELP_FLAG_MAX];
    bool is_default = !l->env_file;
    const struct config_option *options = l->settings[0].option;

    if (is_default)
        l->env_file = CONFIG_HELP_ENV_FILE;
    if (!config_file_read(l->env_file, is_default, &l->lines, error))
        complain(l, "%s", error);
    for (size_t i = 0; i < l->count; i++) {
        const struct config_line *line = config_file_find(&l->lines, l->settings[i].option->name);

        l->settings[i].file = line ? line->value : NULL;
        l->settings[i].line = line ? line->number : 0;
    }
    for (size_t i = 0; i < l->lines.count; i++) {
        const struct config_line *line = &l->lines.lines[i];

        if (config_near_setting(line->name, options, nearest) && strcmp(line->name, nearest) != 0)
            log_warning("%s:%u: %s is no setting of ours: did you mean %s?", l->env_file,
                        line->number, line->name, nearest);
    }
}

/* --check has its own exit codes, so it ends here, before settings are read. */
static void answer_check(const struct config_program *p, char *const *args)
{
    for (; *args; args++)
        if (strcmp(*args, "--check") == 0)
            exit(check_request(p->name, CHECK_PATIENCE_MS, stdout));
}

/* Answer --help and --version at any place, whatever else is wrong. */
static bool answer_help(const struct config_program *p, char *const *args)
{
    for (; *args && strcmp(*args, "--") != 0; args++) {
        if (strcmp(*args, "--help") == 0 || strcmp(*args, "-h") == 0)
            config_help_put(p, stdout);
        else if (strcmp(*args, "--version") == 0)
            printf("%s %s\n", p->name, PREGON_VERSION);
        else if (strcmp(*args, "--settings-doc") == 0)
            config_help_markdown(p, stdout);
        else
            continue;
        fflush(stdout);
        return true;
    }
    return false;
}

static void resolve(struct load *l)
{
    for (size_t i = 0; i < l->count; i++) {
        struct setting *s = &l->settings[i];

        s->value = s->flag ? s->flag : getenv(s->option->name);
        if (!s->value)
            s->value = s->file ? s->file : s->option->value;
        if (!config_value_read(s->option, s->value, &s->number))
            complain_of_value(l, s);
    }
}

enum config_outcome config_load(const struct config_program *program, char *const *argv, void *out)
{
    char *const *args = argv[0] ? argv + 1 : argv;
    struct load l = {0};

    answer_check(program, args);
    if (answer_help(program, args))
        return CONFIG_DONE;
    while (program->options[l.count].name)
        l.count++;
    l.settings = mem_zalloc(l.count * sizeof *l.settings);
    for (size_t i = 0; i < l.count; i++) {
        l.settings[i].option = &program->options[i];
        if (program->words && strcmp(program->options[i].name, program->words) == 0)
            l.words = &l.settings[i];
    }

    for (; *args && !(l.words && strcmp(*args, "--") == 0); args++)
        take_flag(&l, &args);
    while (*args && *++args)
        set_flag(l.words, *args);
    read_env_file(&l);
    resolve(&l);
    for (size_t i = 0; i < l.count; i++) {
        if (!l.wrong)
            config_value_store(l.settings[i].option, l.settings[i].value, l.settings[i].number,
                               out);
        free(l.settings[i].flag);
    }
    config_file_free(&l.lines);
    free(l.settings);
    return l.wrong ? CONFIG_WRONG : CONFIG_RUN;
}

void config_start(const struct config_program *program, char *const *argv, void *out)
{
    enum config_outcome outcome = config_load(program, argv, out);

    if (outcome != CONFIG_RUN)
        exit(outcome == CONFIG_DONE ? 0 : 2);
}

void config_free(const struct config_program *program, void *config)
{
    for (const struct config_option *o = program->options; o->name; o++) {
        char *field = (char *)config + o->offset, *text;

        if (!is_text(o->kind))
            continue;
        memcpy(&text, field, sizeof text);
        free(text);
        text = NULL;
        memcpy(field, &text, sizeof text);
    }
}
