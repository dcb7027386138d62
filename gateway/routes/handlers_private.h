/* handlers_private: shared by the files of handlers; no other file includes it. */
#ifndef GATEWAY_ROUTES_HANDLERS_PRIVATE_H
#define GATEWAY_ROUTES_HANDLERS_PRIVATE_H

#include "gateway/routes/handlers.h"
#include "gateway/routes/member.h"
#include "shared/wire/pack.h"

/* handlers_common.c */
/* The last member of an answer's JSON, with its end. */
void handlers_put_timestamp(struct handlers *h, struct buf *b);
/* Request a page from the broker, with the request's `key` and limit; pattern NULL: none. */
void handlers_ask_page(struct loop_request *q, const char *op, const char *pattern, const char *key,
                       upstream_answer *on_answer);

/* Answers to a request, ctx, once the broker has answered; answer.len 0: it has not. */
upstream_answer handlers_answer_health;  /* handlers_health.c */
upstream_answer handlers_answer_metrics; /* handlers_metrics.c */

/*
 * Append a feed of the broker's answer to status, with a comma before it unless is_first; any
 * thread.
 */
void handlers_put_feed(struct buf *b, struct span feed, bool is_first, bool has_store);

/* handlers_quotes.c */
void handlers_ask_quotes(struct loop_request *q);
void handlers_ask_quote(struct loop_request *q);
/* The answer has no body on 404 unknown symbol, 410 another log, 429 busy, 500 store, 503 away. */
void handlers_ask_history(struct loop_request *q);

#endif
