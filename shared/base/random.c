#include "shared/base/random.h"

#include <stdlib.h>
#include <sys/random.h>

uint64_t random_u64(void)
{
    uint64_t n = 0;

    while (!n)
        if (getrandom(&n, sizeof n, 0) != sizeof n)
            abort();
    return n;
}
