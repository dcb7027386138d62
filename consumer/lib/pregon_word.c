/* pregon_word: the names of errors, and positions as text. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "consumer/lib/pregon_private.h"
#include "shared/base/version.h"

static const struct {
    const char *name, *text;
} errors[] = {
    [PREGON_OK] = {"ok", "It is done."},
    [PREGON_ERROR_INVALID] = {"invalid", "An argument is not what it may be."},
    [PREGON_ERROR_SYSTEM] = {"system", "The system refused: see errno."},
    [PREGON_ERROR_AWAY] = {"away", "The broker did not answer."},
    [PREGON_ERROR_STALE] = {"stale", "The lock has ended or passed on."},
    [PREGON_ERROR_TOO_LARGE] = {"too_large", "A value is at most 65536 bytes."},
    [PREGON_ERROR_NOT_STORED] = {"not_stored", "The broker's disk refused."},
    [PREGON_ERROR_NOT_FOUND] = {"not_found", "There is no such thing."},
    [PREGON_ERROR_FULL] = {"full", "A limit was reached: try again later."},
    [PREGON_ERROR_REFUSED] = {"refused", "The broker refused the request."},
    [PREGON_ERROR_CLOSED] = {"closed", "The connection was closed before the answer."},
};

const char *pregon_error_name(enum pregon_error e)
{
    return (size_t)e < sizeof errors / sizeof errors[0] ? errors[e].name : "unknown";
}

const char *pregon_error_text(enum pregon_error e)
{
    return (size_t)e < sizeof errors / sizeof errors[0] ? errors[e].text : "An unknown error.";
}

const char *pregon_version(void)
{
    return PREGON_VERSION;
}

enum pregon_error pregon_position_parse(const char *text, struct pregon_position *out)
{
    char *end;
    unsigned long long epoch, seq;
    size_t digits = strspn(text, "0123456789abcdefABCDEF");

    if (strcmp(text, "start") == 0) {
        *out = (struct pregon_position){RECEIVER_ANY_EPOCH, 0};
        return PREGON_OK;
    }
    if (!digits || digits > 16 || text[digits] != ':')
        return PREGON_ERROR_INVALID;
    epoch = strtoull(text, NULL, 16);
    text += digits + 1;
    if (!*text || text[strspn(text, "0123456789")])
        return PREGON_ERROR_INVALID;
    errno = 0;
    seq = strtoull(text, &end, 10);
    if (errno || !epoch)
        return PREGON_ERROR_INVALID;
    *out = (struct pregon_position){epoch, seq};
    return PREGON_OK;
}
