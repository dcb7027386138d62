/*
 * config_file: the .env file as a list of its lines.  It knows no settings.
 */
#ifndef SHARED_CONFIG_CONFIG_FILE_H
#define SHARED_CONFIG_CONFIG_FILE_H

#include <stdbool.h>
#include <stddef.h>

#define CONFIG_FILE_ERROR_MAX 300

struct config_line {
    char *name, *value;
    unsigned number; /* number of the line, from 1 */
};

struct config_file {
    struct config_line *lines;
    size_t count;
};

/*
 * Read the file.  is_optional: it may be missing.  False: *error states the fault with the path
 * and, if it is in one line, the number; the lines before it are in the list.
 */
bool config_file_read(const char *path, bool is_optional, struct config_file *out,
                      char error[CONFIG_FILE_ERROR_MAX]);
void config_file_free(struct config_file *f);

/* The line that takes effect (the last with that name), or NULL. */
const struct config_line *config_file_find(const struct config_file *f, const char *name);

#endif
