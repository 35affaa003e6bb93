#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/config.h"
#include "support/temp_lake.h"

struct http {
    struct lh_str address;
    int64_t port;
    bool is_open;
    double rate;
    struct lh_str_list origins;
};
struct log {
    int level;
    struct lh_time since;
};

static const char *const levels[] = {"debug", "info", "warn", NULL};
static const struct lh_field http_rows[] = {
    LH_STR(struct http, address, LH_PRESET_STR("127.0.0.1"), .max = 64),
    LH_INT(struct http, port, LH_PRESET(3100), .min = 1, .max = 65535),
    LH_BOOL(struct http, is_open),
    LH_DOUBLE(struct http, rate),
    LH_STR_LIST(struct http, origins),
};
static const struct lh_field log_rows[] = {
    LH_CHOICE(struct log, level, LH_PRESET(1), .choices = levels),
    LH_TIME(struct log, since),
};
static const struct lh_fields http_fields = LH_FIELDS_OF(struct http, "Http", http_rows);
static const struct lh_fields log_fields = LH_FIELDS_OF(struct log, "Log", log_rows);

struct fixture {
    struct temp_lake lake;
    struct lh_arena *arena;
    struct http http;
    struct log log;
    struct lh_config_section sections[2];
    struct lh_error err;
};

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    temp_lake_make(&fixture->lake);
    fixture->arena = lh_arena_new(0);
    fixture->sections[0] = (struct lh_config_section){
        .name = "http", .fields = &http_fields, .target = &fixture->http};
    fixture->sections[1] =
        (struct lh_config_section){.name = "log", .fields = &log_fields, .target = &fixture->log};
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    lh_arena_free(fixture->arena);
    temp_lake_remove(&fixture->lake);
    free(fixture);
    unsetenv("LAKEHOUSE_HTTP_PORT");
    unsetenv("LAKEHOUSE_HTTP_PROT");
    unsetenv("LAKEHOUSE_SOMEBODY_ELSES");
    return 0;
}

static enum lh_code load_bytes(struct fixture *fixture, const char *text, size_t len)
{
    temp_lake_write(&fixture->lake, "lakehouse.toml", text, len);
    fixture->err = (struct lh_error)LH_ERROR_NONE;
    return lh_config_load(fixture->sections, 2,
                          lh_str_of(temp_lake_file(&fixture->lake, "lakehouse.toml")),
                          fixture->arena, &fixture->err);
}

static enum lh_code load(struct fixture *fixture, const char *text)
{
    return load_bytes(fixture, text, strlen(text));
}

static void then_says(const struct fixture *fixture, const char *part)
{
    if (!strstr(fixture->err.message, part) && !strstr(fixture->err.hint, part))
        fail_msg("'%s' is missing in: %s | %s", part, fixture->err.message, fixture->err.hint);
}

static void without_a_file_the_presets_hold(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(
        lh_config_load(fixture->sections, 2, lh_lit(""), fixture->arena, &fixture->err), LH_OK);
    assert_int_equal(fixture->http.port, 3100);
    assert_true(lh_str_equal(fixture->http.address, lh_lit("127.0.0.1")));
    assert_int_equal(fixture->log.level, 1);
    assert_int_equal(lh_config_origin_of(&fixture->sections[0], 1), LH_CONFIG_PRESET);
}

static void every_type_is_read_from_the_file(void **state)
{
    struct fixture *fixture = *state;
    if (load(fixture,
             "# settings\n[http]\naddress = \"::1\" # here\nport = 80\nis_open = true\nrate = 0.5\n"
             "origins = [\"a,b\", \"c\"]\n[log]\nlevel = \"warn\"\nsince = "
             "2026-01-31T09:00:00+01:00\n"))
        fail_msg("%s", fixture->err.message);
    assert_true(lh_str_equal(fixture->http.address, lh_lit("::1")));
    assert_int_equal(fixture->http.port, 80);
    assert_true(fixture->http.is_open);
    assert_true(fixture->http.rate > 0.49 && fixture->http.rate < 0.51);
    assert_int_equal(fixture->http.origins.count, 2);
    assert_true(lh_str_equal(fixture->http.origins.items[0], lh_lit("a,b")));
    assert_int_equal(fixture->log.level, 2);
    assert_int_equal(fixture->log.since.unix_ms, 1769846400000);
    assert_int_equal(lh_config_origin_of(&fixture->sections[0], 1), LH_CONFIG_FILE);
    assert_int_equal(lh_config_origin_of(&fixture->sections[1], 0), LH_CONFIG_FILE);
}

static void the_environment_beats_the_file_and_a_flag_beats_both(void **state)
{
    struct fixture *fixture = *state;
    setenv("LAKEHOUSE_HTTP_PORT", "81", 1);
    setenv("LAKEHOUSE_SOMEBODY_ELSES", "x", 1);
    assert_int_equal(load(fixture, "[http]\nport = 80\n"), LH_OK);
    assert_int_equal(fixture->http.port, 81);
    assert_int_equal(lh_config_origin_of(&fixture->sections[0], 1), LH_CONFIG_ENVIRONMENT);
    assert_int_equal(lh_config_set(fixture->sections, 2, lh_lit("http.port"), lh_lit("82"),
                                   fixture->arena, &fixture->err),
                     LH_OK);
    assert_int_equal(fixture->http.port, 82);
    assert_int_equal(lh_config_origin_of(&fixture->sections[0], 1), LH_CONFIG_FLAG);
    assert_int_equal(lh_config_set(fixture->sections, 2, lh_lit("http.port"), lh_lit("83"),
                                   fixture->arena, &fixture->err),
                     LH_INVALID);
    assert_int_equal(lh_config_set(fixture->sections, 2, lh_lit("htp.port"), lh_lit("83"),
                                   fixture->arena, &fixture->err),
                     LH_UNKNOWN_FIELD);
    then_says(fixture, "did you mean [http]");
}

static void a_misspelt_variable_of_a_section_is_an_error(void **state)
{
    struct fixture *fixture = *state;
    setenv("LAKEHOUSE_HTTP_PROT", "81", 1);
    assert_int_equal(
        lh_config_load(fixture->sections, 2, lh_lit(""), fixture->arena, &fixture->err),
        LH_UNKNOWN_FIELD);
    then_says(fixture, "LAKEHOUSE_HTTP_PROT");
    then_says(fixture, "`port`");
}

static void errors_carry_file_line_and_the_nearest_name(void **state)
{
    static const struct {
        const char *text;
        enum lh_code code;
        int64_t line;
        const char *part;
    } cases[] = {
        {"[http]\n\nprot = 1\n", LH_UNKNOWN_FIELD, 3, "did you mean `port`"},
        {"[http]\nport = \"80\"\n", LH_INVALID, 2, "whole number"},
        {"[http]\nport = 70000\n", LH_INVALID, 2, "65535"},
        {"[http]\nis_open = 1\n", LH_INVALID, 2, "true or false"},
        {"[log]\n# x\nlevel = \"loud\"\n", LH_INVALID, 3, "debug, info or warn"},
        {"\n[htttp]\nport = 1\n", LH_UNKNOWN_FIELD, 3, "did you mean [http]"},
        {"\n\n[nothing]\n", LH_UNKNOWN_FIELD, 3, "Known sections: [http], [log]"},
        {"port = 80\n[http]\n", LH_UNKNOWN_FIELD, 1, "outside of every section"},
        {"[http]\nport = \n", LH_INVALID, 2, "not TOML"},
        {"[http]\nport = 1\nport = 2\n", LH_INVALID, 3, "not TOML"},
        {"[http]\nport = 1\n[http]\n", LH_INVALID, 3, "not TOML"},
        {"[http\n", LH_INVALID, 1, "not TOML"},
        {"[http]\naddress = \"\xff\"\n", LH_INVALID, 2, "not TOML"},
        {"[http]\naddress = \xc3\xa9\n", LH_INVALID, 2, "not TOML"},
        {"[http]\n\xc3\xa9 = 1\n", LH_INVALID, 2, "not TOML"},
        {"[http]\nport = 1'\xe3\x81\x82'\n", LH_INVALID, 2, "not TOML"},
        {"[http]\naddress = \"a\\u0000b\"\n", LH_INVALID, 2, "NUL"},
        {"[http]\nrate = nan\n", LH_INVALID, 2, "not a value"},
        {"[http]\nport = {a = 1}\n", LH_INVALID, 2, "an object"},
        {"[http.port]\na = 1\n", LH_INVALID, 1, "an object"},
        {"[[http]]\nport = 1\n", LH_UNKNOWN_FIELD, 1, "outside of every section"},
        /* Of several, the first by line, whatever order the parser has. */
        {"[log]\nlevel = 1\n[http]\nport = true\naddress = 1\n", LH_INVALID, 2, "debug"},
    };
    struct fixture *fixture = *state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        enum lh_code code = load(fixture, cases[i].text);
        if (code != cases[i].code || fixture->err.line != cases[i].line)
            fail_msg("case %zu: code %d line %d: %s", i, (int)code, (int)fixture->err.line,
                     fixture->err.message);
        then_says(fixture, cases[i].part);
        then_says(fixture, "lakehouse.toml:");
    }
}

static void text_of_any_language_is_taken_where_toml_has_text(void **state)
{
    struct fixture *fixture = *state;
    if (load(fixture, "# \xc3\xa9\n[http]\naddress = \"\"\"\xe3\x81\x82\\\n  \xc3\xa9\"\"\"\n"))
        fail_msg("%s", fixture->err.message);
    assert_true(lh_str_equal(fixture->http.address, lh_lit("\xe3\x81\x82\xc3\xa9")));
}

static void a_missing_or_huge_file_is_told(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(lh_config_load(fixture->sections, 2,
                                    lh_str_of(temp_lake_file(&fixture->lake, "absent.toml")),
                                    fixture->arena, &fixture->err),
                     LH_NOT_FOUND);
    char *huge = malloc((1 << 20) + 1);
    memset(huge, '\n', (1 << 20) + 1);
    assert_int_equal(load_bytes(fixture, huge, (1 << 20) + 1), LH_TOO_LARGE);
    assert_int_equal(load_bytes(fixture, huge, 1 << 20), LH_OK);
    memset(huge, '[', 100000); /* deep, not long */
    memcpy(huge, "[http]\norigins=", 15);
    assert_int_equal(load_bytes(fixture, huge, 100000), LH_INVALID);
    free(huge);
}

static void a_link_to_the_file_is_followed(void **state)
{
    struct fixture *fixture = *state;
    temp_lake_write(&fixture->lake, "real.toml", "[http]\nport = 7\n", 16);
    assert_int_equal(symlink("real.toml", temp_lake_file(&fixture->lake, "link.toml")), 0);
    assert_int_equal(lh_config_load(fixture->sections, 2,
                                    lh_str_of(temp_lake_file(&fixture->lake, "link.toml")),
                                    fixture->arena, &fixture->err),
                     LH_OK);
    assert_int_equal(fixture->http.port, 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(without_a_file_the_presets_hold, set_up, tear_down),
        cmocka_unit_test_setup_teardown(every_type_is_read_from_the_file, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_environment_beats_the_file_and_a_flag_beats_both,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_misspelt_variable_of_a_section_is_an_error, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(errors_carry_file_line_and_the_nearest_name, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(text_of_any_language_is_taken_where_toml_has_text, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_missing_or_huge_file_is_told, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_link_to_the_file_is_followed, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
