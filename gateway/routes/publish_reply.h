/*
 * publish_reply: the answer to a request to publish, from the broker's answers to its parts.
 *
 * Pure; any thread.
 */
#ifndef GATEWAY_ROUTES_PUBLISH_REPLY_H
#define GATEWAY_ROUTES_PUBLISH_REPLY_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/base/buf.h"
#include "shared/base/language.h"

struct publish_reply {
    struct buf quotes;      /* JSON: the elements of "quotes" */
    enum language language; /* of the reasons in it */
    uint32_t count, accepted;
    uint64_t epoch;   /* of the first part; quotes of another epoch have their own */
    bool is_repeated; /* all of it */
    bool is_stored;   /* all of it: the last part is, and only its answer waited for the store */
};

/* Add the answer to a part, which has passed pack_check.  False: it makes no sense. */
bool publish_reply_add(struct publish_reply *p, struct span answer);
/* Append the members of the whole answer, each with a comma before it. */
void publish_reply_members(const struct publish_reply *p, struct span feed, struct buf *out);
void publish_reply_free(struct publish_reply *p);

#endif
