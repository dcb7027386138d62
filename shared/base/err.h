/*
 * err: the one set of error codes, used by every module and on the wire.
 *
 * A function that can fail returns `enum err`: OK is 0, so `if (e)` reads "if it failed". After
 * ERR_SYS, errno holds the system call's error. The names (not the numbers) are sent on the wire,
 * in lower case without the prefix ("not_found"): entries may be reordered but never renamed.
 *
 * Folder shared/base: what every program needs and what knows nothing of quotes (memory, text,
 * time, logging, event loop, JSON).  Every folder may call it.
 */
#ifndef SHARED_BASE_ERR_H
#define SHARED_BASE_ERR_H

#define ERR_MAP(X)                                           \
    X(OK, "ok")                                              \
    X(ERR_SYS, "system error")                               \
    X(ERR_AGAIN, "not now, try again")                       \
    X(ERR_INVALID, "invalid argument")                       \
    X(ERR_MALFORMED, "message is malformed")                 \
    X(ERR_TOO_LARGE, "message is larger than allowed")       \
    X(ERR_TOO_DEEP, "message is nested deeper than allowed") \
    X(ERR_DUPLICATE_KEY, "a key stands twice in one map")    \
    X(ERR_NOT_FOUND, "no such thing")                        \
    X(ERR_HELD, "held by another")                           \
    X(ERR_STALE, "the lease has ended or passed on")         \
    X(ERR_FULL, "limit reached")                             \
    X(ERR_VERSION, "no wire version in common")              \
    X(ERR_UNKNOWN_PEER, "say hello first")                   \
    X(ERR_TOO_MANY_PATTERNS, "too many patterns")            \
    X(ERR_BAD_PATTERN, "this cannot be a pattern")           \
    X(ERR_NOT_STORED, "the disk does not take it")           \
    X(ERR_TOO_MANY_REQUESTS, "more requests than answers read")

enum err {
#define X(code, text) code,
    ERR_MAP(X)
#undef X
};

#define MUST_CHECK __attribute__((warn_unused_result))

const char *err_name(enum err e); /* "not_found", as on the wire */
const char *err_text(enum err e); /* "no such thing" */

#endif
