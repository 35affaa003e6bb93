#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "support/op_house.h"

static struct op_house house;

static int make_house(void **state)
{
    (void)state;
    op_house_make(&house);
    return 0;
}

static int remove_house(void **state)
{
    (void)state;
    op_house_remove(&house);
    return 0;
}

static void health_is_ok_and_says_how_callers_are_known(void **state)
{
    (void)state;
    json_t *health = op_house_call(&house, "system.health", NULL);
    assert_string_equal(json_string_value(json_object_get(health, "status")), "ok");
    assert_non_null(strstr(json_string_value(json_object_get(health, "authentication")), "none"));
    assert_int_equal(json_array_size(json_object_get(health, "problems")), 0);
}

static void health_names_what_is_overdue(void **state)
{
    (void)state;
    lh_clock_set_fake(INT64_C(1800000000000));
    op_house_rows(&house, "prices", "id\n1\n", "create");
    op_house_call(&house, "datasets.update",
                  "{\"name\": \"prices\", \"freshness\": {\"max_age_s\": 60}}");
    json_t *health = op_house_call(&house, "system.health", NULL);
    assert_string_equal(reply_text(health, "status"), "ok");
    lh_clock_advance_fake(61000);
    health = op_house_call(&house, "system.health", NULL);
    json_t *problem = json_array_get(json_object_get(health, "problems"), 0);
    assert_string_equal(reply_text(health, "status"), "degraded");
    assert_string_equal(reply_text(problem, "name"), "prices");
    assert_non_null(strstr(reply_text(problem, "detail"), "overdue"));
    op_house_rows(&house, "prices", "id\n2\n", "append");
    health = op_house_call(&house, "system.health", NULL);
    assert_string_equal(reply_text(health, "status"), "ok");
    lh_clock_clear_fake();
}

static void health_needs_no_key_and_metrics_do(void **state)
{
    const struct principal nobody = {.id = LH_LIT("nobody"), .role = LH_LIT("none")};
    (void)state;
    house.principal = &nobody;
    op_house_call(&house, "system.health", NULL);
    op_house_call(&house, "system.openapi", NULL);
    op_house_refuses(&house, "system.metrics", NULL, LH_FORBIDDEN);
    op_house_refuses(&house, "system.info", NULL, LH_FORBIDDEN);
    op_house_refuses(&house, "query.sql", "{\"sql\": \"SELECT 1\"}", LH_FORBIDDEN);
    house.principal = access_local_admin();
}

static void info_tells_versions_limits_and_the_process(void **state)
{
    (void)state;
    json_t *info = op_house_call(&house, "system.info", NULL);
    assert_int_equal(json_integer_value(json_object_get(info, "pid")), getpid());
    assert_non_null(strstr(json_string_value(json_object_get(info, "engine_version")), "1.5"));
    assert_int_equal(
        json_integer_value(json_object_get(json_object_get(info, "limits"), "list_max")), 1000);
}

static int64_t meter(const char *name)
{
    size_t at;
    struct lh_str text;
    long long value = -1;
    op_house_call(&house, "system.metrics", NULL);
    text = house.body;
    if (!lh_str_find(text, lh_str_of(name), &at))
        fail_msg("there is no meter %s", name);
    assert_int_equal(sscanf(text.data + at + strlen(name), " %lld", &value), 1);
    return value;
}

static void meters_count_calls_and_failures(void **state)
{
    static const char calls[] = "lakehouse_operations_total{operation=\"jobs.get\"}";
    static const char failures[] =
        "lakehouse_operation_failures_total{operation=\"jobs.get\",class=\"4xx\"}";
    (void)state;
    int64_t calls_before = meter(calls);
    int64_t failures_before = meter(failures);
    op_house_refuses(&house, "jobs.get", "{\"id\": \"01234567-0000-7000-8000-000000000000\"}",
                     LH_NOT_FOUND);
    assert_int_equal(meter(calls), calls_before + 1);
    assert_int_equal(meter(failures), failures_before + 1);
    assert_int_equal(meter("\nlakehouse_engine_connections_busy"), 0);
}

static void every_meter_has_its_type_before_it(void **state)
{
    struct lh_str rest;
    char typed[128] = "";
    (void)state;
    op_house_call(&house, "system.metrics", NULL);
    rest = house.body;
    while (rest.len) {
        struct lh_str line = lh_str_cut(&rest, '\n');
        char name[128] = "";
        char copy[512] = "";
        snprintf(copy, sizeof(copy), "%.*s", LH_ARG(line));
        if (sscanf(copy, "# TYPE %127s", name) == 1) {
            snprintf(typed, sizeof(typed), "%s", name);
        } else if (line.len && line.data[0] != '#') {
            assert_int_equal(sscanf(copy, "%127[a-z0-9_]", name), 1);
            assert_string_equal(name, typed);
        }
    }
}

static void a_second_lake_on_the_folder_is_told_who_has_it(void **state)
{
    struct lake *second = NULL;
    struct lh_error err = LH_ERROR_NONE;
    struct lake_holder holder;
    char pid[32];
    (void)state;
    snprintf(pid, sizeof(pid), "%d", (int)getpid());
    assert_int_equal(lake_open(&house.settings, &second, &err), LH_LOCKED);
    assert_non_null(strstr(err.message, pid));
    assert_int_equal(lake_holder(house.settings.server.data, house.arena, &holder, &err), LH_OK);
    assert_true(holder.is_running);
    assert_int_equal(holder.pid, getpid());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(health_is_ok_and_says_how_callers_are_known),
        cmocka_unit_test(health_names_what_is_overdue),
        cmocka_unit_test(health_needs_no_key_and_metrics_do),
        cmocka_unit_test(info_tells_versions_limits_and_the_process),
        cmocka_unit_test(meters_count_calls_and_failures),
        cmocka_unit_test(every_meter_has_its_type_before_it),
        cmocka_unit_test(a_second_lake_on_the_folder_is_told_who_has_it),
    };
    return cmocka_run_group_tests(tests, make_house, remove_house);
}
