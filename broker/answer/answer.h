/*
 * answer: builds all messages that the broker sends on its control socket.
 *
 * broker/answer/ is used by every module that answers requests: broker/core and broker/locks. It
 * knows the format of answers (docs/protocol/wire.md: "re", "id", "error") and nothing about their
 * content.
 *
 * All messages are built in one reused buffer: begin, pack the members with the msgpack packer,
 * send.  The loop's thread only; no clock.
 */
#ifndef BROKER_ANSWER_ANSWER_H
#define BROKER_ANSWER_ANSWER_H

#include <msgpack.h>
#include <stdint.h>

#include "shared/base/buf.h"
#include "shared/base/err.h"

/* Zero-initialise but for send and ctx. */
struct answers {
    void (*send)(void *ctx, struct span peer, struct span message);
    void *ctx;
    struct buf message; /* the message under construction */
};

void answer_fini(struct answers *a);

/* One request of a peer while it is being answered. The spans point to the caller's memory. */
struct control_request {
    struct answers *answers;
    struct span peer; /* its ROUTER identity */
    struct span map;  /* the request, valid msgpack */
    struct span op;
    uint64_t id;
    msgpack_packer pk; /* of the answer, from answer_begin on */
};

/* The request of this message, which has passed pack_check. */
struct control_request answer_request(struct answers *a, struct span peer, struct span message);

/* Begin an answer of `members` besides "re" and "id". */
void answer_begin(struct control_request *q, uint32_t members);
/* Append members that were packed before. */
void answer_add(struct control_request *q, struct span packed);
/* The message under construction, for a caller that sends it later (answer_send_to). */
struct span answer_message(const struct control_request *q);
void answer_send(struct control_request *q);
/* A whole answer: the error's name and a sentence. */
void answer_error(struct control_request *q, enum err e, const char *text);

/* Begin a message that is not an answer: "op" and this many other members. */
void answer_begin_op(struct answers *a, const char *op, uint32_t members, msgpack_packer *pk);
/* Send the message that answer_begin_op began. */
void answer_send_op(struct answers *a, struct span peer);
/* Send a message that was built before. */
void answer_send_to(struct answers *a, struct span peer, struct span message);

#endif
