#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "access/access.h"

static void the_local_administrator_has_every_permission(void **state)
{
    (void)state;
    for (size_t i = 0; i < access_permission_count; i++)
        assert_int_equal(access_check(access_local_admin(), access_permissions[i].name, NULL),
                         LH_OK);
}

static void a_permission_that_does_not_exist_is_held_by_nobody(void **state)
{
    struct lh_error err = LH_ERROR_NONE;
    (void)state;
    assert_int_equal(access_check(access_local_admin(), "no.such", &err), LH_INTERNAL);
    assert_non_null(strstr(err.message, "no.such"));
    assert_int_equal(access_check(access_local_admin(), "", NULL), LH_INTERNAL);
    assert_int_equal(access_check(access_local_admin(), NULL, NULL), LH_INTERNAL);
}

static void a_stranger_may_only_what_is_public(void **state)
{
    (void)state;
    for (size_t i = 0; i < access_permission_count; i++)
        assert_int_equal(access_check(NULL, access_permissions[i].name, NULL),
                         access_permissions[i].bit ? LH_UNAUTHENTICATED : LH_OK);
}

static void a_permission_opens_what_it_names_and_nothing_else(void **state)
{
    (void)state;
    for (size_t i = 0; i < access_permission_count; i++) {
        const struct principal one = {
            .id = LH_LIT("x"), .role = LH_LIT("narrow"), .permissions = access_permissions[i].bit};
        for (size_t k = 0; k < access_permission_count; k++) {
            struct lh_error err = LH_ERROR_NONE;
            bool is_open = i == k || access_permissions[k].bit == 0;
            assert_int_equal(access_check(&one, access_permissions[k].name, &err),
                             is_open ? LH_OK : LH_FORBIDDEN);
            if (!is_open)
                assert_non_null(strstr(err.message, "narrow"));
        }
    }
}

static void no_two_permissions_share_a_name_or_a_bit(void **state)
{
    (void)state;
    for (size_t i = 0; i < access_permission_count; i++)
        for (size_t k = 0; k < i; k++) {
            assert_string_not_equal(access_permissions[i].name, access_permissions[k].name);
            assert_int_equal(access_permissions[i].bit & access_permissions[k].bit, 0);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_local_administrator_has_every_permission),
        cmocka_unit_test(a_permission_that_does_not_exist_is_held_by_nobody),
        cmocka_unit_test(a_stranger_may_only_what_is_public),
        cmocka_unit_test(a_permission_opens_what_it_names_and_nothing_else),
        cmocka_unit_test(no_two_permissions_share_a_name_or_a_bit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
