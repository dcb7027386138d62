/*
 * dotenv: the lines of a .env file.
 *
 * NAME=VALUE, `export ` allowed before it, # begins a comment (after a blank).  A value
 * in '…' is unchanged, in "…" it may have \n \r \t \" \\; both may span lines.
 * Nothing is expanded.  Lines may end in CR LF.  No I/O: reads a text.
 */
#ifndef SHARED_CONFIG_DOTENV_H
#define SHARED_CONFIG_DOTENV_H

#include "shared/base/buf.h"
#include "shared/base/err.h"

struct dotenv {
    const char *at; /* the rest of the text, NUL-terminated */
    unsigned line;  /* from 1 */
};

struct dotenv_entry {
    struct span name;  /* points into the text; .len 0: there is no further entry */
    unsigned line;     /* line on which the entry begins */
    const char *wrong; /* after ERR_MALFORMED: the fault, in a few words */
};

/* Read one entry.  Clears *value and fills it. */
MUST_CHECK enum err dotenv_next(struct dotenv *d, struct dotenv_entry *out, struct buf *value);

#endif
