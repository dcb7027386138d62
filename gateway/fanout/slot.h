/*
 * slot: gives every client another moment to reconnect, so that they do not all reconnect at once.
 *
 * The n-th call returns its own moment within the window. The number of clients need not be known,
 * and later moments fall between earlier ones. After any number of calls, the widest space between
 * two slots is at most twice the narrowest (van der Corput's sequence). Slots are whole
 * milliseconds: the first 2^k of them are distinct, where 2^k is the largest power of two in the
 * window.
 *
 * Pure: no I/O, no clock. Any thread.
 */
#ifndef GATEWAY_FANOUT_SLOT_H
#define GATEWAY_FANOUT_SLOT_H

#include <stdint.h>

/*
 * Returns a value in [0, window_ms); 0 if the window is 0. n counts from 0; window_ms is below
 * 2^31.
 */
int64_t slot_at(uint32_t n, int64_t window_ms);

#endif
