/*
 * language: which language a person reads, and texts of a program in it.
 *
 * Programs make their texts in English, which logs keep.  Where a person reads a text who prefers
 * Spanish, `language_add` replaces it by its entry in the program's table.  An entry has both
 * texts side by side: `en` is the format from which the text was made, so that the values in it
 * are found again.  Pure; any thread.
 */
#ifndef SHARED_BASE_LANGUAGE_H
#define SHARED_BASE_LANGUAGE_H

#include <stdbool.h>

#include "shared/base/buf.h"

enum language { LANGUAGE_EN, LANGUAGE_ES };

#define LANGUAGE_HOLES 8 /* the most values in one text */

struct language_text {
    const char *en; /* with %s, %d and so on for its values, like printf */
    const char *es; /* with %s for each value, in the same order; %% is one % in both */
};

struct language_table {
    const struct language_text *texts;
    size_t count;
};

const char *language_code(enum language l); /* "en", "es" */

/* "es" or "en", with anything after it (es_AR.UTF-8, es-MX).  false: another language. */
bool language_read(struct span name, enum language *out);

/*
 * The preferred one of the two in a header Accept-Language (RFC 9110 12.5.4), which may be NULL.
 * English if it names neither, or both equally and English first.
 */
enum language language_of_accept(const char *accept);

/*
 * Append the text in that language.  Sentences with two spaces between them may have an entry
 * each, and a value may have one too.  A text without an entry stays English.  The first entry
 * that matches counts.
 */
void language_add(struct buf *out, enum language l, struct language_table table, const char *text);

#endif
