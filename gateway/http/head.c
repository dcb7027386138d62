#include "gateway/http/head.h"

#include <assert.h>
#include <ctype.h>
#include <string.h>
#include <strings.h>

#define TLS_HANDSHAKE 0x16 /* the first byte of a TLS record that begins a connection */
#define LENGTH_DIGITS 18   /* fits 63 bits */
#define PORT_DIGITS 5
#define METHOD_MAX 7 /* bytes */

struct head_explanation head_explain(enum head_fault fault)
{
    static const struct head_explanation all[] = {
#define X(name, status, code, message, hint) [HEAD_FAULT_##name] = {status, code, message, hint},
        HEAD_FAULTS(X)
#undef X
    };

    assert(fault > HEAD_FINE && fault < HEAD_FAULT_END);
    return all[fault];
}

/* --- finding the end --------------------------------------------------------------------- */

/* A line is complete; `at` is after its end. */
static enum head_fault end_line(struct head_scan *s, size_t content)
{
    if (content == 0 && s->lines == 0) { /* empty lines before the request are forgiven */
        s->start = s->at;
    } else if (content == 0) {
        s->size = s->at;
    } else if (++s->lines > 1 + HEAD_FIELDS_MAX) {
        return HEAD_FAULT_too_many;
    }
    s->line = s->at;
    return HEAD_FINE;
}

static enum head_fault judge_byte(const struct head_scan *s, unsigned char c)
{
    if (c == '\n')
        return HEAD_FAULT_bare_lf;
    if (c == TLS_HANDSHAKE && s->at == 0)
        return HEAD_FAULT_tls;
    if ((c < ' ' && c != '\t') || c == 0x7f)
        return HEAD_FAULT_control;
    if (s->at == s->line && (c == ' ' || c == '\t'))
        return s->lines ? HEAD_FAULT_folded : HEAD_FAULT_line;
    return HEAD_FINE;
}

/* Which limit does a head exceed that continues at `at`? */
static enum head_fault judge_size(const struct head_scan *s)
{
    const size_t rest = METHOD_MAX + sizeof "  HTTP/1.1";

    if (s->lines == 0 && s->at - s->line > HEAD_TARGET_MAX + rest)
        return HEAD_FAULT_target_too_long;
    return s->at >= HEAD_MAX ? HEAD_FAULT_too_large : HEAD_FINE;
}

enum head_fault head_scan(struct head_scan *s, const char *bytes, size_t len)
{
    while (s->size == 0 && s->at < len) {
        unsigned char c = (unsigned char)bytes[s->at];
        enum head_fault fault = judge_size(s);

        if (!fault && c == '\r') {
            size_t content = s->at - s->line;

            if (s->at + 1 == len)
                break; /* the next byte decides */
            if (bytes[s->at + 1] != '\n')
                return HEAD_FAULT_bare_cr;
            s->at += 2;
            fault = s->at > HEAD_MAX ? HEAD_FAULT_too_large : end_line(s, content);
        } else if (!fault) {
            fault = judge_byte(s, c);
            s->at++;
        }
        if (fault)
            return fault;
    }
    return HEAD_FINE;
}

/* --- the request line -------------------------------------------------------------------- */

static bool is_token_char(char c)
{
    return isalnum((unsigned char)c) || (c && strchr("!#$%&'*+-.^_`|~", c));
}

static bool is_token(const char *text)
{
    const char *c = text;

    while (is_token_char(*c))
        c++;
    return c > text && !*c;
}

/* "name", "name:port", "[::1]:port"; a URI's names with percent signs too (RFC 3986). */
static bool is_authority(const char *text)
{
    size_t len;

    if (text[0] == '[') {
        len = 1 + strspn(text + 1, "0123456789abcdefABCDEF:.");
        if (len == 1 || text[len] != ']')
            return false;
        len++;
    } else {
        len = 0;
        while (isalnum((unsigned char)text[len]) || (text[len] && strchr("-._~%", text[len])))
            len++;
    }
    if (!text[len])
        return true;
    text += len + 1;
    return len > 0 && text[-1] == ':' && strspn(text, "0123456789") == strlen(text) &&
           strlen(text) <= PORT_DIGITS;
}

/* Behind "http://" and its like, or NULL. */
static char *behind_scheme(char *target)
{
    static const char *const schemes[] = {"http://", "https://", "ws://", "wss://"};

    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++)
        if (strncasecmp(target, schemes[i], strlen(schemes[i])) == 0)
            return target + strlen(schemes[i]);
    return NULL;
}

/*
 * scheme://authority[/path][?query].  Moves the authority to the front, over the scheme, so that a
 * NUL fits after it and the next byte stays.
 */
static enum head_fault split_absolute(char *target, char *authority, struct head *out)
{
    size_t len = strcspn(authority, "/?");
    char *rest = authority + len;
    bool is_path = *rest == '/';

    if (*rest == '?')
        out->query = rest + 1;
    memmove(target, authority, len);
    target[len] = '\0';
    if (len == 0 || target[0] == ':' || !is_authority(target))
        return HEAD_FAULT_target;
    out->host = target;
    out->path = is_path ? rest : "/";
    return HEAD_FINE;
}

static enum head_fault split_target(char *target, struct head *out)
{
    char *authority, *query;
    enum head_fault fault = HEAD_FINE;

    if (strlen(target) > HEAD_TARGET_MAX)
        return HEAD_FAULT_target_too_long;
    for (const char *c = target; *c; c++)
        if (*c <= ' ' || *c >= 0x7f || *c == '#') /* a char from 0x80 on is negative, if signed */
            return HEAD_FAULT_target;
    out->query = "";
    authority = behind_scheme(target);
    if (authority)
        fault = split_absolute(target, authority, out);
    else if (target[0] == '/' || (strcmp(target, "*") == 0 && strcmp(out->method, "OPTIONS") == 0))
        out->path = target;
    else
        fault = HEAD_FAULT_target;
    if (fault)
        return fault;
    query = strchr(out->path, '?');
    if (query) {
        *query = '\0';
        out->query = query + 1;
    }
    return HEAD_FINE;
}

static enum head_fault read_version(const char *text, struct head *out)
{
    if (strlen(text) != 8 || strncmp(text, "HTTP/", 5) != 0 || !isdigit((unsigned char)text[5]) ||
        text[6] != '.' || !isdigit((unsigned char)text[7]))
        return HEAD_FAULT_version;
    if (text[5] != '1')
        return HEAD_FAULT_other_version;
    out->version = text[7] == '0' ? "1.0" : "1.1"; /* a later minor version is no other one */
    return HEAD_FINE;
}

static bool is_method(const char *text)
{
    static const char *const known[] = {"GET",     "HEAD",    "POST",  "PUT",  "DELETE",
                                        "CONNECT", "OPTIONS", "TRACE", "PATCH"};

    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(text, known[i]) == 0)
            return true;
    return false;
}

static enum head_fault read_request_line(char *line, struct head *out)
{
    char *target = strchr(line, ' '), *version = target ? strchr(target + 1, ' ') : NULL;
    enum head_fault fault;

    if (!version || target == line || version == target + 1 || strchr(version + 1, ' '))
        return HEAD_FAULT_line;
    *target++ = '\0';
    *version++ = '\0';
    if (!is_method(line))
        return HEAD_FAULT_method;
    out->method = line;
    fault = read_version(version, out);
    return fault ? fault : split_target(target, out);
}

/* --- the headers --------------------------------------------------------------------------- */

static enum head_fault read_field(char *line, struct head *out)
{
    char *colon = strchr(line, ':'), *value, *end;

    if (!colon)
        return HEAD_FAULT_no_colon;
    *colon = '\0';
    if (!is_token(line))
        return HEAD_FAULT_name;
    value = colon + 1;
    value += strspn(value, " \t");
    end = value + strlen(value);
    while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    *end = '\0';
    out->fields[out->count++] = (struct head_field){line, value};
    return HEAD_FINE;
}

/* Of two such headers one reader would use the first and another reader the second. */
static bool has_repeated(const struct head *h)
{
    static const char *const once[] = {"Host",
                                       "Origin",
                                       "Authorization",
                                       "Content-Length",
                                       "Content-Type",
                                       "Content-Encoding",
                                       "Idempotency-Key",
                                       "X-Feed",
                                       "Sec-WebSocket-Key",
                                       "Sec-WebSocket-Version",
                                       "Access-Control-Request-Method"};

    for (size_t i = 0; i < sizeof once / sizeof *once; i++) {
        int count = 0;

        for (int j = 0; j < h->count; j++)
            count += strcasecmp(h->fields[j].name, once[i]) == 0;
        if (count > 1)
            return true;
    }
    return false;
}

static enum head_fault read_host(struct head *h)
{
    const char *host = head_value(h, "Host");

    if (!host && strcmp(h->version, "1.0") != 0)
        return HEAD_FAULT_no_host;
    if (host && !is_authority(host))
        return HEAD_FAULT_host;
    if (!h->host)
        h->host = host;
    return HEAD_FINE;
}

static enum head_fault read_length(struct head *h)
{
    const char *length = head_value(h, "Content-Length");
    const char *encoding = head_value(h, "Transfer-Encoding");

    if (length && encoding)
        return HEAD_FAULT_length_and_encoding;
    if (encoding) {
        struct buf joined = {0};
        bool is_chunked = strcasecmp(head_values(h, "Transfer-Encoding", &joined), "chunked") == 0;

        buf_free(&joined);
        if (!is_chunked || strcmp(h->version, "1.0") == 0)
            return HEAD_FAULT_encoding;
        h->is_chunked = true;
    }
    if (!length)
        return HEAD_FINE;
    if (!length[0] || strspn(length, "0123456789") != strlen(length) ||
        strlen(length) > LENGTH_DIGITS)
        return HEAD_FAULT_length;
    for (const char *c = length; *c; c++)
        h->length = h->length * 10 + (uint64_t)(*c - '0');
    h->has_length = true;
    return HEAD_FINE;
}

/* End the line that begins here, and go to the next. */
static char *cut_line(char *line)
{
    char *end = strchr(line, '\r');

    *end = '\0';
    return end + 2;
}

enum head_fault head_parse(char *bytes, size_t size, struct head *out)
{
    char *line = bytes, *next, *end = bytes + size - 2;
    enum head_fault fault;

    assert(size >= 4 && end[0] == '\r' && end[1] == '\n');
    end[1] = '\0'; /* so that no search leaves the head */
    out->host = NULL;
    out->has_length = out->is_chunked = false;
    out->length = 0;
    out->count = 0;
    next = cut_line(line);
    fault = read_request_line(line, out);
    while (!fault && next < end) {
        line = next;
        next = cut_line(line);
        fault = read_field(line, out);
    }
    if (!fault && has_repeated(out))
        fault = HEAD_FAULT_repeated;
    if (!fault)
        fault = read_host(out);
    return fault ? fault : read_length(out);
}

/* --- the values of a head ---------------------------------------------------------------- */

const char *head_value(const struct head *h, const char *name)
{
    for (int i = 0; i < h->count; i++)
        if (strcasecmp(h->fields[i].name, name) == 0)
            return h->fields[i].value;
    return NULL;
}

const char *head_values(const struct head *h, const char *name, struct buf *room)
{
    const char *only = NULL;
    int count = 0;

    buf_clear(room);
    for (int i = 0; i < h->count; i++) {
        if (strcasecmp(h->fields[i].name, name) != 0)
            continue;
        if (++count == 2)
            buf_adds(room, only);
        if (count > 1) {
            buf_adds(room, ", ");
            buf_adds(room, h->fields[i].value);
        }
        only = h->fields[i].value;
    }
    return count > 1 ? buf_text(room) : only;
}
