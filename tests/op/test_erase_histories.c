/* Random histories of a person's rows, then an erasure, then a search of our own: of every byte of
 * the data folder, and of every Parquet file as the engine reads it. A seed makes a history; one
 * that fails prints it, and LAKEHOUSE_SEED makes it again. */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/clock.h"
#include "engine/engine.h"
#include "support/fault_ways.h"
#include "support/op_house.h"

#define SLICE 20
#define SLICE_MIN 5 /* of slow builds */
#define LONG_COUNT 1000
#define PEOPLE 8
#define STEPS 10
#define CSV_BYTES_MAX 4096

struct life {
    struct op_house house;
    uint64_t seed, state;
    int serial;       /* of texts: each is written once */
    const char *name; /* that the dataset has now */
    bool has_index;
    char did[512]; /* what was done, for who must look into it */
};

static uint64_t next(struct life *life)
{
    life->state ^= life->state << 13;
    life->state ^= life->state >> 7;
    life->state ^= life->state << 17;
    return life->state;
}

static int below(struct life *life, int count)
{
    return (int)(next(life) % (uint64_t)count);
}

/* --- texts by which a person is known */

static void write_key(const struct life *life, int person, char ret[32])
{
    snprintf(ret, 32, "CAND-%llu-%03d", (unsigned long long)life->seed, person);
}

/* What stands in no other person's texts. */
static void write_mark(const struct life *life, int person, char ret[48])
{
    snprintf(ret, 48, "mark%llup%dx", (unsigned long long)life->seed, person);
}

static size_t add_row(struct life *life, int person, char *csv, size_t len)
{
    static const char *const tails[] = {"of the lakeside", "says: it's \"fine\"",
                                        "caf\xC3\xA9 \xE6\x9D\xB1\xE4\xBA\xAC", "a \\ b / c"};
    char key[32], mark[48];
    write_key(life, person, key);
    write_mark(life, person, mark);
    const char *tail = tails[below(life, 4)];
    len +=
        (size_t)snprintf(csv + len, CSV_BYTES_MAX - len, "%s,\"%s-%d ", key, mark, life->serial++);
    for (; *tail; tail++)
        len +=
            (size_t)snprintf(csv + len, CSV_BYTES_MAX - len, *tail == '"' ? "\"\"" : "%c", *tail);
    return len + (size_t)snprintf(csv + len, CSV_BYTES_MAX - len, "\",%d\n", life->serial);
}

static void bring(struct life *life, const char *mode, int count)
{
    char csv[CSV_BYTES_MAX], args[256];
    size_t len = (size_t)snprintf(csv, sizeof csv, "k,note,n\n");
    bool is_upsert = strcmp(mode, "upsert") == 0;
    int first = below(life, PEOPLE);
    for (int i = 0; i < count; i++)
        len = add_row(life, (first + i) % PEOPLE, csv, len);
    snprintf(args, sizeof args, "{\"dataset\": \"%s\", \"mode\": \"%s\"%s}", life->name, mode,
             is_upsert ? ", \"key\": \"k\"" : "");
    if (op_house_try_file(&life->house, "ingest.file", args, "t.csv", csv, len))
        fail_msg("seed %llu, %s: %s", (unsigned long long)life->seed, life->did,
                 life->house.err.message);
}

/* --- what happens to a dataset: refusals are part of it */

static enum lh_code call(struct life *life, const char *op, const char *format, ...)
{
    char args[1024];
    va_list list;
    va_start(list, format);
    vsnprintf(args, sizeof args, format, list);
    va_end(list);
    enum lh_code code = op_house_try(&life->house, op, args);
    if (code == LH_INTERNAL || code == LH_DAMAGED || code == LH_UNKNOWN)
        fail_msg("seed %llu, %s: %s: %s", (unsigned long long)life->seed, life->did, op,
                 life->house.err.message);
    return code;
}

static void do_append(struct life *life)
{
    bring(life, "append", 1 + below(life, 4));
}

static void do_upsert(struct life *life)
{
    bring(life, "upsert", 1 + below(life, 3));
}

static void do_replace(struct life *life)
{
    bring(life, "replace", PEOPLE);
}

static void do_tombstone(struct life *life)
{
    char key[32], mark[48];
    int person = below(life, PEOPLE);
    write_key(life, person, key);
    write_mark(life, person, mark);
    life->house.idempotency_key = below(life, 2) ? lh_str_of(mark) : (struct lh_str){0};
    (void)call(
        life, "datasets.tombstone",
        "{\"name\": \"%s\", \"row_key_column\": \"k\", \"row_key_values\": [\"%s\"], \"actor\": "
        "\"ann\", \"reason\": \"%s asked\"}",
        life->name, key, below(life, 2) ? key : "nobody");
}

static void do_lift(struct life *life)
{
    char key[32];
    write_key(life, below(life, PEOPLE), key);
    (void)call(life, "datasets.lift", "{\"name\": \"%s\", \"row_key_values\": [\"%s\"]}",
               life->name, key);
}

static void do_compact(struct life *life)
{
    (void)call(life, "query.compact", "{\"dataset\": \"%s\", \"wait\": true}", life->name);
}

static void do_undo(struct life *life)
{
    (void)call(life, "datasets.undo", "{\"name\": \"%s\"}", life->name);
    /* It may have been a rename. */
    bool is_people = call(life, "datasets.get", "{\"name\": \"people\"}") == LH_OK;
    life->name = is_people ? "people" : "persons";
}

static void do_rename(struct life *life)
{
    const char *to = strcmp(life->name, "people") ? "people" : "persons";
    if (!call(life, "datasets.rename", "{\"name\": \"%s\", \"to\": \"%s\"}", life->name, to))
        life->name = to;
}

static void do_index(struct life *life)
{
    (void)call(life, "vectors.index",
               "{\"index_name\": \"notes_v1\", \"dataset\": \"%s\", \"id_column\": \"k\", "
               "\"text_columns\": [\"note\"]}",
               life->name);
    life->has_index = true;
}

static void do_refresh(struct life *life)
{
    if (life->has_index)
        (void)call(life, "vectors.refresh", "{\"dataset\": \"%s\"}", life->name);
}

static void do_report(struct life *life)
{
    char key[32], mark[48];
    int person = below(life, PEOPLE);
    write_key(life, person, key);
    write_mark(life, person, mark);
    (void)call(
        life, "journal.update",
        "{\"entity_id\": \"%s\", \"dataset\": \"%s\", \"field\": \"note\", \"new_value\": \"%s "
        "said so\"}",
        key, life->name, mark);
}

static void do_expire(struct life *life)
{
    (void)call(life, "catalog.expire", "{\"dataset\": \"%s\", \"older_than_s\": 0}", life->name);
}

static void do_flush(struct life *life)
{
    (void)call(life, "journal.flush", "{}");
}

static void do_restart(struct life *life)
{
    op_house_reopen(&life->house);
}

static const struct step {
    const char *name;
    void (*take)(struct life *life);
} steps[] = {
    {"append", do_append},   {"append", do_append},       {"upsert", do_upsert},
    {"replace", do_replace}, {"tombstone", do_tombstone}, {"tombstone", do_tombstone},
    {"lift", do_lift},       {"compact", do_compact},     {"undo", do_undo},
    {"rename", do_rename},   {"index", do_index},         {"refresh", do_refresh},
    {"report", do_report},   {"expire", do_expire},       {"flush", do_flush},
    {"restart", do_restart},
};

static void live(struct life *life)
{
    size_t len = 0;
    life->name = "people";
    bring(life, "create", PEOPLE);
    int count = 3 + below(life, STEPS);
    for (int i = 0; i < count; i++) {
        const struct step *step = &steps[below(life, (int)(sizeof steps / sizeof steps[0]))];
        len += (size_t)snprintf(life->did + len, sizeof life->did - len, "%s ", step->name);
        step->take(life);
    }
}

/* --- the end, and the search */

struct search {
    const struct life *life;
    char texts[4][48];
    size_t text_count;
    struct engine *engine;
    size_t files, decoded, places;
};

static void find_bytes(struct search *search, const char *path)
{
    struct stat info;
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    assert_int_equal(fstat(fileno(file), &info), 0);
    char *bytes = malloc((size_t)info.st_size + 1);
    assert_non_null(bytes);
    size_t count = fread(bytes, 1, (size_t)info.st_size, file);
    fclose(file);
    search->files++;
    for (size_t i = 0; i < search->text_count; i++)
        if (memmem(bytes, count, search->texts[i], strlen(search->texts[i]))) {
            search->places++;
            if (search->life)
                print_message("%s holds %s\n", path, search->texts[i]);
        }
    free(bytes);
}

static void find_rows(struct search *search, const char *path)
{
    struct lh_buf sql;
    struct lh_error err = LH_ERROR_NONE;
    struct engine_cursor *cursor = NULL;
    const struct engine_chunk *chunk = NULL;
    lh_buf_init(&sql, 65536);
    lh_buf_append_str(&sql, lh_lit("SELECT count(*) FROM (SELECT CAST(t AS VARCHAR) AS r FROM "
                                   "read_parquet("));
    engine_quote_path(&sql, lh_str_of(path));
    lh_buf_append_str(&sql, lh_lit(", hive_partitioning = false) t) WHERE false"));
    for (size_t i = 0; i < search->text_count; i++)
        lh_buf_printf(&sql, " OR contains(r, '%s')", search->texts[i]);
    if (engine_query(search->engine, lh_buf_str(&sql), NULL, NULL, &cursor, &err) ||
        engine_cursor_next(cursor, &chunk, &err) || !chunk)
        fail_msg("%s: %s", path, err.message);
    int64_t rows = ((const int64_t *)chunk->columns[0].data)[0];
    engine_cursor_close(cursor);
    lh_buf_release(&sql);
    search->decoded++;
    search->places += rows > 0;
    if (rows && search->life)
        print_message("%s holds it in %lld rows\n", path, (long long)rows);
}

static void look_in(struct search *search, const char *folder)
{
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    for (struct dirent *entry; (entry = readdir(dir));) {
        char path[4800];
        struct stat info;
        size_t len = strlen(entry->d_name);
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
            continue;
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        if (lstat(path, &info))
            continue;
        if (S_ISDIR(info.st_mode)) {
            look_in(search, path);
            continue;
        }
        find_bytes(search, path);
        if (len > 8 && !strcmp(entry->d_name + len - 8, ".parquet"))
            find_rows(search, path);
    }
    closedir(dir);
}

/* In how many places one of the texts stands. */
static size_t places_of(struct life *life, const int *persons, size_t count, bool is_told)
{
    struct search search = {.life = is_told ? life : NULL};
    struct lh_error err = LH_ERROR_NONE;
    const struct engine_options options = {.thread_count = 1, .connection_max = 1};
    char folder[4400];
    if (engine_open(&options, &search.engine, &err))
        fail_msg("%s", err.message);
    for (size_t i = 0; i < count; i++) {
        write_key(life, persons[i], search.texts[search.text_count++]);
        write_mark(life, persons[i], search.texts[search.text_count++]);
    }
    snprintf(folder, sizeof folder, "%s/lake", life->house.folder.path);
    look_in(&search, folder);
    engine_close(search.engine);
    assert_true(search.files > 5 && search.decoded > 0);
    return search.places;
}

static void erase(struct life *life, const int *persons, size_t count)
{
    char keys[128] = "", key[32];
    for (size_t i = 0; i < count; i++) {
        write_key(life, persons[i], key);
        snprintf(keys + strlen(keys), sizeof keys - strlen(keys), "%s\"%s\"", i ? ", " : "", key);
    }
    char args[512];
    snprintf(
        args, sizeof args,
        "{\"row_key_column\": \"k\", \"row_key_values\": [%s], \"wait\": true, \"reason\": \"a "
        "letter\"}",
        keys);
    if (op_house_try(&life->house, "catalog.erase", args))
        fail_msg("seed %llu, %s: %s", (unsigned long long)life->seed, life->did,
                 life->house.err.message);
    if (!strstr(life->house.body.data, "\"state\":\"erased\"") &&
        !strstr(life->house.body.data, "\"state\": \"erased\""))
        fail_msg("seed %llu, %s: %.*s", (unsigned long long)life->seed, life->did,
                 LH_ARG(life->house.body));
}

/* They go on suppressing, and the others are there. */
static void check_rest(struct life *life, const int *persons, size_t count)
{
    char csv[CSV_BYTES_MAX], args[128], key[32];
    size_t len = (size_t)snprintf(csv, sizeof csv, "k,note,n\n");
    for (size_t i = 0; i < count; i++) {
        write_key(life, persons[i], key);
        len += (size_t)snprintf(csv + len, sizeof csv - len, "%s,again,1\n", key);
    }
    snprintf(args, sizeof args, "{\"dataset\": \"%s\", \"mode\": \"append\"}", life->name);
    if (op_house_try_file(&life->house, "ingest.file", args, "t.csv", csv, len))
        fail_msg("seed %llu: %s", (unsigned long long)life->seed, life->house.err.message);
    snprintf(args, sizeof args, "SELECT count(*) FROM %s WHERE note = 'again'", life->name);
    assert_string_equal(op_house_sql(&life->house, args), "[[0]]");
}

static void one_history(uint64_t seed, int64_t *ret_us)
{
    static struct life life;
    int persons[2];
    int64_t started_us = lh_clock_monotonic_us();
    memset(&life, 0, sizeof life);
    life.seed = seed;
    life.state = seed * UINT64_C(0x9E3779B97F4A7C15) + 1;
    op_house_make(&life.house);
    live(&life);
    persons[0] = below(&life, PEOPLE);
    persons[1] = (persons[0] + 1 + below(&life, PEOPLE - 1)) % PEOPLE;
    size_t count = 1 + (size_t)below(&life, 2);
    if (seed % 10 == 1) /* the search itself is searched */
        assert_true(places_of(&life, persons, count, false) > 0);
    erase(&life, persons, count);
    lake_close(life.house.lake);
    if (places_of(&life, persons, count, true))
        fail_msg("seed %llu, %s: something of an erased row is left", (unsigned long long)seed,
                 life.did);
    life.house.lake = NULL;
    if (lake_open(&life.house.settings, &life.house.lake, &life.house.err))
        fail_msg("seed %llu: %s", (unsigned long long)seed, life.house.err.message);
    check_rest(&life, persons, count);
    op_house_remove(&life.house);
    *ret_us += lh_clock_monotonic_us() - started_us;
}

static void nothing_of_an_erased_person_is_left_after_any_history(void **state)
{
    const char *seed = getenv("LAKEHOUSE_SEED");
    const char *begin = getenv("LAKEHOUSE_HISTORIES"); /* a slice of the long run, from there on */
    uint64_t first = begin ? strtoull(begin, NULL, 10) : 1;
    uint64_t count = getenv("LAKEHOUSE_LONG") ? LONG_COUNT : SLICE / fault_stride(1);
    if (begin)
        count = SLICE;
    if (count < SLICE_MIN)
        count = SLICE_MIN;
    int64_t took_us = 0;
    (void)state;
    if (seed) {
        one_history(strtoull(seed, NULL, 10), &took_us);
        return;
    }
    for (uint64_t i = first; i < first + count; i++)
        one_history(i, &took_us);
    printf("figure: %llu histories, each erased and searched, %.0f ms each\n",
           (unsigned long long)count, (double)took_us / 1000 / (double)count);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_of_an_erased_person_is_left_after_any_history),
    };
    temp_lake_prefer_memory();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
