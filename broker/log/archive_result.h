/* archive_result: a result on its way to the loop.  Part of the archive. */
#ifndef BROKER_LOG_ARCHIVE_RESULT_H
#define BROKER_LOG_ARCHIVE_RESULT_H

#include "broker/log/archive.h"
#include "broker/sqlite/mailbox.h"
#include "shared/base/mem.h"

struct archive_note {
    struct mail mail;
    struct archive_result result;
};

/* What the result owns goes with it. */
static inline void archive_put(struct mailbox *results, const struct archive_result *r)
{
    struct archive_note *note = mem_alloc(sizeof *note);

    note->result = *r;
    mailbox_put(results, &note->mail);
}

#endif
