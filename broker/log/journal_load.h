/* journal_load: the entries that an earlier broker left in the ring. */
#ifndef BROKER_LOG_JOURNAL_LOAD_H
#define BROKER_LOG_JOURNAL_LOAD_H

#include "broker/log/journal_ring.h"

/* Read what the mapped file says; errors as journal_open. */
MUST_CHECK enum err journal_load(struct journal *j, const char *path,
                                 char error[JOURNAL_ERROR_MAX]);

#endif
