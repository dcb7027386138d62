#include "feeder/csv_map.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "shared/base/text_time.h"
#include "shared/base/log.h"
#include "shared/base/mem.h"
#include "shared/wire/quote_csv.h"

#define FIELD_NAME_MAX 32

/* The words for time are not in this list: a table has one time, which is not passed on as text. */
#define WORD_PRICE(name) {#name, #name},
#define WORD_SIZE(name) {#name, #name},
#define WORD_TEXT(name) {#name, #name},
#define WORD_TIME(name)
static const struct {
    const char *header, *field;
} words[] = {{"symbol", "symbol"}, {"ticker", "symbol"},  {"instrument", "symbol"},
             {"time", "time"},     {"timestamp", "time"}, {"date", "time"},
             {"datetime", "time"}, {"close", "last"},     {"price", "last"},
#define X(name, kind) WORD_##kind(name)
             QUOTE_FIELDS(X)
#undef X
};

/* Names that the record already has: a column with such a name cannot pass through. */
static const char *const taken[] = {"symbol", "timestamp", "recorded_at", "type",
                                    "seq",    "prev",      "state"};

void csv_map_free(struct csv_map *m)
{
    for (int i = 0; i < m->field_count; i++) {
        free(m->fields[i].name);
        free(m->fields[i].constant);
    }
    for (int i = 0; i < m->wide_count; i++)
        free(m->wide[i].name);
    free(m->symbol);
    free(m->time_format);
    free(m->wide_field);
    *m = (struct csv_map){.symbol_column = -1, .time_column = -1, .date_column = -1};
}

static const struct csv_map_item *find(const struct csv_map_item *items, int count,
                                       const char *name)
{
    for (int i = 0; i < count; i++)
        if (strcmp(items[i].name, name) == 0)
            return &items[i];
    return NULL;
}

static bool is_field_name(struct span name)
{
    if (!name.len || name.len > FIELD_NAME_MAX)
        return false;
    for (size_t i = 0; i < name.len; i++)
        if (!isalnum((unsigned char)name.at[i]) && name.at[i] != '_')
            return false;
    return true;
}

static bool is_taken(struct span name)
{
    for (size_t i = 0; i < sizeof taken / sizeof taken[0]; i++)
        if (span_eq(name, taken[i]))
            return true;
    return false;
}

static enum err add_field(struct csv_map *m, struct span name, int column, const char *constant)
{
    struct csv_map_item item = {.column = column};

    if (m->field_count == CSV_MAP_FIELDS_MAX)
        return ERR_FULL;
    item.name = mem_strndup(name.at, name.len);
    if (find(m->fields, m->field_count, item.name)) {
        free(item.name);
        return ERR_DUPLICATE_KEY;
    }
    item.constant = constant ? mem_strdup(constant) : NULL;
    m->fields[m->field_count++] = item;
    return OK;
}

/* The field that a header's word means; the word itself if it is not a known one. */
static struct span field_of(struct span header)
{
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strlen(words[i].header) == header.len &&
            strncasecmp(words[i].header, header.at, header.len) == 0)
            return span_of(words[i].field);
    return header;
}

static bool is_word(struct span cell, const char *word)
{
    return cell.len == strlen(word) && strncasecmp(cell.at, word, cell.len) == 0;
}

/* Finds a date in one column and the time of day in another. */
static void find_date_and_time(const struct csv_row *header, struct csv_map *m)
{
    int date = -1, time = -1;

    for (int i = 0; i < header->count; i++) {
        if (date < 0 && is_word(header->cells[i], "date"))
            date = i;
        else if (time < 0 && is_word(header->cells[i], "time"))
            time = i;
    }
    if (date < 0 || time < 0)
        return;
    m->date_column = date;
    m->time_column = time;
}

/*
 * Adds a column that is neither symbol nor time: under its own name, or NAME_ if the record has
 * that name.
 */
static enum err add_column(const char *path, struct span cell, struct span field, int column,
                           struct csv_map *m)
{
    char other[FIELD_NAME_MAX + 2];
    enum err e;

    if (is_taken(field)) {
        snprintf(other, sizeof other, "%.*s_", (int)field.len, field.at);
        log_warning("%s: column %.*s passes as the field %s, because the record itself has "
                    "a %.*s",
                    path, (int)cell.len, cell.at, other, (int)field.len, field.at);
        field = span_of(other);
    }
    e = add_field(m, field, column, NULL);
    if (e)
        log_error("%s: column %.*s: too many columns, or two for one field", path, (int)cell.len,
                  cell.at);
    return e ? ERR_INVALID : OK;
}

static int column_of(const struct csv_row *header, const char *name)
{
    for (int i = 0; i < header->count; i++)
        if (span_eq(header->cells[i], name))
            return i;
    return -1;
}

/* Is this the header that Pregón writes? Then its columns are mapped. */
static bool map_export(const struct csv_row *header, struct csv_map *m)
{
    const char *rest = QUOTE_CSV_HEADER;

    for (int i = 0; i < header->count; i++) {
        size_t len = strcspn(rest, ",");

        if (header->cells[i].len != len || memcmp(header->cells[i].at, rest, len) != 0)
            return false;
        rest += len + (rest[len] == ',');
    }
    if (*rest)
        return false;
    m->is_export = true;
    m->time_column = column_of(header, "accepted");
    m->symbol_column = column_of(header, "symbol");
    for (int i = m->symbol_column + 1; i < header->count; i++)
        if (add_field(m, header->cells[i], i, NULL))
            return false;
    return true;
}

static enum err map_header(const char *path, const struct csv_row *header, struct csv_map *m)
{
    find_date_and_time(header, m);
    for (int i = 0; i < header->count; i++) {
        struct span cell = header->cells[i], field = field_of(cell);
        bool is_symbol = span_eq(field, "symbol"), is_time = span_eq(field, "time");

        if (i == m->date_column || i == m->time_column)
            continue;
        /* R, for example, writes row names under an empty header */
        if (!is_field_name(cell)) {
            if (cell.len)
                log_warning("%s: column \"%.*s\" is left out: a field's name is 1 to %d "
                            "letters, digits and _",
                            path, (int)(cell.len < 60 ? cell.len : 60), cell.at, FIELD_NAME_MAX);
        } else if (is_symbol && m->symbol_column < 0) {
            m->symbol_column = i;
        } else if (is_time && m->time_column < 0) {
            m->time_column = i;
        } else if (is_symbol || is_time) {
            log_error("%s: column %.*s: another column is the %s already; say which in "
                      "a .map file beside it",
                      path, (int)cell.len, cell.at, is_time ? "time" : "symbol");
            return ERR_INVALID;
        } else if (add_column(path, cell, field, i, m)) {
            return ERR_INVALID;
        }
    }
    return OK;
}

static const char *after(const char *key, const char *prefix)
{
    size_t len = strlen(prefix);

    return strncmp(key, prefix, len) == 0 ? key + len : NULL;
}

/* Applies one line of the description.  Returns NULL, or the mistake. */
static const char *apply(struct csv_map *m, const struct csv_row *header, const char *key,
                         const char *value)
{
    const char *name, *no_column = "the table has no such column";
    int column = column_of(header, value);

    if (strcmp(key, "time") == 0) {
        m->time_column = column;
        return column < 0 ? no_column : NULL;
    }
    if (strcmp(key, "date") == 0) {
        m->date_column = column;
        return column < 0 ? no_column : NULL;
    }
    if (strcmp(key, "symbol_column") == 0) {
        m->symbol_column = column;
        return column < 0 ? no_column : NULL;
    }
    if (strcmp(key, "time_format") == 0) {
        free(m->time_format);
        m->time_format = mem_strdup(value);
        return text_time_is_format(value) ? NULL
                                          : "want auto, unix, unix_ms, decimal_year or "
                                            "strptime's letters (%Y-%m-%d)";
    }
    if (strcmp(key, "symbol") == 0) {
        free(m->symbol);
        m->symbol = mem_strdup(value);
        return quote_is_symbol(span_of(value)) ? NULL : quote_refusal_text(QUOTE_BAD_SYMBOL);
    }
    if (strcmp(key, "wide_field") == 0) {
        free(m->wide_field);
        m->wide_field = mem_strdup(value);
        return is_field_name(span_of(value)) && !is_taken(span_of(value))
                   ? NULL
                   : "not a name for a field";
    }
    name = after(key, "wide.");
    if (name) {
        if (!quote_is_symbol(span_of(name)))
            return quote_refusal_text(QUOTE_BAD_SYMBOL);
        if (m->wide_count == CSV_COLUMNS_MAX || find(m->wide, m->wide_count, name))
            return "this symbol stands twice";
        m->wide[m->wide_count++] =
            (struct csv_map_item){.name = mem_strdup(name), .column = column};
        return column < 0 ? no_column : NULL;
    }
    name = after(key, "field.");
    if (name && column < 0)
        return no_column;
    if (!name)
        name = after(key, "constant.");
    if (!name)
        return "no such key";
    if (!is_field_name(span_of(name)) || is_taken(span_of(name)))
        return "not a name for a field";
    if (after(key, "constant."))
        column = -1;
    return add_field(m, span_of(name), column, column < 0 ? value : NULL)
               ? "too many fields, or this one stands twice"
               : NULL;
}

static char *trim(char *text)
{
    size_t len;

    while (isspace((unsigned char)*text))
        text++;
    len = strlen(text);
    while (len && isspace((unsigned char)text[len - 1]))
        text[--len] = '\0';
    return text;
}

static enum err read_description(const char *map_path, FILE *f, const struct csv_row *header,
                                 struct csv_map *m)
{
    char line[512];

    for (int number = 1; fgets(line, sizeof line, f); number++) {
        char *key = trim(line), *value = strchr(key, '=');
        const char *wrong = "want: key = value";

        if (!*key || *key == '#')
            continue;
        if (value) {
            *value++ = '\0';
            key = trim(key);
            value = trim(value);
            wrong = apply(m, header, key, value);
        }
        if (wrong) {
            log_error("%s line %d: %s%s%s: %s", map_path, number, key, value ? " = " : "",
                      value ? value : "", wrong);
            return ERR_INVALID;
        }
    }
    return OK;
}

/* Checks what several lines together can get wrong. */
static const char *check_whole(const struct csv_map *m)
{
    int ways = (m->symbol != NULL) + (m->symbol_column >= 0) + (m->wide_count > 0);

    if (m->time_column < 0)
        return "no column with the time (time = COLUMN)";
    if (m->date_column == m->time_column)
        return "date and time are one column: leave date out";
    if (ways == 0)
        return "nothing says the symbol (symbol = SYMBOL, symbol_column = COLUMN or "
               "wide.SYMBOL = COLUMN)";
    if (ways > 1)
        return "symbol, symbol_column and wide exclude each other";
    if (!m->wide_count && !find(m->fields, m->field_count, "bid") &&
        !find(m->fields, m->field_count, "ask") && !find(m->fields, m->field_count, "last"))
        return "no column is bid, ask or last (field.last = COLUMN)";
    if (m->wide_count && find(m->fields, m->field_count, m->wide_field))
        return "the field of the wide columns stands twice";
    return NULL;
}

enum err csv_map_load(const char *path, const struct csv_row *header, struct csv_map *out)
{
    struct buf map_path = {0};
    const char *wrong;
    enum err e;
    FILE *f;

    *out = (struct csv_map){.symbol_column = -1, .time_column = -1, .date_column = -1};
    out->column_count = header->count;
    out->time_format = mem_strdup("auto");
    out->wide_field = mem_strdup("last");
    buf_printf(&map_path, "%s.map", path);
    f = fopen(buf_text(&map_path), "re");
    if (f) {
        e = read_description(buf_text(&map_path), f, header, out);
        fclose(f);
    } else if (errno == ENOENT) {
        e = map_export(header, out) ? OK : map_header(path, header, out);
    } else {
        log_error("%s: %s", buf_text(&map_path), strerror(errno));
        e = ERR_INVALID;
    }
    wrong = e ? NULL : check_whole(out);
    if (wrong) {
        log_error("%s: %s%s", f ? buf_text(&map_path) : path, wrong,
                  f ? "" : "; describe the table in a .map file beside it");
        e = ERR_INVALID;
    }
    if (e)
        csv_map_free(out);
    buf_free(&map_path);
    return e;
}
