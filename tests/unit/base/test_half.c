#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/half.h"

static void every_number_of_16_bits_is_the_float_that_its_bits_say(void **state)
{
    (void)state;
    for (uint32_t bits = 0; bits < 65536; bits++) {
        int exponent = (int)(bits >> 10 & 31), fraction = (int)(bits & 1023);
        double sign = bits & 0x8000 ? -1 : 1;
        float value = lh_float_of_half((uint16_t)bits);
        assert_int_equal(!!signbit(value), bits >> 15);
        if (exponent == 31 && fraction)
            assert_true(isnan(value));
        else if (exponent == 31)
            assert_true(isinf(value));
        else if (exponent)
            assert_true((double)value == sign * ldexp(1024 + fraction, exponent - 25));
        else
            assert_true((double)value == sign * ldexp(fraction, -24));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_number_of_16_bits_is_the_float_that_its_bits_say),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
