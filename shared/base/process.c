#include "shared/base/process.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

static uint64_t in_us(struct timeval t)
{
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_usec;
}

static void read_memory(struct process_usage *out)
{
    unsigned long long size = 0, resident = 0;
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    FILE *f = fopen("/proc/self/statm", "re");

    if (!f)
        return;
    if (fscanf(f, "%llu %llu", &size, &resident) == 2) {
        out->virtual_bytes = size * page;
        out->resident_bytes = resident * page;
    }
    fclose(f);
}

/* Opening the directory takes a descriptor too: if none is left, all `max` are open. */
static uint64_t count_fds(uint64_t max)
{
    DIR *d = opendir("/proc/self/fd");
    uint64_t count = 0;
    const struct dirent *e;

    if (!d)
        return errno == EMFILE ? max : 0;
    while ((e = readdir(d)))
        count += e->d_name[0] != '.';
    closedir(d);
    return count - 1; /* less the descriptor that reads the directory */
}

void process_read(struct process_usage *out)
{
    struct rusage usage;
    struct rlimit limit;

    *out = (struct process_usage){0};
    if (!getrusage(RUSAGE_SELF, &usage)) {
        out->cpu_us = in_us(usage.ru_utime) + in_us(usage.ru_stime);
        out->resident_bytes = (uint64_t)usage.ru_maxrss * 1024;
    }
    if (!getrlimit(RLIMIT_NOFILE, &limit))
        out->max_fds = limit.rlim_cur;
    read_memory(out);
    out->open_fds = count_fds(out->max_fds);
}
