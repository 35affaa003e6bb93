/* Which files are merged, and which are left alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "query/compact.h"
#include "query/compact_plan.h"

#define MB ((int64_t)1 << 20)
#define FILES_MAX 64

struct files {
    struct lh_arena *arena;
    struct catalog_object objects[FILES_MAX];
    const struct catalog_object *pointers[FILES_MAX];
    struct catalog_dataset dataset;
};

static void given(struct files *files, const int64_t *megabytes, size_t count)
{
    *files = (struct files){.arena = lh_arena_new(0)};
    for (size_t i = 0; i < count; i++) {
        files->objects[i] = (struct catalog_object){.bucket = lh_lit("primary"),
                                                    .schema = lh_lit("now"),
                                                    .bytes = megabytes[i] * MB,
                                                    .rows = megabytes[i]};
        files->pointers[i] = &files->objects[i];
    }
    files->dataset = (struct catalog_dataset){
        .schema = lh_lit("now"), .objects = files->pointers, .object_count = count};
}

/* "0-2 5-6": the first and the last file of each group. */
static const char *planned(struct files *files, bool is_automatic)
{
    static char text[256];
    struct compact_plan plan;
    const struct compact_planning planning = {
        .dataset = &files->dataset, .file_bytes = 512 * MB, .is_automatic = is_automatic};
    size_t len = 0;
    text[0] = '\0';
    compact_plan(&planning, files->arena, &plan);
    for (size_t i = 0; i < plan.group_count; i++)
        len +=
            (size_t)snprintf(text + len, sizeof text - len, "%s%zu-%zu", i ? " " : "",
                             plan.groups[i].first, plan.groups[i].first + plan.groups[i].count - 1);
    return text;
}

#define GIVEN(files, ...)                                                                          \
    given(files, (const int64_t[]){__VA_ARGS__},                                                   \
          sizeof((const int64_t[]){__VA_ARGS__}) / sizeof(int64_t))

static void neighbours_are_gathered_up_to_the_size_of_a_file(void **state)
{
    (void)state;
    struct files files;
    GIVEN(&files, 10, 20, 30);
    assert_string_equal(planned(&files, false), "0-2");
    lh_arena_free(files.arena);
    GIVEN(&files, 200, 200, 200, 200);
    assert_string_equal(planned(&files, false), "0-1 2-3");
    lh_arena_free(files.arena);
    GIVEN(&files, 1, 2, 300, 1, 2, 3);
    assert_string_equal(planned(&files, false), "0-1 3-5"); /* the large one stays */
    lh_arena_free(files.arena);
    GIVEN(&files, 600, 1);
    assert_string_equal(planned(&files, false), "");
    lh_arena_free(files.arena);
    GIVEN(&files, 5);
    assert_string_equal(planned(&files, false), "");
    lh_arena_free(files.arena);
}

static void by_itself_a_large_file_waits_for_as_much_to_come(void **state)
{
    (void)state;
    struct files files;
    GIVEN(&files, 200, 1, 2, 3);
    assert_string_equal(planned(&files, true), "1-3");
    assert_string_equal(planned(&files, false), "0-3");
    lh_arena_free(files.arena);
    GIVEN(&files, 200, 20, 15, 15);
    assert_string_equal(planned(&files, true), "0-3");
    lh_arena_free(files.arena);
    GIVEN(&files, 200, 1);
    assert_string_equal(planned(&files, true), "");
    lh_arena_free(files.arena);
    GIVEN(&files, 10, 1); /* small enough to be written again */
    assert_string_equal(planned(&files, true), "0-1");
    lh_arena_free(files.arena);
}

static void a_file_of_earlier_columns_is_written_anew_even_alone(void **state)
{
    (void)state;
    struct files files;
    GIVEN(&files, 300, 400);
    files.objects[1].schema = lh_lit("before");
    assert_string_equal(planned(&files, false), "1-1");
    assert_string_equal(planned(&files, true), "");
    lh_arena_free(files.arena);
}

static void buckets_and_long_lists_of_sources_part_groups(void **state)
{
    (void)state;
    struct files files;
    GIVEN(&files, 1, 1, 1, 1);
    files.objects[2].bucket = files.objects[3].bucket = lh_lit("far");
    assert_string_equal(planned(&files, false), "0-1 2-3");
    files.objects[2].bucket = files.objects[3].bucket = lh_lit("primary");
    files.objects[1].source_count = QUERY_COMPACT_SOURCES_MAX - 1;
    assert_string_equal(planned(&files, false), "0-1 2-3");
    lh_arena_free(files.arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(neighbours_are_gathered_up_to_the_size_of_a_file),
        cmocka_unit_test(by_itself_a_large_file_waits_for_as_much_to_come),
        cmocka_unit_test(a_file_of_earlier_columns_is_written_anew_even_alone),
        cmocka_unit_test(buckets_and_long_lists_of_sources_part_groups),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
