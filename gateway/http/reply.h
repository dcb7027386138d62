/*
 * reply: one HTTP answer, built whole and sent with one write.
 *
 * Errors have one shape everywhere:
 *   {"error":{"code":"no_such_path","message":"…","hint":"…","request_id":"…"}}
 * with the code as X-Reject-Reason too.  They state what the client can change, and nothing about
 * the implementation.  Every answer carries X-Request-Id and closes the connection.
 */
#ifndef GATEWAY_HTTP_REPLY_H
#define GATEWAY_HTTP_REPLY_H

#include "gateway/http/request.h"
#include "shared/base/buf.h"
#include "shared/base/language.h"

struct reply {
    int status;
    const char *type;   /* Content-Type; NULL: no body */
    const char *cache;  /* Cache-Control; NULL: "no-store" */
    struct buf headers; /* further ones, each "Name: value\r\n" */
    struct buf body;
    bool is_stream;     /* its body follows, and ends with the connection */
    bool is_exact;      /* a file: no newline is added, not even to JSON */
    bool keeps_upgrade; /* a 426 names what to upgrade to */
};

void reply_fini(struct reply *p);

/* JSON: append it to p->body afterwards or before; a final newline is added on sending.
 */
void reply_json(struct reply *p, int status);

/*
 * The language of the client, which Content-Language and Vary then name: at most once per answer.
 */
enum language reply_language(struct reply *p, const struct request *r);

/* message and hint are English; the client gets them in its language (reply_text.h). */
void reply_error(struct reply *p, const struct request *r, int status, const char *code,
                 const char *message, const char *hint);

/* Members beside an error's "error", for programs: `members` is like ,"at":7 */
void reply_error_add(struct reply *p, struct span members);

/* Append the answer as it is sent, and log the access. */
void reply_write(struct reply *p, const struct request *r, struct buf *out);

/* The answer to bytes that are not a valid request: {"error":…} and its head, in English. */
void reply_bare(struct buf *out, const struct head_explanation *why, const char *id);

#endif
