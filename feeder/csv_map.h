/*
 * csv_map: which column of a table is which field of a quote.
 *
 * A table whose header uses the field's own words needs no description: symbol (or
 * ticker, instrument), time (or timestamp, date, datetime), bid, ask, last (or close,
 * price), open, high, low, bid_size, ask_size, volume, currency, source, in any case;
 * every other column passes through under its own name.  Columns Date and Time together are the
 * time.  A column whose name the record has itself (type, seq, …) passes as NAME_; that, and each
 * column that is left out, is logged once.  Any other table has a description beside it, FILE.map, of lines `key = value`, # begins a comment:
 *
 *   time = XDATE                 the column with the time, or of the time of day if there is
 *   date = DAY                   a column with the date: both are read as "DATE TIME"
 *   time_format = %Y%m%d%H%M     see text_time.h; default auto
 *   symbol = USD/THB             the symbol of every row, or
 *   symbol_column = TICKER       the column that names it
 *   field.bid = BID              field bid is column BID; columns not named are left
 * out constant.currency = THB      this field is the same in every quote
 *
 * A wide table has one symbol per column; each row is a quote of each:
 *
 *   wide.DAX = DAX               symbol DAX is column DAX
 *   wide_field = last            which field its cells are; default last
 */
#ifndef FEEDER_CSV_MAP_H
#define FEEDER_CSV_MAP_H

#include "feeder/csv.h"
#include "shared/base/err.h"

#define CSV_MAP_FIELDS_MAX 48 /* per quote, constants among them */

/* A field from a column, or (column -1) a constant.  In `wide`, name is a symbol. */
struct csv_map_item {
    char *name, *constant;
    int column;
};

struct csv_map {
    char *symbol;      /* of every row, or NULL */
    int symbol_column; /* or -1 */
    int time_column;
    int date_column; /* of a time in two columns, or -1 */
    char *time_format;
    char *wide_field;
    struct csv_map_item fields[CSV_MAP_FIELDS_MAX];
    int field_count;
    struct csv_map_item wide[CSV_COLUMNS_MAX];
    int wide_count;
    int column_count; /* of the header */
};

/*
 * The map of the table at `path` with this header: from path.map, or from the header's
 * own words.  ERR_INVALID with what is wrong logged; *out is then empty.
 */
MUST_CHECK enum err csv_map_load(const char *path, const struct csv_row *header,
                                 struct csv_map *out);
void csv_map_free(struct csv_map *m); /* leaves it empty */

#endif
