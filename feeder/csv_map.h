/*
 * csv_map: maps the columns of a table to the fields of a quote; source_csv uses it.
 *
 * A table needs no description if its header uses these words, in any case: symbol (or ticker,
 * instrument), time (or timestamp, date, datetime), bid, ask, last (or close, price), open, high,
 * low, bid_size, ask_size, volume, currency, source. Every other column passes through under its
 * own name. Columns Date and Time together are the time. A column with the name of a member of the
 * record (type, seq, …) passes through as NAME_. The feeder logs once each column that it renames
 * or leaves out. The header that Pregón itself writes (shared/wire/quote_csv.h) is recognised: its
 * column `accepted` is the time, and `other` holds further fields. Any other table has a
 * description in the file FILE.map beside it, with lines `key = value`; # begins a comment:
 *
 *   time = XDATE                 the column with the time (the time of day, if `date` is given)
 *   date = DAY                   a column with the date: both are read as "DATE TIME"
 *   time_format = %Y%m%d%H%M     see text_time.h; default auto
 *   symbol = USD/THB             the symbol of every row, or
 *   symbol_column = TICKER       the column that holds the symbol
 *   field.bid = BID              field bid is column BID; columns not named are left out
 *   constant.currency = THB      this field is the same in every quote
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

#define CSV_MAP_FIELDS_MAX 48 /* per quote, constants included */

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
    int column_count; /* in the header */
    /* The header is QUOTE_CSV_HEADER: the fields are its columns from `timestamp` on. */
    bool is_export;
};

/*
 * The map of the table at `path` with this header: from path.map, or from the header's words. On
 * ERR_INVALID the mistake is logged and *out is empty.
 */
MUST_CHECK enum err csv_map_load(const char *path, const struct csv_row *header,
                                 struct csv_map *out);
void csv_map_free(struct csv_map *m); /* the map is empty afterwards */

#endif
