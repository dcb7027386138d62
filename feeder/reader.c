#include "feeder/reader.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shared/base/mem.h"

#define CHUNK ((size_t)64 << 10)
#define SKIP_READS 4 /* of a line that is skipped, in one call */

void reader_init(struct reader *r, int fd, size_t line_max)
{
    *r = (struct reader){.fd = fd, .line_max = line_max};
    r->data = mem_alloc(line_max + CHUNK);
}

void reader_fini(struct reader *r)
{
    free(r->data);
    r->data = NULL;
    if (r->fd > STDERR_FILENO)
        close(r->fd);
    r->fd = -1;
}

/* Reads more bytes; READER_LINE means that some came. */
static enum reader_outcome fill(struct reader *r)
{
    struct pollfd p = {.fd = r->fd, .events = POLLIN};
    ssize_t n;

    memmove(r->data, r->data + r->at, r->len - r->at);
    r->len -= r->at;
    r->searched -= r->at;
    r->at = 0;
    n = poll(&p, 1, 0);
    if (n == 0)
        return READER_AGAIN;
    /* One byte stays free: callers may put a NUL behind a line. */
    n = read(r->fd, r->data + r->len, r->line_max + CHUNK - 1 - r->len);
    if (n < 0)
        return errno == EINTR || errno == EAGAIN ? READER_AGAIN : READER_FAILED;
    if (n == 0)
        r->has_ended = true;
    r->len += (size_t)n;
    return n ? READER_LINE : READER_END;
}

static enum reader_outcome give(struct reader *r, size_t len, size_t eaten, char **line,
                                size_t *out_len)
{
    char *at = r->data + r->at;

    r->at += eaten;
    r->searched = r->at;
    if (r->is_skipping) {
        r->is_skipping = false;
        return READER_AGAIN; /* the rest of a line already reported */
    }
    r->number++;
    if (len > r->line_max)
        return READER_TOO_LONG;
    if (len && at[len - 1] == '\r')
        len--;
    *line = at;
    *out_len = len;
    return READER_LINE;
}

/* Takes a line from the buffer; READER_AGAIN with *is_dry: more bytes must be read. */
static enum reader_outcome take(struct reader *r, char **line, size_t *len, bool *is_dry)
{
    char *end = memchr(r->data + r->searched, '\n', r->len - r->searched);
    size_t have = r->len - r->at;

    *is_dry = false;
    if (end) {
        have = (size_t)(end - (r->data + r->at));
        return give(r, have, have + 1, line, len);
    }
    r->searched = r->len;
    if (have > r->line_max || r->is_skipping) {
        bool is_known = r->is_skipping;

        r->is_skipping = true;
        r->at = r->len;
        if (!is_known) {
            r->number++;
            return READER_TOO_LONG;
        }
    } else if (r->has_ended && have) {
        return give(r, have, have, line, len);
    }
    *is_dry = true;
    return READER_AGAIN;
}

enum reader_outcome reader_next(struct reader *r, char **line, size_t *len)
{
    int skipped = 0;

    for (;;) {
        bool is_dry;
        enum reader_outcome got = take(r, line, len, &is_dry);

        if (got != READER_AGAIN)
            return got;
        if (!is_dry)
            continue;
        if (r->has_ended)
            return READER_END;
        got = fill(r);
        if (got == READER_AGAIN || got == READER_FAILED)
            return got;
        if (r->is_skipping && ++skipped == SKIP_READS)
            return READER_SKIPPING;
    }
}

bool reader_rewind(struct reader *r)
{
    if (lseek(r->fd, 0, SEEK_SET) != 0)
        return false;
    r->at = r->len = r->searched = 0;
    r->number = 0;
    r->is_skipping = r->has_ended = false;
    return true;
}
