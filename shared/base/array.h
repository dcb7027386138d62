/*
 * array: how all our growing arrays grow.
 *
 * An array is three variables of its owner: a pointer, the number of elements in use and the number
 * of elements that fit (its capacity).  ARRAY_RESERVE makes the capacity at least as large as the
 * caller needs, and at least doubles it, so that adding one element at a time costs a constant on
 * average.  Memory never runs out here (mem.h): the caller bounds the number of elements.  New
 * elements are not initialised.  free() releases the array.
 */
#ifndef SHARED_BASE_ARRAY_H
#define SHARED_BASE_ARRAY_H

#include <stddef.h>
#include <string.h>

#include "shared/base/mem.h"

/* The new capacity of an array that must hold `count` elements; `cap`: its present one. */
static inline size_t array_capacity(size_t cap, size_t count)
{
    if (count <= cap)
        return cap;
    return cap > count / 2 ? cap * 2 : count;
}

/*
 * Make room for `count` elements in all.  `array` and `cap` are variables (lvalues without side
 * effects) of any element and unsigned type; a zeroed pair is an empty array.
 */
#define ARRAY_RESERVE(array, cap, count)                                    \
    do {                                                                    \
        if ((count) > (cap)) {                                              \
            (cap) = (__typeof__(cap))array_capacity((cap), (count));        \
            (array) = mem_resize((array), (size_t)(cap) * sizeof *(array)); \
        }                                                                   \
    } while (0)

/* The same, and the new elements are zeroed. */
#define ARRAY_RESERVE_ZEROED(array, cap, count)                         \
    do {                                                                \
        if ((count) > (cap)) {                                          \
            size_t array_cap_before = (cap);                            \
                                                                        \
            ARRAY_RESERVE(array, cap, count);                           \
            memset((array) + array_cap_before, 0,                       \
                   ((size_t)(cap)-array_cap_before) * sizeof *(array)); \
        }                                                               \
    } while (0)

/* Add an element at the end. */
#define ARRAY_ADD(array, cap, count, ...)       \
    do {                                        \
        ARRAY_RESERVE(array, cap, (count) + 1); \
        (array)[(count)++] = __VA_ARGS__;       \
    } while (0)

/* Give memory back if less than a quarter of a larger array is in use. */
#define ARRAY_SHRINK(array, cap, count)                                     \
    do {                                                                    \
        if ((cap) > 64 && (count) < (cap) / 4) {                            \
            (cap) = (count) < 16 ? 16 : (count);                            \
            (array) = mem_resize((array), (size_t)(cap) * sizeof *(array)); \
        }                                                                   \
    } while (0)

/* Put an element before the one at `at`, or at the end; there is room. */
#define ARRAY_INSERT(array, count, at, ...)                                              \
    do {                                                                                 \
        memmove((array) + (at) + 1, (array) + (at), ((count) - (at)) * sizeof *(array)); \
        (array)[at] = __VA_ARGS__;                                                       \
        (count)++;                                                                       \
    } while (0)

/* Take out the element at `at`. */
#define ARRAY_REMOVE(array, count, at)                                                   \
    do {                                                                                 \
        (count)--;                                                                       \
        memmove((array) + (at), (array) + (at) + 1, ((count) - (at)) * sizeof *(array)); \
    } while (0)

#endif
