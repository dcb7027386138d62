/*
 * resume_group: reconnecting clients that need the same symbols of the broker's log, page by page.
 *
 * A group has one request in progress at a time, for the records after the lowest position of its
 * members, so ten thousand clients that reconnect at once share pages.  A page stays for one turn,
 * in which each member takes the records that it lacks.  The group requests a page again for a
 * member whose queue was full in that turn, or that enters with a lower position.  No I/O, no
 * clock.  Loop's thread only.
 */
#ifndef GATEWAY_SESSION_RESUME_GROUP_H
#define GATEWAY_SESSION_RESUME_GROUP_H

#include "gateway/fanout/window.h"
#include "gateway/session/session_request.h"

#define RESUME_GROUP_PAGE 500     /* entries of a page: all of them are processed in one turn */
#define RESUME_GROUP_RETRY_MS 200 /* after a request without an answer */
#define RESUME_GROUP_PATTERNS 64  /* named in a request; with more, the request is for everything */

/*
 * The page that has come: everything of the patterns in (after, upto]; of a log from `first` to
 * `head`.
 */
struct resume_page {
    struct window *records;
    uint64_t after, upto, first, head;
};

/* Enter the group of the request's topics, unless it is in one; leave it. */
void resume_group_join(struct session_request *r);
void resume_group_leave(struct session_request *r);
/* The session needs the records after its cursor. */
void resume_group_want(struct session_request *r);
/* The page of the request's group; NULL: none has arrived. */
const struct resume_page *resume_group_page(const struct session_request *r);

/* Call after all requests had their turn: drops the pages, and requests the needed ones. */
void resume_group_ask_all(struct sessions *all);
void resume_group_free_all(struct sessions *all);

#endif
