/* The shortest decimal that reads back as the same floating-point number, and reading it back. */
#ifndef LAKEHOUSE_BASE_SHORTEST_H
#define LAKEHOUSE_BASE_SHORTEST_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

#define LH_SHORTEST_BYTES 24 /* more than the 17 digits that there are at most */

/* Writes the digits of a finite value above 0, the first and the last of them not '0'; the value is
 * 0.<digits> × 10^*ret_point. Returns how many they are. */
int lh_shortest_double(double value, char *ret_digits, int *ret_point);
int lh_shortest_float(float value, char *ret_digits, int *ret_point);

/* The double that is nearest to a number as JSON writes it. False: the text is no number, or one
 * that is too large or too small for a double. */
bool lh_shortest_read(const char *text, size_t length, double *ret);

#ifdef __cplusplus
}
#endif

#endif
