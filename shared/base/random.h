/* random: numbers nobody can guess, for names that must not meet (epochs, marks). */
#ifndef SHARED_BASE_RANDOM_H
#define SHARED_BASE_RANDOM_H

#include <stdint.h>

uint64_t random_u64(void); /* never 0; aborts if the kernel has none to give */

#endif
