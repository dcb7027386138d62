/*
 * print: a line for each event that pregon-tail gets from libpregon, as JSON or in a table.
 *
 * Lines are appended to a buffer; JSON lines have the form of docs/protocol/stream.md.  No I/O, no
 * clock.  A control sequence in a feed's value never reaches a terminal.
 */
#ifndef CONSUMER_TAIL_PRINT_H
#define CONSUMER_TAIL_PRINT_H

#include <stdbool.h>

#include "consumer/lib/pregon.h"
#include "shared/base/buf.h"

struct print {
    bool is_table, has_color;
    struct buf *out;
};

void print_head(struct print *t); /* the heading of the table; nothing for JSON */
void print_quote(struct print *t, struct pregon *p, const struct pregon_quote *q);
void print_state(struct print *t, const struct pregon_state_change *s);
void print_lost(struct print *t, const struct pregon_loss *l);
void print_reset(struct print *t, const struct pregon_reset *r);

#endif
