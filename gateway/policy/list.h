/*
 * list: lists separated by commas, in settings and in the headers of requests.
 *
 * Pure: no I/O, no clock.  Any thread.
 */
#ifndef GATEWAY_POLICY_LIST_H
#define GATEWAY_POLICY_LIST_H

#include <stdbool.h>

#include "shared/base/buf.h"

#define LIST_ERROR_MAX 400

/*
 * Read the list of a setting: call `add` with each entry (NUL-terminated, valid during the call),
 * until one writes an error.  false: *error, which was "", names the setting, its value and the
 * fault. `example` is an entry for the error text about the list's form; NULL: none.
 */
bool list_read(const char *setting, const char *text, const char *example,
               void (*add)(void *into, const char *entry, const char *setting,
                           char error[LIST_ERROR_MAX]),
               void *into, char error[LIST_ERROR_MAX]);

/* The text without the spaces and tabs around it. */
struct span list_trim(struct span text);
/* The first item of a header's list, trimmed. */
struct span list_first(const char *list);
/* The next item, trimmed; *list moves to after it.  false: there are no more items. */
bool list_next(const char **list, struct span *item);
/* Is the word, in any case, an item? */
bool list_has(const char *list, const char *word);

#endif
