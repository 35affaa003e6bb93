/* Rows deleted by keys of several columns of one dataset: each column has a list of its own, and a
 * row is hidden as long as one of them names it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/fault.h"
#include "base/hash.h"
#include "catalog/rehash.h"
#include "catalog/tombstones.h"
#include "catalog/verify.h"
#include "support/op_house.h"

static const char people[] = "id,mail,phone\n1,ann-1@example.org,101\n2,bob-2@example.org,102\n"
                             "3,cid-3@example.org,103\n4,dan-4@example.org,104\n";

static json_t *tombstone(struct op_house *house, const char *column, const char *values)
{
    char args[512];
    snprintf(args, sizeof args,
             "{\"name\": \"t\", \"row_key_column\": \"%s\", \"row_key_values\": %s, \"reason\": "
             "\"asked by %s\", \"another_key_column\": true}",
             column, values, column);
    return op_house_call(house, "datasets.tombstone", args);
}

static json_t *lift(struct op_house *house, const char *column, const char *values)
{
    char args[512];
    snprintf(args, sizeof args,
             "{\"name\": \"t\", \"row_key_column\": \"%s\", \"row_key_values\": %s}", column,
             values);
    return op_house_call(house, "datasets.lift", args);
}

static int64_t append(struct op_house *house, const char *csv)
{
    return reply_int(op_house_rows(house, "t", csv, "append"), "suppressed_rows");
}

static void then_seen(struct op_house *house, const char *rows)
{
    assert_string_equal(op_house_sql(house, "SELECT id FROM t ORDER BY id"), rows);
}

/* "id=1,mail=x": page by page. */
static void then_listed(struct op_house *house, const char *column, int limit, const char *keys)
{
    char found[1024] = "", args[1024], next[512] = "", filter[128] = "";
    int pages = 0;
    if (column)
        snprintf(filter, sizeof filter, ", \"row_key_column\": \"%s\"", column);
    do {
        snprintf(args, sizeof args, "{\"name\": \"t\", \"limit\": %d%s%s}", limit, filter, next);
        json_t *reply = op_house_call(house, "datasets.tombstones", args);
        const json_t *items = json_object_get(reply, "items"), *item = NULL;
        size_t at = 0;
        json_array_foreach(items, at, item)
        {
            size_t len = strlen(found);
            snprintf(found + len, sizeof found - len, "%s%s=%s", len ? "," : "",
                     reply_text(item, "row_key_column"), reply_text(item, "row_key_value"));
        }
        json_t *place = json_object_get(reply, "next");
        char *text = json_is_string(place) ? json_dumps(place, JSON_ENCODE_ANY) : NULL;
        *next = 0;
        if (text)
            snprintf(next, sizeof next, ", \"after\": %s", text);
        free(text);
    } while (*next && ++pages < 20);
    assert_string_equal(found, keys);
}

static const char *newest_manifest(struct op_house *house, char *bytes, size_t size)
{
    static char path[4800];
    json_t *dataset = op_house_call(house, "datasets.get", "{\"name\": \"t\"}");
    snprintf(path, sizeof path, "%s/lake/_catalog/datasets/%s/%020lld.json", house->folder.path,
             reply_text(dataset, "id"), (long long)reply_int(dataset, "version"));
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    size_t count = fread(bytes, 1, size - 1, file);
    fclose(file);
    bytes[count] = 0;
    return path;
}

static bool needs_columns(struct op_house *house)
{
    static char bytes[65536];
    newest_manifest(house, bytes, sizeof bytes);
    return strstr(bytes, "\"key_columns\"") != NULL;
}

static const struct catalog_dataset *dataset_of(const struct catalog_snapshot *snapshot)
{
    const struct catalog_dataset *dataset = NULL;
    assert_int_equal(catalog_find(snapshot, lh_lit("t"), &dataset, NULL), LH_OK);
    return dataset;
}

/* Of what the column's records said when `snapshot` was taken. */
static enum lh_code hash_key(struct op_house *house, const struct catalog_snapshot *snapshot,
                             const char *column, const char *key)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct lh_str text = lh_str_of(key);
    struct rehash rehash = {.catalog = lake_catalog(house->lake),
                            .dataset = dataset_of(snapshot),
                            .column = lh_str_of(column),
                            .texts = &text,
                            .text_count = 1,
                            .form = TOMBSTONE_SEALED,
                            .actor = lh_lit("test"),
                            .arena = arena};
    int64_t version = 0;
    enum lh_code code = tombstone_rehash(&rehash, &version, &house->err);
    lh_arena_free(arena);
    return code;
}

/* --- what is hidden */

static void keys_of_several_columns_hide_beside_each_other(void **state)
{
    struct op_house *house = *state;
    op_house_rows(house, "t", people, "create");
    then_seen(house, "[[1],[2],[3],[4]]");
    assert_int_equal(reply_int(tombstone(house, "id", "[1]"), "rows_tombstoned"), 1);
    then_seen(house, "[[2],[3],[4]]");
    json_t *reply = tombstone(house, "mail", "[\"bob-2@example.org\", \"nobody\"]");
    assert_int_equal(house->status, 207);
    assert_int_equal(reply_int(reply, "rows_tombstoned"), 1);
    assert_string_equal(reply_text(reply, "row_key_type"), "VARCHAR");
    then_seen(house, "[[3],[4]]");
    assert_int_equal(reply_int(tombstone(house, "PHONE", "[103]"), "rows_tombstoned"), 1);
    then_seen(house, "[[4]]");
    assert_string_equal(op_house_sql(house, "SELECT id FROM t AT (VERSION => 1)"), "[[4]]");
    assert_string_equal(op_house_sql(house, "SELECT count(*) FROM __raw__t"), "[[4]]");
    op_house_reopen(house);
    then_seen(house, "[[4]]");
    assert_string_equal(op_house_sql(house, "SELECT id FROM t AT (VERSION => 1)"), "[[4]]");
    assert_int_equal(
        reply_int(op_house_call(house, "datasets.get", "{\"name\": \"t\"}"), "hidden_rows"), 3);
}

static enum lh_code try_plain(struct op_house *house, const char *column, const char *values)
{
    char args[512];
    snprintf(args, sizeof args,
             "{\"name\": \"t\", \"row_key_column\": \"%s\", \"row_key_values\": %s}", column,
             values);
    return op_house_try(house, "datasets.tombstone", args);
}

static void a_second_key_column_is_refused_unless_it_is_asked_for(void **state)
{
    struct op_house *house = *state;
    op_house_rows(house, "t", people, "create");
    assert_int_equal(try_plain(house, "id", "[1]"), LH_OK);
    assert_int_equal(try_plain(house, "mail", "[\"bob-2@example.org\"]"), LH_CONFLICT);
    assert_string_equal(house->err.message,
                        "The tombstones of dataset 't' name rows by 'id'; 'mail' would be another "
                        "key column.");
    assert_non_null(strstr(house->err.hint, "another_key_column"));
    assert_string_equal(house->err.field, "row_key_column");
    then_seen(house, "[[2],[3],[4]]");
    assert_int_equal(try_plain(house, "ID", "[2]"), LH_OK); /* the same, as names are */
    tombstone(house, "mail", "[\"cid-3@example.org\"]");
    then_seen(house, "[[4]]");
    assert_int_equal(try_plain(house, "mail", "[\"dan-4@example.org\"]"), LH_OK);
    assert_int_equal(try_plain(house, "id", "[3]"), LH_OK);
    assert_int_equal(try_plain(house, "phone", "[104]"), LH_CONFLICT);
    assert_non_null(strstr(house->err.message, "'id' and other columns"));
    /* Of a column that has no key any more nothing is left to be told from. */
    lift(house, "mail", "[\"cid-3@example.org\", \"dan-4@example.org\"]");
    assert_int_equal(try_plain(house, "mail", "[\"dan-4@example.org\"]"), LH_CONFLICT);
    /* An erasure follows a key wherever it is. */
    json_t *receipt = op_house_call(house, "catalog.erase",
                                    "{\"dataset\": \"t\", \"row_key_column\": \"mail\", "
                                    "\"row_key_values\": [\"dan-4@example.org\"]}");
    assert_string_equal(reply_text(receipt, "state"), "erased");
    then_seen(house, "[]");
}

#ifdef LH_FAULTS
struct late {
    struct op_house *house;
    json_t *values;
    enum lh_code code;
    struct lh_error err;
};

static void *tombstone_late(void *context)
{
    struct late *late = context;
    struct lh_arena *arena = lh_arena_new(0);
    struct catalog_tombstone_result result;
    const struct catalog_tombstone_request request = {.name = lh_lit("t"),
                                                      .column = lh_lit("mail"),
                                                      .values = late->values,
                                                      .actor = lh_lit("bob"),
                                                      .committer = lh_lit("bob")};
    late->code = catalog_tombstone(lake_catalog(late->house->lake), lake_engine(late->house->lake),
                                   &request, NULL, arena, &result, &late->err);
    lh_arena_free(arena);
    return NULL;
}

static void the_first_tombstones_by_two_columns_at_once_are_one_column(void **state)
{
    struct op_house *house = *state;
    struct late late = {.house = house, .values = json_pack("[s]", "bob-2@example.org")};
    pthread_t thread;
    op_house_rows(house, "t", people, "create");
    assert_true(lh_fault_plan("tombstone.commit=1:wait"));
    assert_int_equal(lh_thread_start("late", tombstone_late, &late, &thread, &late.err), LH_OK);
    lh_fault_await();
    assert_int_equal(try_plain(house, "id", "[1]"), LH_OK);
    assert_true(lh_fault_plan(NULL));
    pthread_join(thread, NULL);
    assert_int_equal(late.code, LH_CONFLICT);
    assert_non_null(strstr(late.err.message, "by 'id'; 'mail' would be another"));
    then_seen(house, "[[2],[3],[4]]");
    json_decref(late.values);
}
#endif

static void a_row_that_two_columns_name_is_seen_when_both_are_lifted(void **state)
{
    struct op_house *house = *state;
    op_house_rows(house, "t", people, "create");
    tombstone(house, "id", "[1, 2]");
    assert_int_equal(
        reply_int(tombstone(house, "mail", "[\"bob-2@example.org\"]"), "rows_tombstoned"), 0);
    json_t *reply = lift(house, "id", "[1, 2]"); /* the last of its column */
    assert_int_equal(reply_int(reply, "keys_lifted"), 2);
    assert_int_equal(reply_int(reply, "rows_restored"), 1);
    then_seen(house, "[[1],[3],[4]]");
    tombstone(house, "id", "[2, 3]");
    reply = lift(house, "id", "[2]"); /* not the last */
    assert_int_equal(reply_int(reply, "rows_restored"), 0);
    then_seen(house, "[[1],[4]]");
    op_house_reopen(house);
    then_seen(house, "[[1],[4]]");
    assert_int_equal(reply_int(lift(house, "mail", "[\"bob-2@example.org\"]"), "rows_restored"), 1);
    then_seen(house, "[[1],[2],[4]]");
    then_listed(house, NULL, 10, "id=3");
}

static void rows_that_come_are_hidden_by_each_column_and_counted_once(void **state)
{
    struct op_house *house = *state;
    op_house_rows(house, "t", people, "create");
    tombstone(house, "id", "[1]");
    tombstone(house, "mail", "[\"bob-2@example.org\"]");
    assert_int_equal(append(house, "id,mail,phone\n1,new@example.org,1\n9,bob-2@example.org,2\n"
                                   "1,bob-2@example.org,3\n8,eve@example.org,4\n"),
                     3);
    then_seen(house, "[[3],[4],[8]]");
    op_house_reopen(house);
    then_seen(house, "[[3],[4],[8]]");
    assert_int_equal(reply_int(lift(house, "mail", "[\"bob-2@example.org\"]"), "rows_restored"), 2);
    then_seen(house, "[[2],[3],[4],[8],[9]]");
    /* A column that the file has not names none of its rows; a replacement keeps both lists. */
    tombstone(house, "mail", "[\"eve@example.org\"]");
    assert_int_equal(
        reply_int(op_house_rows(house, "t", "id,phone\n1,5\n8,6\n", "replace"), "suppressed_rows"),
        1);
    then_seen(house, "[[8]]");
    assert_string_equal(op_house_sql(house, "SELECT id FROM t AT (VERSION => 1) ORDER BY id"),
                        "[[2],[3],[4]]");
}

static void an_upsert_and_a_lift_of_another_column_leave_replaced_rows_hidden(void **state)
{
    static const char changes[] = "id,mail,phone\n1,x,201\n2,y,104\n3,z,203\n";
    struct op_house *house = *state;
    op_house_rows(house, "t", people, "create");
    tombstone(house, "phone", "[101, 104]");
    tombstone(house, "id", "[3]");
    op_house_call(house, "datasets.get", "{\"name\": \"t\"}");
    if (op_house_try_file(house, "ingest.file",
                          "{\"dataset\": \"t\", \"mode\": \"upsert\", \"options\": {\"key\": "
                          "\"id\"}}",
                          "u.csv", changes, strlen(changes)))
        fail_msg("%s", house->err.message);
    then_seen(house, "[[1]]");
    assert_int_equal(reply_int(lift(house, "phone", "[101, 104]"), "rows_restored"), 2);
    then_seen(house, "[[1],[2],[4]]");
    assert_int_equal(reply_int(lift(house, "id", "[3]"), "rows_restored"), 1);
    assert_string_equal(op_house_sql(house, "SELECT id, mail FROM t WHERE id < 4 ORDER BY id"),
                        "[[1,\"x\"],[2,\"y\"],[3,\"z\"]]");
}

/* --- what is said */

static void a_lift_says_which_of_several_columns(void **state)
{
    struct op_house *house = *state;
    op_house_rows(house, "t", people, "create");
    tombstone(house, "id", "[1]");
    tombstone(house, "mail", "[\"bob-2@example.org\"]");
    assert_int_equal(
        op_house_try(house, "datasets.lift", "{\"name\": \"t\", \"row_key_values\": [1]}"),
        LH_INVALID);
    assert_non_null(strstr(house->err.hint, "'mail'"));
    lift(house, "phone", "[101]"); /* nothing is tombstoned by it */
    assert_int_equal(house->status, 207);
    lift(house, "mail", "[\"bob-2@example.org\"]");
    then_seen(house, "[[2],[3],[4]]");
    op_house_call(house, "datasets.lift", "{\"name\": \"t\", \"row_key_values\": [1]}");
    then_seen(house, "[[1],[2],[3],[4]]");
}

static void the_list_goes_column_by_column(void **state)
{
    struct op_house *house = *state;
    op_house_rows(house, "t", people, "create");
    tombstone(house, "mail", "[\"bob-2@example.org\", \"ann-1@example.org\"]");
    then_listed(house, NULL, 1, "mail=ann-1@example.org,mail=bob-2@example.org");
    tombstone(house, "id", "[1, 4]");
    for (int limit = 1; limit < 5; limit++)
        then_listed(house, NULL, limit, "id=1,id=4,mail=ann-1@example.org,mail=bob-2@example.org");
    then_listed(house, "id", 1, "id=1,id=4");
    then_listed(house, "phone", 1, "");
    assert_int_equal(op_house_try(house, "datasets.tombstones",
                                  "{\"name\": \"t\", \"row_key_column\": \"nothing\"}"),
                     LH_NOT_FOUND);
}

static const char *page(struct op_house *house, const char *after, const char *value)
{
    static char place[256];
    char args[512], quoted[400] = "";
    if (after) {
        json_t *string = json_string(after);
        char *text = json_dumps(string, JSON_ENCODE_ANY);
        snprintf(quoted, sizeof quoted, ", \"after\": %s", text);
        free(text);
        json_decref(string);
    }
    snprintf(args, sizeof args, "{\"name\": \"t\", \"limit\": 1%s}", quoted);
    json_t *reply = op_house_call(house, "datasets.tombstones", args);
    const json_t *item = json_array_get(json_object_get(reply, "items"), 0);
    assert_string_equal(reply_text(item, "row_key_value"), value);
    const char *next = json_string_value(json_object_get(reply, "next"));
    snprintf(place, sizeof place, "%s", next ? next : "");
    return place;
}

static void a_page_leaves_no_column_out_whose_objects_were_written_anew(void **state)
{
    struct op_house *house = *state;
    op_house_rows(house, "t", people, "create");
    tombstone(house, "id", "[1, 4]");
    tombstone(house, "mail", "[\"bob-2@example.org\", \"ann-1@example.org\"]");
    struct catalog_snapshot *then = catalog_snapshot_ref(lake_catalog(house->lake));
    const char *place = page(house, NULL, "1");
    assert_int_equal(hash_key(house, then, "id", "3"), LH_OK); /* of no key: all stay, behind */
    catalog_snapshot_unref(then);
    place = page(house, place, "4");
    place = page(house, place, "ann-1@example.org");
    lift(house, "id", "[1, 4]");
    assert_string_equal(page(house, place, "bob-2@example.org"), "");
    tombstone(house, "phone", "[101]"); /* behind a column that is there no more */
    page(house, "\"oh \"\"so\"=1", "101");
}

static void a_place_without_a_column_is_refused_where_there_are_several(void **state)
{
    struct op_house *house = *state;
    op_house_rows(house, "t", "id,mail\n1,a\n2,\"\"\"id\"\"=0\"\n3,b\n", "create");
    tombstone(house, "mail", "[\"a\", \"\\\"id\\\"=0\", \"b\"]");
    const char *place = page(house, NULL, "\"id\"=0"); /* a value that looks like a place */
    assert_string_equal(place, "\"mail\"=\"id\"=0");
    assert_string_equal(page(house, place, "a"), "\"mail\"=a");
    page(house, "a", "b");
    tombstone(house, "id", "[3]");
    assert_int_equal(
        op_house_try(house, "datasets.tombstones", "{\"name\": \"t\", \"after\": \"a\"}"),
        LH_INVALID);
    assert_non_null(strstr(house->err.message, "several"));
    page(house, "\"mail\"=a", "b");
}

static void a_place_stays_good_when_its_column_has_no_keys_or_is_gone(void **state)
{
    struct op_house *house = *state;
    char place[256];
    op_house_rows(house, "t", people, "create");
    tombstone(house, "mail", "[\"ann-1@example.org\", \"bob-2@example.org\"]");
    snprintf(place, sizeof place, "%s", page(house, NULL, "ann-1@example.org"));
    op_house_rows(house, "t", "id,phone\n1,101\n7,107\n", "replace"); /* without the column */
    assert_string_equal(page(house, place, "bob-2@example.org"), "");
    tombstone(house, "phone", "[101]"); /* a second column: what was left out is listed still */
    snprintf(place, sizeof place, "%s", page(house, place, "bob-2@example.org"));
    lift(house, "mail", "[\"ann-1@example.org\", \"bob-2@example.org\"]");
    assert_string_equal(page(house, place, "101"), ""); /* the only one: it is behind that place */
}

static void there_is_a_most_of_columns(void **state)
{
    struct op_house *house = *state;
    char csv[1024] = "", column[16];
    for (int line = 0; line < 2; line++)
        for (int i = 0; i < 18; i++)
            snprintf(csv + strlen(csv), sizeof csv - strlen(csv), line ? "%d%s" : "c%d%s", i,
                     i == 17 ? "\n" : ",");
    op_house_rows(house, "t", csv, "create");
    for (int i = 0; i < (int)CATALOG_KEY_COLUMNS_MAX; i++) {
        char value[16];
        snprintf(column, sizeof column, "c%d", i);
        snprintf(value, sizeof value, "[%d]", i);
        tombstone(house, column, value);
    }
    assert_int_equal(op_house_try(house, "datasets.tombstone",
                                  "{\"name\": \"t\", \"row_key_column\": \"c17\", "
                                  "\"row_key_values\": [17], \"another_key_column\": true}"),
                     LH_CONFLICT);
    assert_non_null(strstr(house->err.message, "which is the most"));
    for (int i = 0; i < (int)CATALOG_KEY_COLUMNS_MAX; i++) {
        char value[16];
        assert_string_equal(op_house_sql(house, "SELECT count(*) FROM t"), "[[0]]");
        snprintf(column, sizeof column, "c%d", i);
        snprintf(value, sizeof value, "[%d]", i);
        lift(house, column, value);
    }
    assert_string_equal(op_house_sql(house, "SELECT count(*) FROM t"), "[[1]]");
}

/* --- what is written */

static void only_a_dataset_with_several_columns_asks_for_a_release_that_knows_them(void **state)
{
    struct op_house *house = *state;
    op_house_rows(house, "t", people, "create");
    tombstone(house, "id", "[1]");
    assert_false(needs_columns(house));
    tombstone(house, "mail", "[\"bob-2@example.org\"]");
    assert_true(needs_columns(house));
    append(house, "id,mail,phone\n8,eve@example.org,4\n");
    assert_true(needs_columns(house));
    lift(house, "id", "[1]");
    assert_false(needs_columns(house));
    op_house_reopen(house);
    then_seen(house, "[[1],[3],[4],[8]]");
}

static void take_out(char *bytes, const char *text)
{
    char *at = strstr(bytes, text);
    assert_non_null(at);
    memmove(at, at + strlen(text), strlen(at + strlen(text)) + 1);
}

/* With a checksum that is right again. */
static void rewrite(const char *path, char *bytes)
{
    const size_t from = strlen("{\"_sha256\":\"");
    const size_t behind = from + LH_SHA256_HEX_BYTES;
    uint8_t sum[LH_SHA256_BYTES];
    char hex[LH_SHA256_HEX_BYTES + 1];
    lh_sha256_of((struct lh_str){bytes + behind, strlen(bytes + behind)}, sum);
    lh_hex(sum, sizeof sum, hex);
    memcpy(bytes + from, hex, LH_SHA256_HEX_BYTES);
    assert_int_equal(remove(path), 0);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, strlen(bytes), file), strlen(bytes));
    fclose(file);
}

static bool is_found(struct op_house *house, const char *what)
{
    const struct catalog_verify_options options = {0};
    struct catalog_report report;
    struct lh_arena *arena = lh_arena_new(0);
    size_t at = 0;
    bool ret = false;
    assert_int_equal(
        catalog_verify(lake_storage(house->lake), &options, arena, &report, &house->err), LH_OK);
    for (size_t i = 0; i < report.error_count; i++)
        ret |= lh_str_find(report.findings[i].what, lh_str_of(what), &at);
    lh_arena_free(arena);
    return ret;
}

static void verify_notices_what_does_not_fit_its_columns(void **state)
{
    struct op_house *house = *state;
    static char bytes[65536], whole[65536];
    op_house_rows(house, "t", people, "create");
    tombstone(house, "id", "[1]");
    tombstone(house, "mail", "[\"bob-2@example.org\"]");
    const char *path = newest_manifest(house, bytes, sizeof bytes);
    memcpy(whole, bytes, sizeof bytes);
    assert_false(is_found(house, ""));
    take_out(bytes, ",\"key_columns\"");
    rewrite(path, bytes);
    assert_true(is_found(house, "several columns"));
    memcpy(bytes, whole, sizeof bytes);
    char *column = strstr(bytes, "\"column\":\"mail\"");
    assert_non_null(column);
    memcpy(column, "\"column\":\"nail\"", 15);
    rewrite(path, bytes);
    assert_true(is_found(house, "name rows by 'mail'"));
    rewrite(path, whole);
}

/* --- compaction, sealing */

static void compaction_makes_deletion_by_each_column_physical(void **state)
{
    struct op_house *house = *state;
    op_house_rows(house, "t", people, "create");
    append(house, "id,mail,phone\n5,eve-5@example.org,105\n6,fay-6@example.org,106\n");
    tombstone(house, "id", "[1, 5]");
    tombstone(house, "mail", "[\"bob-2@example.org\"]");
    json_t *reply = op_house_call(house, "query.compact", "{\"dataset\": \"t\", \"wait\": true}");
    assert_int_equal(reply_int(reply, "rows_dropped_by_tombstones"), 3);
    assert_int_equal(reply_int(reply, "tombstones_applied"), 3);
    assert_string_equal(op_house_sql(house, "SELECT count(*) FROM __raw__t"), "[[3]]");
    then_seen(house, "[[3],[4],[6]]");
    assert_string_equal(op_house_sql(house, "SELECT id FROM t AT (VERSION => 1) ORDER BY id"),
                        "[[3],[4]]");
    tombstone(house, "phone", "[106]");
    op_house_reopen(house);
    then_seen(house, "[[3],[4]]");
    op_house_call(house, "catalog.expire", "{\"dataset\": \"t\", \"older_than_s\": 0}");
    then_listed(house, NULL, 10, "phone=106"); /* the others are sealed */
    assert_int_equal(append(house, "id,mail,phone\n1,a,1\n7,bob-2@example.org,2\n8,c,106\n9,d,4\n"),
                     3);
    then_seen(house, "[[3],[4],[9]]");
    assert_int_equal(reply_int(lift(house, "mail", "[\"bob-2@example.org\"]"), "rows_restored"), 1);
    then_seen(house, "[[3],[4],[7],[9]]");
}

static void a_compaction_sees_that_a_column_was_lifted_though_others_came(void **state)
{
    struct op_house *house = *state;
    struct catalog *catalog = lake_catalog(house->lake);
    op_house_rows(house, "t", people, "create");
    tombstone(house, "id", "[1]");
    struct catalog_snapshot *then = catalog_snapshot_ref(catalog);
    bool differ = true;
    tombstone(house, "mail", "[\"bob-2@example.org\"]");
    for (int i = 0; i < 3; i++) {
        struct catalog_snapshot *now = catalog_snapshot_ref(catalog);
        assert_int_equal(catalog_tombstones_differ(catalog, dataset_of(now), dataset_of(then),
                                                   &differ, &house->err),
                         LH_OK);
        assert_int_equal(differ, i > 0);
        catalog_snapshot_unref(now);
        if (!i)
            lift(house, "id", "[1]");
        else
            tombstone(house, "id", "[4]"); /* of the same column */
    }
    catalog_snapshot_unref(then);
}

static void many_tombstones_of_two_columns_are_written_together_apart(void **state)
{
    struct op_house *house = *state;
    char csv[4096] = "id,mail\n", value[64];
    for (int i = 0; i < 60; i++)
        snprintf(csv + strlen(csv), sizeof csv - strlen(csv), "%d,m-%d\n", i, i);
    op_house_rows(house, "t", csv, "create");
    for (int i = 0; i < 40; i++) {
        snprintf(value, sizeof value, i % 2 ? "[\"m-%d\"]" : "[%d]", i);
        tombstone(house, i % 2 ? "mail" : "id", value);
    }
    assert_string_equal(op_house_sql(house, "SELECT count(*) FROM t"), "[[20]]");
    struct catalog_snapshot *snapshot = catalog_snapshot_ref(lake_catalog(house->lake));
    assert_true(dataset_of(snapshot)->tombstone_count < 35);
    catalog_snapshot_unref(snapshot);
    op_house_reopen(house);
    assert_string_equal(op_house_sql(house, "SELECT count(*) FROM t"), "[[20]]");
    assert_int_equal(reply_int(lift(house, "mail", "[\"m-1\", \"m-2\", \"m-39\"]"), "keys_lifted"),
                     2);
    assert_string_equal(op_house_sql(house, "SELECT min(id) FROM t"), "[[1]]");
}

static size_t history_of(struct op_house *house, const char *key)
{
    char args[64];
    snprintf(args, sizeof args, "{\"entity_id\": \"%s\"}", key);
    return json_array_size(json_object_get(op_house_call(house, "journal.history", args), "items"));
}

static void lifting_all_of_many_keys_is_no_event_of_another_column(void **state)
{
    struct op_house *house = *state;
    char csv[4096] = "id,mail\n", values[1024] = "[0";
    for (int i = 0; i < 120; i++)
        snprintf(csv + strlen(csv), sizeof csv - strlen(csv), "%d,m-%d\n", i, i);
    for (int i = 1; i < 120; i++)
        snprintf(values + strlen(values), sizeof values - strlen(values), i < 119 ? ",%d" : ",%d]",
                 i);
    op_house_rows(house, "t", csv, "create");
    tombstone(house, "mail", "[\"m-5\"]");
    for (int i = 0; i < 2; i++) {
        char args[2048];
        snprintf(args, sizeof args,
                 "{\"name\": \"t\", \"row_key_column\": \"id\", \"row_key_values\": %s%s}", values,
                 i ? "" : ", \"another_key_column\": true");
        op_house_call(house, i ? "datasets.lift" : "datasets.tombstone", args);
    }
    assert_string_equal(op_house_sql(house, "SELECT count(*) FROM t"), "[[119]]");
    assert_int_equal(history_of(house, "5"), 2);
    assert_int_equal(history_of(house, "119"), 2);
    assert_int_equal(history_of(house, "m-5"), 1);
}

/* --- erasure */

static bool is_in_lists(struct op_house *house, const char *text)
{
    const char *id = reply_text(op_house_call(house, "datasets.get", "{\"name\": \"t\"}"), "id");
    char folder[4400], path[4800];
    bool is_found = false;
    snprintf(folder, sizeof folder, "%s/lake/datasets/%s", house->folder.path, id);
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    for (struct dirent *entry; (entry = readdir(dir));) {
        static char bytes[65536];
        if (!strstr(entry->d_name, ".tombstones"))
            continue;
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        FILE *file = fopen(path, "rb");
        assert_non_null(file);
        size_t count = fread(bytes, 1, sizeof bytes, file);
        fclose(file);
        is_found |= memmem(bytes, count, text, strlen(text)) != NULL;
    }
    closedir(dir);
    return is_found;
}

static void an_erasure_by_another_column_is_complete(void **state)
{
    struct op_house *house = *state;
    op_house_rows(house, "t",
                  "id,mail,n\nCAND-000001,ann-1@example.org,1\nCAND-000002,bob-2@example.org,2\n"
                  "CAND-000003,cid-3@example.org,3\nCAND-000004,dan-4@example.org,4\n",
                  "create");
    op_house_call(house, "datasets.tombstone",
                  "{\"name\": \"t\", \"row_key_column\": \"id\", \"row_key_values\": "
                  "[\"CAND-000001\", \"CAND-000002\"], \"reason\": \"ann-1@example.org asked\"}");
    lift(house, "id", "[\"CAND-000002\"]"); /* whose name stays in the list's log */
    tombstone(house, "n", "[4]");
    for (int i = 1; i < 3; i++) {
        char args[256];
        snprintf(args, sizeof args,
                 "{\"dataset\": \"t\", \"row_key_column\": \"mail\", \"row_key_values\": "
                 "[\"%s@example.org\"], \"wait\": true}",
                 i == 1 ? "ann-1" : "bob-2");
        json_t *receipt = op_house_call(house, "catalog.erase", args);
        char *text = json_dumps(receipt, 0);
        if (strcmp(reply_text(receipt, "state"), "erased") != 0)
            fail_msg("%s", strstr(text, "files_re") ? strstr(text, "files_re") : text);
        free(text);
    }
    assert_false(is_in_lists(house, "CAND-000001"));
    assert_false(is_in_lists(house, "CAND-000002"));
    assert_false(is_in_lists(house, "example.org"));
    assert_string_equal(op_house_sql(house, "SELECT id FROM t"), "[[\"CAND-000003\"]]");
    op_house_reopen(house);
    assert_int_equal(append(house, "id,mail,n\nCAND-000001,x,7\ny,ann-1@example.org,8\nz,w,4\n"
                                   "CAND-000002,v,9\n"),
                     3);
    assert_string_equal(op_house_sql(house, "SELECT id FROM t ORDER BY id"),
                        "[[\"CAND-000002\"],[\"CAND-000003\"]]");
    assert_int_equal(reply_int(lift(house, "id", "[\"CAND-000001\"]"), "rows_restored"), 1);
    lift(house, "mail", "[\"ann-1@example.org\"]");
    assert_int_equal(house->status, 207); /* nobody lifts what was erased */
    assert_string_equal(op_house_sql(house, "SELECT count(*) FROM t"), "[[3]]");
}

static void keys_become_hashes_while_rows_of_them_come(void **state)
{
    struct op_house *house = *state;
    op_house_rows(house, "t", people, "create");
    tombstone(house, "id", "[1, 2]");
    lift(house, "id", "[2]");
    tombstone(house, "mail", "[\"bob-2@example.org\"]");
    struct catalog_snapshot *then = catalog_snapshot_ref(lake_catalog(house->lake));
    assert_int_equal(append(house, "id,mail,phone\n1,new@example.org,1\n9,x,2\n"), 1);
    tombstone(house, "mail", "[\"cid-3@example.org\"]");
    assert_int_equal(append(house, "id,mail,phone\n1,cid-3@example.org,3\n2,y,4\n"), 1);
    assert_int_equal(hash_key(house, then, "id", "1"), LH_OK);
    catalog_snapshot_unref(then);
    for (int i = 0; i < 2; i++) {
        then_listed(house, NULL, 10, "mail=bob-2@example.org,mail=cid-3@example.org");
        then_seen(house, "[[2],[4],[9]]");
        assert_false(is_found(house, ""));
        op_house_reopen(house);
    }
    lift(house, "mail", "[\"bob-2@example.org\", \"cid-3@example.org\"]");
    assert_int_equal(reply_int(lift(house, "id", "[1]"), "rows_restored"), 3);
    then_seen(house, "[[1],[1],[1],[2],[2],[3],[4],[9]]");
}

static void keys_do_not_become_hashes_behind_a_key_that_is_named_meanwhile(void **state)
{
    struct op_house *house = *state;
    op_house_rows(house, "t", people, "create");
    tombstone(house, "id", "[1, 2]");
    tombstone(house, "mail", "[\"dan-4@example.org\"]");
    for (int i = 0; i < 2; i++) {
        struct catalog_snapshot *then = catalog_snapshot_ref(lake_catalog(house->lake));
        if (i)
            lift(house, "id", "[1]");
        else
            tombstone(house, "id", "[3]");
        assert_int_equal(hash_key(house, then, "id", "1"), LH_RACE);
        then_seen(house, i ? "[[1]]" : "[]");
        then_listed(house, "id", 10, i ? "id=2,id=3" : "id=1,id=2,id=3");
        catalog_snapshot_unref(then);
    }
}

static void a_reason_goes_with_an_erased_key_unless_that_is_short(void **state)
{
    static const char *const keys[] = {"ann-1", "bobo-2"}; /* of five bytes, of six */
    int64_t texts_short[2] = {0};
    struct op_house *house = *state;
    op_house_rows(house, "t", "id,mail\n1,ann-1\n2,bobo-2\n3,cid-33\n4,dan-44\n", "create");
    tombstone(house, "id", "[1]");
    op_house_call(house, "datasets.tombstone",
                  "{\"name\": \"t\", \"row_key_column\": \"mail\", \"row_key_values\": "
                  "[\"cid-33\"], \"reason\": \"wanted by ann-1 and bobo-2\", "
                  "\"another_key_column\": true}");
    for (int i = 0; i < 2; i++) {
        char args[256];
        snprintf(args, sizeof args,
                 "{\"dataset\": \"t\", \"row_key_column\": \"mail\", \"row_key_values\": "
                 "[\"%s\"], \"wait\": true}",
                 keys[i]);
        json_t *receipt = op_house_call(house, "catalog.erase", args);
        assert_string_equal(reply_text(receipt, "state"), "erased");
        texts_short[i] = reply_int(json_object_get(receipt, "scan"), "texts_short");
        assert_int_equal(is_in_lists(house, "wanted by"), i == 0);
        then_listed(house, "mail", 9, "mail=cid-33");
    }
    assert_int_equal(texts_short[0] - texts_short[1], 1); /* the ids are short, too */
}

#define TEST(function)                                                                             \
    cmocka_unit_test_setup_teardown(function, op_house_set_up, op_house_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(keys_of_several_columns_hide_beside_each_other),
        TEST(a_second_key_column_is_refused_unless_it_is_asked_for),
#ifdef LH_FAULTS
        TEST(the_first_tombstones_by_two_columns_at_once_are_one_column),
#endif
        TEST(a_row_that_two_columns_name_is_seen_when_both_are_lifted),
        TEST(rows_that_come_are_hidden_by_each_column_and_counted_once),
        TEST(an_upsert_and_a_lift_of_another_column_leave_replaced_rows_hidden),
        TEST(a_lift_says_which_of_several_columns),
        TEST(the_list_goes_column_by_column),
        TEST(a_page_leaves_no_column_out_whose_objects_were_written_anew),
        TEST(a_place_without_a_column_is_refused_where_there_are_several),
        TEST(a_place_stays_good_when_its_column_has_no_keys_or_is_gone),
        TEST(there_is_a_most_of_columns),
        TEST(only_a_dataset_with_several_columns_asks_for_a_release_that_knows_them),
        TEST(verify_notices_what_does_not_fit_its_columns),
        TEST(compaction_makes_deletion_by_each_column_physical),
        TEST(a_compaction_sees_that_a_column_was_lifted_though_others_came),
        TEST(many_tombstones_of_two_columns_are_written_together_apart),
        TEST(lifting_all_of_many_keys_is_no_event_of_another_column),
        TEST(an_erasure_by_another_column_is_complete),
        TEST(a_reason_goes_with_an_erased_key_unless_that_is_short),
        TEST(keys_become_hashes_while_rows_of_them_come),
        TEST(keys_do_not_become_hashes_behind_a_key_that_is_named_meanwhile),
    };
    temp_lake_prefer_memory();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
