#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "base/buf.h"

/* Under ASan an absurd size must be refused as malloc refuses it, not end the process. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "allocator_may_return_null=1";
}

static void appends_grow_the_buffer_and_keep_it_ended(void **state)
{
    (void)state;
    struct lh_buf buf;
    lh_buf_init(&buf, 1 << 20);
    assert_string_equal(lh_buf_str(&buf).data, "");
    size_t expected = 0;
    for (int i = 0; i < 20000; i++) {
        char digits[16];
        expected += (size_t)snprintf(digits, sizeof digits, "%d,", i);
        lh_buf_printf(&buf, "%d,", i);
        assert_int_equal(buf.len, expected);
        assert_int_equal(buf.data[buf.len], 0);
    }
    assert_true(lh_str_ends_with(lh_buf_str(&buf), lh_lit(",19998,19999,")));
    assert_int_equal(lh_buf_check(&buf, "The text", NULL), LH_OK);
    lh_buf_release(&buf);
    assert_null(buf.data);
    lh_buf_append_str(&buf, lh_lit("again"));
    assert_string_equal(buf.data, "again");
    lh_buf_release(&buf);
    lh_buf_release(NULL);
}

static void exactly_the_maximum_fits_and_one_byte_more_does_not(void **state)
{
    (void)state;
    for (int way = 0; way < 3; way++) {
        struct lh_buf buf;
        lh_buf_init(&buf, 5);
        lh_buf_append_str(&buf, lh_lit("abcd"));
        lh_buf_append_char(&buf, 'e');
        assert_false(buf.is_over);
        assert_string_equal(buf.data, "abcde");
        lh_buf_append(&buf, "", 0);
        assert_false(buf.is_over);
        if (way == 0)
            lh_buf_append_char(&buf, 'f');
        else if (way == 1)
            lh_buf_printf(&buf, "%d", 1);
        else
            assert_null(lh_buf_reserve(&buf, 1));
        assert_true(buf.is_over);
        assert_string_equal(buf.data, "abcde");
        struct lh_error err = LH_ERROR_NONE;
        assert_int_equal(lh_buf_check(&buf, "The reply", &err), LH_TOO_LARGE);
        assert_string_equal(err.message, "The reply is larger than 5 bytes.");
        lh_buf_clear(&buf);
        assert_int_equal(lh_buf_check(&buf, "The reply", &err), LH_OK);
        lh_buf_append_char(&buf, 'x');
        assert_string_equal(buf.data, "x");
        lh_buf_release(&buf);
    }
}

static void after_the_first_drop_nothing_shorter_slips_in(void **state)
{
    (void)state;
    struct lh_buf buf;
    lh_buf_init(&buf, 4);
    lh_buf_append_str(&buf, lh_lit("ab"));
    lh_buf_append_str(&buf, lh_lit("too long"));
    lh_buf_append_char(&buf, 'c');
    lh_buf_printf(&buf, "d");
    assert_string_equal(buf.data, "ab");
    assert_true(buf.is_over);
    lh_buf_release(&buf);
}

static void reserved_room_is_filled_by_the_caller(void **state)
{
    (void)state;
    struct lh_buf buf;
    lh_buf_init(&buf, 1000);
    char *at = lh_buf_reserve(&buf, 600);
    assert_non_null(at);
    memset(at, 'x', 600);
    buf.len += 600;
    lh_buf_append_char(&buf, '!');
    assert_int_equal(buf.len, 601);
    assert_int_equal(buf.data[601], 0);
    assert_null(lh_buf_reserve(&buf, SIZE_MAX));
    lh_buf_release(&buf);
}

static void a_maximum_without_end_is_still_a_maximum(void **state)
{
    (void)state;
    struct lh_buf buf;
    lh_buf_init(&buf, SIZE_MAX);
    lh_buf_append_str(&buf, lh_lit("a"));
    assert_null(lh_buf_reserve(&buf, SIZE_MAX - 16));
    assert_true(buf.is_over && buf.is_out_of_memory);
    struct lh_error err = LH_ERROR_NONE;
    assert_int_equal(lh_buf_check(&buf, "the reply", &err), LH_BUSY);
    lh_buf_release(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(appends_grow_the_buffer_and_keep_it_ended),
        cmocka_unit_test(exactly_the_maximum_fits_and_one_byte_more_does_not),
        cmocka_unit_test(after_the_first_drop_nothing_shorter_slips_in),
        cmocka_unit_test(reserved_room_is_filled_by_the_caller),
        cmocka_unit_test(a_maximum_without_end_is_still_a_maximum),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
