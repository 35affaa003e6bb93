#include <assert.h>
#include <stdlib.h>

#include "catalog/tombstone_internal.h"

/* Numbers are varints (seven bits a byte, low ones first), texts have their length before them. */

#define MAGIC "LHTOMB1\n"
#define MAGIC_HASHED "LHTOMB2\n" /* unknown to releases that would overlook hashes */
#define MAGIC_BYTES (sizeof MAGIC - 1)

/* --- writing */

static void put_number(struct lh_buf *buf, uint64_t number)
{
    while (number >= 0x80) {
        lh_buf_append_char(buf, (char)(number | 0x80));
        number >>= 7;
    }
    lh_buf_append_char(buf, (char)number);
}

static void put_text(struct lh_buf *buf, struct lh_str text)
{
    put_number(buf, text.len);
    lh_buf_append_str(buf, text);
}

static void put_file(struct lh_buf *buf, const struct tombstone_file *file)
{
    uint64_t next = 0; /* lowest that may come */
    put_text(buf, file->key);
    put_number(buf, file->row_count);
    for (size_t i = 0; i < file->row_count; i++) {
        put_number(buf, file->rows[i] - next);
        next = file->rows[i] + 1;
    }
}

static void put_record(struct lh_buf *buf, const struct tombstone_record *record)
{
    put_number(buf, record->kind);
    put_number(buf, (uint64_t)record->base);
    put_number(buf, (uint64_t)record->version);
    put_text(buf, record->column);
    put_text(buf, record->type);
    put_number(buf, (uint64_t)record->time_ms);
    put_text(buf, record->actor);
    put_text(buf, record->reason);
    put_number(buf, record->key_count);
    for (size_t i = 0; i < record->key_count; i++) {
        put_number(buf, record->keys[i].form);
        put_text(buf, record->keys[i].text);
    }
    put_number(buf, record->file_count);
    for (size_t i = 0; i < record->file_count; i++)
        put_file(buf, &record->files[i]);
}

static bool has_hashes(const struct tombstone_record *records, size_t count)
{
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < records[i].key_count; k++)
            if (records[i].keys[k].form != TOMBSTONE_VALUE)
                return true;
    return false;
}

void tombstone_encode(const struct tombstone_record *records, size_t count, struct lh_buf *buf)
{
    lh_buf_append_str(buf, has_hashes(records, count) ? lh_lit(MAGIC_HASHED) : lh_lit(MAGIC));
    for (size_t i = 0; i < count; i++)
        put_record(buf, &records[i]);
}

/* --- reading: nothing is trusted, lengths least of all */

struct reader {
    struct lh_str rest;
    struct lh_arena *arena;
    bool is_wrong;
};

static uint64_t get_number(struct reader *reader)
{
    uint64_t number = 0;
    for (unsigned shift = 0; shift < 64 && reader->rest.len; shift += 7) {
        uint8_t byte = (uint8_t)reader->rest.data[0];
        reader->rest = lh_str_slice(reader->rest, 1, reader->rest.len);
        if (shift == 63 && byte > 1)
            break;
        number |= (uint64_t)(byte & 0x7F) << shift;
        if (!(byte & 0x80))
            return number;
    }
    reader->is_wrong = true;
    return 0;
}

static int64_t get_signed(struct reader *reader)
{
    uint64_t number = get_number(reader);
    if (number > INT64_MAX)
        reader->is_wrong = true;
    return reader->is_wrong ? 0 : (int64_t)number;
}

/* Of things that take a byte each at least. */
static size_t get_count(struct reader *reader)
{
    uint64_t count = get_number(reader);
    if (count > reader->rest.len)
        reader->is_wrong = true;
    return reader->is_wrong ? 0 : (size_t)count;
}

static struct lh_str get_text(struct reader *reader)
{
    size_t len = get_count(reader);
    struct lh_str text = lh_str_head(reader->rest, 0);
    if (!reader->is_wrong) {
        text = (struct lh_str){reader->rest.data, len};
        reader->rest = lh_str_slice(reader->rest, len, reader->rest.len);
        if (!lh_str_is_utf8(text, NULL))
            reader->is_wrong = true;
    }
    return text;
}

static void get_file(struct reader *reader, struct tombstone_file *ret)
{
    uint64_t next = 0;
    ret->key = get_text(reader);
    size_t count = get_count(reader);
    uint64_t *rows = lh_arena_array(reader->arena, count + 1, sizeof *rows);
    for (size_t i = 0; i < count && !reader->is_wrong; i++) {
        uint64_t gap = get_number(reader);
        if (gap > INT64_MAX || next + gap > INT64_MAX)
            reader->is_wrong = true;
        rows[i] = next + gap;
        next = rows[i] + 1;
    }
    ret->rows = rows;
    ret->row_count = reader->is_wrong ? 0 : count;
}

static void get_keys(struct reader *reader, struct tombstone_record *ret, bool *ret_is_newer)
{
    size_t count = get_count(reader);
    struct tombstone_key *keys = lh_arena_array(reader->arena, count + 1, sizeof *keys);
    for (size_t i = 0; i < count && !reader->is_wrong; i++) {
        uint64_t form = get_number(reader);
        if (form > TOMBSTONE_SEALED)
            *ret_is_newer = true;
        keys[i].form = (enum tombstone_form)(form & 3);
        keys[i].text = get_text(reader);
    }
    ret->keys = keys;
    ret->key_count = reader->is_wrong ? 0 : count;
}

static void get_record(struct reader *reader, struct tombstone_record *ret, bool *ret_is_newer)
{
    uint64_t kind = get_number(reader);
    if (kind < TOMBSTONE_KEYS || kind > TOMBSTONE_REPLACED)
        *ret_is_newer = true;
    ret->kind = (enum tombstone_kind)(kind & 7);
    ret->base = get_signed(reader);
    ret->version = get_signed(reader);
    ret->column = get_text(reader);
    ret->type = get_text(reader);
    ret->time_ms = get_signed(reader);
    ret->actor = get_text(reader);
    ret->reason = get_text(reader);
    get_keys(reader, ret, ret_is_newer);
    size_t count = get_count(reader);
    struct tombstone_file *files = lh_arena_array(reader->arena, count + 1, sizeof *files);
    for (size_t i = 0; i < count && !reader->is_wrong; i++)
        get_file(reader, &files[i]);
    ret->files = files;
    ret->file_count = reader->is_wrong ? 0 : count;
}

#define RECORDS_MAX ((size_t)1 << 20)

static enum lh_code get_records(struct reader *reader, struct lh_str what,
                                struct tombstone_content *content, struct lh_error *err)
{
    size_t count = 0, capacity = 0;
    struct tombstone_record *records = NULL;
    while (reader->rest.len && !reader->is_wrong && count < RECORDS_MAX) {
        bool is_newer = false;
        if (count == capacity) {
            capacity = capacity ? capacity * 2 : 8;
            struct tombstone_record *grown = lh_arena_array(reader->arena, capacity, sizeof *grown);
            if (count)
                memcpy(grown, records, count * sizeof *grown);
            records = grown;
        }
        records[count] = (struct tombstone_record){0};
        get_record(reader, &records[count++], &is_newer);
        if (is_newer && !reader->is_wrong)
            return lh_fail(err, LH_FORMAT, "%.*s holds records of a newer release.", LH_ARG(what));
    }
    content->records = records;
    content->record_count = count;
    if (!reader->is_wrong && !reader->rest.len)
        return LH_OK;
    return lh_fail(err, LH_DAMAGED, "%.*s is no list of tombstones.", LH_ARG(what));
}

enum lh_code tombstone_decode(struct lh_str bytes, struct lh_str what,
                              struct tombstone_content **ret, struct lh_error *err)
{
    if (!lh_str_starts_with(bytes, lh_lit(MAGIC)) &&
        !lh_str_starts_with(bytes, lh_lit(MAGIC_HASHED)))
        return lh_fail(err, LH_DAMAGED, "%.*s is no list of tombstones.", LH_ARG(what));
    struct lh_arena *arena = lh_arena_new(0);
    struct tombstone_content *content = lh_arena_alloc(arena, sizeof *content);
    struct lh_str kept = lh_arena_str(arena, bytes);
    struct reader reader = {.rest = lh_str_slice(kept, MAGIC_BYTES, kept.len), .arena = arena};
    content->arena = arena;
    enum lh_code code = get_records(&reader, what, content, err);
    if (code)
        lh_arena_free(arena);
    else
        *ret = content;
    return code;
}

void tombstone_content_free(struct tombstone_content *content)
{
    if (content)
        lh_arena_free(content->arena);
}

/* --- objects */

enum lh_code tombstone_load(struct storage *storage, const struct catalog_object *object,
                            struct lh_arena *scratch, struct tombstone_content **ret,
                            struct lh_error *err)
{
    struct lh_str bytes;
    uint8_t sum[LH_SHA256_BYTES];
    enum lh_code code = storage_get(storage, object->bucket, object->key, TOMBSTONE_BYTES_MAX,
                                    scratch, &bytes, err);
    if (code == LH_NOT_FOUND || code == LH_INVALID || code == LH_TOO_LARGE)
        return lh_fail(err, LH_DAMAGED, "The tombstones '%.*s' are missing or no ordinary file.",
                       LH_ARG(object->key));
    if (code)
        return code;
    lh_sha256_of(bytes, sum);
    if ((int64_t)bytes.len != object->bytes || memcmp(sum, object->sha256, sizeof sum) != 0) {
        lh_fail(err, LH_DAMAGED,
                "The tombstones '%.*s' are not what was written: their checksum differs.",
                LH_ARG(object->key));
        return lh_error_hint(err, "Nothing of the dataset is shown, so that no deleted row is. "
                                  "Restore the file from a backup.");
    }
    struct tombstone_content *content = NULL;
    code = tombstone_decode(bytes, object->key, &content, err);
    assert(code || content);
    if (!code)
        code = tombstone_check_records(content, object, err);
    if (code)
        tombstone_content_free(content);
    else
        *ret = content;
    return code;
}

/* Read once and kept with the object, which all its versions share. */
enum lh_code tombstone_read(struct storage *storage, const struct catalog_object *object,
                            const struct tombstone_content **ret, struct lh_error *err)
{
    struct object_node *node = (struct object_node *)(uintptr_t)object;
    struct tombstone_content *content = atomic_load(&node->content), *none = NULL;
    enum lh_code code = LH_OK;
    if (!content) {
        struct lh_arena *arena = lh_arena_new(0);
        code = tombstone_load(storage, object, arena, &content, err);
        lh_arena_free(arena);
        if (!code && !atomic_compare_exchange_strong(&node->content, &none, content)) {
            tombstone_content_free(content); /* another thread was first */
            content = none;
        }
    }
    if (!code)
        *ret = content;
    return code;
}

int64_t tombstone_version(const struct catalog_dataset *dataset,
                          const struct tombstone_record *record)
{
    if (record->version)
        return record->version;
    for (size_t i = 0; i < dataset->tombstone_count; i++) {
        const struct object_node *node =
            (const struct object_node *)(const void *)dataset->tombstones[i];
        const struct tombstone_content *content = atomic_load(&node->content);
        if (content && record >= content->records &&
            record < content->records + content->record_count)
            return dataset->tombstones[i]->added_version;
    }
    return dataset->version;
}

static int64_t count_rows(const struct tombstone_record *records, size_t count)
{
    int64_t rows = 0;
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < records[i].file_count; k++)
            rows += (int64_t)records[i].files[k].row_count;
    return rows;
}

static struct lh_str fresh_key(struct lh_str dataset_id, struct lh_arena *arena)
{
    struct lh_uuid id = lh_uuid_new();
    return lh_arena_printf(arena, CATALOG_DATA_FOLDER "/%.*s/%s" TOMBSTONE_SUFFIX,
                           LH_ARG(dataset_id), id.text);
}

static enum lh_code put_staged(struct storage *storage, struct lh_str key, struct lh_str bytes,
                               struct lh_error *err)
{
    struct storage_staged *staged = NULL;
    struct storage_sum sum;
    enum lh_code code = storage_stage(storage, lh_lit(TOMBSTONE_SUFFIX), &staged, err);
    if (!code)
        code = storage_staged_write(staged, bytes.data, bytes.len, err);
    if (!code)
        code = storage_staged_seal(staged, &sum, err); /* compares with what was written */
    if (!code)
        code = storage_staged_publish(staged, STORAGE_PRIMARY, key, err);
    storage_staged_discard(staged);
    return code;
}

/* As a data file, for nothing names it yet and a name that may not last is no commit in doubt; on a
 * full disk out of the reserve, under another name. */
static enum lh_code put(struct storage *storage, struct lh_str dataset_id, struct lh_str bytes,
                        struct lh_arena *arena, struct lh_str *ret_key, struct lh_error *err)
{
    struct lh_error again = LH_ERROR_NONE;
    *ret_key = fresh_key(dataset_id, arena);
    enum lh_code code = put_staged(storage, *ret_key, bytes, err);
    if (code != LH_FULL)
        return code;
    *ret_key = fresh_key(dataset_id, arena);
    return storage_put_vital(storage, STORAGE_PRIMARY, *ret_key, bytes, &again) ? code : LH_OK;
}

/* What could not be read again would make its dataset unreadable for good, after the reply. */
static enum lh_code check_readable(struct lh_str bytes, struct lh_error *err)
{
    struct tombstone_content *content = NULL;
    struct lh_error why = LH_ERROR_NONE;
    struct lh_buf again;
    enum lh_code code = tombstone_decode(bytes, lh_lit("What was to be written"), &content, &why);
    if (code)
        return lh_fail(err, LH_INTERNAL, "Tombstones would not be readable: %s", why.message);
    assert(content);
    lh_buf_init(&again, TOMBSTONE_BYTES_MAX);
    tombstone_encode(content->records, content->record_count, &again);
    if (!lh_str_equal(lh_buf_str(&again), bytes))
        code = lh_fail(err, LH_INTERNAL, "Tombstones would not be read as they are written.");
    lh_buf_release(&again);
    tombstone_content_free(content);
    return code;
}

enum lh_code tombstone_publish(struct catalog *catalog, struct lh_str dataset_id,
                               const struct tombstone_record *records, size_t count,
                               struct lh_arena *arena, struct catalog_object *ret,
                               struct lh_error *err)
{
    struct lh_buf buf;
    lh_buf_init(&buf, TOMBSTONE_BYTES_MAX);
    tombstone_encode(records, count, &buf);
    *ret = (struct catalog_object){
        .bucket = STORAGE_PRIMARY,
        .bytes = (int64_t)buf.len,
        .rows = count_rows(records, count),
    };
    if (records[0].kind != TOMBSTONE_REPLACED) {
        struct catalog_range *column = lh_arena_alloc(arena, sizeof *column);
        *column = (struct catalog_range){.column = lh_arena_str(arena, records[0].column)};
        ret->ranges = column;
        ret->range_count = 1;
    }
    enum lh_code code = lh_buf_check(&buf, "The list of tombstones", err);
    if (!code)
        code = check_readable(lh_buf_str(&buf), err);
    if (!code)
        code = put(catalog->storage, dataset_id, lh_buf_str(&buf), arena, &ret->key, err);
    lh_sha256_of(lh_buf_str(&buf), ret->sha256);
    lh_buf_release(&buf);
    return code;
}

bool tombstone_is_of_rows(const struct catalog_object *object)
{
    return object->range_count == 0;
}

struct lh_str tombstone_column(const struct catalog_object *object)
{
    return object->range_count ? object->ranges[0].column : (struct lh_str){0};
}

bool tombstone_is_of_column(const struct catalog_object *object, struct lh_str column)
{
    return object->range_count && lh_str_equal_nocase(object->ranges[0].column, column);
}

/* Whether an object before this one names the same column. */
static bool is_known(const struct catalog_dataset *dataset, size_t index)
{
    struct lh_str column = tombstone_column(dataset->tombstones[index]);
    for (size_t i = 0; i < index; i++)
        if (tombstone_is_of_column(dataset->tombstones[i], column))
            return true;
    return false;
}

struct lh_str_list tombstone_columns(const struct catalog_dataset *dataset, struct lh_arena *arena)
{
    struct lh_str *names =
        lh_arena_array(arena, tombstone_column_count(dataset) + 1, sizeof *names);
    size_t count = 0;
    for (size_t i = 0; i < dataset->tombstone_count; i++)
        if (!tombstone_is_of_rows(dataset->tombstones[i]) && !is_known(dataset, i))
            names[count++] = tombstone_column(dataset->tombstones[i]);
    return (struct lh_str_list){names, count};
}

size_t tombstone_column_count(const struct catalog_dataset *dataset)
{
    size_t count = 0;
    for (size_t i = 0; i < dataset->tombstone_count; i++)
        count += !tombstone_is_of_rows(dataset->tombstones[i]) && !is_known(dataset, i);
    return count;
}

enum lh_code tombstone_check_records(const struct tombstone_content *content,
                                     const struct catalog_object *object, struct lh_error *err)
{
    struct lh_str column = tombstone_column(object);
    for (size_t i = 0; i < content->record_count; i++) {
        const struct tombstone_record *record = &content->records[i];
        bool is_of_rows = record->kind == TOMBSTONE_REPLACED;
        if (is_of_rows != !column.len ||
            (!is_of_rows && !lh_str_equal_nocase(record->column, column)))
            return lh_fail(err, LH_DAMAGED,
                           "The tombstones '%.*s' name rows by '%.*s', but their manifest says "
                           "'%.*s'.",
                           LH_ARG(object->key), LH_ARG(lh_str_head(record->column, 100)),
                           LH_ARG(lh_str_head(column, 100)));
    }
    return LH_OK;
}

/* Who names rows by another column than before may have meant the one before. */
static enum lh_code fail_another(const struct catalog_dataset *dataset, struct lh_str column,
                                 struct lh_error *err)
{
    struct lh_arena *arena = lh_arena_new(0);
    const struct lh_str_list columns = tombstone_columns(dataset, arena);
    lh_fail(err, LH_CONFLICT,
            "The tombstones of dataset '%.*s' name rows by '%.*s'%s; '%.*s' would be another key "
            "column.",
            LH_ARG(dataset->name), LH_ARG(lh_str_head(columns.items[0], 100)),
            columns.count > 1 ? " and other columns" : "", LH_ARG(lh_str_head(column, 100)));
    lh_error_field(err, lh_lit("row_key_column"));
    lh_error_hint(err, "With another_key_column: true (--another-key-column) it gets a list of its "
                       "own beside the others: a row is hidden as long as one of them names it.");
    lh_arena_free(arena);
    return LH_CONFLICT;
}

enum lh_code tombstone_check_column(const struct catalog_dataset *dataset, struct lh_str column,
                                    bool adds_column, struct lh_error *err)
{
    for (size_t i = 0; i < dataset->tombstone_count; i++)
        if (tombstone_is_of_column(dataset->tombstones[i], column))
            return LH_OK;
    size_t count = tombstone_column_count(dataset);
    if (count && !adds_column)
        return fail_another(dataset, column, err);
    if (count < CATALOG_KEY_COLUMNS_MAX)
        return LH_OK;
    lh_fail(err, LH_CONFLICT,
            "The tombstones of dataset '%.*s' name rows by %zu columns, which is the most; '%.*s' "
            "would be another.",
            LH_ARG(dataset->name), CATALOG_KEY_COLUMNS_MAX, LH_ARG(lh_str_head(column, 100)));
    return lh_error_hint(err, "Name the rows by one of those columns, or lift all tombstones of "
                              "one first. Keys whose rows were erased cannot be lifted.");
}
