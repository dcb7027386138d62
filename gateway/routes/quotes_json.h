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

/* LOOP_REQUEST_QUOTES: an answer to `snapshot`, whole. */
void quotes_json_list(const struct loop_request *q, struct span answer, struct buf *b);
/* LOOP_REQUEST_QUOTE: the only element of the answer; false: the answer has none. */
bool quotes_json_one(struct span answer, struct buf *b);
/* LOOP_REQUEST_HISTORY: an answer to `history`, whole. */
void quotes_json_history(const struct loop_request *q, struct span answer, struct buf *b);

#endif
