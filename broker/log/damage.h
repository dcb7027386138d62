/*
 * damage: what of the store's files is known to be unreadable, for the log and for health.
 *
 * Damage is met when something is read, by any number of requests, often in parts; it is
 * reported once.  Ranges of one page, and ranges that touch, are one.  At most DAMAGE_RANGES
 * are remembered and logged, one line each: what is met beyond them is only reported as "and
 * more".  Nothing is ever forgotten, so the report does not change back and forth: a restart
 * forgets.  A value, all zero: nothing is damaged.  No I/O but the log, no clock.
 */
#ifndef BROKER_LOG_DAMAGE_H
#define BROKER_LOG_DAMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/log/store.h"

#define DAMAGE_RANGES 64
#define DAMAGE_TEXT_MAX 896

struct damage {
    struct damage_range {
        uint64_t first, last; /* positions; 0, 0: not known yet */
        uint64_t page;        /* of the file, 0: not known */
        const char *file;     /* the caller's, good as long as this */
    } ranges[DAMAGE_RANGES];
    size_t count;
    bool has_more;
    char text
        [DAMAGE_TEXT_MAX]; /* a sentence for the operator, with advice; "": nothing is damaged */
};

/*
 * Positions first … last (0, 0: not known yet) cannot be read from `file`, for this page (0:
 * not known) is damaged.  Logs, if that is news.
 */
void damage_note(struct damage *d, const char *file, uint64_t page, uint64_t first, uint64_t last);
/* What was met while this page of the log was read. */
void damage_note_page(struct damage *d, const char *file, const struct store_page *page);
/* Something that holds no positions is damaged: `what` is the sentence.  The first one is kept. */
void damage_note_other(struct damage *d, const char *what);

uint64_t damage_positions(const struct damage *d); /* known to be lost */

#endif
