/* random: numbers that nobody can guess, for identifiers that must be unique (epochs, marks). */
#ifndef SHARED_BASE_RANDOM_H
#define SHARED_BASE_RANDOM_H

#include <stdint.h>

uint64_t random_u64(void); /* never 0; aborts if the kernel's generator fails */

#endif
