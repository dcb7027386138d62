/*
 * print: a line for each thing that pregon-tail is told, as JSON or in a table.
 *
 * Lines are appended to a buffer; JSON ones are those of docs/protocol/stream.md.  No I/O, no clock.  What a
 * feed put into a value cannot reach a terminal as a control sequence.
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

void print_head(struct print *t); /* of a table; nothing for JSON */
void print_quote(struct print *t, struct pregon *p, const struct pregon_quote *q);
void print_state(struct print *t, const struct pregon_state_change *s);
void print_lost(struct print *t, const struct pregon_loss *l);
void print_reset(struct print *t, const struct pregon_reset *r);

#endif
