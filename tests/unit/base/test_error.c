#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "base/error.h"

static void every_code_has_a_row_with_a_status_an_id_and_a_meaning(void **state)
{
    (void)state;
    for (int code = LH_OK; code < LH_CODE_COUNT; code++) {
        const struct lh_error_row *row = lh_error_row((enum lh_code)code);
        assert_int_equal(row->code, code);
        assert_in_range(row->http_status, code == LH_OK ? 200 : 400, code == LH_OK ? 200 : 599);
        assert_true(strlen(row->id) > 0 && strlen(row->meaning) > 0);
        for (int other = LH_OK; other < code; other++)
            assert_string_not_equal(row->id, lh_error_row((enum lh_code)other)->id);
    }
    assert_int_equal(lh_error_row((enum lh_code)9999)->code, LH_INTERNAL);
}

static void a_failure_replaces_what_an_earlier_one_said(void **state)
{
    (void)state;
    struct lh_error err = LH_ERROR_NONE;
    assert_int_equal(lh_fail(&err, LH_INVALID, "first"), LH_INVALID);
    assert_int_equal(lh_error_hint(&err, "do %d", 1), LH_INVALID);
    assert_int_equal(lh_error_field(&err, lh_lit("limit")), LH_INVALID);
    err.position = 7;
    err.line = 3;
    assert_int_equal(lh_fail(&err, LH_IO, "second after %s", err.message), LH_IO);
    assert_string_equal(err.message, "second after first");
    assert_string_equal(err.hint, "");
    assert_string_equal(err.field, "");
    assert_int_equal(err.position, -1);
    assert_int_equal(err.line, 0);
    assert_int_equal(lh_error_context(&err, "loading '%s'", "t"), LH_IO);
    assert_string_equal(err.message, "loading 't': second after first");
}

static void without_an_error_the_code_still_travels(void **state)
{
    (void)state;
    assert_int_equal(lh_fail(NULL, LH_RACE, "lost"), LH_RACE);
    assert_int_equal(lh_error_hint(NULL, "again"), LH_RACE);
    assert_int_equal(lh_error_field(NULL, lh_lit("x")), LH_RACE);
    assert_int_equal(lh_error_context(NULL, "x"), LH_RACE);
    assert_int_equal(lh_fail_errno(NULL, ENOSPC, "x"), LH_FULL);
}

static void messages_are_clean_utf8_however_bad_their_arguments_are(void **state)
{
    (void)state;
    struct lh_error err = LH_ERROR_NONE;
    lh_fail(&err, LH_INVALID, "bad '%s'", "\xFF\x1B[31m\x7F\xC3\xA4\n");
    assert_string_equal(err.message, "bad '??[31m?\xC3\xA4\n'");
    lh_error_field(&err, lh_lit("a\xC3"));
    assert_string_equal(err.field, "a?");
}

static void what_is_too_long_is_cut_at_a_character(void **state)
{
    (void)state;
    char longer[3 * LH_ERROR_MESSAGE_BYTES + 1];
    for (size_t shift = 0; shift < 3; shift++) {
        for (size_t i = 0; i + 3 < sizeof longer; i += 3)
            memcpy(longer + i, "\xE2\x82\xAC", 4);
        struct lh_error err = LH_ERROR_NONE;
        lh_fail(&err, LH_INVALID, "%.*s%s", (int)shift, "xxx", longer);
        size_t len = strlen(err.message);
        assert_in_range(len, LH_ERROR_MESSAGE_BYTES - 4, LH_ERROR_MESSAGE_BYTES - 1);
        assert_true(lh_str_is_utf8(lh_str_of(err.message), NULL));
        assert_null(strchr(err.message, '?'));
        lh_error_hint(&err, "%s", longer);
        assert_true(lh_str_is_utf8(lh_str_of(err.hint), NULL));
        lh_error_context(&err, "%s", longer);
        assert_true(lh_str_is_utf8(lh_str_of(err.message), NULL));
        lh_error_field(&err, lh_str_of(longer));
        assert_true(strlen(err.field) < LH_ERROR_FIELD_BYTES);
        /* The reason is what matters: a long name must not push it out. */
        lh_fail_errno(&err, EIO, "%s", longer);
        assert_non_null(strstr(err.message, ": Input/output error."));
        assert_true(lh_str_is_utf8(lh_str_of(err.message), NULL));
    }
}

static void an_errno_becomes_the_code_that_fits(void **state)
{
    (void)state;
    static const struct {
        int number;
        enum lh_code code;
    } cases[] = {{ENOSPC, LH_FULL}, {EDQUOT, LH_FULL}, {EMFILE, LH_BUSY},      {ENFILE, LH_BUSY},
                 {ENOMEM, LH_BUSY}, {EIO, LH_IO},      {ENOENT, LH_NOT_FOUND}, {EEXIST, LH_EXISTS},
                 {EROFS, LH_IO},    {EACCES, LH_IO},   {123456, LH_IO}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct lh_error err = LH_ERROR_NONE;
        assert_int_equal(lh_fail_errno(&err, cases[i].number, "The file '%s'", "a"), cases[i].code);
        assert_int_equal(err.code, cases[i].code);
        assert_true(lh_str_starts_with(lh_str_of(err.message), lh_lit("The file 'a': ")));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code_has_a_row_with_a_status_an_id_and_a_meaning),
        cmocka_unit_test(a_failure_replaces_what_an_earlier_one_said),
        cmocka_unit_test(without_an_error_the_code_still_travels),
        cmocka_unit_test(messages_are_clean_utf8_however_bad_their_arguments_are),
        cmocka_unit_test(what_is_too_long_is_cut_at_a_character),
        cmocka_unit_test(an_errno_becomes_the_code_that_fits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
