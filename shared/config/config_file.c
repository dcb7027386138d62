#include "shared/config/config_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/config/dotenv.h"
#include "shared/base/mem.h"

#define SIZE_MAX_BYTES (1 << 20)

static bool take_lines(const char *path, const char *text, struct config_file *f,
                       char error[CONFIG_FILE_ERROR_MAX])
{
    struct dotenv d = {text, 1};
    struct dotenv_entry entry;
    struct buf value = {0};
    enum err e;

    while (!(e = dotenv_next(&d, &entry, &value)) && entry.name.len) {
        f->lines = mem_resize(f->lines, (f->count + 1) * sizeof *f->lines);
        f->lines[f->count++] = (struct config_line){mem_strndup(entry.name.at, entry.name.len),
                                                    mem_strdup(buf_text(&value)), entry.line};
    }
    if (e)
        snprintf(error, CONFIG_FILE_ERROR_MAX, "%s:%u: %s", path, entry.line, entry.wrong);
    buf_free(&value);
    return !e;
}

bool config_file_read(const char *path, bool is_optional, struct config_file *out,
                      char error[CONFIG_FILE_ERROR_MAX])
{
    struct buf text = {0};
    bool is_read = false;
    const char *start;
    size_t n;
    FILE *f = fopen(path, "re");

    *out = (struct config_file){0};
    if (!f && is_optional && errno == ENOENT)
        return true;
    if (!f) {
        snprintf(error, CONFIG_FILE_ERROR_MAX, "%s: cannot be read: %s", path, strerror(errno));
        return false;
    }
    do {
        n = fread(buf_room(&text, 4096), 1, 4096, f);
        text.len -= 4096 - n;
    } while (n && text.len <= SIZE_MAX_BYTES);
    start = buf_text(&text);
    if (strncmp(start, "\xEF\xBB\xBF", 3) == 0)
        start += 3; /* some editors write U+FEFF at the start of a file */
    if (ferror(f))
        snprintf(error, CONFIG_FILE_ERROR_MAX, "%s: cannot be read: %s", path, strerror(errno));
    else if (text.len > SIZE_MAX_BYTES || strlen(text.data) < text.len)
        snprintf(error, CONFIG_FILE_ERROR_MAX, "%s: not a file of NAME=VALUE lines", path);
    else
        is_read = take_lines(path, start, out, error);
    fclose(f);
    buf_free(&text);
    return is_read;
}

void config_file_free(struct config_file *f)
{
    for (size_t i = 0; i < f->count; i++) {
        free(f->lines[i].name);
        free(f->lines[i].value);
    }
    free(f->lines);
    *f = (struct config_file){0};
}

const struct config_line *config_file_find(const struct config_file *f, const char *name)
{
    for (size_t i = f->count; i-- > 0;)
        if (strcmp(f->lines[i].name, name) == 0)
            return &f->lines[i];
    return NULL;
}
