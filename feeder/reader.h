/*
 * reader: reads lines of bounded length from a descriptor that may have none yet; sources use it.
 *
 * One buffer, no allocation per line. A line over the limit is reported once and skipped to its
 * newline, whatever its length; one call skips a bounded part of it. The last line counts without a
 * newline. The reader never waits: it polls a pipe before it reads. (It does not set O_NONBLOCK,
 * because that flag belongs to the open file, which a parent shell or another process shares.) One
 * owner, one thread.
 */
#ifndef FEEDER_READER_H
#define FEEDER_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/base/buf.h"

enum reader_outcome {
    /* *line is set, without its newline or CR LF; valid until the next call */
    READER_LINE,
    READER_TOO_LONG, /* this line is over the limit and will be skipped */
    READER_AGAIN,    /* nothing to read now */
    READER_SKIPPING, /* a line over the limit goes on: call again, there may be more to read */
    READER_END,
    READER_FAILED, /* errno gives the reason */
};

struct reader {
    int fd;
    bool is_skipping, has_ended;
    uint64_t number; /* of the last line returned, from 1 */
    size_t line_max;
    char *data;
    size_t at, len;  /* unread bytes: data[at, len) */
    size_t searched; /* there is no newline before this offset */
};

/* line_max: bytes of a line.  reader_fini closes the descriptor if it is above 2. */
void reader_init(struct reader *r, int fd, size_t line_max);
void reader_fini(struct reader *r);

/* The caller may change the bytes of the line in place, and the byte behind them. */
enum reader_outcome reader_next(struct reader *r, char **line, size_t *len);
/* Starts the file again.  Returns false if the descriptor cannot seek. */
bool reader_rewind(struct reader *r);

#endif
