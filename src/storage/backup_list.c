#include <stddef.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/json.h"
#include "storage/backup_internal.h"

/* A list is text: a line with the sum of all that follows, a line of JSON, then a line a file, its
 * parts divided by tabs, which no key holds. Nothing is parsed before the sum was compared. */
#define LIST_MAGIC "lakehouse-backup "
#define LIST_BYTES_MAX ((size_t)2 << 30)
#define FIRST_LINE_BYTES (sizeof LIST_MAGIC - 1 + LH_SHA256_HEX_BYTES + 1)

void backup_list_init(struct backup_list *list)
{
    *list = (struct backup_list){.arena = lh_arena_new(0)};
}

void backup_list_release(struct backup_list *list)
{
    free(list->items);
    lh_arena_free(list->arena);
}

struct backup_file *backup_list_add(struct backup_list *list, struct lh_str bucket,
                                    struct lh_str key)
{
    if (list->count == list->capacity) {
        size_t capacity = list->capacity ? list->capacity * 2 : 256;
        struct backup_file *items = lh_allocate(capacity, sizeof *items);
        if (list->count)
            memcpy(items, list->items, list->count * sizeof *items);
        free(list->items);
        list->items = items;
        list->capacity = capacity;
    }
    struct backup_file *file = &list->items[list->count++];
    *file = (struct backup_file){.bucket = lh_arena_str(list->arena, bucket),
                                 .key = lh_arena_str(list->arena, key)};
    return file;
}

static int compare_files(const void *a, const void *b)
{
    const struct backup_file *x = a, *y = b;
    int order = lh_str_compare(x->bucket, y->bucket);
    return order ? order : lh_str_compare(x->key, y->key);
}

int backup_compare_sums(const void *a, const void *b)
{
    const struct backup_file *const *x = a, *const *y = b;
    return memcmp((*x)->sha256, (*y)->sha256, LH_SHA256_BYTES);
}

void backup_list_sort(struct backup_list *list)
{
    if (list->count)
        qsort(list->items, list->count, sizeof *list->items, compare_files);
}

const struct backup_file *backup_list_find(const struct backup_list *list, struct lh_str bucket,
                                           struct lh_str key)
{
    const struct backup_file wanted = {.bucket = bucket, .key = key};
    return list->count ? bsearch(&wanted, list->items, list->count, sizeof wanted, compare_files)
                       : NULL;
}

/* --- bytes */

static struct lh_str list_path(int64_t number, struct lh_arena *arena)
{
    return lh_arena_printf(arena, BACKUP_LISTS "/%020lld.txt", (long long)number);
}

/* What was answered: who asks for a job's end after the process ended is told the same. */
static const struct {
    const char *name;
    size_t offset;
} result_rows[] = {
    {"copied_bytes", offsetof(struct storage_backup_result, copied_bytes)},
    {"copied_files", offsetof(struct storage_backup_result, copied_count)},
    {"held_us", offsetof(struct storage_backup_result, held_us)},
    {"mended_files", offsetof(struct storage_backup_result, mended_count)},
};

static void write_result(const struct backup_list *list, struct lh_json *json)
{
    lh_json_key(json, "result");
    lh_json_object(json);
    for (size_t i = 0; i < sizeof result_rows / sizeof result_rows[0]; i++) {
        int64_t value = 0;
        memcpy(&value, (const char *)&list->result + result_rows[i].offset, sizeof value);
        lh_json_put_int(json, result_rows[i].name, value);
    }
    lh_json_object_end(json);
}

static void write_header(const struct backup_list *list, struct lh_buf *buf)
{
    char made[LH_TIME_TEXT_BYTES + 1];
    struct lh_json json;
    int64_t bytes = 0;
    for (size_t i = 0; i < list->count; i++)
        bytes += list->items[i].bytes;
    lh_time_format(list->made_ms, made);
    lh_json_init(&json, buf);
    lh_json_object(&json);
    lh_json_put_int(&json, "bytes", bytes);
    lh_json_key(&json, "features");
    lh_json_array(&json);
    lh_json_array_end(&json);
    lh_json_put_int(&json, "files", (int64_t)list->count);
    lh_json_put_int(&json, "format", BACKUP_FORMAT);
    if (list->job.len)
        lh_json_put_str(&json, "job", list->job);
    lh_json_put_cstr(&json, "lake", list->lake.text);
    if (list->left_out_count) {
        lh_json_key(&json, "left_out");
        lh_json_array(&json);
        for (size_t i = 0; i < list->left_out_count; i++)
            lh_json_str(&json, list->left_out[i]);
        lh_json_array_end(&json);
    }
    lh_json_put_cstr(&json, "made", made);
    lh_json_put_int(&json, "number", list->number);
    write_result(list, &json);
    lh_json_put_int(&json, "sequence", (int64_t)list->sequence);
    lh_json_object_end(&json);
    lh_buf_append_char(buf, '\n');
}

static void write_list(const struct backup_list *list, struct lh_buf *buf)
{
    char hex[LH_SHA256_HEX_BYTES + 1];
    uint8_t sum[LH_SHA256_BYTES];
    lh_buf_printf(buf, LIST_MAGIC "%0*d\n", LH_SHA256_HEX_BYTES, 0);
    write_header(list, buf);
    for (size_t i = 0; i < list->count; i++) {
        const struct backup_file *file = &list->items[i];
        lh_hex(file->sha256, LH_SHA256_BYTES, hex);
        lh_buf_printf(buf, "%s\t%lld\t%llu\t%lld\t%.*s\t%.*s\n", hex, (long long)file->bytes,
                      (unsigned long long)file->inode, (long long)file->changed_ns,
                      LH_ARG(file->bucket), LH_ARG(file->key));
    }
    if (buf->len < FIRST_LINE_BYTES)
        return;
    lh_sha256_of(lh_str_slice(lh_buf_str(buf), FIRST_LINE_BYTES, buf->len), sum);
    lh_hex(sum, sizeof sum, hex);
    memcpy(buf->data + sizeof LIST_MAGIC - 1, hex, LH_SHA256_HEX_BYTES);
}

static enum lh_code sync_objects(struct backup_store *store, struct lh_error *err)
{
    enum lh_code code = LH_OK;
    char path[sizeof BACKUP_OBJECTS + 3];
    for (unsigned i = 0; i < 256 && !code; i++) {
        uint8_t byte = (uint8_t)i;
        memcpy(path, BACKUP_OBJECTS "/", sizeof BACKUP_OBJECTS);
        lh_hex(&byte, 1, path + sizeof BACKUP_OBJECTS);
        if (store->is_used[i])
            code = lh_dir_sync(store->dir, path, err);
    }
    return code ? code : lh_dir_sync(store->dir, BACKUP_OBJECTS, err);
}

/* Under a fresh name, durable, then in its place. */
static enum lh_code put_list(struct backup_store *store, struct lh_str bytes, struct lh_str path,
                             struct lh_arena *arena, struct lh_error *err)
{
    struct lh_uuid uuid = lh_uuid_new();
    const char *fresh = lh_arena_printf(arena, BACKUP_NEW "/%s", uuid.text).data;
    enum lh_code code = lh_file_make(store->dir, fresh, bytes, err);
    if (!code)
        code = lh_file_publish(store->dir, fresh, path.data, err);
    return code ? code : lh_dir_sync(store->dir, BACKUP_LISTS, err);
}

enum lh_code backup_store_publish(struct backup_store *store, struct backup_list *list,
                                  struct lh_error *err)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct lh_buf buf;
    lh_buf_init(&buf, LIST_BYTES_MAX);
    backup_list_sort(list);
    write_list(list, &buf);
    /* Those of an earlier backup too: it may have ended before it made them durable. */
    for (size_t i = 0; i < list->count; i++)
        store->is_used[list->items[i].sha256[0]] = true;
    enum lh_code code = lh_buf_check(&buf, "The list of the backup's files", err);
    if (!code)
        code = sync_objects(store, err);
    if (!code)
        code = put_list(store, lh_buf_str(&buf), list_path(list->number, arena), arena, err);
    lh_buf_release(&buf);
    lh_arena_free(arena);
    return code;
}

/* --- and back */

static void read_left_out(const json_t *names, struct backup_list *list)
{
    list->left_out_count = json_array_size(names);
    list->left_out = lh_arena_array(list->arena, list->left_out_count + 1, sizeof *list->left_out);
    for (size_t i = 0; i < list->left_out_count; i++)
        list->left_out[i] = lh_arena_str(list->arena, lh_json_text(json_array_get(names, i)));
}

static void read_result(const json_t *root, struct backup_list *list)
{
    const json_t *said = json_object_get(root, "result");
    list->job = lh_arena_str(list->arena, lh_json_text(json_object_get(root, "job")));
    list->result =
        (struct storage_backup_result){.number = list->number, .sequence = list->sequence};
    list->result.file_count = json_integer_value(json_object_get(root, "files"));
    list->result.byte_count = json_integer_value(json_object_get(root, "bytes"));
    for (size_t i = 0; i < sizeof result_rows / sizeof result_rows[0]; i++) {
        int64_t value = json_integer_value(json_object_get(said, result_rows[i].name));
        memcpy((char *)&list->result + result_rows[i].offset, &value, sizeof value);
    }
}

static enum lh_code read_header(struct lh_str line, struct backup_list *list, size_t *ret_files,
                                struct lh_error *err)
{
    json_t *root = NULL;
    enum lh_code code = lh_json_parse(line, "The list's header", 65536, &root, err);
    if (code)
        return lh_fail(err, LH_DAMAGED, "Its header cannot be read.");
    const char *lake = json_string_value(json_object_get(root, "lake"));
    const char *made = json_string_value(json_object_get(root, "made"));
    int64_t format = json_integer_value(json_object_get(root, "format"));
    if (format > BACKUP_FORMAT || json_array_size(json_object_get(root, "features")))
        code =
            lh_fail(err, LH_FORMAT, "The backup was made by a newer release: its format is %lld.",
                    (long long)format);
    else if (!lake || !lh_uuid_is_valid(lh_str_of(lake)))
        code = lh_fail(err, LH_DAMAGED, "It does not say which lake it is of.");
    else
        memcpy(list->lake.text, lake, LH_UUID_TEXT_BYTES + 1);
    read_left_out(json_object_get(root, "left_out"), list);
    list->number = json_integer_value(json_object_get(root, "number"));
    list->sequence = (uint64_t)json_integer_value(json_object_get(root, "sequence"));
    if (!made || !lh_time_parse(lh_str_of(made), &list->made_ms))
        list->made_ms = 0;
    read_result(root, list);
    *ret_files = (size_t)json_integer_value(json_object_get(root, "files"));
    json_decref(root);
    return code;
}

static enum lh_code read_file(struct lh_str line, struct backup_list *list, struct lh_error *err)
{
    struct lh_str rest = line;
    struct lh_str sum = lh_str_cut(&rest, '\t'), bytes = lh_str_cut(&rest, '\t');
    struct lh_str inode = lh_str_cut(&rest, '\t'), changed = lh_str_cut(&rest, '\t');
    struct lh_str bucket = lh_str_cut(&rest, '\t');
    int64_t inode_number = 0;
    struct backup_file *file = backup_list_add(list, bucket, rest);
    if (sum.len != LH_SHA256_HEX_BYTES || !lh_hex_parse(sum, file->sha256, LH_SHA256_BYTES) ||
        !lh_str_to_int(bytes, &file->bytes) || file->bytes < 0 ||
        !lh_str_to_int(changed, &file->changed_ns) || !bucket.len ||
        (!lh_str_equal(rest, lh_lit(LAKE_FILE)) && storage_key_check(rest, NULL)))
        return lh_fail(err, LH_DAMAGED, "One of its lines is not one of a backup.");
    if (lh_str_to_int(inode, &inode_number))
        file->inode = (uint64_t)inode_number;
    else
        file->changed_ns = 0;
    return LH_OK;
}

static enum lh_code parse_list(struct lh_str text, struct backup_list *list, struct lh_error *err)
{
    uint8_t said[LH_SHA256_BYTES], found[LH_SHA256_BYTES];
    size_t files = 0;
    struct lh_str rest = lh_str_slice(text, FIRST_LINE_BYTES, text.len);
    struct lh_str sum = lh_str_slice(text, sizeof LIST_MAGIC - 1, LH_SHA256_HEX_BYTES);
    if (text.len < FIRST_LINE_BYTES || !lh_str_starts_with(text, lh_lit(LIST_MAGIC)) ||
        !lh_hex_parse(sum, said, sizeof said))
        return lh_fail(err, LH_DAMAGED, "It does not begin as a list of a backup does.");
    lh_sha256_of(rest, found);
    if (memcmp(said, found, sizeof said) != 0)
        return lh_fail(err, LH_DAMAGED, "It is not what was written: its checksum differs.");
    enum lh_code code = read_header(lh_str_cut(&rest, '\n'), list, &files, err);
    while (!code && rest.len)
        code = read_file(lh_str_cut(&rest, '\n'), list, err);
    if (!code && files != list->count)
        code = lh_fail(err, LH_DAMAGED, "It names %zu files, not %zu.", list->count, files);
    return code;
}

enum lh_code backup_store_read(struct backup_store *store, int64_t number, struct backup_list *ret,
                               struct lh_error *err)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct lh_str text = {0};
    struct lh_str path = list_path(number, arena);
    enum lh_code code = lh_file_read(store->dir, path.data, LIST_BYTES_MAX, arena, &text, err);
    if (code == LH_NOT_FOUND) {
        lh_fail(err, LH_NOT_FOUND, "There is no backup %lld.", (long long)number);
    } else if (!code) {
        code = parse_list(text, ret, err);
        if (!code && ret->number != number)
            code =
                lh_fail(err, LH_DAMAGED, "It says that it is number %lld.", (long long)ret->number);
        if (code == LH_DAMAGED) {
            lh_error_context(err, "The list '%.*s' of the backup", LH_ARG(path));
            lh_error_hint(err,
                          "An earlier backup in the same folder may be whole: name its number.");
        }
    }
    lh_arena_free(arena);
    return code;
}
