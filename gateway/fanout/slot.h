/*
 * slot: when each client is to come back, so that they do not all come at once.
 *
 * The n-th to ask gets a moment of its own within the window, whoever else is still to ask:
 * how many clients there are need not be known, and late ones fall between those before.
 * However many have asked, the widest space between two slots is at most twice the
 * narrowest (van der Corput's sequence).  Slots are whole milliseconds: as many as the largest
 * power of two in the window are distinct.
 *
 * Pure: no I/O, no clock.  Any thread.
 */
#ifndef GATEWAY_FANOUT_SLOT_H
#define GATEWAY_FANOUT_SLOT_H

#include <stdint.h>

/* In [0, window_ms); 0 if the window is.  n counts from 0, window_ms is below 2^31. */
int64_t slot_at(uint32_t n, int64_t window_ms);

#endif
