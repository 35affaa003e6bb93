/* A manifest's bytes: what is written is read again, and nothing else is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/json.h"
#include "catalog/manifest.h"

static const struct catalog_column columns[] = {
    {.name = LH_LIT("na\"me\\"),
     .stored_name = LH_LIT("na\"me\\"),
     .type = LH_LIT("STRUCT(a INTEGER)"),
     .sensitivity = CATALOG_FINANCIAL,
     .is_pii = true,
     .pii_kind = LH_LIT("salary"),
     .description = LH_LIT("größe")},
};
static const struct catalog_range ranges[] = {{LH_LIT("id"), LH_LIT("1"), LH_LIT("")},
                                              {LH_LIT("x"), {NULL, 0}, LH_LIT("z")}};
static const struct catalog_object objects[] = {{.bucket = LH_LIT("primary"),
                                                 .key = LH_LIT("datasets/a/b.parquet"),
                                                 .bytes = 9007199254740993,
                                                 .rows = 3,
                                                 .sha256 = {1, 2, 255},
                                                 .content_hash = LH_LIT("c0"),
                                                 .schema = LH_LIT("f0"),
                                                 .ranges = ranges,
                                                 .range_count = 2,
                                                 .source_sha256 = LH_LIT("aa"),
                                                 .source_options = LH_LIT("bb"),
                                                 .rejects = LH_LIT("datasets/i/rejects/r.parquet"),
                                                 .rejected_rows = 3,
                                                 .added_version = 17}};
static const struct lh_str removed[] = {LH_LIT("k1"), LH_LIT("k2")};
static const struct catalog_schema_column schema_columns[] = {{LH_LIT("id"), LH_LIT("BIGINT")}};
static const struct catalog_schema schemas[] = {{LH_LIT("f1"), schema_columns, 1}};
static const struct catalog_event events[] = {{LH_LIT("t"), LH_LIT("append"), LH_LIT("{\"n\":1}")}};
static const struct catalog_commit_info commits[] = {{.uuid = LH_LIT("u"),
                                                      .action = LH_LIT("append"),
                                                      .actor = LH_LIT("me"),
                                                      .reason = LH_LIT("because"),
                                                      .job_id = LH_LIT("j"),
                                                      .idempotency_key = LH_LIT("i"),
                                                      .result = LH_LIT("{}"),
                                                      .events = events,
                                                      .event_count = 1}};

static struct manifest full_manifest(void)
{
    return (struct manifest){
        .dataset_id = lh_lit("0190a000-0000-7000-8000-000000000001"),
        .version = 17,
        .sequence = 99,
        .epoch = 3,
        .time_ms = 1700000000123,
        .parent = {16, {7, 8}},
        .checkpoint = {16, {9}},
        .set_bits = MANIFEST_SET_ALL,
        .set = {.name = lh_lit("t"),
                .description = lh_lit(""),
                .owner = lh_lit("o"),
                .sensitivity = CATALOG_PHI,
                .tags = {removed, 2},
                .columns = columns,
                .column_count = 1,
                .schemas = schemas,
                .schema_count = 1,
                .lineage = {lh_lit("file"), lh_lit("f.csv"), lh_lit("j"), -5},
                .refresh = {CATALOG_REFRESH_ON_APPEND, lh_lit("s")},
                .freshness_max_age_s = 5,
                .created_ms = -1,
                .last_embedded_at_ms = 6,
                .embedding_stale_since_ms = 7},
        .removes_all = true,
        .added = {objects, 1},
        .removed = {removed, 2},
        .tombstones_added = {objects, 1},
        .tombstones_removed = {removed, 1},
        .row_count = 3,
        .object_count = 1,
        .byte_count = 4,
        .commits = commits,
        .commit_count = 1,
    };
}

static void encode(struct manifest *manifest, struct lh_buf *buf)
{
    lh_buf_init(buf, 1 << 20);
    assert_int_equal(manifest_encode(manifest, buf, NULL), LH_OK);
}

static void what_is_written_is_read_again_to_the_last_member(void **state)
{
    (void)state;
    struct manifest manifest = full_manifest(), read;
    struct lh_buf first, second;
    struct lh_arena *arena = lh_arena_new(0);
    encode(&manifest, &first);
    assert_int_equal(manifest_decode(lh_buf_str(&first), lh_lit("it"), arena, &read, NULL), LH_OK);
    assert_memory_equal(read.sha256, manifest.sha256, LH_SHA256_BYTES);
    assert_int_equal(read.added.items[0].bytes, 9007199254740993);
    assert_true(read.added.items[0].ranges[0].max.data && !read.added.items[0].ranges[0].max.len);
    assert_null(read.added.items[0].ranges[1].min.data);
    assert_int_equal(read.set.sensitivity, CATALOG_PHI);
    assert_true(lh_str_equal(read.set.columns[0].name, columns[0].name));
    assert_int_equal(read.set.lineage.timestamp_ms, -5);
    assert_true(lh_str_equal(read.commits[0].events[0].detail, events[0].detail));
    encode(&read, &second); /* canonical: one meaning, one spelling */
    assert_int_equal(first.len, second.len);
    assert_memory_equal(first.data, second.data, first.len);
    lh_buf_release(&first);
    lh_buf_release(&second);
    lh_arena_free(arena);
}

static void a_merged_file_keeps_its_sources_and_asks_for_who_knows_them(void **state)
{
    (void)state;
    const struct catalog_source sources[] = {
        {.sha256 = LH_LIT("aa"), .options = LH_LIT("bb"), .rows = 5, .kept = 5},
        {.rows = 7, .kept = 6, .rejects = LH_LIT("datasets/i/rejects/r"), .rejected_rows = 2}};
    const struct catalog_object merged = {.bucket = LH_LIT("primary"),
                                          .key = LH_LIT("datasets/a/m.parquet"),
                                          .bytes = 1,
                                          .rows = 11,
                                          .sources = sources,
                                          .source_count = 2,
                                          .stands_for = LH_LIT("k1"),
                                          .added_version = 17};
    struct manifest manifest = full_manifest(), read;
    struct lh_buf first, second;
    struct lh_arena *arena = lh_arena_new(0);
    manifest.added = (struct manifest_objects){&merged, 1};
    encode(&manifest, &first);
    assert_int_equal(manifest_decode(lh_buf_str(&first), lh_lit("it"), arena, &read, NULL), LH_OK);
    bool is_asked_for = false;
    for (size_t i = 0; i < read.features.count; i++)
        is_asked_for |= lh_str_equal(read.features.items[i], lh_lit(MANIFEST_REWRITES));
    assert_true(is_asked_for);
    const struct catalog_object *object = &read.added.items[0];
    assert_int_equal(object->source_count, 2);
    assert_true(lh_str_equal(object->sources[0].sha256, lh_lit("aa")));
    assert_int_equal(object->sources[0].kept, 5);
    assert_false(object->sources[1].sha256.len);
    assert_int_equal(object->sources[1].kept, 6);
    assert_int_equal(object->sources[1].rejected_rows, 2);
    assert_true(lh_str_equal(object->stands_for, lh_lit("k1")));
    encode(&read, &second);
    assert_int_equal(first.len, second.len);
    assert_memory_equal(first.data, second.data, first.len);
    lh_buf_release(&first);
    lh_buf_release(&second);
    lh_arena_free(arena);
}

static void every_flipped_bit_and_every_cut_is_noticed(void **state)
{
    (void)state;
    struct manifest manifest = full_manifest(), read;
    struct lh_buf buf;
    struct lh_arena *arena = lh_arena_new(0);
    encode(&manifest, &buf);
    for (size_t bit = 0; bit < buf.len * 8; bit++) {
        buf.data[bit / 8] = (char)(buf.data[bit / 8] ^ (1 << (bit % 8)));
        struct lh_error err = LH_ERROR_NONE;
        enum lh_code code = manifest_decode(lh_buf_str(&buf), lh_lit("it"), arena, &read, &err);
        buf.data[bit / 8] = (char)(buf.data[bit / 8] ^ (1 << (bit % 8)));
        /* The checksum itself may change its letters' case: then nothing else has changed. */
        bool is_case = bit / 8 >= 12 && bit / 8 < 76 && bit % 8 == 5;
        if (code != LH_DAMAGED && !(is_case && code == LH_OK))
            fail_msg("bit %zu: %d", bit, code);
        lh_arena_clear(arena);
    }
    for (size_t len = 0; len < buf.len; len++) {
        struct lh_str cut = {buf.data, len};
        assert_int_equal(manifest_decode(cut, lh_lit("it"), arena, &read, NULL), LH_DAMAGED);
    }
    lh_buf_release(&buf);
    lh_arena_free(arena);
}

/* Text with a right checksum that is not what a manifest should be. */
static enum lh_code decode_text(const char *rest, struct lh_error *err)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct manifest read;
    uint8_t sha256[LH_SHA256_BYTES];
    char hex[LH_SHA256_HEX_BYTES + 1];
    lh_sha256_of(lh_str_of(rest), sha256);
    lh_hex(sha256, sizeof sha256, hex);
    struct lh_str text = lh_arena_printf(arena, "{\"_sha256\":\"%s%s", hex, rest);
    enum lh_code code = manifest_decode(text, lh_lit("it"), arena, &read, err);
    lh_arena_free(arena);
    return code;
}

static void a_newer_format_or_an_unknown_feature_asks_for_a_newer_release(void **state)
{
    (void)state;
    struct lh_error err = LH_ERROR_NONE;
    assert_int_equal(decode_text("\",\"features\":[],\"format\":2}", &err), LH_FORMAT);
    assert_non_null(strstr(err.message, "format 2"));
    assert_int_equal(decode_text("\",\"features\":[\"shards\"],\"format\":1}", &err), LH_FORMAT);
    assert_non_null(strstr(err.message, "shards"));
    assert_non_null(strstr(err.hint, "newer"));
}

static void members_of_other_types_are_damage_and_never_a_crash(void **state)
{
    (void)state;
    struct manifest manifest = full_manifest();
    struct lh_buf buf;
    size_t tried = 0;
    encode(&manifest, &buf);
    static const char *const values[] = {"null",  "[]",   "{}",     "-1",
                                         "\"x\"", "[[]]", "[null]", "1.5"};
    for (size_t i = 76; i + 1 < buf.len; i++) {
        /* After each colon the value, whatever it was, becomes another one. */
        if (buf.data[i] != ':' || buf.data[i - 1] != '"')
            continue;
        for (size_t k = 0; k < sizeof values / sizeof values[0]; k++) {
            json_error_t error;
            json_t *value = json_loadb(buf.data + i + 1, buf.len - i - 1,
                                       JSON_DISABLE_EOF_CHECK | JSON_DECODE_ANY, &error);
            if (!value)
                continue;
            json_decref(value);
            struct lh_buf text;
            lh_buf_init(&text, 1 << 20);
            lh_buf_append(&text, buf.data + 75, i + 1 - 75);
            lh_buf_append_str(&text, lh_str_of(values[k]));
            lh_buf_append(&text, buf.data + i + 1 + error.position,
                          buf.len - i - 1 - (size_t)error.position);
            struct lh_error err = LH_ERROR_NONE;
            enum lh_code code = decode_text(text.data + (text.data[0] != '"'), &err);
            assert_true(code == LH_DAMAGED || code == LH_OK || code == LH_FORMAT);
            tried += code == LH_DAMAGED;
            lh_buf_release(&text);
        }
    }
    assert_true(tried > 200);
    assert_int_equal(decode_text("\"", NULL), LH_DAMAGED);
    assert_int_equal(decode_text("\"}", NULL), LH_DAMAGED);
    lh_buf_release(&buf);
}

static void only_names_of_twenty_digits_are_versions(void **state)
{
    (void)state;
    int64_t version = 0;
    bool is_checkpoint = false;
    struct lh_arena *arena = lh_arena_new(0);
    assert_true(
        manifest_version_of_name(lh_lit("00000000000000000017.json"), &version, &is_checkpoint));
    assert_int_equal(version, 17);
    assert_false(is_checkpoint);
    assert_true(manifest_version_of_name(lh_lit("00000000000000000017.checkpoint.json"), &version,
                                         &is_checkpoint));
    assert_true(is_checkpoint);
    static const char *const others[] = {"",
                                         "17.json",
                                         "00000000000000000000.json",
                                         "-0000000000000000017.json",
                                         "99999999999999999999.json",
                                         "00000000000000000017.json~",
                                         "00000000000000000017",
                                         "0000000000000000001x.json"};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        assert_false(manifest_version_of_name(lh_str_of(others[i]), &version, &is_checkpoint));
    assert_true(lh_str_equal(manifest_key(lh_lit("d"), 5, true, arena),
                             lh_lit("_catalog/datasets/d/00000000000000000005.checkpoint.json")));
    lh_arena_free(arena);
}

static void names_of_datasets_and_stored_columns_follow_their_rules(void **state)
{
    (void)state;
    struct lh_arena *arena = lh_arena_new(0);
    static const char *const good[] = {
        "a", "_a", "A1_b", "a23456789012345678901234567890123456789012345678901234567890123"};
    static const char *const bad[] = {
        "",    "1a",  "__raw__t",
        "a-b", "a b", "é",
        "a.b", "a'b", "a234567890123456789012345678901234567890123456789012345678901234"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        assert_int_equal(catalog_check_name(lh_str_of(good[i]), NULL), LH_OK);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(catalog_check_name(lh_str_of(bad[i]), NULL), LH_INVALID);
    static const char *const columns_of_users[] = {"file_row_number", "FILENAME", "__user_filename",
                                                   "File_Index",      "filename", "name",
                                                   "__USER_x"};
    size_t count = sizeof columns_of_users / sizeof columns_of_users[0];
    for (size_t i = 0; i < count; i++) {
        struct lh_str stored = catalog_stored_name(lh_str_of(columns_of_users[i]), arena);
        assert_false(lh_str_equal_nocase(stored, lh_lit("filename")));
        assert_false(lh_str_equal_nocase(stored, lh_lit("file_row_number")));
        assert_false(lh_str_equal_nocase(stored, lh_lit("file_index")));
        for (size_t k = 0; k < i; k++)
            if (!lh_str_equal_nocase(lh_str_of(columns_of_users[i]),
                                     lh_str_of(columns_of_users[k])))
                assert_false(lh_str_equal_nocase(
                    stored, catalog_stored_name(lh_str_of(columns_of_users[k]), arena)));
    }
    assert_true(lh_str_equal(catalog_stored_name(lh_lit("name"), arena), lh_lit("name")));
    lh_arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read_again_to_the_last_member),
        cmocka_unit_test(a_merged_file_keeps_its_sources_and_asks_for_who_knows_them),
        cmocka_unit_test(every_flipped_bit_and_every_cut_is_noticed),
        cmocka_unit_test(a_newer_format_or_an_unknown_feature_asks_for_a_newer_release),
        cmocka_unit_test(members_of_other_types_are_damage_and_never_a_crash),
        cmocka_unit_test(only_names_of_twenty_digits_are_versions),
        cmocka_unit_test(names_of_datasets_and_stored_columns_follow_their_rules),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
