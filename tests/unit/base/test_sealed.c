#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/sealed.h"

static const char object[] = "{\"name\":\"people\",\"sql\":\"SELECT 1\"}";

static void seal(struct lh_buf *buf)
{
    lh_buf_init(buf, 4096);
    lh_sealed_append(buf, lh_str_of(object));
}

static void what_was_sealed_is_sound_and_holds_the_object(void **state)
{
    struct lh_buf buf;
    (void)state;
    seal(&buf);
    assert_true(lh_sealed_is(lh_buf_str(&buf)));
    assert_int_equal(lh_sealed_check(lh_buf_str(&buf), lh_lit("It"), NULL), LH_OK);
    assert_non_null(strstr(buf.data, object + 1));
    lh_buf_release(&buf);
}

static void every_flipped_bit_is_found(void **state)
{
    struct lh_buf buf;
    (void)state;
    seal(&buf);
    for (size_t bit = 0; bit < buf.len * 8; bit++) {
        buf.data[bit / 8] = (char)(buf.data[bit / 8] ^ (1 << bit % 8));
        if (!lh_sealed_check(lh_buf_str(&buf), lh_lit("It"), NULL))
            fail_msg("bit %zu of byte %zu was changed and not found", bit % 8, bit / 8);
        buf.data[bit / 8] = (char)(buf.data[bit / 8] ^ (1 << bit % 8));
    }
    lh_buf_release(&buf);
}

static void every_cut_end_is_found(void **state)
{
    struct lh_buf buf;
    struct lh_error err = LH_ERROR_NONE;
    (void)state;
    seal(&buf);
    for (size_t length = 0; length < buf.len; length++)
        assert_int_equal(
            lh_sealed_check((struct lh_str){buf.data, length}, lh_lit("The record"), &err),
            LH_DAMAGED);
    assert_non_null(strstr(err.message, "The record does not have the checksum"));
    assert_int_equal(lh_sealed_check(lh_str_of(object), lh_lit("It"), &err), LH_DAMAGED);
    assert_false(lh_sealed_is(lh_str_of(object)));
    lh_buf_release(&buf);
}

static void a_sealed_object_is_read_and_nothing_else(void **state)
{
    struct lh_buf buf;
    struct lh_error err = LH_ERROR_NONE;
    json_t *root = NULL;
    (void)state;
    seal(&buf);
    assert_int_equal(lh_sealed_parse(lh_buf_str(&buf), lh_lit("It"), 4096, &root, &err), LH_OK);
    assert_string_equal(json_string_value(json_object_get(root, "name")), "people");
    json_decref(root);
    root = NULL;
    assert_int_equal(lh_sealed_parse(lh_lit("[1]"), lh_lit("It"), 4096, &root, &err), LH_DAMAGED);
    assert_string_equal(err.message, "It has its checksum but is no JSON object.");
    assert_null(root);
    lh_buf_release(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_sealed_is_sound_and_holds_the_object),
        cmocka_unit_test(every_flipped_bit_is_found),
        cmocka_unit_test(every_cut_end_is_found),
        cmocka_unit_test(a_sealed_object_is_read_and_nothing_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
