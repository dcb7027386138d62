/*
 * damage: the known unreadable parts of the store's files, for the log and for health.
 *
 * Reads detect damage, often several reads the same damage in parts; it is reported once.  Ranges
 * of one page, and ranges that touch, are merged.  At most DAMAGE_RANGES are kept and logged, one
 * line each; further ones are only reported as "and more".  Ranges stay until the restart, so that
 * the report does not change back and forth.  All zero is a valid value: nothing is damaged.  No
 * I/O but the log, no clock.
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
        uint64_t first, last; /* positions; 0, 0: unknown */
        uint64_t page;        /* page of the file, 0: unknown */
        const char *file;     /* the caller's, good as long as this */
    } ranges[DAMAGE_RANGES];
    size_t count;
    bool has_more;
    char text
        [DAMAGE_TEXT_MAX]; /* a sentence for the operator, with advice; "": nothing is damaged */
};

/*
 * Positions first … last (0, 0: unknown) cannot be read from `file`, because this page (0: unknown)
 * is damaged.  Logs new damage.
 */
void damage_note(struct damage *d, const char *file, uint64_t page, uint64_t first, uint64_t last);
/* Note the damage that was detected while this page of the log was read. */
void damage_note_page(struct damage *d, const char *file, const struct store_page *page);
/* Something that holds no positions is damaged: `what` is the sentence.  The first one is kept. */
void damage_note_other(struct damage *d, const char *what);

uint64_t damage_positions(const struct damage *d); /* how many positions are known to be lost */

#endif
