/*
 * lock_name: which names and owners of locks are valid, and the limits of locks that broker,
 * gateway and consumers share (docs/protocol/locks.md). Pure; any thread.
 */
#ifndef SHARED_WIRE_LOCK_NAME_H
#define SHARED_WIRE_LOCK_NAME_H

#include <stdbool.h>

#include "shared/base/buf.h"

#define LOCK_NAME_MAX 64     /* bytes of A-Z a-z 0-9 . _ : - */
#define LOCK_OWNER_MAX 128   /* bytes of ASCII from ! to ~ */
#define LOCK_HOST_MAX 64     /* bytes */
#define LOCK_VALUE_MAX 65536 /* bytes */
#define LOCK_TTL_MIN_MS 1000
/* of the lease and of the lock delay; a broker may have a lower limit */
#define LOCK_TTL_MAX_MS 600000

bool lock_is_name(struct span text);
bool lock_is_owner(struct span text);

#endif
