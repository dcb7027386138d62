/*
 * dotenv: the lines of a .env file.
 *
 * NAME=VALUE, `export ` allowed before it, # begins a comment (after a blank).  A value
 * in '…' is taken as it is, in "…" with \n \r \t \" \\; both may go on over lines.
 * Nothing is expanded.  Lines may end in CR LF.  No I/O: reads a text.
 */
#ifndef SHARED_CONFIG_DOTENV_H
#define SHARED_CONFIG_DOTENV_H

#include "shared/base/buf.h"
#include "shared/base/err.h"

struct dotenv {
    const char *at; /* what is still to be read, NUL-terminated */
    unsigned line;  /* from 1 */
};

struct dotenv_entry {
    struct span name;  /* into the text; .len 0: there was no more entry */
    unsigned line;     /* where it begins */
    const char *wrong; /* after ERR_MALFORMED: what, in a few words */
};

/* Read one entry.  *value is emptied and filled. */
MUST_CHECK enum err dotenv_next(struct dotenv *d, struct dotenv_entry *out,
                                struct buf *value);

#endif
