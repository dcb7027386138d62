/*
 * mem: allocation that never returns NULL.
 *
 * No test covers a quote server that continues after memory ran out. These functions therefore log
 * the size of the request and end the process (with abort, so that a core dump shows where). Each
 * parser bounds what a peer can make the process allocate; this module does not.
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
