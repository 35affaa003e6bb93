#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "gateway/internal.h"

static struct lh_arena *arena;
static const struct route_node *routes;

static int make_routes(void **state)
{
    (void)state;
    arena = lh_arena_new(0);
    routes = route_tree_new(op_table, op_table_count, arena);
    return 0;
}

static int drop_routes(void **state)
{
    (void)state;
    lh_arena_free(arena);
    return 0;
}

/* The segments of a path as the server cuts them. */
static size_t cut(const char *path, struct lh_str *segments)
{
    struct lh_str rest = lh_str_of(path);
    size_t count = 0;
    lh_str_cut(&rest, '/');
    while (rest.data && rest.len)
        segments[count++] = lh_str_cut(&rest, '/');
    return count;
}

static const struct route_node *find(const char *path)
{
    struct lh_str segments[16];
    return route_find(routes, segments, cut(path, segments));
}

static const char *op_at(enum http_method method, const char *path)
{
    const struct route_node *node = find(path);
    const struct op *op = node ? route_op(node, method) : NULL;
    return op ? op->name : "";
}

static void every_operation_is_found_at_its_own_path(void **state)
{
    static const enum http_method methods[] = {
        [OP_GET] = HTTP_GET,     [OP_POST] = HTTP_POST,     [OP_PUT] = HTTP_PUT,
        [OP_PATCH] = HTTP_PATCH, [OP_DELETE] = HTTP_DELETE,
    };
    (void)state;
    for (size_t i = 0; i < op_table_count; i++)
        assert_string_equal(op_at(methods[op_table[i]->http.method], op_table[i]->http.path),
                            op_table[i]->name);
}

static void a_parameter_takes_one_part_whatever_it_is(void **state)
{
    (void)state;
    assert_string_equal(op_at(HTTP_GET, "/catalog/datasets/by-name/x"), "datasets.get");
    assert_string_equal(op_at(HTTP_DELETE, "/catalog/datasets/by-name/versions"),
                        "datasets.delete");
    assert_string_equal(op_at(HTTP_GET, "/catalog/datasets/by-name/versions/versions"),
                        "datasets.versions");
}

static void the_rest_of_a_path_is_one_parameter_and_never_nothing(void **state)
{
    (void)state;
    assert_string_equal(op_at(HTTP_PUT, "/storage/buckets/b/objects/a"), "objects.put");
    assert_string_equal(op_at(HTTP_GET, "/storage/buckets/b/objects/a/b//c/objects"),
                        "objects.get");
    assert_string_equal(op_at(HTTP_GET, "/storage/buckets/b/objects"), "objects.list");
    assert_null(find("/storage/buckets/b/nothing/a"));
    assert_null(find("/storage/buckets//objects/a"));
}

static void head_is_get(void **state)
{
    (void)state;
    assert_string_equal(op_at(HTTP_HEAD, "/health"), "system.health");
}

static void no_prefix_and_no_longer_path_is_a_route(void **state)
{
    static const char *const missing[] = {
        "/catalog",  "/catalog/datasets/by-name",           "/catalog/datasets/by-name/x/y",
        "/health/x", "/catalog/datasets/by-name//versions", "/Health"};
    (void)state;
    for (size_t i = 0; i < sizeof(missing) / sizeof(missing[0]); i++)
        assert_null(find(missing[i]));
}

static void allow_lists_what_a_path_takes(void **state)
{
    (void)state;
    struct lh_str allow = route_allow(find("/catalog/datasets/by-name/x"), arena);
    assert_true(lh_str_equal(allow, lh_lit("GET, HEAD, DELETE, OPTIONS")));
    assert_null(route_op(find("/query/sql"), HTTP_GET));
    assert_null(route_op(find("/query/sql"), HTTP_OTHER));
}

static void a_missing_path_is_answered_with_the_nearest(void **state)
{
    struct lh_error err = LH_ERROR_NONE;
    struct lh_str segments[16];
    const char *path = "/catalog/datasets/byname/x/versions";
    const struct http_request request = {
        .path = lh_str_of(path),
        .segments = segments,
        .segment_count = cut(path, segments),
        .arena = arena,
    };
    (void)state;
    assert_int_equal(route_missing(op_table, op_table_count, &request, &err), LH_NO_ROUTE);
    assert_non_null(strstr(err.hint, "/catalog/datasets/by-name/x/versions"));
}

/* --- who may come from where */

static enum lh_code guard_by(const char *host, const char *origin, const struct settings *settings)
{
    struct http_pair headers[2];
    size_t count = 0;
    if (host)
        headers[count++] = (struct http_pair){lh_lit("Host"), lh_str_of(host)};
    if (origin)
        headers[count++] = (struct http_pair){lh_lit("Origin"), lh_str_of(origin)};
    const struct http_request request = {.headers = headers, .header_count = count};
    return guard_site(&request, settings, NULL);
}

static enum lh_code guard(const char *host, const char *origin, const struct lh_str_list *hosts)
{
    struct settings settings = {0};
    if (hosts)
        settings.server.hosts = *hosts;
    return guard_by(host, origin, &settings);
}

static void names_of_this_machine_are_answered(void **state)
{
    (void)state;
    assert_int_equal(guard("127.0.0.1:3100", NULL, NULL), LH_OK);
    assert_int_equal(guard("localhost", NULL, NULL), LH_OK);
    assert_int_equal(guard("LOCALHOST:1", NULL, NULL), LH_OK);
    assert_int_equal(guard("[::1]:3100", NULL, NULL), LH_OK);
    assert_int_equal(guard(NULL, NULL, NULL), LH_OK);
}

static void a_name_that_somebody_let_resolve_to_this_machine_is_refused(void **state)
{
    static const char *const foreign[] = {
        "evil.test",  "evil.test:3100", "127.0.0.1.evil.test", "localhost.evil.test",
        "[::2]:3100", "128.0.0.1",      "127.0.0.1.2",         "127.0.0"};
    (void)state;
    for (size_t i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++)
        assert_int_equal(guard(foreign[i], NULL, NULL), LH_FORBIDDEN);
}

static void a_listed_name_is_answered(void **state)
{
    const struct lh_str names[] = {LH_LIT("lake.test")};
    const struct lh_str_list hosts = {names, 1};
    (void)state;
    assert_int_equal(guard("lake.test:80", NULL, &hosts), LH_OK);
    assert_int_equal(guard("lake.test2", NULL, &hosts), LH_FORBIDDEN);
}

static void a_page_of_another_site_is_refused(void **state)
{
    (void)state;
    assert_int_equal(guard("127.0.0.1:3100", "http://127.0.0.1:3100", NULL), LH_OK);
    assert_int_equal(guard("127.0.0.1:3100", "http://127.0.0.1:3101", NULL), LH_FORBIDDEN);
    assert_int_equal(guard("127.0.0.1:3100", "https://evil.test", NULL), LH_FORBIDDEN);
    assert_int_equal(guard("127.0.0.1:3100", "null", NULL), LH_FORBIDDEN);
}

static void a_listed_origin_may_come(void **state)
{
    const struct lh_str names[] = {LH_LIT("https://reports.test")};
    struct settings settings = {0};
    (void)state;
    settings.server.cors_origins = (struct lh_str_list){names, 1};
    assert_int_equal(guard_by("127.0.0.1", "https://reports.test", &settings), LH_OK);
    assert_int_equal(guard_by("127.0.0.1", "http://reports.test", &settings), LH_FORBIDDEN);
    assert_int_equal(guard_by("127.0.0.1", "https://reports.test.evil.test", &settings),
                     LH_FORBIDDEN);
    assert_int_equal(guard_by("evil.test", "https://reports.test", &settings), LH_FORBIDDEN);
}

static void where_keys_are_asked_for_any_name_is_answered_but_no_other_page(void **state)
{
    struct settings settings = {.auth.enabled = true};
    (void)state;
    assert_int_equal(guard_by("lake.test:3100", NULL, &settings), LH_OK);
    assert_int_equal(guard_by("lake.test", "http://evil.test", &settings), LH_FORBIDDEN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_listed_origin_may_come),
        cmocka_unit_test(where_keys_are_asked_for_any_name_is_answered_but_no_other_page),
        cmocka_unit_test(every_operation_is_found_at_its_own_path),
        cmocka_unit_test(a_parameter_takes_one_part_whatever_it_is),
        cmocka_unit_test(the_rest_of_a_path_is_one_parameter_and_never_nothing),
        cmocka_unit_test(head_is_get),
        cmocka_unit_test(no_prefix_and_no_longer_path_is_a_route),
        cmocka_unit_test(allow_lists_what_a_path_takes),
        cmocka_unit_test(a_missing_path_is_answered_with_the_nearest),
        cmocka_unit_test(names_of_this_machine_are_answered),
        cmocka_unit_test(a_name_that_somebody_let_resolve_to_this_machine_is_refused),
        cmocka_unit_test(a_listed_name_is_answered),
        cmocka_unit_test(a_page_of_another_site_is_refused),
    };
    return cmocka_run_group_tests(tests, make_routes, drop_routes);
}
