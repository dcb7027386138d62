/*
 * quotes_export: a page of a symbol's history as lines of JSON or as a table.
 *
 *   ndjson  the records of quotes_json_history, one a line, and {"type":"lost",…} for a gap
 *   csv     the quotes alone, with the columns of shared/wire/quote_csv.h
 *
 * What the JSON form says about the page is also in headers: X-Next, X-Complete and X-Epoch. A cell
 * or a line has no newline inside, so that pages can be appended to each other and read line by
 * line. `answer` has passed pack_check. No I/O, no clock; any thread.
 */
#ifndef GATEWAY_ROUTES_QUOTES_EXPORT_H
#define GATEWAY_ROUTES_QUOTES_EXPORT_H

#include <stdbool.h>

#include "gateway/http/reply.h"
#include "gateway/routes/loop_request.h"

enum quotes_export { QUOTES_EXPORT_JSON, QUOTES_EXPORT_CSV, QUOTES_EXPORT_NDJSON };

#define QUOTES_EXPORT_FORMATS "json (the default), csv or ndjson."
/* false: not one of these words. */
bool quotes_export_parse(const char *word, enum quotes_export *out);

/* Fills in body, type and headers of a reply. */
void quotes_export_history(const struct loop_request *q, struct span answer,
                           enum quotes_export format, struct reply *p);

#endif
