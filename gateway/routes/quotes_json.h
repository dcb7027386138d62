/*
 * quotes_json: last values and history as the broker answers them, written as JSON.
 *
 * A page of a thousand quotes takes about a millisecond to write, so a worker writes it and not the
 * loop, which only hands over the bytes.  `answer` has passed pack_check.  No I/O, no clock; any
 * thread.
 */
#ifndef GATEWAY_ROUTES_QUOTES_JSON_H
#define GATEWAY_ROUTES_QUOTES_JSON_H

#include "gateway/routes/loop_request.h"
#include "shared/base/buf.h"
#include "shared/wire/wire.h"

/* LOOP_REQUEST_QUOTES: an answer to `snapshot`, whole. */
void quotes_json_list(const struct loop_request *q, struct span answer, struct buf *b);
/* LOOP_REQUEST_QUOTE: the only element of the answer; false: the answer has none. */
bool quotes_json_one(struct span answer, struct buf *b);
/* LOOP_REQUEST_HISTORY: an answer to `history`, whole. */
void quotes_json_history(const struct loop_request *q, struct span answer, struct buf *b);

/* --- the parts of a history, for quotes_export.c --- */

struct quotes_json_records {
    uint64_t epoch; /* of the log */
    uint32_t left;
    struct span rest;
};

struct quotes_json_records quotes_json_records(struct span answer);
/* The next quote or state; false: no more. */
bool quotes_json_next(struct quotes_json_records *list, struct wire_record *r);
/* A record as an object. epoch: of the log. */
void quotes_json_put(struct buf *b, struct span symbol, const struct wire_record *r,
                     uint64_t epoch);
/* Takes a gap at the cursor and appends its members; false: it is none. */
bool quotes_json_take_gap(struct span *c, struct buf *b);
/* Does the log reach back to the position that the request gave as `since`? */
bool quotes_json_is_kept(const struct timeline *t, struct span answer);

#endif
