/* stream_private: what stream.c and stream_say.c share; nobody else includes it. */
#ifndef GATEWAY_STREAM_PRIVATE_H
#define GATEWAY_STREAM_PRIVATE_H

#include "gateway/message.h"
#include "gateway/stream.h"

/* Put the message behind what the client has not got yet; frees the message. */
void stream_finish(struct client *c, struct message *m);
/* The request's id as it is said back; nothing if it had none. */
void stream_put_id(struct message *m, const struct buf *id);
/* `at`: the byte where the request went wrong, or NULL.  Too many of them end it (4429). */
void stream_say_error(struct client *c, const struct buf *id, const char *code,
                      const char *text, const size_t *at);
/*
 * The position up to which it has been sent everything of its symbols: never above what
 * it is still owed, then it is told what it was told before.
 */
uint64_t stream_complete_seq(struct client *c);
void stream_say_welcome(struct client *c);

#endif
