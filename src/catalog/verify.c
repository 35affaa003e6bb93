#include <stdlib.h>

#include "catalog/rejects.h"
#include "catalog/tombstone_internal.h"
#include "catalog/verify_internal.h"

/* --- the report */

void verify_find(struct verify *verify, enum catalog_severity severity, struct lh_str object,
                 const char *format, ...)
{
    if (severity == CATALOG_ERROR)
        verify->report.error_count++;
    if (verify->report.finding_count >= CATALOG_FINDINGS_MAX)
        return;
    struct lh_buf text;
    va_list args;
    lh_buf_init(&text, LH_ERROR_MESSAGE_BYTES);
    va_start(args, format);
    lh_buf_vprintf(&text, format, args);
    va_end(args);
    struct finding_node *node = lh_arena_alloc(verify->arena, sizeof *node);
    node->finding.severity = severity;
    node->finding.object = lh_arena_str(verify->arena, object);
    node->finding.what = lh_arena_str(verify->arena, lh_buf_str(&text));
    *verify->last = node;
    verify->last = &node->next;
    verify->report.finding_count++;
    lh_buf_release(&text);
}

static void write_report(struct verify *verify, struct catalog_report *ret)
{
    struct catalog_finding *list =
        lh_arena_array(verify->arena, verify->report.finding_count + 1, sizeof *list);
    size_t count = 0;
    for (int severity = CATALOG_ERROR; severity >= CATALOG_INFO; severity--)
        for (const struct finding_node *at = verify->first; at; at = at->next)
            if ((int)at->finding.severity == severity)
                list[count++] = at->finding;
    *ret = verify->report;
    ret->findings = list;
}

/* --- what all datasets have together */

static int compare_sequences(const void *a, const void *b)
{
    const struct sequence_node *x = *(struct sequence_node *const *)a;
    const struct sequence_node *y = *(struct sequence_node *const *)b;
    return x->sequence < y->sequence ? -1 : x->sequence > y->sequence;
}

static void check_sequences(struct verify *verify)
{
    struct sequence_node **list = lh_allocate(verify->sequence_count, sizeof(void *));
    size_t count = 0;
    for (struct sequence_node *at = verify->sequences; at; at = at->next)
        list[count++] = at;
    qsort(list, count, sizeof(void *), compare_sequences);
    for (size_t i = 1; i < count; i++) {
        if (list[i]->sequence == list[i - 1]->sequence)
            verify_find(verify, CATALOG_ERROR, list[i]->key, "It has the same sequence as %.*s.",
                        LH_ARG(list[i - 1]->key));
        else if (list[i]->time_ms < list[i - 1]->time_ms || list[i]->epoch < list[i - 1]->epoch)
            verify_find(verify, CATALOG_ERROR, list[i]->key,
                        "Its time or epoch is before that of %.*s, whose sequence is lower.",
                        LH_ARG(list[i - 1]->key));
    }
    uint64_t newest = count ? list[count - 1]->sequence : 0;
    if (verify->note.sequence > newest && !verify->report.error_count)
        verify_find(verify, CATALOG_ERROR, lh_lit(CATALOG_FOLDER),
                    "Commits are missing: the lake had reached sequence %llu, the newest that is "
                    "left is %llu.",
                    (unsigned long long)verify->note.sequence, (unsigned long long)newest);
    free(list);
}

static int compare_texts(const void *a, const void *b)
{
    const struct text_node *x = *(struct text_node *const *)a, *y = *(struct text_node *const *)b;
    return lh_str_compare(x->text, y->text);
}

static struct text_node **sorted(struct text_node *first, size_t count)
{
    struct text_node **list = lh_allocate(count, sizeof(void *));
    size_t at = 0;
    for (struct text_node *node = first; node; node = node->next)
        list[at++] = node;
    qsort(list, count, sizeof(void *), compare_texts);
    return list;
}

static void check_uuids(struct verify *verify)
{
    struct text_node **list = sorted(verify->uuids, verify->uuid_count);
    for (size_t i = 1; i < verify->uuid_count; i++)
        if (lh_str_equal(list[i]->text, list[i - 1]->text))
            verify_find(verify, CATALOG_ERROR, list[i]->key,
                        "The commit %.*s took effect twice: also in %.*s.", LH_ARG(list[i]->text),
                        LH_ARG(list[i - 1]->key));
    free(list);
}

static void check_names(struct verify *verify)
{
    struct text_node **list = sorted(verify->names, verify->name_count);
    for (size_t i = 1; i < verify->name_count; i++)
        if (lh_str_equal(list[i]->text, list[i - 1]->text))
            verify_find(verify, CATALOG_ERROR, list[i]->key,
                        "Its name '%.*s' is also that of %.*s.", LH_ARG(list[i]->text),
                        LH_ARG(list[i - 1]->key));
    free(list);
}

/* --- data files */

static int compare_object_keys(const void *a, const void *b)
{
    const struct object_record *x = *(struct object_record *const *)a;
    const struct object_record *y = *(struct object_record *const *)b;
    int order = lh_str_compare(x->object.key, y->object.key);
    return order ? order : lh_str_compare(x->object.bucket, y->object.bucket);
}

static void check_sum(struct verify *verify, const struct catalog_object *object)
{
    struct lh_error err = LH_ERROR_NONE;
    struct storage_sum sum;
    if (storage_sum(verify->storage, object->bucket, object->key, verify->options.cancel, &sum,
                    &err)) {
        verify_find(verify, CATALOG_ERROR, object->key, "%s", err.message);
        return;
    }
    verify->report.objects++;
    verify->report.object_bytes += sum.bytes;
    if (sum.bytes != object->bytes || memcmp(sum.sha256, object->sha256, sizeof sum.sha256) != 0)
        verify_find(verify, CATALOG_ERROR, object->key,
                    "It is not what was written: its checksum differs.");
}

static bool is_tombstones(const struct catalog_object *object)
{
    struct lh_str suffix = lh_lit(TOMBSTONE_SUFFIX), key = object->key;
    return key.len > suffix.len &&
           lh_str_equal(lh_str_slice(key, key.len - suffix.len, suffix.len), suffix);
}

/* Positions must be rows of the files that they name; files of versions that expired are gone. */
static void check_positions(struct verify *verify, const struct catalog_object *object,
                            const struct tombstone_content *content)
{
    for (size_t i = 0; i < content->record_count; i++)
        for (size_t k = 0; k < content->records[i].file_count; k++) {
            const struct tombstone_file *file = &content->records[i].files[k];
            struct object_record wanted = {.object = {.bucket = STORAGE_PRIMARY, .key = file->key}};
            const struct object_record *pointer = &wanted, *const * found;
            found = bsearch(&pointer, verify->sorted_objects, verify->object_count, sizeof(void *),
                            compare_object_keys);
            if (found && file->row_count &&
                file->rows[file->row_count - 1] >= (uint64_t)(*found)->object.rows)
                verify_find(verify, CATALOG_ERROR, object->key,
                            "It names row %llu of %.*s, which has %lld.",
                            (unsigned long long)file->rows[file->row_count - 1], LH_ARG(file->key),
                            (long long)(*found)->object.rows);
        }
}

static void check_tombstones(struct verify *verify, const struct catalog_object *object)
{
    struct lh_error err = LH_ERROR_NONE;
    struct lh_arena *arena = lh_arena_new(0);
    struct tombstone_content *content = NULL;
    struct lh_str bytes;
    if (storage_get(verify->storage, object->bucket, object->key, TOMBSTONE_BYTES_MAX, arena,
                    &bytes, &err) ||
        tombstone_decode(bytes, object->key, &content, &err) ||
        tombstone_check_records(content, object, &err))
        verify_find(verify, CATALOG_ERROR, object->key, "%s", err.message);
    else
        check_positions(verify, object, content);
    tombstone_content_free(content);
    lh_arena_free(arena);
}

static void check_object(struct verify *verify, const struct catalog_object *object)
{
    struct lh_error err = LH_ERROR_NONE;
    struct storage_info info;
    /* The list was filled from the records a moment ago: no entry of it is NULL.
     * NOLINTNEXTLINE(clang-analyzer-core.NullDereference) */
    enum lh_code code = storage_info(verify->storage, object->bucket, object->key, &info, &err);
    if (code == LH_NOT_FOUND)
        verify_find(verify, CATALOG_ERROR, object->key, "It is missing.");
    else if (code)
        verify_find(verify, CATALOG_ERROR, object->key, "%s", err.message);
    else if (info.bytes != object->bytes)
        verify_find(verify, CATALOG_ERROR, object->key, "It has %lld bytes, not %lld.",
                    (long long)info.bytes, (long long)object->bytes);
    else if (!verify->options.skip_objects)
        check_sum(verify, object);
    if (!code && is_tombstones(object)) {
        check_tombstones(verify, object);
        return;
    }
    if (!code && verify->options.inspect &&
        verify->options.inspect(verify->options.context, object, &err))
        verify_find(verify, CATALOG_ERROR, object->key, "%s", err.message);
}

static bool is_named(const struct verify *verify, struct lh_str key)
{
    struct text_node reject = {.text = key};
    const struct text_node *reject_pointer = &reject;
    if (verify->reject_count && bsearch(&reject_pointer, verify->sorted_rejects,
                                        verify->reject_count, sizeof(void *), compare_texts))
        return true;
    struct object_record wanted = {.object = {.bucket = STORAGE_PRIMARY, .key = key}};
    const struct object_record *pointer = &wanted;
    return verify->object_count && bsearch(&pointer, verify->sorted_objects, verify->object_count,
                                           sizeof(void *), compare_object_keys);
}

static enum lh_code visit_file(void *context, const struct storage_entry *entry,
                               struct lh_error *err)
{
    struct verify *verify = context;
    if (entry->is_special)
        verify_find(verify, CATALOG_ERROR, entry->key, "It is a link or a device, not a file.");
    else if (!entry->is_folder && !is_named(verify, entry->key)) {
        verify->report.orphans++;
        verify_find(verify, CATALOG_INFO, entry->key,
                    "No version names it: a writer ended before its commit.");
    }
    return lh_cancel_fail(verify->options.cancel, "The verification", err);
}

static void check_rejects(struct verify *verify)
{
    for (size_t i = 0; i < verify->reject_count; i++) {
        struct storage_info info;
        struct lh_error err = LH_ERROR_NONE;
        struct lh_str key = verify->sorted_rejects[i]->text;
        bool is_first = !i || !lh_str_equal(key, verify->sorted_rejects[i - 1]->text);
        if (storage_info(verify->storage, STORAGE_PRIMARY, key, &info, &err))
            verify_find(verify, CATALOG_ERROR, key,
                        "The rows that %.*s could not take are missing.",
                        LH_ARG(verify->sorted_rejects[i]->key));
        else if (is_first && !verify->options.skip_objects &&
                 catalog_rejects_check(verify->storage, key, verify->options.cancel, &err))
            verify_find(verify, CATALOG_ERROR, key, "%s", err.message);
    }
}

static bool is_set_aside(const struct verify *verify, struct lh_str key)
{
    for (const struct text_node *at = verify->set_aside; at; at = at->next)
        if (lh_str_equal(at->text, key))
            return true;
    return false;
}

static enum lh_code check_objects(struct verify *verify, struct lh_error *err)
{
    enum lh_code code = LH_OK;
    size_t count = 0, kept = 0;
    verify->sorted_objects = lh_allocate(verify->object_count, sizeof(void *));
    for (struct object_record *at = verify->objects; at; at = at->next)
        verify->sorted_objects[count++] = at;
    qsort(verify->sorted_objects, count, sizeof(void *), compare_object_keys);
    for (size_t i = 0; i < count; i++) {
        struct object_record *record = verify->sorted_objects[i];
        struct object_record *last = kept ? verify->sorted_objects[kept - 1] : NULL;
        if (!last || compare_object_keys(&last, &record) != 0)
            verify->sorted_objects[kept++] = record;
        else if (last->object.bytes != record->object.bytes ||
                 memcmp(last->object.sha256, record->object.sha256, LH_SHA256_BYTES) != 0)
            verify_find(verify, CATALOG_ERROR, record->object.key,
                        "Two versions say different things about it.");
    }
    verify->object_count = kept;
    for (size_t i = 0; i < kept && !code; i++) {
        const struct catalog_object *object = &verify->sorted_objects[i]->object;
        size_t errors = verify->report.error_count;
        check_object(verify, object);
        if (verify->report.error_count > errors && is_set_aside(verify, object->key))
            verify_find(verify, CATALOG_INFO, object->key,
                        "It was set aside by quarantine: only older versions name it, until they "
                        "expire.");
        code = lh_cancel_fail(verify->options.cancel, "The verification", err);
    }
    verify->sorted_rejects = sorted(verify->rejects, verify->reject_count);
    check_rejects(verify);
    if (!code)
        code = storage_walk(verify->storage, STORAGE_PRIMARY, lh_lit(CATALOG_DATA_FOLDER),
                            visit_file, verify, err);
    free(verify->sorted_objects);
    free(verify->sorted_rejects);
    return code;
}

/* Nothing stands above a newest version that vanished. */
static void check_heads(struct verify *verify)
{
    const char *id = NULL;
    const json_t *version = NULL;
    json_object_foreach((json_t *)(uintptr_t)verify->note.heads, id, version)
    {
        struct chain_file *files = NULL;
        size_t count = 0;
        int64_t newest = 0;
        if (chain_list(verify->storage, lh_str_of(id), verify->arena, &files, &count, NULL))
            continue;
        for (size_t i = 0; i < count; i++)
            newest = files[i].is_checkpoint ? newest : files[i].version;
        if (newest < json_integer_value(version))
            verify_find(verify, CATALOG_ERROR, catalog_folder_of(lh_str_of(id), verify->arena),
                        "Version %lld, which was there at the last clean end, is missing.",
                        (long long)json_integer_value(version));
    }
}

static enum lh_code check_datasets(struct verify *verify, struct lh_error *err)
{
    struct storage_entry *folders = NULL;
    size_t count = 0;
    enum lh_code code = storage_list(verify->storage, STORAGE_PRIMARY, lh_lit(CATALOG_FOLDER),
                                     verify->arena, &folders, &count, err);
    for (size_t i = 0; i < count && !code; i++) {
        if (folders[i].is_folder && lh_uuid_is_valid(folders[i].name))
            code = verify_dataset(verify, folders[i].name, err);
        else
            verify_find(verify, CATALOG_INFO, folders[i].key, "It is not a dataset's folder.");
        if (!code)
            code = lh_cancel_fail(verify->options.cancel, "The verification", err);
    }
    return code;
}

enum lh_code catalog_verify(struct storage *storage, const struct catalog_verify_options *options,
                            struct lh_arena *arena, struct catalog_report *ret,
                            struct lh_error *err)
{
    struct verify verify = {.storage = storage, .arena = arena};
    verify.last = &verify.first;
    if (options)
        verify.options = *options;
    enum lh_code code = check_datasets(&verify, err);
    if (code)
        return code;
    epoch_read_note(storage, arena, &verify.note);
    check_heads(&verify);
    check_sequences(&verify);
    check_uuids(&verify);
    check_names(&verify);
    code = check_objects(&verify, err);
    if (!code)
        write_report(&verify, ret);
    return code;
}
