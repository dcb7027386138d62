#include "shared/base/bell.h"

#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

bool bell_open(struct bell *b)
{
    *b = (struct bell){.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
    return b->fd >= 0;
}

void bell_close(struct bell *b)
{
    if (b->fd >= 0)
        close(b->fd);
    b->fd = -1;
}

/* Neither call can fail: the count is 0 or 1. */
void bell_ring(struct bell *b)
{
    uint64_t one = 1;

    if (!b->is_ringing)
        b->is_ringing = write(b->fd, &one, sizeof one) == sizeof one;
}

void bell_hush(struct bell *b)
{
    uint64_t count;

    if (b->is_ringing)
        b->is_ringing = read(b->fd, &count, sizeof count) != sizeof count;
}
