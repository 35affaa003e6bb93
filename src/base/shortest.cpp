// The C++ library's numbers behind a C face: C's has no shortest ones, and reads slowly. Nothing
// here throws.
#include "base/shortest.h"

#include <charconv>

namespace
{

// The library writes d.ddde±xx: the point is taken out, the exponent read.
template <typename Number> int take_apart(Number value, char *ret_digits, int *ret_point)
{
    char text[32];
    char *const end =
        std::to_chars(text, text + sizeof text, value, std::chars_format::scientific).ptr;
    int count = 0, exponent = 0;
    const char *at = text;
    for (; *at != 'e'; at++)
        if (*at != '.')
            ret_digits[count++] = *at;
    const bool is_negative = at[1] == '-';
    for (at += 2; at < end; at++)
        exponent = exponent * 10 + (*at - '0');
    *ret_point = (is_negative ? -exponent : exponent) + 1;
    return count;
}

} // namespace

int lh_shortest_double(double value, char *ret_digits, int *ret_point)
{
    return take_apart(value, ret_digits, ret_point);
}

int lh_shortest_float(float value, char *ret_digits, int *ret_point)
{
    return take_apart(value, ret_digits, ret_point);
}

bool lh_shortest_read(const char *text, size_t length, double *ret)
{
    double value = 0;
    const auto read = std::from_chars(text, text + length, value);
    if (read.ec != std::errc() || read.ptr != text + length)
        return false;
    *ret = value;
    return true;
}
