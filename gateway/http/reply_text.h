/*
 * reply_text: the sentences of errors in the language of the client, English or Spanish.
 *
 * The header Accept-Language decides.  Codes stay as they are, and logs stay English.  A text
 * without an entry in the table stays English.  Any thread.
 */
#ifndef GATEWAY_HTTP_REPLY_TEXT_H
#define GATEWAY_HTTP_REPLY_TEXT_H

#include "gateway/http/request.h"
#include "shared/base/language.h"

enum language reply_text_language(const struct request *r);

/* Append the text, as it is or as a JSON string. */
void reply_text_add(struct buf *out, enum language l, const char *english);
void reply_text_json(struct buf *out, enum language l, const char *english);

#endif
