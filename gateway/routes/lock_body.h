/*
 * lock_body: what PUT /cotizaciones/locks/NAME carries, read strictly.
 *
 *   {"owner":"bot-7f3a","ttl":30,"lock_delay":60,"host":"web1","pid":4711}    take, or extend
 *   {"owner":"bot-7f3a","token":1795382003911255,"ttl":30}                    renew
 *
 * A misspelt member is refused and not skipped: a lock taken with another ttl than meant
 * is found out too late.  Seconds have up to three decimals and are taken from the source
 * text.  A token may also be a text of digits, for languages whose numbers end at 2^53.
 *
 * Pure: no I/O, no clock.  Any thread.
 */
#ifndef GATEWAY_ROUTES_LOCK_BODY_H
#define GATEWAY_ROUTES_LOCK_BODY_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/base/json.h"
#include "shared/wire/lock_name.h"

#define LOCK_BODY_MAX 16384 /* bytes of JSON */
#define LOCK_BODY_ERROR_MAX 160

#define LOCK_NAME_ALLOWED "A name is 1 to 64 of A-Z a-z 0-9 . _ : -"
#define LOCK_OWNER_ALLOWED "1 to 128 printable ASCII characters without spaces."
#define LOCK_TOKEN_ALLOWED "The token of the grant, in digits."

struct lock_body {
    char owner[LOCK_OWNER_MAX + 1];
    char host[LOCK_HOST_MAX + 1]; /* "": the body does not have it */
    uint64_t token;               /* 0: the body has no token, so it is not a renewal */
    uint64_t pid;
    int64_t ttl_ms; /* 0: the body does not have it; only a renewal may omit it */
    int64_t delay_ms;
};

struct lock_body_error {
    char message[LOCK_BODY_ERROR_MAX];
    const char *hint;
    size_t at; /* the byte of the body where it went wrong, from 0 */
};

/* false: *error has the fault and its place; *out is unchanged. */
bool lock_body_read(struct json *j, struct span body, struct lock_body *out,
                    struct lock_body_error *error);

/* A token in digits, above 0.  false: not a token, and *out is unchanged. */
bool lock_body_token(struct span text, uint64_t *out);

#endif
