/*
 * reader: lines of bounded length from a descriptor that may have none yet.
 *
 * One buffer, no allocation per line.  A line over the limit is reported once and
 * skipped to its newline, whatever its length.  The last line counts without a newline.
 * It never waits: a pipe is asked with poll first.  (O_NONBLOCK would do too, but it
 * belongs to the open file, which our parent shell or a brother process shares.) One
 * owner, one thread.
 */
#ifndef FEEDER_READER_H
#define FEEDER_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/base/buf.h"

enum reader_outcome {
    READER_LINE,     /* *line is set, without its newline or CR LF; valid until the next
                        call */
    READER_TOO_LONG, /* this line is over the limit and will be skipped */
    READER_AGAIN,    /* nothing there now */
    READER_END,
    READER_FAILED, /* errno says why */
};

struct reader {
    int fd;
    bool is_skipping, has_ended;
    uint64_t number; /* of the line given last, from 1 */
    size_t line_max;
    char *data;
    size_t at, len;  /* unread bytes: data[at, len) */
    size_t searched; /* up to here there is no newline */
};

/* line_max: bytes of a line.  The descriptor is closed by fini if it is above 2. */
void reader_init(struct reader *r, int fd, size_t line_max);
void reader_fini(struct reader *r);

/* The bytes of a line may be changed in place (one beyond it, too). */
enum reader_outcome reader_next(struct reader *r, char **line, size_t *len);
/* Begin a file again.  false: it cannot be sought. */
bool reader_rewind(struct reader *r);

#endif
