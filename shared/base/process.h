/*
 * process: CPU time, memory and descriptors of this process, as the kernel counts them.
 *
 * Reads /proc/self. Counting thousands of descriptors takes time, so the gateway calls it from an
 * HTTP worker and not from its event loop. Any thread.
 */
#ifndef SHARED_BASE_PROCESS_H
#define SHARED_BASE_PROCESS_H

#include <stdint.h>

struct process_usage {
    uint64_t cpu_us; /* user and system time of all threads */
    uint64_t resident_bytes, virtual_bytes;
    uint64_t open_fds, max_fds;
};

/*
 * A value that cannot be read is 0. Without a free descriptor, `open_fds` is `max_fds`, and
 * `resident_bytes` is the most that there ever was.
 */
void process_read(struct process_usage *out);

#endif
