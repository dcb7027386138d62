/* route_private: shared by the files of route; no other file includes it. */
#ifndef GATEWAY_ROUTES_ROUTE_PRIVATE_H
#define GATEWAY_ROUTES_ROUTE_PRIVATE_H

#include "gateway/http/reply.h"
#include "gateway/http/request.h"
#include "gateway/routes/service.h"

#define ROUTE_PAGE_MOST 1000 /* entries in one answer; also the default of ?limit= */

typedef void route_handler(struct service *s, struct request *r, struct reply *p);

/* route_reply.c */
void route_bad_parameter(struct reply *p, const struct request *r, const char *name,
                         const char *allowed);
void route_unavailable(struct reply *p, const struct request *r, const char *code,
                       const char *message, const char *hint, int retry_after);
void route_draining(struct reply *p, const struct request *r);
/* Does it show LOCKS_TOKEN?  Needed by each change of a lock; else the reply states why not. */
bool route_may_change(const struct request *r, struct reply *p);
/* The same of ADMIN_TOKEN, for removals. */
bool route_may_remove(const struct request *r, struct reply *p);
/* Send a request to the loop and wait.  false: there is no answer, and the reply has the error. */
bool route_request(struct service *s, struct request *r, struct loop_request *q, struct reply *p);
/*
 * ?limit= from `least` on, and ?offset=.  false: one of them is invalid, and the reply has the
 * error.
 */
bool route_page(struct request *r, struct loop_request *q, uint64_t least, struct reply *p);

/* route_forget.c */
#define ROUTE_FEEDS "/cotizaciones/feeds"
route_handler route_delete_quote, route_delete_feed, route_get_feed;

/* route_quotes.c */
#define ROUTE_QUOTES "/cotizaciones/quotes"
#define ROUTE_HISTORY "/history"
route_handler route_get_quotes, route_get_quote, route_get_history;
/* Is the text a symbol?  It becomes q->text; else the reply has the error. */
bool route_set_symbol(struct request *r, struct loop_request *q, struct span symbol,
                      struct reply *p);

/* route_publish.c */
struct route_publish_verdict {
    enum gate_request refusal; /* GATE_REQUEST_END: it may publish */
    const char *message, *hint;
};
struct route_publish_verdict route_judge_publish(const struct request *r);
/* Does it show PUBLISH_TOKEN?  Else the reply states why not. */
bool route_may_publish(struct service *s, struct request *r, struct reply *p);
route_handler route_post_quotes;

/* route_locks.c */
#define ROUTE_LOCKS "/cotizaciones/locks"
#define ROUTE_LOCK_VALUE "/value"
route_handler route_get_telegram_locks, route_get_locks, route_get_lock, route_put_lock,
    route_delete_lock, route_get_lock_value, route_put_lock_value;

#endif
