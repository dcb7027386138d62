/*
 * report: which connections came and went, gathered for the broker's registry.
 *
 * Rows are packed as they happen; a report carries the total as well, so that the
 * broker notices when it missed one.  A report of many rows is sent in parts of at most
 * REPORT_PART_MAX rows each, and the last one carries the total.  Loop's thread only.
 * Zero-initialise.
 */
#ifndef GATEWAY_UPSTREAM_REPORT_H
#define GATEWAY_UPSTREAM_REPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/base/buf.h"

#define REPORT_MEMBERS 3     /* of the message, that report_take writes */
#define REPORT_PART_MAX 1000 /* rows of either kind; 100 bytes each at most */

/* A client's connection, as the broker's registry shows it. */
struct report_client {
    uint64_t id;
    const char *host;
    uint16_t port;
    int64_t since_us;     /* wall clock */
    const char *protocol; /* "json", "msgpack" or "sse" */
};

struct report {
    struct buf opened, closed; /* msgpack elements */
    uint32_t opened_count, closed_count;
    size_t opened_taken, closed_taken; /* bytes, of the parts taken so far */
};

void report_open(struct report *r, const struct report_client *c);
void report_close(struct report *r, uint64_t client_id);
bool report_is_empty(const struct report *r);
/*
 * Append count, opened and closed to a msgpack map, and clear the report.  false: this was a part,
 * without a count for the broker to compare; take the rest with another call.
 */
bool report_take(struct report *r, uint64_t count, struct buf *out);
void report_fini(struct report *r);

#endif
