/*
 * utf8: decides which bytes are valid UTF-8 text.
 *
 * Strict as in RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF. Text that passes
 * may be sent in a WebSocket text message; a browser closes the connection on a text message that
 * is not UTF-8.
 */
#ifndef SHARED_BASE_UTF8_H
#define SHARED_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>

/* Length (1 to 4) of the character at `at`, of which `left` > 0 bytes are there; 0: not valid. */
size_t utf8_len(const char *at, size_t left);

/*
 * Must this character (of `len` bytes, from utf8_len) not reach a terminal or a log line? These are
 * control characters, U+0080 to U+009F (some terminals take U+009B for ESC [), and the line and
 * paragraph separators (U+2028, U+2029).
 */
bool utf8_is_control(const char *at, size_t len);

#endif
