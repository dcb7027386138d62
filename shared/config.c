#include "shared/config.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "shared/buf.h"
#include "shared/check.h"
#include "shared/config_help.h"
#include "shared/dotenv.h"
#include "shared/log.h"
#include "shared/mem.h"
#include "shared/version.h"

#define ENV_FILE_MAX (1 << 20)

struct setting {
    const struct config_option *option;
    char *flag;        /* as typed on the command line, or NULL */
    char *file;        /* as in the .env file, or NULL */
    unsigned line;     /* of the .env file */
    const char *value; /* the one that counts */
    int64_t number;    /* what it means, unless it is text */
};

struct load {
    struct setting *settings;
    size_t count;
    const char *env_file;
    struct setting *words; /* whose values need no flag, or NULL */
    bool wrong;
};

/* Every mistake is said, not only the first: who starts us fixes them in one go. */
static void complain(struct load *l, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

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

static bool is_secret(const struct config_option *o)
{
    size_t len = strlen(o->name);

    return o->kind == CONFIG_secret ||
           (len > 6 && strcmp(o->name + len - 6, "_TOKEN") == 0);
}

static bool is_text(enum config_kind kind)
{
    return kind == CONFIG_text || kind == CONFIG_secret || kind == CONFIG_list ||
           kind == CONFIG_choice || kind == CONFIG_endpoint;
}

static bool read_int(const char *text, int64_t *out)
{
    char *end;

    if (!isdigit((unsigned char)text[text[0] == '-']))
        return false;
    errno = 0;
    *out = strtoll(text, &end, 10);
    return !*end && !errno;
}

static bool read_flag(const char *text, int64_t *out)
{
    static const char *const words[] = {"0",  "1",   "false", "true",
                                        "no", "yes", "off",   "on"};

    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strcasecmp(text, words[i]) == 0) {
            *out = i % 2;
            return true;
        }
    return false;
}

bool config_read_ms(const char *text, int64_t *out)
{
    size_t whole = strspn(text, "0123456789"), decimals = 0;
    int64_t ms = 0;

    if (text[whole] == '.') {
        decimals = strspn(text + whole + 1, "0123456789");
        if (!decimals || decimals > 3)
            return false;
    }
    if (!whole || whole > 12 || text[whole + (decimals ? decimals + 1 : 0)])
        return false;
    for (size_t i = 0; i < whole; i++)
        ms = ms * 10 + (text[i] - '0');
    for (size_t i = 0; i < 3; i++)
        ms = ms * 10 + (i < decimals ? text[whole + 1 + i] - '0' : 0);
    *out = ms;
    return true;
}

static bool within(int64_t n, const struct config_option *o, int64_t unit)
{
    return n >= o->min * unit && n <= o->max * unit;
}

/* The word of "a|b|c" that `text` is, whatever its case; its length, or 0. */
static size_t choose(const char *allowed, const char *text, const char **word)
{
    size_t len = strlen(text);

    for (const char *w = allowed; *w; w += strspn(w, "|")) {
        size_t word_len = strcspn(w, "|");

        if (word_len == len && strncasecmp(w, text, len) == 0) {
            *word = w;
            return len;
        }
        w += word_len;
    }
    return 0;
}

static void ignore_entry(void *ctx, const char *entry)
{
    (void)ctx;
    (void)entry;
}

static bool is_endpoint(const char *text)
{
    const char *port = strrchr(text, ':');
    int64_t number;

    if (strncmp(text, "ipc://", 6) == 0)
        return text[6] != '\0';
    return strncmp(text, "tcp://", 6) == 0 && port > text + 6 &&
           read_int(port + 1, &number) && number >= 0 && number <= 65535;
}

static bool check(struct setting *s)
{
    const struct config_option *o = s->option;
    const char *word;

    switch (o->kind) {
    case CONFIG_text:
    case CONFIG_secret:
        return within((int64_t)strlen(s->value), o, 1);
    case CONFIG_list:
        return within((int64_t)strlen(s->value), o, 1) &&
               config_list_each(s->value, ignore_entry, NULL) == OK;
    case CONFIG_choice:
        return choose(o->allowed, s->value, &word) != 0;
    case CONFIG_endpoint:
        return is_endpoint(s->value);
    case CONFIG_int:
        return read_int(s->value, &s->number) && within(s->number, o, 1);
    case CONFIG_flag:
        return read_flag(s->value, &s->number);
    case CONFIG_seconds:
        return config_read_ms(s->value, &s->number) && within(s->number, o, 1000);
    }
    return false;
}

static void complain_of_value(struct load *l, const struct setting *s)
{
    struct buf text = {0};
    char flag[CONFIG_HELP_FLAG_MAX];

    buf_adds(&text, s->option->name);
    if (!is_secret(s->option)) {
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
        buf_printf(&text, " (%s)",
                   s->value == s->option->value ? "default" : "environment");
    buf_adds(&text, ": must be ");
    config_help_allowed(&text, s->option);
    complain(l, "%s", buf_text(&text));
    buf_free(&text);
}

static void store(const struct setting *s, void *out)
{
    char *field = (char *)out + s->option->offset, *text;
    const char *word = s->value;
    bool yes = s->number;

    switch (s->option->kind) {
    case CONFIG_choice:
        choose(s->option->allowed, s->value, &word);
        /* fallthrough */
    case CONFIG_endpoint:
    case CONFIG_text:
    case CONFIG_secret:
    case CONFIG_list:
        text = mem_strndup(word, strlen(s->value));
        memcpy(field, &text, sizeof text);
        break;
    case CONFIG_flag:
        memcpy(field, &yes, sizeof yes);
        break;
    case CONFIG_int:
    case CONFIG_seconds:
        memcpy(field, &s->number, sizeof s->number);
        break;
    }
}

static void add_entry(void *list, const char *entry)
{
    struct buf *b = list;

    if (b->len)
        buf_addc(b, ',');
    buf_adds(b, entry);
}

/* A comma list of both; what is malformed is left for check() to find. */
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

    s->flag =
        old && s->option->kind == CONFIG_list ? join(old, value) : mem_strdup(value);
    free(old);
}

static size_t edits(const char *a, const char *b)
{
    size_t row[CONFIG_HELP_FLAG_MAX + 1], len = strlen(b);

    for (size_t k = 0; k <= len; k++)
        row[k] = k;
    for (size_t i = 0; a[i]; i++) {
        size_t diagonal = row[0];

        row[0] = i + 1;
        for (size_t k = 1; k <= len; k++) {
            size_t best = diagonal + (a[i] != b[k - 1]);

            diagonal = row[k];
            best = best < row[k] + 1 ? best : row[k] + 1;
            row[k] = best < row[k - 1] + 1 ? best : row[k - 1] + 1;
        }
    }
    return row[len];
}

static void nearer(const char *word, const char *known, size_t *best,
                   char out[CONFIG_HELP_FLAG_MAX])
{
    bool is_start = strlen(word) > 4 && strncmp(word, known, strlen(word)) == 0;
    size_t distance = is_start ? 1 : edits(word, known);

    if (distance < *best) {
        *best = distance;
        snprintf(out, CONFIG_HELP_FLAG_MAX, "%s", known);
    }
}

static void complain_of_flag(struct load *l, const char *word)
{
    static const char *const always[] = {"--help", "--version", "--check",
                                         "--env-file"};
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

static struct setting *find_name(struct load *l, struct span name)
{
    for (size_t i = 0; i < l->count; i++)
        if (span_eq(name, l->settings[i].option->name))
            return &l->settings[i];
    return NULL;
}

/* Take the flag at *argv and, if that stands apart, its value. */
static void take_flag(struct load *l, char *const **argv)
{
    const char *typed = **argv, *next = (*argv)[1];
    const char *value = strchr(typed, '=');
    /* Only up to the '=': what follows may be a secret. */
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
            ++*argv; /* its value, and so not a second mistake */
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
            (!next || next[0] == '-' || (l->words && !read_flag(next, &yes)));

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

/*
 * The file may be shared with other programs, so an unknown name is no mistake; one that
 * is ours but for a letter or two, or for its case, most likely is.
 */
static void warn_of_near_name(const struct load *l, const struct dotenv_entry *entry)
{
    char name[CONFIG_HELP_FLAG_MAX], nearest[CONFIG_HELP_FLAG_MAX] = "";
    size_t best = entry->name.len < 8 ? 2 : 3;

    span_copy(name, sizeof name, entry->name);
    for (char *c = name; *c; c++)
        *c = (char)toupper((unsigned char)*c);
    for (size_t i = 0; i < l->count; i++) {
        const char *known = l->settings[i].option->name;
        size_t distance = edits(name, known);

        if (distance < best) {
            best = distance;
            snprintf(nearest, sizeof nearest, "%s", known);
        }
    }
    if (nearest[0])
        log_warning("%s:%u: %.*s is no setting of ours: did you mean %s?", l->env_file,
                    entry->line, (int)entry->name.len, entry->name.at, nearest);
}

static void take_env_text(struct load *l, const char *text)
{
    struct dotenv d = {text, 1};
    struct dotenv_entry entry;
    struct buf value = {0};
    enum err e;

    while (!(e = dotenv_next(&d, &entry, &value)) && entry.name.len) {
        struct setting *s = find_name(l, entry.name);

        if (!s) {
            warn_of_near_name(l, &entry);
            continue;
        }
        free(s->file);
        s->file = mem_strdup(buf_text(&value));
        s->line = entry.line;
    }
    if (e)
        complain(l, "%s:%u: %s", l->env_file, entry.line, entry.wrong);
    buf_free(&value);
}

static void read_env_file(struct load *l)
{
    bool is_default = !l->env_file;
    struct buf text = {0};
    const char *start;
    size_t n;
    FILE *f;

    if (is_default)
        l->env_file = CONFIG_HELP_ENV_FILE;
    f = fopen(l->env_file, "re");
    if (!f) {
        if (!is_default || errno != ENOENT)
            complain(l, "%s: cannot be read: %s", l->env_file, strerror(errno));
        return;
    }
    do {
        n = fread(buf_room(&text, 4096), 1, 4096, f);
        text.len -= 4096 - n;
    } while (n && text.len <= ENV_FILE_MAX);
    start = buf_text(&text);
    if (strncmp(start, "\xEF\xBB\xBF", 3) == 0)
        start += 3; /* some editors begin a file with U+FEFF */
    if (ferror(f))
        complain(l, "%s: cannot be read: %s", l->env_file, strerror(errno));
    else if (text.len > ENV_FILE_MAX || strlen(text.data) < text.len)
        complain(l, "%s: not a file of NAME=VALUE lines", l->env_file);
    else
        take_env_text(l, start);
    fclose(f);
    buf_free(&text);
}

/* Has its own exit code, so it ends here; settings are not looked at. */
static void answer_check(const struct config_program *p, char *const *args)
{
    for (; *args; args++)
        if (strcmp(*args, "--check") == 0)
            exit(check_ask(p->name, CHECK_PATIENCE_MS, stdout));
}

/* --help and the like are answered wherever they stand, whatever else is wrong. */
static bool answer(const struct config_program *p, char *const *args)
{
    for (; *args && strcmp(*args, "--") != 0; args++) {
        if (strcmp(*args, "--help") == 0 || strcmp(*args, "-h") == 0)
            config_help_put(p, stdout);
        else if (strcmp(*args, "--version") == 0)
            printf("%s %s\n", p->name, PREGON_VERSION);
        else if (strcmp(*args, "--settings-doc") == 0)
            config_markdown(p, stdout);
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
        if (!check(s))
            complain_of_value(l, s);
    }
}

void config_markdown(const struct config_program *program, FILE *to)
{
    config_help_markdown(program, to);
}

enum config_outcome config_load(const struct config_program *program, char *const *argv,
                                void *out)
{
    char *const *args = argv[0] ? argv + 1 : argv;
    struct load l = {0};

    answer_check(program, args);
    if (answer(program, args))
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
            store(&l.settings[i], out);
        free(l.settings[i].flag);
        free(l.settings[i].file);
    }
    free(l.settings);
    return l.wrong ? CONFIG_WRONG : CONFIG_RUN;
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
