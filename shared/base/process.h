/*
 * process: what this process costs, as the kernel counts it.
 *
 * Reads /proc/self; counting descriptors takes the longer the more there are, so a process with
 * thousands of them asks from a thread that nobody waits for.  Any thread.
 */
#ifndef SHARED_BASE_PROCESS_H
#define SHARED_BASE_PROCESS_H

#include <stdint.h>

struct process_usage {
    uint64_t cpu_us; /* user and system time of all threads */
    uint64_t resident_bytes, virtual_bytes;
    uint64_t open_fds, max_fds;
};

/* What cannot be read is 0. */
void process_read(struct process_usage *out);

#endif
