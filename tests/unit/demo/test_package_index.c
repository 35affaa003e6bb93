#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"

#include "demo/package_index.h"

/* Generated records in the form of a package index; no real package or person. */
static const char sample[] = "Package: alpha\n"
                             "Source: alpha-src (1.2)\n"
                             "Version: 1:1.2-3\n"
                             "Installed-Size: 12\n"
                             "Maintainer: Sample Team <team@sample.invalid>\n"
                             "Architecture: all\n"
                             "Depends: beta (>= 2.0), gamma:any | delta (<< 3~)\n"
                             "Breaks: omega\n"
                             "Description: first, \"quoted\" line\n"
                             " A longer text\n"
                             " .\n"
                             " with a second paragraph.\n"
                             "Tag: role::program, use::viewing,\n"
                             " works-with::text\n"
                             "Section: games\n"
                             "Size: 4567\n"
                             "\n"
                             "Package: nameless-version\n"
                             "\n"
                             "\n"
                             "Package: beta\n"
                             "Version: 2.0\n"
                             "Description: no long text\n";

struct fixture {
    char path[64];
    struct lh_dir *dir;
    struct lh_arena *arena;
};

static int setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    snprintf(fixture->path, sizeof(fixture->path), "/tmp/lh-index-XXXXXX");
    assert_non_null(mkdtemp(fixture->path));
    fixture->arena = lh_arena_new(0);
    assert_int_equal(lh_dir_open(lh_str_of(fixture->path), true, &fixture->dir, NULL), LH_OK);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(lh_file_remove(fixture->dir, PACKAGE_INDEX_PACKAGES, NULL), LH_OK);
    assert_int_equal(lh_file_remove(fixture->dir, PACKAGE_INDEX_DEPENDENCIES, NULL), LH_OK);
    lh_dir_close(fixture->dir);
    assert_int_equal(remove(fixture->path), 0);
    lh_arena_free(fixture->arena);
    free(fixture);
    return 0;
}

static struct package_index_counts convert(struct fixture *fixture, size_t piece_bytes)
{
    struct package_index *index = NULL;
    struct package_index_counts counts = {0};
    assert_int_equal(package_index_new(fixture->dir, &index, NULL), LH_OK);
    struct lh_str text = lh_str_of(sample);
    for (size_t at = 0; at < text.len; at += piece_bytes)
        assert_int_equal(package_index_feed(index, lh_str_slice(text, at, piece_bytes), NULL), 0);
    assert_int_equal(package_index_finish(index, &counts, NULL), LH_OK);
    package_index_free(index);
    return counts;
}

static struct lh_str content(struct fixture *fixture, const char *name)
{
    struct lh_str text = {NULL, 0};
    assert_int_equal(lh_file_read(fixture->dir, name, 1 << 20, fixture->arena, &text, NULL), LH_OK);
    return text;
}

static void records_become_rows_however_the_text_is_cut(void **state)
{
    struct fixture *fixture = *state;
    struct package_index_counts counts = convert(fixture, 1);
    assert_int_equal(counts.packages, 2);
    assert_int_equal(counts.skipped, 1);
    assert_int_equal(counts.dependencies, 4);
    assert_string_equal(content(fixture, PACKAGE_INDEX_DEPENDENCIES).data,
                        "package,kind,position,alternative,depends_on,operator,version\n"
                        "alpha,depends,1,1,beta,>=,2.0\n"
                        "alpha,depends,2,1,gamma,,\n"
                        "alpha,depends,2,2,delta,<<,3~\n"
                        "alpha,breaks,1,1,omega,,\n");
}

static void a_record_keeps_its_sizes_texts_and_tags(void **state)
{
    struct fixture *fixture = *state;
    (void)convert(fixture, 1000);
    struct lh_str lines = content(fixture, PACKAGE_INDEX_PACKAGES);
    json_t *row = NULL;
    assert_int_equal(lh_json_parse(lh_str_cut(&lines, '\n'), "row", 1 << 16, &row, NULL), LH_OK);
    assert_string_equal(json_string_value(json_object_get(row, "source")), "alpha-src");
    assert_string_equal(json_string_value(json_object_get(row, "version")), "1:1.2-3");
    assert_string_equal(json_string_value(json_object_get(row, "maintainer_email")),
                        "team@sample.invalid");
    assert_int_equal(json_integer_value(json_object_get(row, "installed_size")), 12 * 1024);
    assert_int_equal(json_integer_value(json_object_get(row, "download_size")), 4567);
    assert_string_equal(json_string_value(json_object_get(row, "summary")),
                        "first, \"quoted\" line");
    assert_string_equal(json_string_value(json_object_get(row, "description")),
                        "A longer text\n\nwith a second paragraph.");
    json_t *tags = json_object_get(row, "tags");
    assert_int_equal(json_array_size(tags), 3);
    assert_string_equal(json_string_value(json_array_get(tags, 2)), "works-with::text");
    json_decref(row);
    assert_int_equal(lh_json_parse(lh_str_cut(&lines, '\n'), "row", 1 << 16, &row, NULL), LH_OK);
    assert_true(json_is_null(json_object_get(row, "installed_size")));
    assert_string_equal(json_string_value(json_object_get(row, "description")), "no long text");
    json_decref(row);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(records_become_rows_however_the_text_is_cut, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_record_keeps_its_sizes_texts_and_tags, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
