/*
 * holder: finds in /proc the process that listens on a TCP port of this machine.
 *
 * Every user can see that a port is held, and by which user.  Only that user and root can see by
 * which process.
 */
#ifndef DOCTOR_HOLDER_H
#define DOCTOR_HOLDER_H

#include <stdbool.h>

struct holder {
    unsigned user;    /* id */
    long pid;         /* 0: a process of another user, which the kernel does not show */
    char program[64]; /* its name, "" if the pid is 0 */
};

/* Find the listener of host:port (IPv4, or "0.0.0.0").  false: no program listens there. */
bool holder_find(const char *host, int port, struct holder *out);

/* The hard limit of a process's descriptors; 0: the kernel does not show it. */
long holder_descriptors(long pid);

/* "pid 4711 (nginx)", or "a process of user 33". */
const char *holder_text(const struct holder *h, char out[100]);

#endif
