/*
 * broker_answer: lists in the broker's answers, which have passed pack_check.
 *
 * Any thread; nothing is kept.
 */
#ifndef GATEWAY_ROUTES_BROKER_ANSWER_H
#define GATEWAY_ROUTES_BROKER_ANSWER_H

#include <stdint.h>

#include "shared/base/buf.h"

/*
 * Enter the list `key`; returns its length, and *c is at its first element.  0: the answer has no
 * such list.
 */
uint32_t broker_answer_list(struct span answer, const char *key, struct span *c);
/* Take the element at the cursor, whole. */
struct span broker_answer_take(struct span *c);

#endif
