/*
 * utf8: which bytes are text.
 *
 * Strict as in RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF. What
 * passes here may be sent in a WebSocket text message, which browsers close when it
 * is not UTF-8.
 */
#ifndef SHARED_BASE_UTF8_H
#define SHARED_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>

/* Length (1 to 4) of the character at `at`, of which `left` > 0 bytes are there; else
 * 0. */
size_t utf8_len(const char *at, size_t left);

/*
 * Is this character (of `len` bytes, as utf8_len said) one that must not reach a terminal or a line of
 * a log: a control character, U+0080 to U+009F (some terminals take U+009B for ESC [), or a
 * line or paragraph separator (U+2028, U+2029)?
 */
bool utf8_is_control(const char *at, size_t len);

#endif
