/*
 * quotes_body: the body of a request to publish, as rows for the broker (docs/protocol/wire.md).
 *
 * The body is one JSON object, an array of them, or one object on each line (NDJSON).  What is no
 * quote becomes a row that says why, so that the broker counts it and answers for it.  The broker
 * decides what depends on its clock, its settings and its book: `future`, `crossed`, `book_full`.
 * Rows come in parts that fit into one request to the broker each.
 *
 * Pure: no I/O, no clock.  A worker, or the loop for what comes over the stream.
 */
#ifndef GATEWAY_UPSTREAM_QUOTES_BODY_H
#define GATEWAY_UPSTREAM_QUOTES_BODY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/base/buf.h"
#include "shared/base/json.h"
#include "shared/wire/pack.h"
#include "shared/wire/publish.h"

#define QUOTES_BODY_BYTES ((size_t)1 << 20) /* of the body, unpacked */
#define QUOTES_BODY_MAX 1000                /* quotes */

/* Of a quote: the broker reads it inside of a request, an array and a row. */
#define QUOTES_BODY_DEPTH (PACK_DEPTH_MAX - 3)

_Static_assert(JSON_VALUES_MAX > QUOTES_BODY_MAX * (2 * (PACK_KEYS_MAX + 1) + 1),
               "so many quotes with as many fields as a quote may have are one JSON text");

/* A part has at most PUBLISH_QUOTES_MAX quotes, and a few bytes more than these at most. */
#define QUOTES_BODY_PART_BYTES ((size_t)96 * 1024)
#define QUOTES_BODY_PARTS (QUOTES_BODY_BYTES / QUOTES_BODY_PART_BYTES * 2 + 5)

_Static_assert(QUOTES_BODY_PARTS <= PUBLISH_PARTS_MAX, "the broker has keys for all parts");

struct quotes_part {
    struct buf rows; /* msgpack, without the head of the array */
    uint32_t count;
};

struct quotes_body {
    struct quotes_part parts[QUOTES_BODY_PARTS];
    size_t part_count; /* at least 1 */
    uint32_t count;    /* quotes in all */
    uint64_t hash;     /* of all rows */
};

struct quotes_body_error {
    char message[160];
    const char *hint;
    size_t at;         /* the byte where it went wrong, from 0 */
    bool is_too_large; /* more quotes than allowed, or values in them */
};

/*
 * is_lines: it is NDJSON in any case, and a line that is not JSON is one malformed quote.  False:
 * *error says what is wrong with the body as a whole.  Free *out in any case.
 */
bool quotes_body_read(struct json *j, struct span body, bool is_lines, struct quotes_body *out,
                      struct quotes_body_error *error);
/* Zero-initialise *out; add one value: a row of the quote, or why it is none. */
bool quotes_body_add(struct quotes_body *out, const struct json_value *quote);
void quotes_body_free(struct quotes_body *b);

/* A request `publish` but for its quotes; key.len 0: none. */
struct quotes_request {
    struct span feed, key;
    int64_t sent_us;
    bool wants_stored, is_ended;
};

/* Append the members of the request with part `number`; returns how many. */
uint32_t quotes_body_pack(const struct quotes_body *b, size_t number,
                          const struct quotes_request *q, struct buf *out);

#endif
