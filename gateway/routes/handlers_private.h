/* handlers_private: what the files of pages share; nobody else includes it.  Loop's thread only. */
#ifndef GATEWAY_ROUTES_HANDLERS_PRIVATE_H
#define GATEWAY_ROUTES_HANDLERS_PRIVATE_H

#include "gateway/routes/member.h"
#include "gateway/routes/handlers.h"

/* pages.c: members of a JSON object, each with a comma before it; the last ends the body. */
void handlers_put_timestamp(struct gateway *g, struct buf *b);
void handlers_put_time(struct buf *b, const char *key, uint64_t wall_us);
/* Enter the list `key` of an answer; returns its length, *c stands at its first element. */
uint32_t handlers_enter_list(struct span answer, const char *key, struct span *c);
/* Take what stands at the cursor of a list, whole. */
struct span handlers_take(struct span *c);

/* handlers_health.c; ctx is the struct loop_request. */
void handlers_answer_health(struct gateway *g, void *ctx, struct span answer);

/* handlers_metrics.c; ctx is the struct loop_request. */
void handlers_answer_metrics(struct gateway *g, void *ctx, struct span answer);

/* handlers_quotes.c; ctx is the struct loop_request. */
/* Answer from what is here; false: it is not all here, or not one page. */
bool handlers_take_quotes(struct gateway *g, struct loop_request *q);
void handlers_ask_quotes(struct gateway *g,
                         struct loop_request *q); /* pages.c: ask the broker */
void handlers_answer_quotes(struct gateway *g, void *ctx, struct span answer);
void handlers_answer_quote(struct gateway *g, void *ctx, struct span answer);
/* Without a body: 404 unknown symbol, 410 another log, 429 busy, 500 the store, 503 away. */
void handlers_answer_history(struct gateway *g, void *ctx, struct span answer);

#endif
