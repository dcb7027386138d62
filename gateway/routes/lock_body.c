#include "gateway/routes/lock_body.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "shared/config/config.h"

#define PID_MAX 4194304 /* of Linux */

#define TTL_ALLOWED "Seconds from 1 to 600, with at most three decimals."
#define DELAY_ALLOWED "Seconds from 0 to 600, with at most three decimals."
#define MEMBERS                                                                     \
    "An object of owner, ttl, lock_delay, host and pid; to renew, of owner, token " \
    "and ttl."

static bool read_number(struct span text, uint64_t most, uint64_t *out)
{
    uint64_t n = 0;

    for (size_t i = 0; i < text.len; i++) {
        uint64_t digit = (uint64_t)(text.at[i] - '0');

        if (text.at[i] < '0' || text.at[i] > '9' || n > (UINT64_MAX - digit) / 10)
            return false;
        n = n * 10 + digit;
    }
    if (!text.len || n > most)
        return false;
    *out = n;
    return true;
}

bool lock_body_token(struct span text, uint64_t *out)
{
    uint64_t n = 0;

    if (!read_number(text, UINT64_MAX, &n) || !n)
        return false;
    *out = n;
    return true;
}

static bool read_seconds(const struct json_value *v, int64_t least, int64_t most, int64_t *out)
{
    char text[24];
    int64_t ms;

    if (v->type != JSON_NUMBER || v->text.len >= sizeof text)
        return false;
    span_copy(text, sizeof text, v->text);
    if (!config_read_ms(text, &ms) || ms < least || ms > most)
        return false;
    *out = ms;
    return true;
}

/* An owner, or a host, which is the same but shorter. */
static bool read_text(const struct json_value *v, char *out, size_t size)
{
    if (v->type != JSON_STRING || v->text.len >= size || !lock_is_owner(v->text))
        return false;
    span_copy(out, size, v->text);
    return true;
}

#define NAME(span) (int)((span).len < 40 ? (span).len : 40), (span).at

__attribute__((format(printf, 4, 5))) static bool refuse(struct lock_body_error *error, size_t at,
                                                         const char *hint, const char *what, ...)
{
    va_list args;

    va_start(args, what);
    vsnprintf(error->message, sizeof error->message, what, args);
    va_end(args);
    error->hint = hint;
    error->at = at;
    return false;
}

/* Returns NULL, or a text with the permitted values. */
static const char *read_member(struct span key, const struct json_value *v, struct lock_body *b)
{
    if (span_eq(key, "owner"))
        return read_text(v, b->owner, sizeof b->owner) ? NULL : LOCK_OWNER_ALLOWED;
    if (span_eq(key, "ttl"))
        return read_seconds(v, LOCK_TTL_MIN_MS, LOCK_TTL_MAX_MS, &b->ttl_ms) ? NULL : TTL_ALLOWED;
    if (span_eq(key, "lock_delay"))
        return read_seconds(v, 0, LOCK_TTL_MAX_MS, &b->delay_ms) ? NULL : DELAY_ALLOWED;
    if (span_eq(key, "token"))
        return (v->type == JSON_NUMBER || v->type == JSON_STRING) &&
                       lock_body_token(v->text, &b->token)
                   ? NULL
                   : LOCK_TOKEN_ALLOWED;
    if (span_eq(key, "host"))
        return read_text(v, b->host, sizeof b->host)
                   ? NULL
                   : "1 to 64 printable ASCII characters without spaces.";
    return v->type == JSON_NUMBER && read_number(v->text, PID_MAX, &b->pid)
               ? NULL
               : "A whole number from 0 to 4194304.";
}

static bool is_known(struct span key)
{
    static const char *const known[] = {"owner", "ttl", "lock_delay", "token", "host", "pid"};

    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (span_eq(key, known[i]))
            return true;
    return false;
}

static bool read_members(const struct json_value *root, struct lock_body *b,
                         struct lock_body_error *error)
{
    const struct json_value *key = root + 1;

    for (uint32_t i = 0; i < root->size; i++, key += 1 + key[1].skip) {
        const char *allowed;

        if (!is_known(key->text))
            return refuse(error, key->offset, MEMBERS, "There is no member '%.*s'.",
                          NAME(key->text));
        allowed = read_member(key->text, key + 1, b);
        if (allowed)
            return refuse(error, key[1].offset, allowed,
                          "The member '%.*s' is not what it should be.", NAME(key->text));
    }
    return true;
}

/* Report a missing member at the offset of the object. */
static bool check_whole(const struct json_value *root, const struct lock_body *b,
                        struct lock_body_error *error)
{
    const struct json_value *delay = json_member(root, "lock_delay");

    if (!b->owner[0])
        return refuse(error, root->offset, LOCK_OWNER_ALLOWED, "The member 'owner' is missing.");
    if (!b->token && !b->ttl_ms)
        return refuse(error, root->offset, TTL_ALLOWED, "The member 'ttl' is missing.");
    if (b->token && delay)
        return refuse(error, delay->offset,
                      "Leave token away: a holder who asks again without it replaces "
                      "ttl and lock_delay.",
                      "A renewal cannot change 'lock_delay'.");
    return true;
}

bool lock_body_read(struct json *j, struct span body, struct lock_body *out,
                    struct lock_body_error *error)
{
    const struct json_value *root;
    struct lock_body b = {0};

    if (json_parse(j, body, &root))
        return refuse(error, json_error_offset(j), MEMBERS, "The body is not JSON: %s.",
                      json_error(j));
    if (root->type != JSON_OBJECT)
        return refuse(error, root->offset, MEMBERS, "The body is not a JSON object.");
    if (!read_members(root, &b, error) || !check_whole(root, &b, error))
        return false;
    *out = b;
    return true;
}
