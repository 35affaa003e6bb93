#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "lake/internal.h"
#include "lake/settings.h"
#include "support/temp_lake.h"

static void write_settings(const struct temp_lake *folder, const char *text)
{
    temp_lake_write(folder, "lakehouse.toml", text, strlen(text));
}

static enum lh_code load(const char *listen, struct lh_error *err)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct settings settings;
    const struct settings_flag flag = {LH_LIT("server.listen"), lh_str_of(listen)};
    enum lh_code code = settings_load((struct lh_str){0}, &flag, 1, arena, &settings, err);
    lh_arena_free(arena);
    return code;
}

static void loopback_addresses_are_taken(void **state)
{
    static const char *const fine[] = {"127.0.0.1:3100", "127.9.9.9:0", "[::1]:65535"};
    (void)state;
    for (size_t i = 0; i < sizeof(fine) / sizeof(fine[0]); i++)
        assert_int_equal(load(fine[i], NULL), LH_OK);
}

static void without_authentication_every_other_address_is_refused(void **state)
{
    static const char *const open[] = {"0.0.0.0:3100", "[::]:3100",           "192.168.1.4:80",
                                       "10.0.0.1:1",   "[fe80::1]:1",         "126.255.255.255:1",
                                       "128.0.0.1:1",  "[::ffff:127.0.0.1]:1"};
    (void)state;
    for (size_t i = 0; i < sizeof(open) / sizeof(open[0]); i++) {
        struct lh_error err = LH_ERROR_NONE;
        assert_int_equal(load(open[i], &err), LH_INVALID);
        assert_non_null(strstr(err.message, "authentication"));
        assert_non_null(strstr(err.hint, "loopback"));
        assert_string_equal(err.field, "server.listen");
    }
}

static void what_is_no_address_is_told_so(void **state)
{
    static const char *const wrong[] = {"localhost:3100",  "127.0.0.1",    "127.0.0.1:", ":3100",
                                        "127.0.0.1:65536", "127.0.0.1:-1", "::1:3100",   "[::1]",
                                        "127.0.0.1:31 00", "[]:1"};
    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct lh_error err = LH_ERROR_NONE;
        assert_int_equal(load(wrong[i], &err), LH_INVALID);
        assert_null(strstr(err.message, "authentication"));
        assert_true(err.hint[0] != '\0');
    }
}

static void flags_win_over_the_environment_which_wins_over_the_file(void **state)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct temp_lake folder;
    struct settings settings;
    (void)state;
    temp_lake_make(&folder);
    write_settings(&folder, "[server]\nio_threads = 3\nqueue_max = 7\ndrain_ms = 1\n");
    setenv("LAKEHOUSE_SERVER_QUEUE_MAX", "8", 1);
    setenv("LAKEHOUSE_SERVER_DRAIN_MS", "2", 1);
    const struct settings_flag flags[] = {
        {LH_LIT("server.data"), lh_str_of(folder.path)},
        {LH_LIT("server.drain_ms"), LH_LIT("3")},
    };
    struct lh_error err = LH_ERROR_NONE;
    enum lh_code code = settings_load((struct lh_str){0}, flags, 2, arena, &settings, &err);
    unsetenv("LAKEHOUSE_SERVER_QUEUE_MAX");
    unsetenv("LAKEHOUSE_SERVER_DRAIN_MS");
    assert_int_equal(code, LH_OK);
    assert_int_equal(settings.server.io_threads, 3);
    assert_int_equal(settings.server.queue_max, 8);
    assert_int_equal(settings.server.drain_ms, 3);
    assert_int_equal(settings.server.connections_max, 1024);
    assert_true(lh_str_ends_with(settings.file, lh_lit("lakehouse.toml")));
    lh_arena_free(arena);
    temp_lake_remove(&folder);
}

static void a_misspelt_key_is_told_with_its_line_and_the_nearest_name(void **state)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct temp_lake folder;
    struct settings settings;
    struct lh_error err = LH_ERROR_NONE;
    (void)state;
    temp_lake_make(&folder);
    write_settings(&folder, "[server]\nio_threads = 3\nworker_thread = 4\n");
    const struct settings_flag flag = {LH_LIT("server.data"), lh_str_of(folder.path)};
    assert_int_equal(settings_load((struct lh_str){0}, &flag, 1, arena, &settings, &err),
                     LH_UNKNOWN_FIELD);
    assert_int_equal(err.line, 3);
    assert_non_null(strstr(err.message, "worker_threads"));
    lh_arena_free(arena);
    temp_lake_remove(&folder);
}

static void sizes_have_units(void **state)
{
    static const struct {
        const char *text;
        int64_t bytes;
    } sizes[] = {{"", 0},       {"1000", 1000},     {"4GB", 4000000000}, {"512 MiB", 536870912},
                 {"2kb", 2000}, {"1TiB", 1LL << 40}};
    static const char *const wrong[] = {"GB", "-1GB", "1.5GB", "4 elephants", "0", "9999999999TB"};
    int64_t bytes;
    (void)state;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        assert_int_equal(settings_bytes(lh_str_of(sizes[i].text), &bytes, NULL), LH_OK);
        assert_int_equal(bytes, sizes[i].bytes);
    }
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_int_equal(settings_bytes(lh_str_of(wrong[i]), &bytes, NULL), LH_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loopback_addresses_are_taken),
        cmocka_unit_test(without_authentication_every_other_address_is_refused),
        cmocka_unit_test(what_is_no_address_is_told_so),
        cmocka_unit_test(flags_win_over_the_environment_which_wins_over_the_file),
        cmocka_unit_test(a_misspelt_key_is_told_with_its_line_and_the_nearest_name),
        cmocka_unit_test(sizes_have_units),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
