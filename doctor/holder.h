/*
 * holder: who listens on a TCP port of this machine, out of /proc.
 *
 * The kernel tells everybody that a port is held and by which user; by which process only
 * to that user and to root.
 */
#ifndef DOCTOR_HOLDER_H
#define DOCTOR_HOLDER_H

#include <stdbool.h>

struct holder {
    unsigned user;    /* id */
    long pid;         /* 0: another user's process, which we may not see */
    char program[64]; /* its name, "" if the pid is 0 */
};

/* Who listens on host:port (IPv4, or "0.0.0.0")?  False: nobody. */
bool holder_find(const char *host, int port, struct holder *out);

/* How many descriptors a process may open, its hard limit; 0: not to be seen. */
long holder_descriptors(long pid);

/* "pid 4711 (nginx)", or "a process of user 33". */
const char *holder_text(const struct holder *h, char out[100]);

#endif
