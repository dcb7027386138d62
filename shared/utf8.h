/*
 * utf8: which bytes are text.
 *
 * Strict as in RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF. What
 * passes here may be sent in a WebSocket text message, which browsers close when it
 * is not UTF-8.
 */
#ifndef SHARED_UTF8_H
#define SHARED_UTF8_H

#include <stddef.h>

/* Length (1 to 4) of the character at `at`, of which `left` > 0 bytes are there; else
 * 0. */
size_t utf8_len(const char *at, size_t left);

#endif
