/*
 * csv: splits one line of a table into cells (RFC 4180, without newlines inside quotes).
 *
 * Cells point into the line. The line itself changes where a quoted cell holds "" for a quote.
 */
#ifndef FEEDER_CSV_H
#define FEEDER_CSV_H

#include <stdbool.h>
#include <stddef.h>

#include "shared/base/buf.h"

#define CSV_COLUMNS_MAX 256

struct csv_row {
    struct span cells[CSV_COLUMNS_MAX];
    int count;
};

/* Returns false if a quote is not closed, or there are too many columns. */
bool csv_split(char *line, size_t len, struct csv_row *out);

#endif
