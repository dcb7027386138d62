/*
 * quote_csv: the columns of a table of quotes that Pregón writes (history?format=csv) and reads
 * (--source csv:FILE).
 *
 * First the record's own members, then the known fields, then `other`: a JSON object of all other
 * fields, or nothing. Times are Unix seconds with a fraction.
 */
#ifndef SHARED_WIRE_QUOTE_CSV_H
#define SHARED_WIRE_QUOTE_CSV_H

#include "shared/wire/quote.h"

#define QUOTE_CSV_OTHER "other"
#define QUOTE_CSV_NAME(name, kind) "," #name
#define QUOTE_CSV_HEADER "seq,prev,accepted,symbol" QUOTE_FIELDS(QUOTE_CSV_NAME) "," QUOTE_CSV_OTHER

#endif
