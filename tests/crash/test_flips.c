/* Flipped bits: one at a time, anywhere in a lake that holds everything that a lake holds. The
 * verifier finds it, or it stands where nothing depends on it; and no row that was not written
 * leaves the lake: it answers as before, or with an error.
 *
 * LAKEHOUSE_FLIPS: how many; LAKEHOUSE_SEED: which. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lake/verify.h"
#include "support/fault_ways.h"
#include "support/lived_steps.h"

#define FLIPS 600
#define FLIPS_LONG 10000
#define OPENED_EACH 20 /* of those that the verifier finds; all others are opened */
#define FILES_MAX 512
#define PATH_BYTES 4352
#define PARTS (LIVED_EVENTS | LIVED_FOUND | LIVED_ERASURES)
#define MANIFEST_SUM_BYTES 80 /* {"_sha256":"… at the beginning of a manifest */

struct file {
    char path[256]; /* below the lake */
    size_t bytes;
    size_t found, flips;
};

static struct {
    struct file files[FILES_MAX];
    size_t count, total;
    char base[PATH_BYTES], lake[PATH_BYTES];
    const char *state; /* what the lake holds */
    uint64_t random;
    char flip[320]; /* the last one */
} run;

static uint64_t draw(void)
{
    run.random ^= run.random << 13;
    run.random ^= run.random >> 7;
    run.random ^= run.random << 17;
    return run.random;
}

static void note_files(const char *below)
{
    char path[PATH_BYTES];
    snprintf(path, sizeof(path), "%.4000s%s", run.base, below);
    DIR *folder = opendir(path);
    assert_non_null(folder);
    for (struct dirent *item; (item = readdir(folder));) {
        struct stat stat;
        char own[256];
        if (item->d_name[0] == '.')
            continue;
        assert_true(snprintf(own, sizeof(own), "%s/%s", below, item->d_name) < 256);
        assert_int_equal(fstatat(dirfd(folder), item->d_name, &stat, AT_SYMLINK_NOFOLLOW), 0);
        if (S_ISDIR(stat.st_mode)) {
            note_files(own);
            continue;
        }
        if (stat.st_size == 0 || strcmp(own, "/_reserve") == 0) /* zeros that say nothing */
            continue;
        assert_true(run.count < FILES_MAX);
        struct file *file = &run.files[run.count++];
        memcpy(file->path, own, sizeof(own));
        file->bytes = (size_t)stat.st_size;
        run.total += file->bytes;
    }
    closedir(folder);
}

/* As often every file as every byte: small files decide much. */
static struct file *draw_file(void)
{
    if (draw() % 2)
        return &run.files[draw() % run.count];
    uint64_t at = draw() % run.total;
    size_t i = 0;
    for (; at >= run.files[i].bytes; i++)
        at -= run.files[i].bytes;
    return &run.files[i];
}

/* Of the copy that is opened: every time the same call brings the byte back. */
static void flip(const struct file *file, size_t byte, unsigned bit)
{
    char path[PATH_BYTES];
    unsigned char value = 0;
    snprintf(path, sizeof(path), "%.4000s%s", run.lake, file->path);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &value, 1, (off_t)byte), 1);
    value ^= (unsigned char)(1u << bit);
    assert_int_equal(pwrite(fd, &value, 1, (off_t)byte), 1);
    close(fd);
}

static void restore(void)
{
    char command[3 * PATH_BYTES + 32];
    snprintf(command, sizeof(command), "rm -rf '%s' && cp -a '%s' '%s'", run.lake, run.base,
             run.lake);
    assert_int_equal(system(command), 0);
}

static bool finds(bool with_engine)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct lake_report report;
    struct lh_error err = LH_ERROR_NONE;
    const struct lake_verify_options options = {.root = lh_str_of(run.lake),
                                                .skip_footers = !with_engine};
    enum lh_code code = lake_verify(&options, arena, &report, &err);
    lh_arena_free(arena);
    return code || report.errors > 0;
}

/* What cannot be read may be left out, if that is said: the words of what is left are those that
 * were there, in their order. */
static bool has_only_less(const char *found)
{
    const char *at = run.state;
    char word[64];
    int used = 0;
    for (; sscanf(found, "%63s%n", word, &used) == 1; found += used) {
        at = strstr(at, word);
        if (!at)
            return false;
        at += strlen(word);
    }
    return true;
}

static bool is_ill(struct lake *lake, struct lh_arena *arena)
{
    struct lake_health health;
    lake_check_health(lake, arena, &health);
    return !health.is_ok;
}

/* What is told is as before, or an error. */
static bool tells_an_error(bool is_key)
{
    struct op_house house = {.arena = lh_arena_new(0), .principal = access_local_admin()};
    const char *found = NULL;
    snprintf(house.folder.path, sizeof(house.folder.path), "%.*s",
             (int)(strrchr(run.lake, '/') - run.lake), run.lake);
    settings_preset(&house.settings, lh_str_of(run.lake));
    enum lh_code code = lake_open(&house.settings, &house.lake, &house.err);
    if (!code)
        code = lived_state_try(&house, PARTS, &found);
    if (code && !house.err.message[0])
        fail_msg("%s: an error without words", run.flip);
    /* A key whose record is not what was written opens nothing. */
    bool is_told = code || is_ill(house.lake, house.arena);
    if (!code && strcmp(found, run.state) != 0 && !((is_told || is_key) && has_only_less(found)))
        fail_msg("%s: the lake holds '%s', not '%s'", run.flip, found, run.state);
    lake_close(house.lake);
    lh_arena_free(house.arena);
    return is_told;
}

static void given_lake(struct temp_lake *folder)
{
    static const struct lived_step steps[] = {
        {"ingest.file", "{\"dataset\": \"t\", \"mode\": \"create\"}",
         "id,text\n1,player one\n2,player two\n3,player three\n", NULL},
        {"ingest.file", "{\"dataset\": \"t\", \"mode\": \"append\"}",
         "id,text\n4,player four\n5,player five\n", NULL},
        {"ingest.file", "{\"dataset\": \"u\", \"mode\": \"create\"}", "id\n7\n8\n9\n", NULL},
        {"datasets.tombstone",
         "{\"name\": \"t\", \"row_key_column\": \"id\", \"row_key_values\": [2]}", NULL, NULL},
        {"vectors.index",
         "{\"index_name\": \"kept\", \"dataset\": \"t\", \"id_column\": \"id\", "
         "\"text_columns\": [\"text\"]}",
         NULL, NULL},
        {"journal.event", "{\"entity_id\": \"E\", \"action\": \"first\"}", NULL, NULL},
        {"journal.flush", NULL, NULL, NULL},
        {"journal.event", "{\"entity_id\": \"E\", \"action\": \"second\"}", NULL, NULL},
        {"objects.put", "{\"bucket\": \"primary\", \"key\": \"a/b\"}", "some bytes", NULL},
        {"queries.create", "{\"name\": \"q\", \"sql\": \"SELECT 1\"}", NULL, NULL},
        {"keys.create", "{\"name\": \"k\", \"role\": \"reader\"}", NULL, NULL},
        {"query.compact", "{\"dataset\": \"u\"}", NULL, NULL},
    };
    static char state[512];
    struct op_house house = {0};
    op_house_open(&house, lh_str_of(temp_lake_file(folder, "base")));
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
        if (lived_step_do(&house, &steps[i]))
            fail_msg("%s: %s", steps[i].op, house.err.message);
    snprintf(state, sizeof(state), "%s", lived_state(&house, PARTS));
    run.state = state;
    op_house_close(&house);
    snprintf(run.base, sizeof(run.base), "%s", temp_lake_file(folder, "base"));
    snprintf(run.lake, sizeof(run.lake), "%s", temp_lake_file(folder, "lake"));
    note_files("");
    restore();
    assert_false(finds(true));
}

static size_t flips_wanted(void)
{
    const char *wanted = getenv("LAKEHOUSE_FLIPS");
    if (wanted)
        return strtoul(wanted, NULL, 10);
    return getenv("LAKEHOUSE_LONG") ? FLIPS_LONG : FLIPS / fault_stride(1);
}

/* What rows come from: here nothing may go unseen. */
static bool is_vital(const struct file *file)
{
    return strncmp(file->path, "/datasets/", 10) == 0 ||
           strncmp(file->path, "/_catalog/datasets/", 19) == 0 ||
           strncmp(file->path, "/_journal/log/", 14) == 0 ||
           strncmp(file->path, "/_journal/segments/", 19) == 0;
}

/* The sum itself says the same with a large letter. */
static bool is_same_digit(const struct file *file, size_t byte, unsigned bit)
{
    return strncmp(file->path, "/_catalog/datasets/", 19) == 0 && byte < MANIFEST_SUM_BYTES &&
           bit == 5;
}

static void a_flipped_bit_changes_no_row_that_leaves_the_lake(void **state)
{
    struct temp_lake folder;
    size_t found = 0, told = 0, harmless = 0, vital = 0, wanted = flips_wanted();
    const char *said = getenv("LAKEHOUSE_SEED");
    uint64_t seed = said ? strtoull(said, NULL, 10) : (uint64_t)time(NULL) * 1000;
    (void)state;
    run.random = seed * 2 + 1;
    temp_lake_make(&folder);
    given_lake(&folder);
    for (size_t i = 0; i < wanted; i++) {
        struct file *file = draw_file();
        size_t byte = (size_t)(draw() % file->bytes);
        unsigned bit = (unsigned)(draw() % 8);
        snprintf(run.flip, sizeof(run.flip), "bit %u of byte %zu of %s, seed %llu", bit, byte,
                 file->path, (unsigned long long)seed);
        flip(file, byte, bit);
        bool is_found = finds(strstr(file->path, ".parquet") && strstr(file->path, "_journal"));
        if (!is_found && is_vital(file) && !is_same_digit(file, byte, bit))
            fail_msg("%s: the verifier does not find it", run.flip);
        vital += is_vital(file);
        found += is_found;
        if (is_found && i % OPENED_EACH) {
            flip(file, byte, bit);
            continue;
        }
        bool is_told = tells_an_error(strncmp(file->path, "/_access/keys/", 14) == 0);
        told += is_told;
        harmless += !is_found && !is_told;
        restore();
    }
    temp_lake_remove(&folder);
    printf(
        "figure: flipped bits: %zu in %zu files: %zu found by the verifier, %zu of %zu that were "
        "opened told as an error, %zu where nothing depends on them; 0 wrong rows, seed %llu\n",
        wanted, run.count, found, told, wanted / OPENED_EACH + wanted - found, harmless,
        (unsigned long long)seed);
    assert_true(found > wanted / 2 && vital > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_flipped_bit_changes_no_row_that_leaves_the_lake),
    };
    temp_lake_prefer_memory();
    return cmocka_run_group_tests_name("flipped bits", tests, NULL, NULL);
}
