#include "support/journal_house.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fault.h"
#include "base/hash.h"
#include "base/little.h"
#include "engine/engine.h"
#include "journal/verify.h"
#include "storage/findings.h"
#include "storage/storage.h"

#define FILE_BYTES_MAX ((size_t)1 << 20)

void journal_house_open(struct journal_house *house)
{
    const struct storage_options storage = {
        .path = temp_lake_path(&house->folder), .access = STORAGE_WRITE, .create = true};
    const struct engine_options engine = {.thread_count = 1, .connection_max = 2};
    if (storage_open(&storage, &house->storage, &house->err) ||
        engine_open(&engine, &house->engine, &house->err))
        fail_msg("%s", house->err.message);
    house->options.storage = house->storage;
    house->options.engine = house->engine;
    house->options.epoch = 7;
    if (journal_open(&house->options, &house->journal, &house->err))
        fail_msg("%s", house->err.message);
}

void journal_house_close(struct journal_house *house)
{
    journal_close(house->journal);
    engine_close(house->engine);
    storage_close(house->storage);
    house->journal = NULL;
    house->engine = NULL;
    house->storage = NULL;
}

int journal_house_set_up(void **state)
{
    struct journal_house *house = calloc(1, sizeof *house);
    temp_lake_make(&house->folder);
    house->arena = lh_arena_new(0);
    journal_house_open(house);
    *state = house;
    return 0;
}

int journal_house_tear_down(void **state)
{
    struct journal_house *house = *state;
    lh_fault_plan(NULL);
    journal_house_close(house);
    lh_arena_free(house->arena);
    temp_lake_remove(&house->folder);
    free(house);
    return 0;
}

void journal_house_given(struct journal_house *house, int count)
{
    for (int i = 0; i < count; i++) {
        char entity[32];
        snprintf(entity, sizeof entity, "E-%d", i);
        const struct journal_event event = {.action = lh_lit("update"),
                                            .entity = lh_str_of(entity),
                                            .dataset = lh_lit("people"),
                                            .field = lh_lit("status"),
                                            .new_value = lh_lit("x"),
                                            .actor = lh_lit("ann")};
        if (journal_append(house->journal, &event, 1, false, NULL, NULL, &house->err))
            fail_msg("%s", house->err.message);
    }
}

const char *journal_house_segment(struct journal_house *house, unsigned first, unsigned last)
{
    static const char folder[] = "_journal/segments";
    char numbers[64];
    const char *name = NULL;
    snprintf(numbers, sizeof numbers, "%020u-%020u", first, last);
    DIR *dir = opendir(temp_lake_file(&house->folder, folder));
    assert_non_null(dir);
    for (struct dirent *entry = readdir(dir); entry && !name; entry = readdir(dir))
        if (lh_str_starts_with(lh_str_of(entry->d_name), lh_str_of(numbers)))
            name = lh_arena_printf(house->arena, "%s/%s", folder, entry->d_name).data;
    closedir(dir);
    if (!name)
        fail_msg("there is no segment of the records %u to %u", first, last);
    return name;
}

/* --- as an older release left it, and as it finds it */

#define OLDER_FORMAT 2
#define SEGMENT_NAME_BYTES 49 /* that it knows: two numbers of 20 digits, and no sum */

/* Calls each(house, "<folder>/<name>") for every file of a folder of the journal. */
static void each_file(struct journal_house *house, const char *folder,
                      void (*each)(struct journal_house *house, const char *name, void *context),
                      void *context)
{
    struct dirent **entries = NULL;
    int count = scandir(temp_lake_file(&house->folder, folder), &entries, NULL, alphasort);
    for (int i = 0; i < count; i++) {
        if (entries[i]->d_name[0] != '.')
            each(house, lh_arena_printf(house->arena, "%s/%s", folder, entries[i]->d_name).data,
                 context);
        free(entries[i]);
    }
    free(entries);
}

static void age_log(struct journal_house *house, const char *name, void *context)
{
    size_t count = 0;
    (void)context;
    char *bytes = journal_house_read(house, name, &count);
    size_t head = (size_t)lh_little_get(bytes + 4, 4);
    lh_little_put(bytes + 8, OLDER_FORMAT, 4);
    lh_little_put(bytes + head - 4, lh_crc32c(0, bytes, head - 4), 4);
    journal_house_write(house, name, bytes, count);
    free(bytes);
}

static void age_segment(struct journal_house *house, const char *name, void *context)
{
    size_t folder = strlen("_journal/segments/");
    struct lh_str known = lh_arena_printf(house->arena, "%.*s.parquet", (int)(folder + 41), name);
    (void)context;
    assert_int_equal(rename(lh_arena_printf(house->arena, "%s/%s", house->folder.path, name).data,
                            temp_lake_file(&house->folder, known.data)),
                     0);
}

void journal_house_age(struct journal_house *house)
{
    each_file(house, "_journal/log", age_log, NULL);
    each_file(house, "_journal/segments", age_segment, NULL);
}

static void note_format(struct journal_house *house, const char *name, void *context)
{
    size_t count = 0;
    char *bytes = journal_house_read(house, name, &count);
    *(bool *)context |= lh_little_get(bytes + 8, 4) > OLDER_FORMAT;
    free(bytes);
}

static void note_unknown(struct journal_house *house, const char *name, void *context)
{
    (void)house;
    *(bool *)context |= strlen(strrchr(name, '/') + 1) != SEGMENT_NAME_BYTES;
}

bool journal_house_misleads_older(struct journal_house *house)
{
    bool refuses = false, has_unknown = false;
    each_file(house, "_journal/log", note_format, &refuses);
    each_file(house, "_journal/segments", note_unknown, &has_unknown);
    return has_unknown && !refuses;
}

size_t journal_house_count(struct journal_house *house)
{
    const struct journal_filter all = {.since_ms = 0};
    struct journal_record *records = NULL;
    bool has_more = false;
    size_t count = 0;
    if (journal_list(house->journal, &all, 0, 1000, NULL, house->arena, &records, &count, &has_more,
                     &house->err))
        fail_msg("%s", house->err.message);
    return count;
}

struct journal_house_found journal_house_verify(struct journal_house *house)
{
    struct storage_findings findings = {.arena = house->arena};
    struct engine *engine = NULL;
    struct storage *storage = NULL;
    const struct storage_options options = {.path = temp_lake_path(&house->folder),
                                            .access = STORAGE_READ};
    const struct engine_options engine_options = {.thread_count = 1, .connection_max = 2};
    int64_t count = 0;
    if (storage_open(&options, &storage, &house->err) ||
        engine_open(&engine_options, &engine, &house->err))
        fail_msg("%s", house->err.message);
    const struct journal_verify_options journal = {.engine = engine};
    if (journal_verify(storage, &journal, &findings, &count, &house->err))
        fail_msg("%s", house->err.message);
    engine_close(engine);
    storage_close(storage);
    return (struct journal_house_found){findings.error_count,
                                        findings.count - findings.error_count};
}

char *journal_house_read(struct journal_house *house, const char *name, size_t *ret_count)
{
    FILE *file = fopen(temp_lake_file(&house->folder, name), "rb");
    char *bytes = malloc(FILE_BYTES_MAX);
    assert_non_null(file);
    assert_non_null(bytes);
    *ret_count = fread(bytes, 1, FILE_BYTES_MAX, file);
    fclose(file);
    return bytes;
}

void journal_house_write(struct journal_house *house, const char *name, const char *bytes,
                         size_t count)
{
    FILE *file = fopen(temp_lake_file(&house->folder, name), "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, count, file), count);
    fclose(file);
}

size_t journal_house_frames(const char *bytes, size_t count, size_t *ret, size_t max)
{
    size_t found = 0;
    for (size_t i = 0; i + 4 <= count && found < max; i++)
        if (memcmp(bytes + i, "LHJ1", 4) == 0)
            ret[found++] = i;
    return found;
}
