/* Whole numbers as bytes of a file, the least first, on any processor. */
#ifndef LAKEHOUSE_BASE_LITTLE_H
#define LAKEHOUSE_BASE_LITTLE_H

#include <stddef.h>
#include <stdint.h>

/* The lowest `bytes` (at most 8) of a number. */
static inline void lh_little_put(char *to, uint64_t number, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        to[i] = (char)(unsigned char)(number >> (8 * i));
}
static inline uint64_t lh_little_get(const char *from, size_t bytes)
{
    uint64_t number = 0;
    for (size_t i = 0; i < bytes; i++)
        number |= (uint64_t)(unsigned char)from[i] << (8 * i);
    return number;
}

#endif
