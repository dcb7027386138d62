/*
 * publish: what gateways and broker share of the op `publish` (docs/protocol/wire.md): its bounds,
 * idempotency keys, and the rows of its answer.
 *
 * Pure; any thread.
 */
#ifndef SHARED_WIRE_PUBLISH_H
#define SHARED_WIRE_PUBLISH_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/base/buf.h"

#define PUBLISH_QUOTES_MAX 256 /* in one request */
#define PUBLISH_PARTS_MAX 32   /* of a larger request with one key */
#define PUBLISH_KEY_MAX 128
#define PUBLISH_FIELD_MAX 11 /* bytes of a field's name in a row: the longest is recorded_at */

bool publish_is_key(struct span key); /* 1 to 128 visible ASCII characters */

/* [index, reason, field] of a refused quote; the texts point into the answer. */
struct publish_refusal {
    uint64_t index; /* in the request, from 0 */
    struct span reason, field;
};

/* Take the row at the cursor.  false: it has another shape; then *out is unchanged. */
bool publish_take_refusal(struct span *c, struct publish_refusal *out);

#endif
