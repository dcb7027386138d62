/*
 * mem: memory that is there.
 *
 * Running out of memory is not something a quote server can carry on from in a
 * way anybody has tested, so these never return NULL: they say how much was asked
 * for and end the process (abort, so that a core tells where).  What a peer can make
 * us allocate is bounded where it enters, not here.
 */
#ifndef SHARED_BASE_MEM_H
#define SHARED_BASE_MEM_H

#include <stddef.h>

void *mem_alloc(size_t size);  /* uninitialised */
void *mem_zalloc(size_t size); /* zeroed */
void *mem_resize(void *old, size_t size);
char *mem_strdup(const char *text);
char *mem_strndup(const char *text, size_t len);

#endif
