/* member: writes members of a JSON object, each preceded by a comma. Any thread; keeps no state. */
#ifndef GATEWAY_ROUTES_MEMBER_H
#define GATEWAY_ROUTES_MEMBER_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/base/buf.h"

void member_text(struct buf *b, const char *key, struct span text);
void member_u(struct buf *b, const char *key, uint64_t n);
/* The name of a log: 16 hexadecimal digits. */
void member_epoch(struct buf *b, const char *key, uint64_t epoch);
void member_time(struct buf *b, const char *key, uint64_t wall_us);
void member_flag(struct buf *b, const char *key, bool value);
/* Seconds with three decimals. */
void member_seconds(struct buf *b, const char *key, uint64_t ms);

#endif
