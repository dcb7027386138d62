/* pages_private: what the files of pages share; nobody else includes it.  Loop's thread only. */
#ifndef GATEWAY_PAGES_PRIVATE_H
#define GATEWAY_PAGES_PRIVATE_H

#include "gateway/member.h"
#include "gateway/pages.h"

/* pages.c: members of a JSON object, each with a comma before it; the last ends the body. */
void pages_put_timestamp(struct gateway *g, struct buf *b);
void pages_put_time(struct buf *b, const char *key, uint64_t wall_us);
/* Enter the list `key` of an answer; returns its length, *c stands at its first element. */
uint32_t pages_enter_list(struct span answer, const char *key, struct span *c);
/* Take what stands at the cursor of a list, whole. */
struct span pages_take(struct span *c);

/* pages_health.c; ctx is the struct ask. */
void pages_answer_health(struct gateway *g, void *ctx, struct span answer);

/* pages_metrics.c; ctx is the struct ask. */
void pages_answer_metrics(struct gateway *g, void *ctx, struct span answer);

/* pages_quotes.c; ctx is the struct ask. */
/* Answer from what is here; false: it is not all here, or not one page. */
bool pages_take_quotes(struct gateway *g, struct ask *q);
void pages_ask_quotes(struct gateway *g, struct ask *q); /* pages.c: ask the broker */
void pages_answer_quotes(struct gateway *g, void *ctx, struct span answer);
void pages_answer_quote(struct gateway *g, void *ctx, struct span answer);
/* Without a body: 404 unknown symbol, 410 another log, 429 busy, 500 the store, 503 away. */
void pages_answer_history(struct gateway *g, void *ctx, struct span answer);

#endif
