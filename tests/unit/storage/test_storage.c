/* What the local data folder promises beyond the conformance suite: layout, lock, hostile things
 * planted in it. */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/uuid.h"
#include "storage/log.h"
#include "storage/reserve.h"
#include "storage/storage.h"
#include "support/temp_lake.h"

struct fixture {
    struct temp_lake lake;
    struct storage *storage;
    struct lh_arena *arena;
    struct lh_error err;
};

static enum lh_code open_as(struct fixture *fixture, enum storage_access access, bool create,
                            struct storage **ret)
{
    struct storage_options options = {
        .path = temp_lake_path(&fixture->lake), .access = access, .create = create};
    fixture->err = (struct lh_error)LH_ERROR_NONE;
    return storage_open(&options, ret, &fixture->err);
}

static int set_up_empty(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    temp_lake_make(&fixture->lake);
    fixture->arena = lh_arena_new(0);
    *state = fixture;
    return 0;
}

static int set_up(void **state)
{
    set_up_empty(state);
    struct fixture *fixture = *state;
    if (open_as(fixture, STORAGE_WRITE, true, &fixture->storage))
        fail_msg("%s", fixture->err.message);
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    lh_fault_plan(NULL);
    lh_clock_clear_fake();
    storage_close(fixture->storage);
    lh_arena_free(fixture->arena);
    temp_lake_remove(&fixture->lake);
    free(fixture);
    return 0;
}

static void reopen(struct fixture *fixture)
{
    storage_close(fixture->storage);
    fixture->storage = NULL;
    if (open_as(fixture, STORAGE_WRITE, false, &fixture->storage))
        fail_msg("%s", fixture->err.message);
}

static enum lh_code put(struct fixture *fixture, const char *key, const char *text)
{
    fixture->err = (struct lh_error)LH_ERROR_NONE;
    return storage_put_exclusive(fixture->storage, STORAGE_PRIMARY, lh_str_of(key), lh_str_of(text),
                                 &fixture->err);
}

static enum lh_code get(struct fixture *fixture, const char *key, struct lh_str *ret)
{
    fixture->err = (struct lh_error)LH_ERROR_NONE;
    return storage_get(fixture->storage, STORAGE_PRIMARY, lh_str_of(key), 1 << 20, fixture->arena,
                       ret, &fixture->err);
}

static void then_says(const struct fixture *fixture, const char *part)
{
    if (!strstr(fixture->err.message, part) && !strstr(fixture->err.hint, part))
        fail_msg("'%s' is missing in: %s | %s", part, fixture->err.message, fixture->err.hint);
}

static size_t count_in(struct fixture *fixture, const char *folder)
{
    struct lh_dir *dir = NULL;
    struct lh_dir_entry *entries = NULL;
    size_t count = 0;
    assert_int_equal(lh_dir_open(temp_lake_path(&fixture->lake), false, &dir, NULL), LH_OK);
    assert_int_equal(lh_dir_list(dir, folder, fixture->arena, &entries, &count, NULL), LH_OK);
    lh_dir_close(dir);
    return count;
}

/* --- layout -------------------------------------------------------------------------------------
 */

static void a_lake_keeps_its_id(void **state)
{
    struct fixture *fixture = *state;
    struct lh_str id = lh_arena_str(fixture->arena, storage_id(fixture->storage));
    assert_true(lh_uuid_is_valid(id));
    reopen(fixture);
    assert_true(lh_str_equal(storage_id(fixture->storage), id));
}

static void an_absent_folder_is_made_only_when_asked(void **state)
{
    struct fixture *fixture = *state;
    struct storage_options options = {.path = lh_str_of(temp_lake_file(&fixture->lake, "x/y")),
                                      .access = STORAGE_WRITE};
    assert_int_equal(storage_open(&options, &fixture->storage, &fixture->err), LH_NOT_FOUND);
    assert_int_equal(open_as(fixture, STORAGE_READ, true, &fixture->storage), LH_NOT_FOUND);
    assert_int_equal(count_in(fixture, ""), 0);
    options.create = true;
    assert_int_equal(storage_open(&options, &fixture->storage, &fixture->err), LH_OK);
}

static void a_folder_of_something_else_is_left_alone(void **state)
{
    struct fixture *fixture = *state;
    temp_lake_write(&fixture->lake, "letter.txt", "Dear", 4);
    assert_int_equal(open_as(fixture, STORAGE_WRITE, true, &fixture->storage), LH_CONFLICT);
    then_says(fixture, "other files");
    assert_int_equal(count_in(fixture, ""), 1);
}

static void a_newer_format_is_refused_and_untouched(void **state)
{
    struct fixture *fixture = *state;
    static const char text[] = "{\"format\":2,\"id\":\"01890a5d-ac96-774b-bcce-b302099a8057\"}";
    temp_lake_write(&fixture->lake, "_lake.json", text, sizeof text - 1);
    assert_int_equal(open_as(fixture, STORAGE_WRITE, true, &fixture->storage), LH_FORMAT);
    then_says(fixture, "format 2");
    assert_int_equal(count_in(fixture, ""), 1);
}

static void a_folder_that_needs_what_is_not_known_is_neither_read_nor_written(void **state)
{
    struct fixture *fixture = *state;
    static const char text[] = "{\"features\":[\"shards\"],\"format\":1,\"id\":"
                               "\"01890a5d-ac96-774b-bcce-b302099a8057\"}";
    temp_lake_write(&fixture->lake, "_lake.json", text, sizeof text - 1);
    assert_int_equal(open_as(fixture, STORAGE_WRITE, true, &fixture->storage), LH_FORMAT);
    then_says(fixture, "'shards'");
    assert_int_equal(open_as(fixture, STORAGE_READ, false, &fixture->storage), LH_FORMAT);
    assert_int_equal(count_in(fixture, ""), 1);
}

static void a_lake_without_a_readable_lake_file_is_damaged(void **state)
{
    static const char *const texts[] = {
        "",
        "{",
        "[]",
        "{}",
        "{\"format\":0,\"id\":\"x\"}",
        "{\"format\":1}",
        "{\"format\":\"1\",\"id\":\"01890a5d-ac96-774b-bcce-b302099a8057\"}"};
    struct fixture *fixture = *state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        temp_lake_write(&fixture->lake, "_lake.json", texts[i], strlen(texts[i]));
        assert_int_equal(open_as(fixture, STORAGE_WRITE, true, &fixture->storage), LH_DAMAGED);
    }
    unlink(temp_lake_file(&fixture->lake, "_lake.json"));
    mkdir(temp_lake_file(&fixture->lake, "_catalog"), 0700);
    assert_int_equal(open_as(fixture, STORAGE_WRITE, true, &fixture->storage), LH_DAMAGED);
    then_says(fixture, "_lake.json");
}

static void opening_sweeps_what_a_dead_process_left(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(put(fixture, "keep/1", "x"), LH_OK);
    temp_lake_write(&fixture->lake, "_staging/left.parquet", "x", 1);
    mkdir(temp_lake_file(&fixture->lake, "_scratch/deep"), 0700);
    temp_lake_write(&fixture->lake, "_scratch/deep/spill", "x", 1);
    reopen(fixture);
    assert_int_equal(count_in(fixture, "_staging"), 0);
    assert_int_equal(count_in(fixture, "_scratch"), 0);
    assert_true(temp_lake_has(&fixture->lake, "keep/1"));
}

/* --- lock ---------------------------------------------------------------------------------------
 */

static void a_second_server_is_told_who_has_the_lake(void **state)
{
    struct fixture *fixture = *state;
    struct storage *second = NULL;
    char pid[32];
    snprintf(pid, sizeof pid, "process %d", (int)getpid());
    assert_int_equal(open_as(fixture, STORAGE_WRITE, true, &second), LH_LOCKED);
    then_says(fixture, pid);
    assert_int_equal(storage_announce(fixture->storage, lh_lit("127.0.0.1:3100"), NULL), LH_OK);
    assert_int_equal(open_as(fixture, STORAGE_WRITE, true, &second), LH_LOCKED);
    then_says(fixture, "127.0.0.1:3100");
    /* The refused one has swept nothing. */
    temp_lake_write(&fixture->lake, "_staging/mine", "x", 1);
    assert_int_equal(open_as(fixture, STORAGE_WRITE, true, &second), LH_LOCKED);
    assert_true(temp_lake_has(&fixture->lake, "_staging/mine"));
}

static void the_owner_can_be_asked_for_and_ends_with_its_process(void **state)
{
    struct fixture *fixture = *state;
    struct storage_owner owner;
    int ready[2];
    assert_int_equal(pipe(ready), 0);
    storage_close(fixture->storage);
    fixture->storage = NULL;
    pid_t child = fork();
    if (child == 0) {
        struct storage *storage = NULL;
        if (open_as(fixture, STORAGE_WRITE, true, &storage) == LH_OK &&
            storage_announce(storage, lh_lit("127.0.0.1:1"), NULL) == LH_OK &&
            write(ready[1], "x", 1) == 1)
            pause();
        _exit(1);
    }
    char byte = 0;
    assert_int_equal(read(ready[0], &byte, 1), 1);
    assert_int_equal(storage_owner(temp_lake_path(&fixture->lake), fixture->arena, &owner, NULL),
                     LH_OK);
    assert_true(owner.is_running);
    assert_int_equal(owner.pid, child);
    assert_true(lh_str_equal(owner.address, lh_lit("127.0.0.1:1")));
    assert_true(owner.started_ms > 1600000000000);
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, NULL, 0), child);
    close(ready[0]);
    close(ready[1]);
    assert_int_equal(storage_owner(temp_lake_path(&fixture->lake), fixture->arena, &owner, NULL),
                     LH_OK);
    assert_false(owner.is_running);
    assert_int_equal(open_as(fixture, STORAGE_WRITE, false, &fixture->storage), LH_OK);
    assert_int_equal(storage_owner(lh_str_of(temp_lake_file(&fixture->lake, "none")),
                                   fixture->arena, &owner, NULL),
                     LH_OK);
    assert_false(owner.is_running);
}

static void a_reader_looks_beside_the_writer_and_changes_nothing(void **state)
{
    struct fixture *fixture = *state;
    struct storage *reader = NULL;
    struct storage_staged *staged = NULL;
    struct lh_str bytes;
    const struct lh_str key = LH_LIT("a/1");
    assert_int_equal(put(fixture, "a/1", "x"), LH_OK);
    temp_lake_write(&fixture->lake, "_staging/mine", "x", 1);
    assert_int_equal(open_as(fixture, STORAGE_READ, false, &reader), LH_OK);
    assert_int_equal(storage_get(reader, STORAGE_PRIMARY, key, 10, fixture->arena, &bytes, NULL),
                     LH_OK);
    assert_int_equal(storage_stage(reader, lh_lit(""), &staged, NULL), LH_CONFLICT);
    assert_int_equal(storage_put_exclusive(reader, STORAGE_PRIMARY, lh_lit("b"), bytes, NULL),
                     LH_CONFLICT);
    assert_int_equal(storage_trash(reader, STORAGE_PRIMARY, &key, 1, NULL), LH_CONFLICT);
    assert_int_equal(storage_trash_sweep(reader, 0, NULL, NULL), LH_CONFLICT);
    assert_int_equal(storage_announce(reader, lh_lit("x"), NULL), LH_CONFLICT);
    storage_close(reader);
    assert_true(temp_lake_has(&fixture->lake, "_staging/mine"));
    assert_true(temp_lake_has(&fixture->lake, "_owner.json"));
}

/* --- hostile things -----------------------------------------------------------------------------
 */

static void planted_links_lead_nowhere(void **state)
{
    struct fixture *fixture = *state;
    struct temp_lake outside;
    struct lh_str bytes;
    struct storage_info info;
    struct storage_sum sum;
    struct storage_entry *entries = NULL;
    size_t count = 0;
    temp_lake_make(&outside);
    temp_lake_write(&outside, "secret", "secret", 6);
    assert_int_equal(put(fixture, "datasets/d/1", "x"), LH_OK);
    assert_int_equal(symlink(outside.path, temp_lake_file(&fixture->lake, "datasets/out")), 0);
    assert_int_equal(
        symlink(temp_lake_file(&outside, "secret"), temp_lake_file(&fixture->lake, "datasets/d/2")),
        0);
    assert_int_equal(symlink("1", temp_lake_file(&fixture->lake, "datasets/d/3")), 0);
    static const char *const keys[] = {"datasets/out/secret", "datasets/d/2", "datasets/d/3"};
    for (size_t i = 0; i < 3; i++) {
        struct lh_str key = lh_str_of(keys[i]);
        assert_int_equal(get(fixture, keys[i], &bytes), LH_INVALID);
        assert_int_equal(storage_info(fixture->storage, STORAGE_PRIMARY, key, &info, NULL),
                         LH_INVALID);
        assert_int_equal(storage_sum(fixture->storage, STORAGE_PRIMARY, key, NULL, &sum, NULL),
                         LH_INVALID);
        assert_int_equal(storage_object_path(fixture->storage, STORAGE_PRIMARY, key, fixture->arena,
                                             &bytes, NULL),
                         LH_INVALID);
        assert_int_equal(storage_trash(fixture->storage, STORAGE_PRIMARY, &key, 1, NULL),
                         LH_INVALID);
        assert_int_not_equal(put(fixture, keys[i], "overwritten"), LH_OK);
    }
    assert_int_equal(put(fixture, "datasets/out/new", "x"), LH_INVALID);
    assert_int_equal(put(fixture, "datasets/out/sub/new", "x"), LH_INVALID);
    assert_false(temp_lake_has(&outside, "new") || temp_lake_has(&outside, "sub"));
    assert_int_equal(storage_list(fixture->storage, STORAGE_PRIMARY, lh_lit("datasets/out"),
                                  fixture->arena, &entries, &count, NULL),
                     LH_INVALID);
    assert_int_equal(storage_list(fixture->storage, STORAGE_PRIMARY, lh_lit("datasets/d"),
                                  fixture->arena, &entries, &count, NULL),
                     LH_OK);
    assert_int_equal(count, 3);
    assert_true(!entries[0].is_special && entries[1].is_special && entries[2].is_special);
    struct lh_dir *dir = NULL;
    assert_int_equal(lh_dir_open(temp_lake_path(&outside), false, &dir, NULL), LH_OK);
    assert_int_equal(lh_file_read(dir, "secret", 10, fixture->arena, &bytes, NULL), LH_OK);
    assert_true(lh_str_equal(bytes, lh_lit("secret")));
    lh_dir_close(dir);
    /* The layout's own folders replaced by links: opening empties the link's place, not its target.
     */
    storage_close(fixture->storage);
    fixture->storage = NULL;
    assert_int_equal(rmdir(temp_lake_file(&fixture->lake, "_staging")), 0);
    assert_int_equal(symlink(outside.path, temp_lake_file(&fixture->lake, "_staging")), 0);
    reopen(fixture);
    assert_true(temp_lake_has(&outside, "secret"));
    temp_lake_remove(&outside);
}

static void names_that_no_key_may_have_are_listed_as_strange(void **state)
{
    struct fixture *fixture = *state;
    struct storage_entry *entries = NULL;
    size_t count = 0;
    mkdir(temp_lake_file(&fixture->lake, "d"), 0700);
    temp_lake_write(&fixture->lake, "d/back\\slash", "x", 1);
    temp_lake_write(&fixture->lake, "d/\xff", "x", 1);
    temp_lake_write(&fixture->lake, "d/fine", "x", 1);
    assert_int_equal(storage_list(fixture->storage, STORAGE_PRIMARY, lh_lit("d"), fixture->arena,
                                  &entries, &count, NULL),
                     LH_OK);
    assert_int_equal(count, 3);
    assert_true(entries[0].is_special && !entries[1].is_special && entries[2].is_special);
}

/* --- publishing ---------------------------------------------------------------------------------
 */

static void a_file_that_others_wrote_becomes_private_and_is_summed(void **state)
{
    struct fixture *fixture = *state;
    struct storage_staged *staged = NULL;
    struct storage_sum sum;
    struct stat stat_now;
    uint8_t expected[LH_SHA256_BYTES];
    umask(0);
    assert_int_equal(storage_stage(fixture->storage, lh_lit(".parquet"), &staged, NULL), LH_OK);
    struct lh_str path = storage_staged_path(staged);
    assert_true(lh_str_starts_with(path, storage_staging_path(fixture->storage)));
    assert_true(lh_str_ends_with(path, lh_lit(".parquet")));
    assert_int_not_equal(access(path.data, F_OK), 0);
    FILE *file = fopen(path.data, "w");
    fputs("PAR1", file);
    fclose(file);
    chmod(path.data, 0666);
    assert_int_equal(storage_staged_seal(staged, &sum, NULL), LH_OK);
    assert_int_equal(storage_staged_publish(staged, STORAGE_PRIMARY, lh_lit("d/1.parquet"), NULL),
                     LH_OK);
    storage_staged_discard(staged);
    umask(022);
    lh_sha256_of(lh_lit("PAR1"), expected);
    assert_int_equal(sum.bytes, 4);
    assert_memory_equal(sum.sha256, expected, sizeof expected);
    assert_int_equal(stat(temp_lake_file(&fixture->lake, "d/1.parquet"), &stat_now), 0);
    assert_int_equal(stat_now.st_mode & 07777, 0600);
}

static void only_a_file_of_the_staging_folder_is_adopted(void **state)
{
    struct fixture *fixture = *state;
    struct storage_staged *staged = NULL;
    static const char *const others[] = {"",
                                         "/etc/hostname",
                                         "_staging",
                                         "_staging/",
                                         "_staging/none",
                                         "_staging/../_lake.json",
                                         "_staging/a/b",
                                         "_lake.json"};
    temp_lake_write(&fixture->lake, "_staging/upload", "abc", 3);
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        struct lh_str path =
            lh_str_of(others[i][0] == '/' ? others[i] : temp_lake_file(&fixture->lake, others[i]));
        assert_int_not_equal(storage_stage_adopt(fixture->storage, path, &staged, NULL), LH_OK);
    }
    assert_int_equal(
        storage_stage_adopt(fixture->storage,
                            lh_str_of(temp_lake_file(&fixture->lake, "_staging/upload")), &staged,
                            NULL),
        LH_OK);
    storage_staged_discard(staged);
    assert_false(temp_lake_has(&fixture->lake, "_staging/upload"));
    assert_true(temp_lake_has(&fixture->lake, "_lake.json"));
}

static void nothing_unsealed_is_published(void **state)
{
    struct fixture *fixture = *state;
    struct storage_staged *staged = NULL;
    assert_int_equal(storage_stage(fixture->storage, lh_lit(""), &staged, NULL), LH_OK);
    assert_int_equal(storage_staged_write(staged, "x", 1, NULL), LH_OK);
    assert_int_equal(storage_staged_publish(staged, STORAGE_PRIMARY, lh_lit("a"), NULL),
                     LH_INTERNAL);
    assert_true(lh_fault_plan("file.sync=1:EIO"));
    assert_int_equal(storage_staged_seal(staged, NULL, NULL), LH_IO);
    /* A second fsync might say yes: it is never asked. */
    assert_int_equal(storage_staged_seal(staged, NULL, NULL), LH_INTERNAL);
    assert_int_equal(storage_staged_publish(staged, STORAGE_PRIMARY, lh_lit("a"), NULL),
                     LH_INTERNAL);
    assert_int_equal(storage_staged_write(staged, "x", 1, NULL), LH_INTERNAL);
    storage_staged_discard(staged);
    assert_int_equal(count_in(fixture, "_staging"), 0);
    assert_false(temp_lake_has(&fixture->lake, "a"));
}

/* The calls since the plan was set, in a row. */
static const char *trace(void)
{
    static char text[4096];
    const char *points[128];
    size_t count = lh_fault_trace(points, 128);
    text[0] = '\0';
    for (size_t i = 0; i < count; i++) {
        strncat(text, i ? " " : "", 2);
        strncat(text, points[i], 64);
    }
    return text;
}

static void bytes_are_durable_before_their_name_and_the_name_before_the_answer(void **state)
{
    struct fixture *fixture = *state;
    assert_true(lh_fault_plan(NULL));
    assert_int_equal(put(fixture, "c/d/1", "x"), LH_OK);
    assert_string_equal(
        trace(), "file.create file.write file.private file.sync file.read file.read file.close "
                 "dir.make dir.make dir.sync dir.sync file.publish dir.sync");
    /* The folders are known to be durable now. */
    assert_true(lh_fault_plan(NULL));
    assert_int_equal(put(fixture, "c/d/2", "x"), LH_OK);
    assert_string_equal(
        trace(), "file.create file.write file.private file.sync file.read file.read file.close "
                 "file.publish dir.sync");
    /* But not to the next process, which may have died between making and syncing them. */
    reopen(fixture);
    assert_true(lh_fault_plan(NULL));
    assert_int_equal(put(fixture, "c/d/3", "x"), LH_OK);
    assert_non_null(
        strstr(trace(), "file.close dir.make dir.make dir.sync dir.sync file.publish dir.sync"));
}

static void each_failing_call_of_a_put_is_told_and_none_is_half_done(void **state)
{
    struct fixture *fixture = *state;
    static const char *const errors[] = {"EIO", "ENOSPC", "EDQUOT", "EMFILE", "EROFS"};
    struct lh_str bytes;
    int unknown_count = 0;
    int open_count = temp_lake_open_count();
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
        for (int nth = 1;; nth++) {
            char plan[32];
            char key[32];
            snprintf(plan, sizeof plan, "*=%d:%s", nth, errors[i]);
            snprintf(key, sizeof key, "p%zu-%d/d/k", i, nth);
            assert_true(lh_fault_plan(plan));
            enum lh_code code = put(fixture, key, "bytes");
            bool was_struck = lh_fault_was_struck();
            lh_fault_plan(NULL);
            assert_int_equal(temp_lake_open_count(), open_count);
            enum lh_code found = get(fixture, key, &bytes);
            if (found == LH_OK)
                assert_true(lh_str_equal(bytes, lh_lit("bytes")));
            if (code == LH_OK || code == LH_UNKNOWN)
                assert_int_equal(found, LH_OK);
            else if (found != LH_NOT_FOUND)
                fail_msg("%s: failed with %d, and yet it is there", plan, (int)code);
            unknown_count += code == LH_UNKNOWN;
            if (!was_struck) {
                assert_int_equal(code, LH_OK);
                assert_true(nth > 10);
                break;
            }
            assert_int_not_equal(code, LH_OK);
        }
    }
    assert_int_equal(unknown_count, 5); /* the last dir.sync, once per error */
    assert_int_equal(count_in(fixture, "_staging"), 0);
}

static void each_failing_call_of_an_open_is_told_and_leaks_nothing(void **state)
{
    struct fixture *fixture = *state;
    int open_count = temp_lake_open_count();
    for (int nth = 1;; nth++) {
        char plan[32];
        snprintf(plan, sizeof plan, "*=%d:EIO", nth);
        assert_true(lh_fault_plan(plan));
        enum lh_code code = open_as(fixture, STORAGE_WRITE, true, &fixture->storage);
        bool was_struck = lh_fault_was_struck();
        lh_fault_plan(NULL);
        if (!code) {
            assert_int_equal(put(fixture, "a", "x"), LH_OK);
            const struct lh_str key = LH_LIT("a");
            assert_int_equal(storage_trash(fixture->storage, STORAGE_PRIMARY, &key, 1, NULL),
                             LH_OK);
            storage_close(fixture->storage);
            fixture->storage = NULL;
        }
        assert_int_equal(temp_lake_open_count(), open_count);
        if (!was_struck) {
            assert_int_equal(code, LH_OK);
            assert_true(nth > 15);
            break;
        }
    }
}

static void a_folder_that_was_removed_meanwhile_is_made_again(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(put(fixture, "d/1", "x"), LH_OK);
    const struct lh_str key = LH_LIT("d/1");
    assert_int_equal(storage_trash(fixture->storage, STORAGE_PRIMARY, &key, 1, NULL), LH_OK);
    assert_int_equal(rmdir(temp_lake_file(&fixture->lake, "d")), 0);
    assert_int_equal(put(fixture, "d/2", "x"), LH_OK);
    assert_true(temp_lake_has(&fixture->lake, "d/2"));
}

struct race {
    struct storage *storage;
    _Atomic int won;
};

static void on_a_full_disk_the_reserve_is_given_up_for_what_is_vital_alone(void **state)
{
    struct fixture *fixture = *state;
    struct storage *storage = fixture->storage;
    assert_int_equal(storage_reserve_bytes(storage), STORAGE_RESERVE_BYTES);
    assert_true(lh_fault_plan("file.write=1:ENOSPC"));
    assert_int_equal(
        storage_put_exclusive(storage, STORAGE_PRIMARY, lh_lit("a/b"), lh_lit("x"), &fixture->err),
        LH_FULL);
    then_says(fixture, "Make room");
    assert_int_equal(storage_reserve_bytes(storage), STORAGE_RESERVE_BYTES);
    assert_true(lh_fault_plan("file.write=1:ENOSPC"));
    assert_int_equal(
        storage_put_vital(storage, STORAGE_PRIMARY, lh_lit("a/b"), lh_lit("x"), &fixture->err),
        LH_OK);
    int64_t left = storage_reserve_bytes(storage);
    assert_true(left > 0 && left < STORAGE_RESERVE_BYTES);
    /* As long as there is none, all of it goes, and the end is an answer. */
    assert_true(lh_fault_plan("file.write=1+:ENOSPC"));
    assert_int_equal(
        storage_put_vital(storage, STORAGE_PRIMARY, lh_lit("a/c"), lh_lit("x"), &fixture->err),
        LH_FULL);
    then_says(fixture, "Make room");
    assert_int_equal(storage_reserve_bytes(storage), 0);
    assert_true(lh_fault_plan("file.resize=1+:ENOSPC"));
    assert_int_equal(storage_reserve_fill(storage, &fixture->err), LH_OK);
    assert_int_equal(storage_reserve_bytes(storage), 0);
    assert_true(lh_fault_plan(NULL));
    assert_int_equal(storage_reserve_fill(storage, &fixture->err), LH_OK);
    assert_int_equal(storage_reserve_bytes(storage), STORAGE_RESERVE_BYTES);
    reopen(fixture);
    assert_int_equal(storage_reserve_bytes(fixture->storage), STORAGE_RESERVE_BYTES);
}

static void of_the_reserve_only_what_is_missing_is_given_up_and_nothing_in_vain(void **state)
{
    struct fixture *fixture = *state;
    struct storage *storage = fixture->storage;
    int64_t free_bytes = 0, all = 0;
    assert_int_equal(storage_free_bytes(storage, &free_bytes, &fixture->err), LH_OK);
    assert_int_equal(storage_reserve_make_room(storage, 1, NULL, &fixture->err), LH_OK);
    assert_int_equal(storage_reserve_bytes(storage), STORAGE_RESERVE_BYTES);
    /* More than both together, however much others write or remove meanwhile. */
    assert_int_equal(storage_reserve_make_room(storage, INT64_MAX, &all, &fixture->err), LH_FULL);
    then_says(fixture, "are needed");
    assert_true(all >= STORAGE_RESERVE_BYTES);
    assert_int_equal(storage_reserve_bytes(storage), STORAGE_RESERVE_BYTES);
    /* Eight pieces, and then none. */
    for (int i = 0; i < 8; i++)
        assert_true(storage_reserve_give(storage));
    assert_int_equal(storage_reserve_bytes(storage), 0);
    assert_false(storage_reserve_give(storage));
    /* What it was lent for has ended. Where others were as fast it takes what can be had. */
    assert_true(lh_fault_plan("file.resize=1:ENOSPC"));
    storage_reserve_take_back(storage);
    assert_true(lh_fault_plan(NULL));
    assert_int_equal(storage_reserve_bytes(storage), STORAGE_RESERVE_BYTES / 2);
    storage_reserve_take_back(storage);
    assert_int_equal(storage_reserve_bytes(storage), STORAGE_RESERVE_BYTES);
}

static void a_writer_opens_on_a_full_disk_by_its_reserve(void **state)
{
    struct fixture *fixture = *state;
    storage_close(fixture->storage);
    fixture->storage = NULL;
    assert_true(lh_fault_plan("file.write=1:ENOSPC"));
    if (open_as(fixture, STORAGE_WRITE, false, &fixture->storage))
        fail_msg("%s", fixture->err.message);
}

static void *run_race(void *context)
{
    struct race *race = context;
    for (int i = 0; i < 20; i++) {
        char key[32];
        snprintf(key, sizeof key, "race/%d/k", i);
        enum lh_code code = storage_put_exclusive(race->storage, STORAGE_PRIMARY, lh_str_of(key),
                                                  lh_lit("x"), NULL);
        if (code == LH_OK)
            race->won++;
        else if (code != LH_EXISTS)
            race->won += 1000;
    }
    return NULL;
}

static void of_racing_writers_exactly_one_wins_each_key(void **state)
{
    struct fixture *fixture = *state;
    struct race race = {.storage = fixture->storage};
    pthread_t threads[8];
    for (int i = 0; i < 8; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, run_race, &race), 0);
    for (int i = 0; i < 8; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(race.won, 20);
    assert_int_equal(count_in(fixture, "_staging"), 0);
}

/* --- trash --------------------------------------------------------------------------------------
 */

static void trash_is_removed_for_good_only_after_its_time(void **state)
{
    struct fixture *fixture = *state;
    const struct lh_str keys[] = {LH_LIT("d/1"), LH_LIT("d/e/2")};
    int64_t bytes = -1;
    assert_int_equal(put(fixture, "d/1", "12345"), LH_OK);
    assert_int_equal(put(fixture, "d/e/2", "123"), LH_OK);
    int64_t now_ms = lh_clock_unix_ms() + 1000;
    lh_clock_set_fake(now_ms);
    assert_int_equal(storage_trash(fixture->storage, STORAGE_PRIMARY, keys, 2, NULL), LH_OK);
    temp_lake_write(&fixture->lake, "_trash/not-ours", "x", 1);
    lh_clock_advance_fake(59999);
    assert_int_equal(storage_trash_sweep(fixture->storage, 60000, &bytes, NULL), LH_OK);
    assert_int_equal(bytes, 0);
    assert_int_equal(count_in(fixture, "_trash"), 2);
    lh_clock_set_fake(now_ms - 100000); /* a clock that went back removes nothing */
    assert_int_equal(storage_trash_sweep(fixture->storage, 60000, &bytes, NULL), LH_OK);
    assert_int_equal(bytes, 0);
    lh_clock_set_fake(now_ms + 60000);
    assert_int_equal(storage_trash_sweep(fixture->storage, 60000, &bytes, NULL), LH_OK);
    assert_int_equal(bytes, 8);
    assert_int_equal(count_in(fixture, "_trash"), 1);
}

/* --- logs */

#define LOG_KEY lh_lit("_journal/log/a")

static void expect_log(struct fixture *fixture, const char *text)
{
    struct lh_str bytes;
    assert_int_equal(storage_get(fixture->storage, STORAGE_PRIMARY, LOG_KEY, 100, fixture->arena,
                                 &bytes, &fixture->err),
                     LH_OK);
    assert_true(lh_str_equal(bytes, lh_str_of(text)));
}

static void what_stands_behind_the_good_part_of_a_log_is_cut_off_when_it_is_opened(void **state)
{
    struct fixture *fixture = *state;
    struct storage_log *log = NULL;
    assert_int_equal(storage_put_exclusive(fixture->storage, STORAGE_PRIMARY, LOG_KEY,
                                           lh_lit("head, torn"), &fixture->err),
                     LH_OK);
    assert_int_equal(storage_log_open(fixture->storage, LOG_KEY, 4, &log, &fixture->err), LH_OK);
    expect_log(fixture, "head");
    assert_int_equal(storage_log_append(log, lh_lit("!"), false, &fixture->err), LH_OK);
    expect_log(fixture, "head!");
    storage_log_close(log);
    assert_int_equal(storage_log_open(fixture->storage, LOG_KEY, 6, &log, &fixture->err),
                     LH_DAMAGED);
}

#ifdef LH_FAULTS

static void a_log_is_durable_when_it_is_opened_and_takes_nothing_after_a_failed_fsync(void **state)
{
    struct fixture *fixture = *state;
    struct storage_log *log = NULL;
    assert_int_equal(storage_put_exclusive(fixture->storage, STORAGE_PRIMARY, LOG_KEY,
                                           lh_lit("head"), &fixture->err),
                     LH_OK);
    assert_true(lh_fault_plan("file.sync=1:EIO"));
    assert_int_equal(storage_log_open(fixture->storage, LOG_KEY, 4, &log, &fixture->err), LH_IO);
    assert_true(lh_fault_plan(NULL));
    assert_int_equal(storage_log_open(fixture->storage, LOG_KEY, 4, &log, &fixture->err), LH_OK);
    assert_true(lh_fault_plan("file.sync=1:EIO"));
    assert_int_equal(storage_log_append(log, lh_lit("1"), false, &fixture->err), LH_UNKNOWN);
    assert_true(lh_fault_plan(NULL));
    assert_int_equal(storage_log_append(log, lh_lit("2"), false, &fixture->err), LH_UNKNOWN);
    storage_log_close(log);
}

#endif

static void free_space_is_a_number_of_bytes(void **state)
{
    struct fixture *fixture = *state;
    int64_t bytes = -1;
    assert_int_equal(storage_free_bytes(fixture->storage, &bytes, NULL), LH_OK);
    assert_true(bytes > 0);
}

#define WITH(test, set) cmocka_unit_test_setup_teardown(test, set, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH(a_lake_keeps_its_id, set_up),
        WITH(an_absent_folder_is_made_only_when_asked, set_up_empty),
        WITH(a_folder_of_something_else_is_left_alone, set_up_empty),
        WITH(a_newer_format_is_refused_and_untouched, set_up_empty),
        WITH(a_folder_that_needs_what_is_not_known_is_neither_read_nor_written, set_up_empty),
        WITH(a_lake_without_a_readable_lake_file_is_damaged, set_up_empty),
        WITH(opening_sweeps_what_a_dead_process_left, set_up),
        WITH(a_second_server_is_told_who_has_the_lake, set_up),
        WITH(the_owner_can_be_asked_for_and_ends_with_its_process, set_up),
        WITH(a_reader_looks_beside_the_writer_and_changes_nothing, set_up),
        WITH(planted_links_lead_nowhere, set_up),
        WITH(names_that_no_key_may_have_are_listed_as_strange, set_up),
        WITH(a_file_that_others_wrote_becomes_private_and_is_summed, set_up),
        WITH(only_a_file_of_the_staging_folder_is_adopted, set_up),
        WITH(nothing_unsealed_is_published, set_up),
        WITH(bytes_are_durable_before_their_name_and_the_name_before_the_answer, set_up),
        WITH(each_failing_call_of_a_put_is_told_and_none_is_half_done, set_up),
        WITH(each_failing_call_of_an_open_is_told_and_leaks_nothing, set_up_empty),
        WITH(a_folder_that_was_removed_meanwhile_is_made_again, set_up),
        WITH(of_racing_writers_exactly_one_wins_each_key, set_up),
        WITH(trash_is_removed_for_good_only_after_its_time, set_up),
        WITH(on_a_full_disk_the_reserve_is_given_up_for_what_is_vital_alone, set_up),
        WITH(of_the_reserve_only_what_is_missing_is_given_up_and_nothing_in_vain, set_up),
        WITH(a_writer_opens_on_a_full_disk_by_its_reserve, set_up),
        WITH(what_stands_behind_the_good_part_of_a_log_is_cut_off_when_it_is_opened, set_up),
#ifdef LH_FAULTS
        WITH(a_log_is_durable_when_it_is_opened_and_takes_nothing_after_a_failed_fsync, set_up),
#endif
        WITH(free_space_is_a_number_of_bytes, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
