#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fault.h"
#include "base/file.h"
#include "support/temp_lake.h"

struct fixture {
    struct temp_lake lake;
    struct lh_dir *dir;
    struct lh_arena *arena;
};

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    temp_lake_make(&fixture->lake);
    fixture->arena = lh_arena_new(0);
    assert_int_equal(lh_dir_open(temp_lake_path(&fixture->lake), false, &fixture->dir, NULL),
                     LH_OK);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    lh_fault_plan(NULL);
    lh_dir_close(fixture->dir);
    lh_arena_free(fixture->arena);
    temp_lake_remove(&fixture->lake);
    free(fixture);
    return 0;
}

static enum lh_code write_file(struct fixture *fixture, const char *path, const void *bytes,
                               size_t count)
{
    int fd = -1;
    enum lh_code code = lh_file_create(fixture->dir, path, &fd, NULL);
    if (code)
        return code;
    code = lh_file_write(fd, bytes, count, NULL);
    if (!code)
        code = lh_file_sync(fd, NULL);
    if (code) {
        lh_file_abandon(fd);
        return code;
    }
    return lh_file_close(fd, NULL);
}

static void then_reads(struct fixture *fixture, const char *path, const char *text)
{
    struct lh_str bytes = {0};
    assert_int_equal(lh_file_read(fixture->dir, path, 1 << 20, fixture->arena, &bytes, NULL),
                     LH_OK);
    assert_true(lh_str_equal(bytes, lh_str_of(text)));
    assert_int_equal(bytes.data[bytes.len], '\0');
}

static mode_t mode_of(struct fixture *fixture, const char *path)
{
    struct stat stat;
    assert_int_equal(lstat(temp_lake_file(&fixture->lake, path), &stat), 0);
    return stat.st_mode & 07777;
}

static void what_is_written_is_read_and_private(void **state)
{
    umask(0);
    assert_int_equal(lh_dir_make(((struct fixture *)*state)->dir, "a/b", NULL, NULL), LH_OK);
    assert_int_equal(write_file(*state, "a/b/c", "hello", 5), LH_OK);
    then_reads(*state, "a/b/c", "hello");
    assert_int_equal(mode_of(*state, "a/b/c"), 0600);
    assert_int_equal(mode_of(*state, "a/b"), 0700);
    umask(022);
}

static void a_file_is_created_only_once(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(write_file(fixture, "x", "1", 1), LH_OK);
    assert_int_equal(write_file(fixture, "x", "2", 1), LH_EXISTS);
    assert_int_equal(write_file(fixture, "no/x", "2", 1), LH_NOT_FOUND);
    then_reads(fixture, "x", "1");
}

static void no_path_leaves_the_folder(void **state)
{
    struct fixture *fixture = *state;
    static const char *const paths[] = {"../x",       "/etc/hostname", "a/../../x",     "..",
                                        "out/secret", "outfile",       "/proc/self/fd", "loop/x"};
    int fd = -1;
    struct lh_file_info info;
    struct lh_str bytes;
    assert_int_equal(lh_dir_make(fixture->dir, "a", NULL, NULL), LH_OK);
    assert_int_equal(write_file(fixture, "source", "x", 1), LH_OK);
    assert_int_equal(symlink("/tmp", temp_lake_file(&fixture->lake, "out")), 0);
    assert_int_equal(symlink("/etc/hostname", temp_lake_file(&fixture->lake, "outfile")), 0);
    assert_int_equal(symlink("loop", temp_lake_file(&fixture->lake, "loop")), 0);
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        const char *path = paths[i];
        print_message("%s\n", path);
        assert_int_equal(lh_file_open(fixture->dir, path, false, &fd, NULL), LH_INVALID);
        assert_int_equal(lh_file_open(fixture->dir, path, true, &fd, NULL), LH_INVALID);
        assert_int_equal(lh_file_info(fixture->dir, path, &info, NULL), LH_INVALID);
        assert_int_equal(lh_file_read(fixture->dir, path, 1000, fixture->arena, &bytes, NULL),
                         LH_INVALID);
        assert_int_not_equal(lh_file_create(fixture->dir, path, &fd, NULL), LH_OK);
        if (strncmp(path, "outfile", 7) != 0) {
            assert_int_equal(lh_file_publish(fixture->dir, "source", path, NULL), LH_INVALID);
            assert_int_equal(lh_file_replace(fixture->dir, "source", path, NULL), LH_INVALID);
            assert_int_equal(lh_file_remove(fixture->dir, path, NULL), LH_INVALID);
            assert_int_equal(lh_dir_remove_tree(fixture->dir, path, NULL), LH_INVALID);
            assert_int_not_equal(lh_dir_make(fixture->dir, path, NULL, NULL), LH_OK);
        }
    }
    then_reads(fixture, "source", "x");
    assert_int_equal(access("/etc/hostname", F_OK), 0);
}

static void a_pipe_is_refused_and_not_waited_for(void **state)
{
    struct fixture *fixture = *state;
    int fd = -1;
    assert_int_equal(mkfifo(temp_lake_file(&fixture->lake, "pipe"), 0600), 0);
    assert_int_equal(lh_file_open(fixture->dir, "pipe", false, &fd, NULL), LH_INVALID);
    assert_int_equal(lh_file_open(fixture->dir, "pipe", true, &fd, NULL), LH_INVALID);
    assert_int_equal(lh_dir_make(fixture->dir, "folder", NULL, NULL), LH_OK);
    assert_int_equal(lh_file_open(fixture->dir, "folder", false, &fd, NULL), LH_INVALID);
}

static void publishing_never_replaces_and_replacing_does(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(write_file(fixture, "a", "1", 1), LH_OK);
    assert_int_equal(write_file(fixture, "b", "2", 1), LH_OK);
    assert_int_equal(lh_file_publish(fixture->dir, "a", "b", NULL), LH_EXISTS);
    then_reads(fixture, "a", "1");
    then_reads(fixture, "b", "2");
    assert_int_equal(lh_file_publish(fixture->dir, "none", "c", NULL), LH_NOT_FOUND);
    assert_int_equal(lh_file_publish(fixture->dir, "a", "no/c", NULL), LH_NOT_FOUND);
    assert_int_equal(lh_file_replace(fixture->dir, "a", "b", NULL), LH_OK);
    then_reads(fixture, "b", "1");
    assert_false(temp_lake_has(&fixture->lake, "a"));
}

static void folders_are_made_once_and_counted(void **state)
{
    struct fixture *fixture = *state;
    unsigned made = 9;
    assert_int_equal(lh_dir_make(fixture->dir, "a/b/c", &made, NULL), LH_OK);
    assert_int_equal(made, 3);
    assert_int_equal(lh_dir_make(fixture->dir, "a/b/d/", &made, NULL), LH_OK);
    assert_int_equal(made, 1);
    assert_int_equal(write_file(fixture, "a/file", "", 0), LH_OK);
    assert_int_equal(lh_dir_make(fixture->dir, "a/file/x", &made, NULL), LH_CONFLICT);
    assert_int_equal(lh_dir_sync(fixture->dir, "a/b", NULL), LH_OK);
    assert_int_equal(lh_dir_sync(fixture->dir, "", NULL), LH_OK);
    assert_int_equal(lh_dir_sync(fixture->dir, "none", NULL), LH_NOT_FOUND);
}

static void a_listing_is_sorted_and_shows_what_is_strange(void **state)
{
    struct fixture *fixture = *state;
    struct lh_dir_entry *entries = NULL;
    size_t count = 0;
    char name[16];
    for (int i = 0; i < 150; i++) {
        snprintf(name, sizeof name, "f%03d", 149 - i);
        assert_int_equal(write_file(fixture, name, name, 4), LH_OK);
    }
    assert_int_equal(lh_dir_make(fixture->dir, "d", NULL, NULL), LH_OK);
    assert_int_equal(symlink("/etc", temp_lake_file(&fixture->lake, "z")), 0);
    assert_int_equal(lh_dir_list(fixture->dir, "", fixture->arena, &entries, &count, NULL), LH_OK);
    assert_int_equal(count, 152);
    assert_true(entries[0].is_folder && lh_str_equal(entries[0].name, lh_lit("d")));
    for (int i = 0; i < 150; i++) {
        snprintf(name, sizeof name, "f%03d", i);
        assert_true(lh_str_equal(entries[i + 1].name, lh_str_of(name)));
        assert_int_equal(entries[i + 1].bytes, 4);
        assert_false(entries[i + 1].is_folder || entries[i + 1].is_special);
    }
    assert_true(entries[151].is_special && !entries[151].is_folder);
    assert_int_equal(lh_dir_list(fixture->dir, "none", fixture->arena, &entries, &count, NULL),
                     LH_OK);
    assert_int_equal(count, 0);
    assert_int_equal(lh_dir_list(fixture->dir, "z", fixture->arena, &entries, &count, NULL),
                     LH_INVALID);
}

static void removing_a_tree_spares_what_its_links_point_to(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(lh_dir_make(fixture->dir, "keep", NULL, NULL), LH_OK);
    assert_int_equal(write_file(fixture, "keep/me", "1", 1), LH_OK);
    assert_int_equal(lh_dir_make(fixture->dir, "go/deep/er", NULL, NULL), LH_OK);
    assert_int_equal(write_file(fixture, "go/deep/x", "1", 1), LH_OK);
    assert_int_equal(symlink("../keep", temp_lake_file(&fixture->lake, "go/link")), 0);
    assert_int_equal(lh_dir_remove_tree(fixture->dir, "go", NULL), LH_OK);
    assert_false(temp_lake_has(&fixture->lake, "go"));
    then_reads(fixture, "keep/me", "1");
    assert_int_equal(lh_dir_remove_tree(fixture->dir, "go", NULL), LH_OK);
    assert_int_equal(lh_dir_remove_tree(fixture->dir, "keep/me", NULL), LH_OK);
    assert_int_equal(lh_file_remove(fixture->dir, "keep/me", NULL), LH_OK);
    assert_int_equal(lh_file_remove(fixture->dir, "none/me", NULL), LH_OK);
}

static void a_lock_is_held_by_one_open_file(void **state)
{
    struct fixture *fixture = *state;
    int first = -1;
    int second = -1;
    bool is_locked = true;
    assert_int_equal(lh_file_create(fixture->dir, "lock", &first, NULL), LH_OK);
    assert_int_equal(lh_file_open(fixture->dir, "lock", true, &second, NULL), LH_OK);
    assert_int_equal(lh_file_is_locked(second, &is_locked, NULL), LH_OK);
    assert_false(is_locked);
    assert_int_equal(lh_file_lock(first, NULL), LH_OK);
    assert_int_equal(lh_file_lock(second, NULL), LH_LOCKED);
    assert_int_equal(lh_file_is_locked(second, &is_locked, NULL), LH_OK);
    assert_true(is_locked);
    lh_file_abandon(first);
    assert_int_equal(lh_file_lock(second, NULL), LH_OK);
    lh_file_abandon(second);
}

static void reading_at_the_end_gives_less(void **state)
{
    struct fixture *fixture = *state;
    char bytes[8];
    size_t count = 0;
    int fd = -1;
    assert_int_equal(write_file(fixture, "f", "hello", 5), LH_OK);
    assert_int_equal(lh_file_open(fixture->dir, "f", false, &fd, NULL), LH_OK);
    assert_int_equal(lh_file_read_at(fd, bytes, 3, 1, &count, NULL), LH_OK);
    assert_int_equal(count, 3);
    assert_memory_equal(bytes, "ell", 3);
    assert_int_equal(lh_file_read_at(fd, bytes, 8, 3, &count, NULL), LH_OK);
    assert_int_equal(count, 2);
    assert_int_equal(lh_file_read_at(fd, bytes, 8, 5, &count, NULL), LH_OK);
    assert_int_equal(count, 0);
    lh_file_abandon(fd);
    struct lh_str text;
    assert_int_equal(lh_file_read(fixture->dir, "f", 4, fixture->arena, &text, NULL), LH_TOO_LARGE);
}

static void short_transfers_and_interrupts_are_borne(void **state)
{
    struct fixture *fixture = *state;
    static const char *const plans[] = {"file.write=1+:short", "file.read=1+:short",
                                        "file.write=1:EINTR",  "file.read=1:EINTR",
                                        "file.create=1:EINTR", "file.open=1:EINTR"};
    char *bytes = malloc(100001);
    for (int i = 0; i < 100000; i++)
        bytes[i] = (char)('a' + i % 26);
    bytes[100000] = '\0';
    for (size_t i = 0; i < sizeof plans / sizeof plans[0]; i++) {
        char name[8];
        snprintf(name, sizeof name, "f%zu", i);
        assert_true(lh_fault_plan(plans[i]));
        assert_int_equal(write_file(fixture, name, bytes, 100000), LH_OK);
        then_reads(fixture, name, bytes);
        assert_true(lh_fault_was_struck());
        lh_fault_plan(NULL);
        then_reads(fixture, name, bytes);
    }
    free(bytes);
}

static enum lh_code everything(struct fixture *fixture)
{
    struct lh_dir_entry *entries = NULL;
    struct lh_file_info info;
    struct lh_str bytes;
    size_t count = 0;
    int fd = -1;
    enum lh_code code = lh_dir_make(fixture->dir, "e/f", NULL, NULL);
    if (!code)
        code = write_file(fixture, "e/new", "1", 1);
    if (!code)
        code = lh_file_publish(fixture->dir, "e/new", "e/f/x", NULL);
    if (!code)
        code = lh_dir_sync(fixture->dir, "e/f", NULL);
    if (!code)
        code = write_file(fixture, "e/other", "2", 1);
    if (!code)
        code = lh_file_replace(fixture->dir, "e/other", "e/f/x", NULL);
    if (!code)
        code = lh_file_info(fixture->dir, "e/f/x", &info, NULL);
    if (!code)
        code = lh_file_read(fixture->dir, "e/f/x", 10, fixture->arena, &bytes, NULL);
    if (!code)
        code = lh_dir_list(fixture->dir, "e", fixture->arena, &entries, &count, NULL);
    if (!code)
        code = lh_file_open(fixture->dir, "e/f/x", true, &fd, NULL);
    if (!code)
        code = lh_file_lock(fd, NULL);
    if (!code)
        code = lh_file_make_private(fd, NULL);
    lh_file_abandon(fd);
    if (!code)
        code = lh_file_remove(fixture->dir, "e/f/x", NULL);
    return code ? code : lh_dir_remove_tree(fixture->dir, "e", NULL);
}

static void each_failing_call_is_reported_and_leaks_nothing(void **state)
{
    struct fixture *fixture = *state;
    static const struct {
        const char *name;
        enum lh_code code;
    } errors[] = {{"EIO", LH_IO}, {"ENOSPC", LH_FULL}, {"EDQUOT", LH_FULL}, {"EMFILE", LH_BUSY}};
    int open_count = temp_lake_open_count();
    assert_int_equal(everything(fixture), LH_OK);
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
        int nth = 1;
        for (;; nth++) {
            char plan[32];
            snprintf(plan, sizeof plan, "*=%d:%s", nth, errors[i].name);
            assert_true(lh_fault_plan(plan));
            enum lh_code code = everything(fixture);
            bool was_struck = lh_fault_was_struck();
            lh_fault_plan(NULL);
            assert_int_equal(temp_lake_open_count(), open_count);
            assert_int_equal(lh_dir_remove_tree(fixture->dir, "e", NULL), LH_OK);
            if (!was_struck) {
                assert_int_equal(code, LH_OK);
                break;
            }
            if (code != errors[i].code)
                fail_msg("%s gave %d", plan, (int)code);
        }
        assert_true(nth > 20);
    }
}

static void a_new_folder_is_durable_up_to_what_was_there(void **state)
{
    struct fixture *fixture = *state;
    struct lh_dir *dir = NULL;
    const char *trace[16];
    assert_true(lh_fault_plan(NULL));
    assert_int_equal(
        lh_dir_open(lh_str_of(temp_lake_file(&fixture->lake, "n/m")), true, &dir, NULL), LH_OK);
    size_t count = lh_fault_trace(trace, 16);
    size_t syncs = 0;
    for (size_t i = 0; i < count; i++)
        syncs += strcmp(trace[i], "dir.sync") == 0;
    assert_int_equal(syncs, 2);
    lh_dir_close(dir);
    assert_int_equal(
        lh_dir_open(lh_str_of(temp_lake_file(&fixture->lake, "no")), false, &dir, NULL),
        LH_NOT_FOUND);
    temp_lake_write(&fixture->lake, "plain", "", 0);
    assert_int_equal(
        lh_dir_open(lh_str_of(temp_lake_file(&fixture->lake, "plain")), false, &dir, NULL),
        LH_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_written_is_read_and_private, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_file_is_created_only_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(no_path_leaves_the_folder, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_pipe_is_refused_and_not_waited_for, set_up, tear_down),
        cmocka_unit_test_setup_teardown(publishing_never_replaces_and_replacing_does, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(folders_are_made_once_and_counted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_listing_is_sorted_and_shows_what_is_strange, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(removing_a_tree_spares_what_its_links_point_to, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_lock_is_held_by_one_open_file, set_up, tear_down),
        cmocka_unit_test_setup_teardown(reading_at_the_end_gives_less, set_up, tear_down),
        cmocka_unit_test_setup_teardown(short_transfers_and_interrupts_are_borne, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(each_failing_call_is_reported_and_leaks_nothing, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_new_folder_is_durable_up_to_what_was_there, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
